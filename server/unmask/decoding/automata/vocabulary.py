"""Vocabulary of a tokenizer: the trie of its tokens' bytes, made once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from unmask.decoding.automata.expressions import NUM_BYTES
from unmask.errors import InvalidRequest

Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Vocabulary:
    """Trie of a vocabulary of V tokens; nodes in depth-first order, without the root.

    A special token is a symbol of its own, 256 or more; a token without text has no node.
    """

    symbol: Int32s  # [N] last symbol of a node's text
    depth: Int32s  # [N] number of symbols before it
    next: Int32s  # [N] first node that does not begin with a node's text
    node_of: Int32s  # [V] node of a token's text, -1 for none
    eos_ids: tuple[int, ...]
    specials: Mapping[str, int]  # symbols of special tokens
    max_depth: int  # most symbols of a token

    @property
    def num_tokens(self) -> int:
        return len(self.node_of)

    @property
    def num_symbols(self) -> int:
        return NUM_BYTES + len(self.specials)


def make_vocabulary(
    tokens: Sequence[bytes | None],
    eos_ids: Sequence[int],
    specials: Mapping[str, int] | None = None,
) -> Vocabulary:
    """Vocabulary of tokens' bytes by id; None or `b""` for a token without text.

    `specials` are ids of special tokens by name. Tokens in `eos_ids` end an answer and stand for
    nothing else.
    """
    ends = frozenset(eos_ids)
    if not ends:
        raise InvalidRequest("structured output needs a model with an end-of-sequence token")
    assert len(specials or ()) < 30_000
    named = {name: i for name, i in (specials or {}).items() if i not in ends}
    symbols = {name: NUM_BYTES + k for k, name in enumerate(named)}
    texts: dict[int, Sequence[int]] = {
        i: text for i, text in enumerate(tokens) if text and i not in ends
    }
    texts |= {i: (symbols[name],) for name, i in named.items()}
    ids = np.array(list(texts), np.int64)
    lengths = np.array([len(text) for text in texts.values()], np.int64)
    # Texts as rows, padded with -1: sorted, neighbours share the longest prefixes.
    table = np.full((len(ids), int(lengths.max(initial=0))), -1, np.int16)
    filled = np.arange(table.shape[1]) < lengths[:, None]
    table[filled] = np.fromiter((symbol for text in texts.values() for symbol in text), np.int16)
    order = np.lexsort(table.T[::-1]) if len(ids) else ids
    table, lengths = table[order], lengths[order]
    shared = np.zeros(len(ids), np.int64)
    if len(ids) > 1:
        differs = table[1:] != table[:-1]
        shared[1:] = np.where(differs.any(1), differs.argmax(1), lengths[1:])
    # A text adds a node for each symbol that it does not share with the one before it.
    added = lengths - shared
    past = added.cumsum()
    row = np.repeat(np.arange(len(ids)), added)
    depth = np.arange(len(row)) - np.repeat(past - added - shared, added)
    node_of = np.full(len(tokens), -1, np.int32)
    node_of[ids[order]] = past - 1
    return Vocabulary(
        symbol=np.ascontiguousarray(table[row, depth], np.int32),
        depth=depth.astype(np.int32),
        next=_next_nodes(depth),
        node_of=node_of,
        eos_ids=tuple(eos_ids),
        specials=symbols,
        max_depth=table.shape[1],
    )


def _next_nodes(depth: npt.NDArray[np.int64]) -> Int32s:
    result = np.full(len(depth), len(depth), np.int32)
    path: list[int] = []  # from the root to the node before
    for node, own in enumerate(depth.tolist()):
        while len(path) > own:
            result[path.pop()] = node
        path.append(node)
    return result
