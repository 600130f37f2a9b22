"""Numbers of few bits in bytes and words, as tools pack them."""

import torch
from torch import Tensor

NIBBLE_BITS, BYTE_BITS, WORD_BITS = 4, 8, 32
PER_WORD = 8  # numbers of 4 bits an int32
# Nibble of a word of AWQ that has each column, for its CUDA kernel.
AWQ_NIBBLES = (0, 4, 1, 5, 2, 6, 3, 7)


def unpack_bits(packed: Tensor, bits: int) -> Tensor:
    """Numbers [R, 32 * W / bits] of at most 8 bits, in uint8, of words [R, W] in int32."""
    stream = _bytes(packed)
    if bits == BYTE_BITS:
        return stream
    periods = stream.view(len(stream), -1, bits)  # bytes of eight numbers
    numbers = stream.new_empty((*periods.shape[:2], BYTE_BITS))
    for i in range(BYTE_BITS):
        first, shift = divmod(i * bits, BYTE_BITS)
        number = periods[:, :, first] >> shift
        if shift + bits > BYTE_BITS:  # the rest is in the next byte
            number |= periods[:, :, first + 1] << BYTE_BITS - shift
        torch.bitwise_and(number, (1 << bits) - 1, out=numbers[:, :, i])
    return numbers.flatten(1)


def unpack_nibbles(packed: Tensor) -> Tensor:
    """Numbers [R, C] of 4 bits, of which the lowest of a byte or word come first."""
    data = _bytes(packed)
    return torch.stack((data & 0xF, data >> 4), dim=2).flatten(1)


def unpack_awq(packed: Tensor) -> Tensor:
    """Numbers [R, C] of words in AWQ's order."""
    words = unpack_nibbles(packed).view(len(packed), -1, PER_WORD)
    return words[:, :, list(AWQ_NIBBLES)].flatten(1)


def _bytes(packed: Tensor) -> Tensor:
    # Flat first: a dimension of one may have any stride, and views of bytes want 1.
    return packed.flatten().view(torch.uint8).view(len(packed), -1)
