"""Logit bias and allowed tokens of one request, packed once for all of its steps; no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

WORD = 32  # tokens of a word of a mask
NEVER = -1e30  # added to the logit of a token that is never generated


@dataclass(frozen=True, slots=True, eq=False)
class Constraint:
    """Biases of some tokens, in rising order of their ids, and a mask of those allowed.

    A logit is divided by its factor before the bias is added, or multiplied if it is negative. Bit
    t % 32 of word t // 32 is set if token t is allowed.
    """

    bias_tokens: npt.NDArray[np.int32]  # [N]
    bias_values: npt.NDArray[np.float32]  # [N]
    allowed: npt.NDArray[np.int32] | None  # [ceil(V / 32)]
    bias_factors: npt.NDArray[np.float32] | None = None  # [N]; None: all are one


def pack_constraint(
    biases: Mapping[int, float], allowed: Sequence[int] | None, vocab_size: int
) -> Constraint | None:
    """Biases of token ids, and the only ids allowed unless it is None; None if nothing changes."""
    if not biases and allowed is None:
        return None
    tokens = sorted(biases)
    return Constraint(
        np.array(tokens, np.int32),
        np.array([biases[token] for token in tokens], np.float32),
        None if allowed is None else pack_tokens(allowed, vocab_size),
    )


def pack_tokens(token_ids: Sequence[int], vocab_size: int) -> npt.NDArray[np.int32]:
    """A mask [ceil(vocab_size / 32)] that allows these tokens."""
    bits = np.zeros(-(-vocab_size // WORD) * WORD, np.uint8)
    bits[np.asarray(token_ids, np.int64)] = 1
    return np.packbits(bits, bitorder="little").view("<i4").astype(np.int32)
