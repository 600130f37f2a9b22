"""Makes tests/golden/packings with the code of the tools that pack weights, on a CPU.

`PYTHONPATH=TOOLS python -m tests.golden.make.packings`, from the root of this repository: TOOLS has
auto-gptq 0.7.1, auto-round 0.16.1, bitsandbytes 0.50.2, gptqmodel 7.7.0 and mlx 0.32.4 with
mlx-cpu, beside torch 2.13 and transformers 5.23.

A file has the tensors of one matrix in each packing, as the tool stores them, and `meant`: the
matrix that the tool's own products use.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
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
from gptqmodel.nn_modules.qlinear.torch import TorchLinear
from gptqmodel.quantization.config import QuantizeConfig
from gptqmodel.utils.model import convert_gptq_v2_to_v1_format_module
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


def plain_linear() -> torch.nn.Linear:
    linear = torch.nn.Linear(SHAPE[1], SHAPE[0], bias=False)
    linear.weight.data = matrix()
    return linear


def by_columns(kind: Any, *, symmetric: bool, bits: int = 4, **options: bool) -> Parts:
    """GPTQ's layout; `meant` is the product with rows of the identity."""
    _, scales, zeros = quantized(matrix(), GROUP, symmetric=symmetric, bits=bits)
    layer = kind(bits, GROUP, SHAPE[1], SHAPE[0], False, **options)
    layer.device = "cpu"
    packed = 2 ** (bits - 1) if symmetric else zeros.float()
    layer.pack(plain_linear(), scales.float(), packed, None, device="cpu")
    meant = layer(torch.eye(SHAPE[1])).T
    return parts_of(layer) | {"meant": meant.contiguous()}


def auto_gptq(bits: int, *, symmetric: bool, ordered: bool = True) -> Parts:
    """AutoGPTQ, of which later releases of transformers load one module alone."""
    (folder,) = find_spec("auto_gptq").submodule_search_locations
    spec = spec_from_file_location("qlinear", f"{folder}/nn_modules/qlinear/qlinear_cuda.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    groups = torch.arange(SHAPE[1]) // GROUP
    if not ordered:
        groups = groups[torch.randperm(SHAPE[1], generator=torch.Generator().manual_seed(2))]
    _, scales, zeros = quantized(matrix(), GROUP, symmetric=symmetric, groups=groups, bits=bits)
    layer = module.QuantLinear(bits, GROUP, SHAPE[1], SHAPE[0], False)
    # It has no room for a zero point of 0.
    layer.pack(plain_linear(), scales.float(), zeros.float().clamp(min=1), groups.int())
    return parts_of(layer) | {"meant": layer(torch.eye(SHAPE[1])).T.contiguous()}


def gptqmodel(bits: int, *, first_format: bool) -> Parts:
    """GPTQModel, with zero points of 0, which borrow from the next in the first format."""
    _, scales, zeros = quantized(matrix(), GROUP, symmetric=False, bits=bits)
    zeros[::3] = 0
    layer = TorchLinear(
        bits=bits,
        group_size=GROUP,
        desc_act=False,
        sym=False,
        in_features=SHAPE[1],
        out_features=SHAPE[0],
        bias=False,
        register_buffers=True,
    )
    groups = (torch.arange(SHAPE[1]) // GROUP).int()
    layer.pack_original(plain_linear(), scales.float(), zeros.float(), groups)
    meant = layer.dequantize_weight().float().T.contiguous()
    if first_format:
        config = QuantizeConfig(bits=bits, group_size=GROUP)
        convert_gptq_v2_to_v1_format_module(layer, config)
    names = ("qweight", "qzeros", "scales", "g_idx")
    return {name: getattr(layer, name).contiguous() for name in names} | {"meant": meant}


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


def mlx(
    bits: int, group: int, mode: str = "affine", *, stack: bool = False, factor: bool = False
) -> Parts:
    """A matrix, or a stack of two; NVFP4 may have a factor, as each matrix of a stack has its own.

    mlx-lm gives each its own, and stacks them, in `QuantizedSwitchLinear`.
    """
    whole = torch.stack((matrix(), 3 * matrix().flip(1))) if stack else matrix()[None]
    found: list[Parts] = []
    for one in whole:
        array = mx.array(one.numpy())
        options = {"group_size": group, "bits": bits, "mode": mode}
        factors = {"global_scale": mx.max(mx.abs(array))} if factor else {}
        packed = mx.quantize(array, **options, **factors)
        names = ("weight", "scales", "biases")[: len(packed)]
        meant = mx.dequantize(*packed, **options, **factors).astype(mx.float32)
        arrays = dict(zip(names, packed, strict=True)) | factors | {"meant": meant}
        found.append({name: torch.from_numpy(np.array(array)) for name, array in arrays.items()})
    if not stack:
        return found[0]
    return {name: torch.stack([parts[name] for parts in found]) for name in found[0]}


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
        }
        | {
            f"{name} {bits} bits": by_columns(kind, symmetric=False, bits=bits)
            for name, kind in (
                ("auto_gptq", qlinear_torch_zp.QuantLinear),
                ("auto_round", qlinear_torch.QuantLinear),
            )
            for bits in (2, 3, 8)
        },
    )
    write(
        "gptq",
        {f"{bits} bits": auto_gptq(bits, symmetric=False) for bits in (2, 3, 4, 8)}
        | {f"{bits} bits symmetric": auto_gptq(bits, symmetric=True) for bits in (2, 3, 8)}
        | {"3 bits act-order": auto_gptq(3, symmetric=True, ordered=False)}
        | {
            f"{bits} bits of GPTQModel{'' if first else ' v2'}": gptqmodel(bits, first_format=first)
            for bits in (2, 3, 4, 8)
            for first in (True, False)
        },
    )
    tables = {
        f"{kind}{' nested' if nested else ''}": table(kind, nested=nested)
        for kind in ("nf4", "fp4")
        for nested in (False, True)
    }
    write("bitsandbytes", tables | {"int8": int8()})
    affine = {f"{bits} bits": mlx(bits, 32) for bits in (1, 2, 3, 4, 5, 6, 8)}
    affine |= {"4 bits of 64": mlx(4, 64)}
    modes = {"mxfp4": (4, 32), "nvfp4": (4, 16), "mxfp8": (8, 32)}
    of_floats = {mode: mlx(*sizes, mode) for mode, sizes in modes.items()}
    of_floats |= {"nvfp4 of a factor": mlx(4, 16, "nvfp4", factor=True)}
    stacks = {f"stack of {bits} bits": mlx(bits, 32, stack=True) for bits in (3, 4, 8)}
    stacks |= {f"stack of {mode}": mlx(*sizes, mode, stack=True) for mode, sizes in modes.items()}
    stacks |= {"stack of nvfp4 of factors": mlx(4, 16, "nvfp4", stack=True, factor=True)}
    write("mlx", affine | of_floats | stacks)


if __name__ == "__main__":
    main()
