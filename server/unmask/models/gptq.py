"""Zero points of GPTQ: its two formats, and numbers of which its tools make different weights.

The first format stores a zero point less one, so that it has no room for 0. Of the largest number
kernels of AutoGPTQ and AutoRound make one more, its own torch product 0, and GPTQModel 0 with a
carry, as it takes one off each by a subtraction of words.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.bit_stream import WORD_BITS, unpack_bits
from unmask.models.shards import StoredTensor

Version = tuple[int, int]
BITS = (2, 3, 4, 8)
OFFSETS = {"gptq": 1, "gptq_v2": 0}  # left out of each zero point, by format
MAKER = re.compile(r"gptqmodel:(\d+)\.(\d+)", re.I)
BORROWS: Version = (0, 9)  # first release whose first format is written from the second
# First release that takes one off each zero point of 3 bits, rather than other numbers off words.
KNOWS_3_BITS: Version = (6, 1)
CPU = torch.device("cpu")
WAY_OUT = "serve the weights that are not quantized, or quantize them again"


@dataclass(frozen=True, slots=True)
class ZeroPoints:
    """Facts of a `quantization_config` about zero points."""

    offset: int = 0
    is_symmetric: bool = False
    maker: Version | None = None  # release of GPTQModel, if that has made the weights

    def check(self, module: str, stored: StoredTensor, bits: int) -> bool:
        """True if all `stored` zero points [G, N * bits / 32] are in the middle.

        Raises `InvalidCheckpoint` for those of another format than the configuration's, for others
        than the middle of symmetric weights, and for those that tools read as different numbers.
        """
        words = stored.to(CPU, torch.int32)
        if _are_in_middle(words, bits, self.offset):
            return True
        maker = self.maker or (0, 0)
        is_borrowed = maker >= BORROWS
        if self.offset and bits == 3 and BORROWS <= maker < KNOWS_3_BITS:
            raise InvalidCheckpoint(
                f"{module}.qzeros: GPTQModel before 6.1 writes zero points of 3 bits that it alone "
                f"reads in the format gptq; {WAY_OUT} with a later one, or in the format gptq_v2"
            )
        if self.is_symmetric:
            self._refuse_symmetric(module, _are_in_middle(words, bits, 1 - self.offset))
        largest = 2**bits - 1
        if self.offset and not is_borrowed and bool((unpack_bits(words, bits) == largest).any()):
            raise InvalidCheckpoint(
                f"{module}.qzeros has {largest}, which is {largest + 1} or 0 in the format gptq, "
                f"by the tool that reads it; {WAY_OUT} in the format gptq_v2. If GPTQModel has "
                "written it, say so as it does, in meta.quantizer"
            )
        return False

    def _refuse_symmetric(self, module: str, is_other_format: bool) -> None:
        names = {left_out: name for name, left_out in OFFSETS.items()}
        if is_other_format:
            raise InvalidCheckpoint(
                f"{module}.qzeros are of the format {names[1 - self.offset]}, but "
                f"quantization_config names {names[self.offset]}: correct its checkpoint_format, "
                "or AutoRound's packing_format"
            )
        raise InvalidCheckpoint(
            f"{module}.qzeros are not all in the middle, but quantization_config has sym: true, of "
            "which some kernels leave zero points out; if they are meant, set it to false"
        )


def _are_in_middle(words: Tensor, bits: int, offset: int) -> bool:
    """True if all zero points [G, N * bits / 32] are 2 ** (bits - 1), less `offset`."""
    whole = sum(2 ** (bits - 1) - offset << bits * i for i in range(WORD_BITS))
    pattern = torch.tensor([whole >> WORD_BITS * i & 2**WORD_BITS - 1 for i in range(bits)])
    num_words = words.shape[1]
    row = pattern.to(torch.int32).repeat(-(-num_words // bits))[:num_words]
    return bool((words == row).all())


def read_zeros(words: Tensor, bits: int, offset: int) -> Tensor:
    """Zero points [G, N] in int16 of words [G, N * bits / 32]; `offset` is left out of each."""
    if offset and WORD_BITS % bits == 0:
        each = sum(1 << shift for shift in range(0, WORD_BITS, bits))
        words, offset = words + each, 0  # overflows, as the subtraction did
    zeros = unpack_bits(words, bits).to(torch.int16)
    return zeros.add_(offset).bitwise_and_(2**bits - 1)


def read_maker(config: Mapping[str, Any]) -> Version | None:
    """Release of GPTQModel that `meta.quantizer` names; None if it names no such."""
    meta = config.get("meta")
    named = meta.get("quantizer") if isinstance(meta, Mapping) else None
    for text in named if isinstance(named, list) else [named]:
        if match := MAKER.match(str(text)):
            return int(match[1]), int(match[2])
    return None
