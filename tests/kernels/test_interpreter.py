"""The patched Triton interpreter rounds like a GPU."""

import contextlib

import pytest
import torch
import triton
import triton.language as tl


@triton.jit
def product_kernel(a, b, out, SIZE: tl.constexpr):
    o = tl.arange(0, SIZE)
    at = o[:, None] * SIZE + o[None, :]
    tl.store(out + at, tl.dot(tl.load(a + at), tl.load(b + at)))


@triton.jit
def cast_kernel(source, out, SIZE: tl.constexpr):
    o = tl.arange(0, SIZE)
    tl.store(out + o, tl.load(source + o).to(out.dtype.element_ty))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_products_are_exact_and_summed_in_float32(dtype: torch.dtype, device: torch.device) -> None:
    a, b = (torch.randint(-8, 9, (32, 32)).to(device, dtype) for _ in range(2))
    out = torch.empty(32, 32, device=device)
    product_kernel[(1,)](a, b, out, SIZE=32)
    assert torch.equal(out, a.float() @ b.float())


@pytest.mark.parametrize("target", [torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_casts_round_to_the_nearest(target: torch.dtype, device: torch.device) -> None:
    numbers = torch.randn(4096, device=device)
    out = torch.empty(4096, dtype=target, device=device)
    cast_kernel[(1,)](numbers, out, SIZE=4096)
    assert torch.equal(out.float(), numbers.to(target).float())
    back = torch.empty(4096, dtype=torch.bfloat16, device=device)
    cast_kernel[(1,)](out, back, SIZE=4096)
    assert torch.equal(back.float(), out.float())


@triton.jit
def half_of(x):
    return tl.where(x % 2 == 0, x // 2, x)


@triton.jit
def halving_kernel(numbers, out, SIZE: tl.constexpr, FAILS: tl.constexpr):
    o = tl.arange(0, SIZE)[:, None] + tl.zeros([1, SIZE], dtype=tl.int32)
    tl.static_assert(not FAILS)
    tl.store(out, tl.sum(half_of(half_of(o)) * tl.load(numbers + o), axis=None))


def test_the_language_is_as_it_was_after_a_launch(device: torch.device) -> None:
    packages = [tl, tl.core, tl.tensor, tl.math, tl.block_type, tl.tuple]
    before = [dict(vars(package)) for package in packages]
    numbers, out = torch.arange(16, device=device), torch.zeros(1, device=device, dtype=torch.int64)
    for fails in (False, True, False):
        out.zero_()
        with pytest.raises(Exception, match=r"(?i)assert") if fails else contextlib.nullcontext():
            halving_kernel[(1,)](numbers, out, SIZE=16, FAILS=fails)
        expected = sum(16 * i * [i // 4, i, i // 2, i][i % 4] for i in range(16))
        assert out.item() == (0 if fails else expected)
        assert [dict(vars(package)) for package in packages] == before


def test_shapes_that_do_not_fit_are_refused(device: torch.device) -> None:
    @triton.jit
    def kernel(out):
        tl.store(out + tl.arange(0, 4), tl.arange(0, 4) + tl.arange(0, 8))

    with pytest.raises(Exception, match=r"(?i)shape"):
        kernel[(1,)](torch.zeros(8, device=device))
