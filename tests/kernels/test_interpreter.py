"""The interpreter that the other tests trust."""

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
