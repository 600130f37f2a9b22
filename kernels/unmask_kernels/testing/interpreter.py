"""Makes Triton's interpreter (TRITON_INTERPRET=1) compute in bfloat16 and float8 as a GPU does.

As of Triton 3.6 it multiplies the bit patterns of bfloat16 operands (triton-lang/triton#11584) and
truncates where hardware rounds to nearest even. A GPU multiplies such numbers exactly, so they are
widened before a product; casts go through torch. A matrix unit sums all rows of a tile alike, which
numpy's library does not on every machine: products are summed in float64, and rounded to float32.
An instruction takes 32 inputs of 8 bits, for any tile.
"""

from typing import Any

import numpy as np
import torch
import triton.language as tl
from triton.runtime import interpreter

from unmask_kernels.testing import remembering

EIGHT_BIT_INPUTS = 32  # of a matrix instruction
_TORCH = {
    tl.bfloat16: (torch.bfloat16, torch.uint16, np.uint16),
    tl.float8e4nv: (torch.float8_e4m3fn, torch.uint8, np.uint8),
    tl.float8e5: (torch.float8_e5m2, torch.uint8, np.uint8),
}


def _widen(handle: Any) -> Any:
    """Handle with the same numbers in float32."""
    dtypes = _TORCH.get(handle.dtype.scalar)
    if dtypes is None:
        return handle
    bits = torch.from_numpy(np.ascontiguousarray(handle.data).view(dtypes[2]))
    wide = bits.view(dtypes[0]).float().numpy().reshape(handle.data.shape)
    return interpreter.TensorHandle(wide, tl.float32)


def install() -> None:
    """Patch the interpreter of this process, once."""
    builder = interpreter.InterpreterBuilder
    if getattr(builder, "rounds_like_a_gpu", False):
        return
    plain_dot, plain_cast = builder.create_dot, builder.cast_impl

    def create_dot(self: Any, a: Any, b: Any, total: Any, *options: Any) -> Any:
        step = EIGHT_BIT_INPUTS if a.data.itemsize == 1 else a.data.shape[-1]
        a, b = _widen(a), _widen(b)
        if not np.issubdtype(a.data.dtype, np.floating):
            return plain_dot(self, a, b, total, *options)
        wide_a, wide_b, summed = a.data.astype(np.float64), b.data.astype(np.float64), total.data
        for start in range(0, wide_a.shape[-1], step):
            part = np.matmul(wide_a[:, start : start + step], wide_b[start : start + step])
            summed = (part + summed).astype(total.data.dtype)
        return interpreter.TensorHandle(summed, total.dtype.scalar)

    def cast(self: Any, source: Any, target: Any) -> Any:
        source = _widen(source)
        if source.dtype.scalar == target.scalar:
            return source
        if source.dtype.scalar == tl.float32 and target.scalar in _TORCH:
            dtype, bits, raw = _TORCH[target.scalar]
            rounded = torch.from_numpy(np.ascontiguousarray(source.data)).to(dtype).view(bits)
            data = rounded.numpy().view(raw).reshape(source.data.shape)
            return interpreter.TensorHandle(data, target.scalar)
        return plain_cast(self, source, target)

    def create_fp_to_fp(self: Any, source: Any, target: Any, mode: Any) -> Any:
        return cast(self, source, target)

    builder.create_dot = create_dot
    builder.cast_impl = cast
    builder.create_fp_to_fp = create_fp_to_fp
    builder.rounds_like_a_gpu = True
    remembering.install()
