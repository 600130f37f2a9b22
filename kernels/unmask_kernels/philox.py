"""Philox4x32-10: random numbers that are a function of a key and a counter, and nothing else."""

import torch
from torch import Tensor

_MULTIPLIER_0 = 0xD2511F53
_MULTIPLIER_1 = 0xCD9E8D57
_WEYL_0 = 0x9E3779B9
_WEYL_1 = 0xBB67AE85
_MASK = 0xFFFFFFFF


def _multiply(a: Tensor, constant: int) -> tuple[Tensor, Tensor]:
    # A 32 x 32 bit product overflows int64 in its top bit, so it is put together from halves.
    low = a * (constant & 0xFFFF)
    high = a * (constant >> 16)
    total = high + (low >> 16)
    return total >> 16, ((total & 0xFFFF) << 16) | (low & 0xFFFF)


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Four 32-bit words for each counter, as int64 [..., 4] (Salmon et al., SC 2011).

    Counter and key words are int64 tensors that broadcast together, each in [0, 2**32).
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        high_0, low_0 = _multiply(c0, _MULTIPLIER_0)
        high_1, low_1 = _multiply(c2, _MULTIPLIER_1)
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = (k0 + _WEYL_0) & _MASK, (k1 + _WEYL_1) & _MASK
    return torch.stack((c0, c1, c2, c3), -1)


def gumbel_noise(
    seeds: Tensor, positions: Tensor, steps: Tensor, vocab_size: int, *, first: int = 0
) -> Tensor:
    """Standard Gumbel noise [R, vocab_size], float32, a function of (seed, position, step).

    Word w of the counter (i, position, step, 0) belongs to vocabulary entry 4 * i + w. The noise is
    that of the entries from `first`, a multiple of four.
    """
    blocks = torch.arange(first // 4, first // 4 + (vocab_size + 3) // 4, device=seeds.device)
    words = philox(
        (blocks[None, :], positions[:, None], steps[:, None], torch.zeros_like(blocks)[None, :]),
        _key(seeds[:, None]),
    )
    return _gumbel(words.flatten(1)[:, :vocab_size])


def gumbel_at(seeds: Tensor, positions: Tensor, steps: Tensor, entries: Tensor) -> Tensor:
    """The numbers [N] that `gumbel_noise` has for single vocabulary entries [N], a key each."""
    words = philox((entries // 4, positions, steps, torch.zeros_like(entries)), _key(seeds))
    return _gumbel(words.gather(1, (entries % 4)[:, None])[:, 0])


def _gumbel(words: Tensor) -> Tensor:
    # The 24 upper bits, moved half a step off 0 and 1, where the logarithms are not finite.
    uniform = ((words >> 8).float() + 0.5) * (1.0 / (1 << 24))
    return -torch.log(-torch.log(uniform))


def noise_tokens(seeds: Tensor, positions: Tensor, steps: Tensor, vocab_size: int) -> Tensor:
    """Tokens [R] int64, uniform over the vocabulary, a function of (seed, position, step).

    They are made of the counter (0, position, step, 1), which no Gumbel noise uses.
    """
    zero = torch.zeros_like(positions)
    words = philox((zero, positions, steps, zero + 1), _key(seeds))
    return (words[..., 0] * vocab_size) >> 32


def _key(seeds: Tensor) -> tuple[Tensor, Tensor]:
    return seeds & _MASK, (seeds >> 32) & _MASK
