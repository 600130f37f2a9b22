"""Answers that have none of some sequences of tokens."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.automaton import FAR, TokenAutomaton, assemble
from unmask.decoding.automata.errors import GrammarTooLarge, NoAnswer

IN_NO_WORD = 1  # class of tokens that may stand anywhere
MAX_EDGES = 500_000  # states times classes, of which a step visits many: some 5 ms
Table = npt.NDArray[np.int64]


def automaton_without(
    sequences: Iterable[Sequence[int]],
    num_tokens: int,
    never: Iterable[int],
    allowed: Iterable[int] | None = None,
) -> TokenAutomaton:
    """Automaton of all answers without these sequences; tokens in `never` are not generated.

    An end of sequence is a token like all others: an answer is cut there later. Raises `NoAnswer`
    if no token is left, and `GrammarTooLarge`.
    """
    words = sorted({tuple(word) for word in sequences})
    is_free = np.ones(num_tokens, np.bool_)
    if allowed is not None:
        is_free[:] = False
        is_free[list(allowed)] = True
    is_free[list(never)] = False
    is_free[[word[0] for word in words if len(word) == 1 and word[0] < num_tokens]] = False
    # A word with a token that is not generated is never written in any case.
    words = [word for word in words if all(i < num_tokens and is_free[i] for i in word)]
    known = sorted({token for word in words for token in word})
    class_of = _classes(known, is_free)
    table = _moves(words, known)
    num_states = len(table) + 2  # and those that are dead and after the end
    sources, columns = np.nonzero(table >= 0)
    targets = table[sources, columns] + 1
    # No token is of the last class, which leads from the last state to itself.
    done, ends = [num_states - 1], [len(known) + 2]
    accepts = np.ones(num_states, np.bool_)
    accepts[[0, -1]] = False
    return assemble(
        accepts,
        np.where(np.arange(num_states) == 0, FAR, 0).astype(np.int32),
        class_of,
        (
            np.append(sources + 1, done).astype(np.int32),
            np.append(targets, done).astype(np.int32),
            np.append(columns + 1, ends).astype(np.int32),
        ),
        end_id=-1,
    )


def _classes(known: list[int], is_free: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
    """Classes [V]: 0 for forbidden tokens, 1 for those in no sequence, then one for each other."""
    class_of = is_free.astype(np.int32)
    class_of[known] = np.arange(2, len(known) + 2)
    if not (class_of == IN_NO_WORD).any():
        raise NoAnswer("every token that may be generated is in one of the bad words")
    return class_of


def _moves(words: list[tuple[int, ...]], known: list[int]) -> Table:
    """States after each state and class, from 1 on; -1 where a word would be whole.

    A state is the longest end of the answer that begins a word (Aho and Corasick, 1975).
    """
    column = {token: i for i, token in enumerate(known, 1)}  # 0: in no word
    children: list[dict[int, int]] = [{}]
    whole = set[int]()
    for word in words:
        node = 0
        for token in word:
            if token not in children[node]:
                children[node][token] = len(children)
                children.append({})
                if len(children) * (len(known) + 1) > MAX_EDGES:
                    raise GrammarTooLarge(
                        f"the words are too many or too long: over {MAX_EDGES} edges of tokens"
                    )
            node = children[node][token]
        whole.add(node)
    table = np.zeros((len(children), len(known) + 1), np.int64)
    shorter = [0] * len(children)  # the longest end of a node that is a node too
    queue = [0]
    for node in queue:
        row = table[shorter[node]].copy()
        for token, child in children[node].items():
            shorter[child] = 0 if node == 0 else int(row[column[token]])
            if shorter[child] in whole:
                whole.add(child)
            row[column[token]] = child
            queue.append(child)
        table[node] = row
    kept = np.array([node not in whole for node in range(len(children))])
    number = np.where(kept, kept.cumsum() - 1, -1)
    return np.asarray(number[table[kept]], np.int64)
