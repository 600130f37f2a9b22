"""Small vocabularies, words of automata, and enumeration of a language's words of tokens."""

import itertools
import re
from collections.abc import Iterator, Sequence
from random import Random

import numpy as np

from unmask.decoding.automata.automaton import TokenAutomaton, build_automaton
from unmask.decoding.automata.constraint import Constraint
from unmask.decoding.automata.expressions import Expression
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton, minimize
from unmask.decoding.automata.nfa import compile_bytes
from unmask.decoding.automata.regex import regex
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.grammar import json_schema_of

# Several ways to spell most words; one token without text, one of half a character.
TOKENS = (b"a", b"b", b"ab", b"ba", b"{", b"}", b"1", b"12", b",", None, b"\xc3")
EOS = len(TOKENS)
SMALL = make_vocabulary([*TOKENS, None], [EOS])
BYTES = make_vocabulary([*(bytes((byte,)) for byte in range(256)), None], [256])


def language(expression: Expression) -> ByteAutomaton:
    return minimize(compile_bytes(expression, {}, Budget()))


def schema_language(schema: object) -> ByteAutomaton:
    return language_of(json_schema_of(schema), {}, Budget())


def automaton_of(
    pattern: str, vocabulary: Vocabulary = SMALL, *, uses_c: bool = True
) -> TokenAutomaton:
    return build_automaton(language(regex(pattern)), vocabulary, Budget(), uses_c=uses_c)


def words(
    pattern: str, tokens: Sequence[bytes | None], length: int, room: int
) -> set[tuple[int, ...]]:
    """First `length` tokens of all answers that fit the room, ends of sequence behind each."""
    end = len(tokens)
    found = set()
    for word in itertools.product(range(end + 1), repeat=length + room):
        size = word.index(end) if end in word else len(word)
        texts = [tokens[i] for i in word[:size]]
        if any(i != end for i in word[size:]) or None in texts:
            continue
        if re.fullmatch(pattern.encode(), b"".join(text or b"" for text in texts)):
            found.add(word[:length])
    return found


def random_word(automaton: ByteAutomaton, random: Random, goal: int) -> bytes:
    """A word of a language of bytes that makes for an end after `goal` symbols."""
    distance = _distances(automaton)
    state, word = 1, bytearray()
    while not (automaton.accepts[state] and (len(word) >= goal or random.random() < 0.02)):
        targets = automaton.moves[state]
        columns = [c for c, target in enumerate(targets) if target]
        if not columns:
            break
        if len(word) >= goal:
            nearest = min(distance[targets[c]] for c in columns)
            columns = [c for c in columns if distance[targets[c]] == nearest]
        column = random.choice(columns)
        word.append(random.choice(sorted(automaton.columns[column])))
        state = targets[column]
    return bytes(word)


def _distances(automaton: ByteAutomaton) -> list[int]:
    """Fewest symbols from each state to an end."""
    distance = np.where(automaton.accepts, 0, 2**30)
    distance[0] = 2**30
    while True:
        fresh = np.minimum(distance, distance[automaton.moves].min(1, initial=2**30) + 1)
        fresh[0] = 2**30
        if (fresh == distance).all():
            result: list[int] = distance.tolist()
            return result
        distance = fresh


def allowed_tokens(automaton: TokenAutomaton, mask: np.ndarray) -> set[int]:
    """Tokens of the classes whose bits a mask [words] has."""
    bits = np.unpackbits(mask.view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits[automaton.class_of]).tolist())


def texts(alphabet: str, most: int) -> Iterator[str]:
    """All texts of at most so many characters."""
    for size in range(most + 1):
        yield from map("".join, itertools.product(alphabet, repeat=size))


def denoise(made: TokenAutomaton, random: Random, block_len: int, max_tokens: int) -> list[int]:
    """Tokens of an answer, random ones at random positions of each block, a third a step."""
    constraint, answer = Constraint(made), list[int]()
    members = [np.flatnonzero(made.class_of == klass) for klass in range(made.num_classes)]
    while len(answer) < max_tokens:
        length = min(block_len, max_tokens - len(answer))
        tokens, masked = np.zeros(length, np.int64), np.ones(length, np.bool_)
        room = max_tokens - len(answer) - length
        block = constraint.open_block(tokens, masked, room)
        while masked.any():
            assert block.is_possible
            masks = block.masks()
            open_ = np.flatnonzero(masked).tolist()
            positions = random.sample(open_, -(-len(open_) // 3))
            bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")
            chosen = [
                int(random.choice(members[random.choice(np.flatnonzero(bits[i]).tolist())]))
                for i in positions
            ]
            accepted = block.accept(np.array(positions), np.array(chosen))
            assert accepted[0]
            taken = np.array(positions)[accepted]
            tokens[taken], masked[taken] = np.array(chosen)[accepted], False
            filled, forced = block.fill_forced()
            tokens[filled], masked[filled] = forced, False
            # The block anew, as after a preemption, has the same masks.
            again = constraint.open_block(tokens, masked, room).masks()
            assert np.array_equal(again[masked], block.masks()[masked])
        constraint.advance(tokens)
        answer += tokens.tolist()
    assert constraint.is_complete
    return answer
