"""Philox in Triton, with the numbers of `unmask_kernels.philox`."""

import triton
import triton.language as tl


@triton.jit
def philox_of(c0, c1, c2, c3, k0, k1):
    """Philox4x32-10 of the counter (c0, c1, c2, c3): four words."""
    for _ in tl.static_range(10):
        high_0, low_0 = tl.umulhi(c0, 0xD2511F53), c0 * 0xD2511F53
        high_1, low_1 = tl.umulhi(c2, 0xCD9E8D57), c2 * 0xCD9E8D57
        c0, c1, c2, c3 = high_1 ^ c1 ^ k0, low_1, high_0 ^ c3 ^ k1, low_0
        k0, k1 = k0 + 0x9E3779B9, k1 + 0xBB67AE85
    return c0, c1, c2, c3


@triton.jit
def philox(c0, c1, c2, k0, k1):
    """`philox_of` the counter (c0, c1, c2, 0)."""
    return philox_of(c0, c1, c2, c0 * 0, k0, k1)


@triton.jit
def noise_words(seed, position, step):
    """Two random words of a seed, a position and a step; see `philox.noise_tokens`."""
    zero = (position * 0).to(tl.uint32)
    token_word, uniform_word, _, _ = philox_of(
        zero,
        position.to(tl.uint32),
        zero + step.to(tl.uint32),
        zero + 1,
        zero + seed.to(tl.uint32),
        zero + (seed >> 32).to(tl.uint32),
    )
    return token_word, uniform_word


@triton.jit
def noise_tokens(seed, b_position, step, vocab_size):
    """Tokens int64 of positions, uniform over the vocabulary; see `philox.noise_tokens`."""
    words, _ = noise_words(seed, b_position, step)
    return (words.to(tl.int64) * vocab_size) >> 32


@triton.jit
def uniform_of(words):
    """Numbers in (0, 1), float32; see `philox.noise_uniform`."""
    return ((words >> 9).to(tl.int32).to(tl.float32) + 0.5) * 1.1920928955078125e-07


@triton.jit
def _gumbel_of(words):
    return -tl.log(-tl.log(uniform_of(words)))


@triton.jit
def gumbel(seed, position, step, first, PIECE: tl.constexpr):
    """Noise of the entries from `first`, a multiple of four; see `philox.gumbel_noise`."""
    zero = tl.zeros([PIECE // 4], tl.uint32)
    blocks = (first // 4 + tl.arange(0, PIECE // 4)).to(tl.uint32)
    w0, w1, w2, w3 = philox(
        blocks,
        zero + position.to(tl.uint32),
        zero + step.to(tl.uint32),
        zero + seed.to(tl.uint32),
        zero + (seed >> 32).to(tl.uint32),
    )
    return _gumbel_of(tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [PIECE]))


@triton.jit
def position_noise(b_seed, b_position, b_step):
    """Noise of positions, of a seed and a step each; see `philox.position_noise`."""
    b_zero = (b_position * 0).to(tl.uint32)
    words, _, _, _ = philox_of(
        b_zero,
        b_position.to(tl.uint32),
        b_step.to(tl.uint32),
        b_zero + 2,
        b_seed.to(tl.uint32),
        (b_seed >> 32).to(tl.uint32),
    )
    return _gumbel_of(words)
