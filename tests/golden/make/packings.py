"""Makes tests/golden/packings with the code of the tools that pack weights, on a CPU.

`PYTHONPATH=TOOLS python -m tests.golden.make.packings`, from the root of this repository: TOOLS has
auto-round 0.16.1, bitsandbytes 0.50.2 and mlx 0.32.4 with mlx-cpu, beside torch 2.13 and
transformers 5.23.

A file has the tensors of one matrix in each packing, as the tool stores them, and `meant`: the
matrix that the tool's own products use.
"""

from pathlib import Path
from typing import Any

import mlx.core as mx
import numpy as np
import torch
from auto_round.export.export_to_autoround import qlinear_fp
from auto_round.export.export_to_awq.utils import WQLinear_GEMM, dequantize_gemm
from auto_round_extension.torch import qlinear_torch, qlinear_torch_zp
from bitsandbytes.functional import dequantize_4bit, int8_vectorwise_dequant
from bitsandbytes.nn import Linear4bit, Linear8bitLt, Params4bit
from safetensors.torch import save_file
from torch import Tensor

from tests.support.packing import E2M1, quantized

FOLDER = Path(__file__).parent.parent / "packings"
SHAPE, GROUP = (32, 64), 32
Parts = dict[str, Tensor]


def matrix() -> Tensor:
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


def parts_of(layer: torch.nn.Module) -> Parts:
    return {name: tensor.contiguous() for name, tensor in layer.state_dict().items()}


def by_columns(kind: Any, *, symmetric: bool, **options: bool) -> Parts:
    """GPTQ's layout; `meant` is the product with rows of the identity."""
    linear = torch.nn.Linear(SHAPE[1], SHAPE[0], bias=False)
    linear.weight.data = matrix()
    _, scales, zeros = quantized(matrix(), GROUP, symmetric=symmetric)
    layer = kind(4, GROUP, SHAPE[1], SHAPE[0], False, **options)
    layer.device = "cpu"
    layer.pack(linear, scales.float(), 8 if symmetric else zeros.float(), None, device="cpu")
    meant = layer(torch.eye(SHAPE[1])).T
    return parts_of(layer) | {"meant": meant.contiguous()}


def awq() -> Parts:
    linear = torch.nn.Linear(SHAPE[1], SHAPE[0], bias=False)
    linear.weight.data = matrix()
    _, scales, zeros = quantized(matrix(), GROUP, symmetric=False)
    layer = WQLinear_GEMM.from_linear(
        linear, 4, GROUP, scales=scales.float().T, zeros=zeros.float().T, device="cpu"
    )
    meant = dequantize_gemm(layer.qweight, layer.qzeros, layer.scales, 4, GROUP).T
    return parts_of(layer) | {"meant": meant.float().contiguous()}


def floats(data_type: str, group: int) -> Parts:
    """e2m1 with scales of groups; the matrix is made of numbers that have no error."""
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(8, SHAPE, generator=generator)
    signs = torch.randint(2, SHAPE, generator=generator) * 2 - 1
    exponents = torch.randint(-6, 3, (SHAPE[0], SHAPE[1] // group), generator=generator)
    wide = (2.0**exponents).repeat_interleave(group, 1)
    linear = torch.nn.Linear(SHAPE[1], SHAPE[0], bias=False)
    linear.weight.data = E2M1[codes] * signs * wide
    layer = qlinear_fp.QuantLinear(
        4, group, SHAPE[1], SHAPE[0], False, data_type=data_type, act_bits=16
    )
    if data_type == "nv_fp":
        factor = torch.tensor(16.0)
        layer.pack(linear, 2.0**exponents * factor, global_scale=factor, device="cpu")
    else:
        layer.pack(linear, exponents.float(), device="cpu")
    return parts_of(layer) | {"meant": linear.weight.data}


def table(kind: str, *, nested: bool) -> Parts:
    """NF4 or FP4 of bitsandbytes, whose scales are bytes too if they are `nested`."""
    options = {"quant_type": kind, "compress_statistics": nested}
    linear = Linear4bit(SHAPE[1], SHAPE[0], bias=False, **options)
    linear.weight = Params4bit(matrix(), requires_grad=False, **options)
    linear = linear.to("cpu")
    meant = dequantize_4bit(linear.weight.data, linear.weight.quant_state)
    return parts_of(linear) | {"meant": meant.float().contiguous()}


def int8() -> Parts:
    """LLM.int8() of bitsandbytes."""
    linear = Linear8bitLt(SHAPE[1], SHAPE[0], bias=False, has_fp16_weights=False)
    linear.weight.data = matrix()
    parts = parts_of(linear.to("cpu"))
    return parts | {"meant": int8_vectorwise_dequant(parts["weight"], parts["SCB"]).float()}


def mlx(bits: int, group: int, mode: str = "affine") -> Parts:
    packed = mx.quantize(mx.array(matrix().numpy()), group_size=group, bits=bits, mode=mode)
    names = ("weight", "scales", "biases")[: len(packed)]
    meant = mx.dequantize(*packed, group_size=group, bits=bits, mode=mode)
    arrays = dict(zip(names, packed, strict=True)) | {"meant": meant.astype(mx.float32)}
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}


def write(name: str, packings: dict[str, Parts]) -> None:
    FOLDER.mkdir(exist_ok=True)
    tensors = {f"{kind}.{part}": t for kind, parts in packings.items() for part, t in parts.items()}
    save_file(tensors, FOLDER / f"{name}.safetensors")


def main() -> None:
    write(
        "auto_round",
        {
            "auto_gptq": by_columns(qlinear_torch_zp.QuantLinear, symmetric=True),
            "auto_gptq asymmetric": by_columns(qlinear_torch_zp.QuantLinear, symmetric=False),
            "gptqmodel": by_columns(qlinear_torch.QuantLinear, symmetric=False, g_idx=True),
            "auto_round": by_columns(qlinear_torch.QuantLinear, symmetric=False),
            "auto_awq": awq(),
            "nv_fp": floats("nv_fp", 16),
            "mx_fp": floats("mx_fp4", 32),
        },
    )
    tables = {
        f"{kind}{' nested' if nested else ''}": table(kind, nested=nested)
        for kind in ("nf4", "fp4")
        for nested in (False, True)
    }
    write("bitsandbytes", tables | {"int8": int8()})
    affine = {f"{bits} bits": mlx(bits, 32) for bits in (2, 3, 4, 5, 6, 8)}
    affine |= {"4 bits of 64": mlx(4, 64)}
    modes = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}
    write("mlx", affine | {mode: mlx(*sizes, mode) for mode, sizes in modes.items()})


if __name__ == "__main__":
    main()
