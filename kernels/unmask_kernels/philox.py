"""Philox4x32-10: random numbers as a function of a key and a counter."""

import torch
from torch import Tensor

from unmask_kernels.dispatch import has_native
from unmask_kernels.native.library import kernels
from unmask_kernels.native.threads import get_num_threads

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10
_MASK = 0xFFFFFFFF


def philox(counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]) -> Tensor:
    """Four 32-bit words for each counter, as int64 [..., 4] (Salmon et al., SC 2011).

    Counter and key words are int64 tensors that broadcast together, each in [0, 2**32).
    """
    shape = torch.broadcast_shapes(*(w.shape for w in counter))  # type: ignore[no-untyped-call]
    words = [word.expand(shape) for word in counter]
    multiplied, added = torch.stack(words[::2]), torch.stack(words[1::2])
    keys = torch.stack([word[(None,) * (len(shape) - word.ndim)] for word in key])
    multipliers, weyl = _pair(_MULTIPLIERS, multiplied), _pair(_WEYL, keys)
    for _ in range(_NUM_ROUNDS):
        product = multiplied * multipliers  # all 64 bits; the highest is the sign bit of int64
        high, low = (product >> 32) & _MASK, product & _MASK
        multiplied, added = high.flip(0).bitwise_xor_(added).bitwise_xor_(keys), low.flip(0)
        keys = (keys + weyl) & _MASK
    return torch.stack((multiplied[0], added[0], multiplied[1], added[1]), -1)


def _pair(numbers: tuple[int, int], like: Tensor) -> Tensor:
    # Made on the device: a copy from the host could not be captured in a graph.
    pair = torch.arange(2, device=like.device) * (numbers[1] - numbers[0]) + numbers[0]
    return pair.view(2, *(1,) * (like.ndim - 1))


def gumbel_noise(
    seeds: Tensor, positions: Tensor, steps: Tensor, vocab_size: int, *, first: int = 0
) -> Tensor:
    """Standard Gumbel noise [R, vocab_size], float32, a function of (seed, position, step).

    Word w of the counter (i, position, step, 0) belongs to vocabulary entry 4 * i + w. Columns are
    the entries from `first`, a multiple of four. Noise of C kernels differs from torch's in last
    bits.
    """
    if has_native(seeds.device, torch.float32):
        return _native_noise(seeds, positions, steps, vocab_size, first)
    blocks = torch.arange(first // 4, first // 4 + (vocab_size + 3) // 4, device=seeds.device)
    words = philox(
        (blocks[None, :], positions[:, None], steps[:, None], torch.zeros_like(blocks)[None, :]),
        _key(seeds[:, None]),
    )
    return _gumbel(words.flatten(1)[:, :vocab_size])


def _native_noise(
    seeds: Tensor, positions: Tensor, steps: Tensor, count: int, first: int
) -> Tensor:
    out = torch.empty(len(seeds), count)
    keys = [key.expand(len(seeds)).contiguous() for key in (seeds, positions, steps)]
    pointers = [_int64(tensor).data_ptr() for tensor in keys]
    native = kernels(torch.float32)
    native.gumbel_noise(out.data_ptr(), *pointers, len(seeds), first, count, get_num_threads())
    return out


def gumbel_at(seeds: Tensor, positions: Tensor, steps: Tensor, entries: Tensor) -> Tensor:
    """`gumbel_noise` [N] of single vocabulary entries [N], with a key each."""
    if has_native(seeds.device, torch.float32):
        out = torch.empty(len(entries))
        given = (seeds, positions, steps, entries)
        kept = [tensor.expand(len(entries)).contiguous() for tensor in given]
        pointers = [_int64(tensor).data_ptr() for tensor in kept]
        native = kernels(torch.float32)
        native.gumbel_at(out.data_ptr(), *pointers, len(entries), get_num_threads())
        return out
    words = philox((entries // 4, positions, steps, torch.zeros_like(entries)), _key(seeds))
    return _gumbel(words.gather(1, (entries % 4)[:, None])[:, 0])


def _int64(tensor: Tensor) -> Tensor:
    """The tensor, which C reads as int64."""
    assert tensor.dtype == torch.int64, "keys and entries are int64"
    return tensor


def position_noise(seeds: Tensor, positions: Tensor, steps: Tensor) -> Tensor:
    """Standard Gumbel noise [R] float32 of positions, a function of (seed, position, step).

    From the counter (0, position, step, 2), which no noise of tokens uses.
    """
    zero = torch.zeros_like(positions)
    return _gumbel(philox((zero, positions, steps, zero + 2), _key(seeds))[..., 0])


def _gumbel(words: Tensor) -> Tensor:
    return -torch.log(-torch.log(_uniform(words)))


def _uniform(words: Tensor) -> Tensor:
    # The 23 upper bits, half a step off 0 and 1, whose logarithms are not finite. One bit more
    # and the half would not fit in float32, which would round the highest to 1.
    return ((words >> 9).float() + 0.5) * (1.0 / (1 << 23))


def noise_tokens(seeds: Tensor, positions: Tensor, steps: Tensor, vocab_size: int) -> Tensor:
    """Tokens [R] int64, uniform over the vocabulary, a function of (seed, position, step).

    From the counter (0, position, step, 1), which no Gumbel noise uses.
    """
    return (_noise_words(seeds, positions, steps)[..., 0] * vocab_size) >> 32


def noise_uniform(seeds: Tensor, positions: Tensor, steps: Tensor) -> Tensor:
    """Numbers [R] float32 in (0, 1), a function of (seed, position, step).

    From the same counter as `noise_tokens`, but independent of these.
    """
    return _uniform(_noise_words(seeds, positions, steps)[..., 1])


def _noise_words(seeds: Tensor, positions: Tensor, steps: Tensor) -> Tensor:
    zero = torch.zeros_like(positions)
    return philox((zero, positions, steps, zero + 1), _key(seeds))


def _key(seeds: Tensor) -> tuple[Tensor, Tensor]:
    return seeds & _MASK, (seeds >> 32) & _MASK
