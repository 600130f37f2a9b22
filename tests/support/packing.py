"""Checkpoints of 4 bits, and of 2 to 8 of GPTQ, written from the specifications of their formats.

Each writer gives the tensors of a module, and the numbers that they mean before any packing.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

Parts = dict[str, Tensor]
AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)  # column that each nibble of a word has
E2M1 = torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0])


def words(numbers: Tensor, order: tuple[int, ...] = tuple(range(8))) -> Tensor:
    """Unsigned numbers of 4 bits [R, C] as int32 [R, C / 8]; nibble i has column `order[i]`."""
    columns = -(-numbers.shape[1] // 8) * 8
    padded = torch.zeros(len(numbers), columns, dtype=torch.int64)
    padded[:, : numbers.shape[1]] = numbers
    packed = sum(padded[:, column::8] << (4 * i) for i, column in enumerate(order))
    return torch.where(packed >= 2**31, packed - 2**32, packed).to(torch.int32)


def stream(numbers: Tensor, bits: int) -> Tensor:
    """Unsigned numbers [R, C] as int32 [R, C * bits / 32]: each row's bits, lowest first."""
    rows = []
    for row in numbers.long().tolist():
        whole = sum(number << bits * i for i, number in enumerate(row))
        rows.append([whole >> 32 * i & 0xFFFFFFFF for i in range(len(row) * bits // 32)])
    return torch.tensor(rows).to(torch.uint32).view(torch.int32)


def quantized(
    weight: Tensor, group: int, *, symmetric: bool, groups: Tensor | None = None, bits: int = 4
) -> tuple[Tensor, Tensor, Tensor]:
    """Unsigned numbers [N, K], float16 scales [N, G] and zero points [N, G]."""
    largest, middle = 2**bits - 1, 2 ** (bits - 1)
    num_groups = weight.shape[1] // group
    of_input = torch.arange(weight.shape[1]) // group if groups is None else groups
    scales, zeros = torch.empty(2, len(weight), num_groups)
    for g in range(num_groups):
        part = weight[:, of_input == g]
        if symmetric:
            scales[:, g], zeros[:, g] = part.abs().amax(1) / (middle - 0.5), middle
        else:
            low, high = part.amin(1).clamp(max=0), part.amax(1).clamp(min=0)
            scales[:, g] = (high - low) / largest
            zeros[:, g] = (-low / scales[:, g]).round().clamp(0, largest)
    scales = scales.half().float()
    numbers = (weight / scales[:, of_input] + zeros[:, of_input]).round().clamp(0, largest)
    return numbers.long(), scales.half(), zeros.long()


def meaning(numbers: Tensor, scales: Tensor, zeros: Tensor, of_input: Tensor) -> Tensor:
    return (numbers - zeros[:, of_input]).float() * scales.float()[:, of_input]


def int4(
    weight: Tensor, group: int = 32, *, symmetric: bool = True, ordered: bool = True
) -> tuple[Parts, Tensor]:
    """pack-quantized of compressed-tensors."""
    group = weight.shape[1] if group < 0 else group
    of_input = torch.arange(weight.shape[1]) // group
    if not ordered:
        of_input = of_input[torch.randperm(len(of_input), generator=_generator())]
    numbers, scales, zeros = quantized(weight, group, symmetric=symmetric, groups=of_input)
    parts = {
        "weight_packed": words(numbers),
        "weight_scale": scales.bfloat16() if symmetric else scales,
        "weight_shape": torch.tensor(weight.shape),
    }
    if not symmetric:
        parts["weight_zero_point"] = words(zeros.T).T.contiguous()
    if not ordered:
        parts["weight_g_idx"] = of_input.int()
    return parts, meaning(numbers, parts["weight_scale"], zeros, of_input)


def awq(weight: Tensor, group: int = 32) -> tuple[Parts, Tensor]:
    """GEMM layout of AutoAWQ."""
    numbers, scales, zeros = quantized(weight, group, symmetric=False)
    parts = {
        "qweight": words(numbers.T, AWQ_ORDER),
        "qzeros": words(zeros.T, AWQ_ORDER),
        "scales": scales.T.contiguous(),
    }
    return parts, meaning(numbers, scales, zeros, torch.arange(weight.shape[1]) // group)


def gptq(
    weight: Tensor,
    group: int = 32,
    *,
    symmetric: bool = True,
    ordered: bool = True,
    offset: int = 1,
    bits: int = 4,
) -> tuple[Parts, Tensor]:
    """Layout of AutoGPTQ, whose first format stores zero points less one."""
    group = weight.shape[1] if group < 0 else group
    of_input = torch.arange(weight.shape[1]) // group
    if not ordered:
        of_input = of_input[torch.randperm(len(of_input), generator=_generator())]
    numbers, scales, zeros = quantized(
        weight, group, symmetric=symmetric, groups=of_input, bits=bits
    )
    if offset:
        zeros = zeros.clamp(min=1)
    parts = {
        "qweight": stream(numbers, bits).T.contiguous(),
        "qzeros": stream(zeros.T - offset, bits),
        "scales": scales.T.contiguous(),
        "g_idx": of_input.int(),
    }
    return parts, meaning(numbers, scales, zeros, of_input)


def float4(weight: Tensor, kind: str) -> tuple[Parts, Tensor]:
    """NVFP4 of compressed-tensors (`nvfp4`) and of ModelOpt (`modelopt`), or MXFP4 (`mxfp4`)."""
    group = 32 if kind == "mxfp4" else 16
    parts_of = weight.view(len(weight), -1, group)
    wanted = parts_of.abs().amax(2) / 6
    name, parts = "weight" if kind == "modelopt" else "weight_packed", {}
    if kind == "mxfp4":
        exponents = wanted.log2().ceil().clamp(-127, 127) + 127
        parts["weight_scale"], scales = exponents.to(torch.uint8), 2.0 ** (exponents - 127)
    else:
        factor = torch.tensor([448 * 6 / weight.abs().max()])
        small = (wanted * factor).to(torch.float8_e4m3fn)
        parts["weight_scale"], scales = small, small.float() / factor
        if kind == "modelopt":
            parts["weight_scale_2"] = (1 / factor).reshape(())
            scales = small.float() * parts["weight_scale_2"]
        else:
            parts["weight_global_scale"] = factor
    distance = (parts_of.abs() / scales[:, :, None]).unsqueeze(3) - E2M1
    index = distance.abs().argmin(3)
    values = E2M1[index] * parts_of.sign()
    codes = (index + 8 * (parts_of < 0)).flatten(1).to(torch.uint8)
    parts[name] = codes[:, ::2] | (codes[:, 1::2] << 4)
    return parts, (values * scales[:, :, None]).flatten(1)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@dataclass(frozen=True)
class Packing:
    """A format: its `quantization_config` and its writer."""

    config: dict[str, Any]
    write: Callable[[Tensor], tuple[Parts, Tensor]]


def group_config(**weights: Any) -> dict[str, Any]:
    """`quantization_config` of compressed-tensors."""
    weights = {"num_bits": 4, "type": "int", "symmetric": True, "strategy": "group"} | weights
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "config_groups": groups, "ignore": ["lm_head"]}


def awq_config(group: int = 32, **fields: Any) -> dict[str, Any]:
    fields = {"bits": 4, "version": "gemm", "zero_point": True} | fields
    return {"quant_method": "awq", "group_size": group, "modules_to_not_convert": None} | fields


def gptq_config(group: int = 32, **fields: Any) -> dict[str, Any]:
    fields = {"bits": 4, "sym": True, "desc_act": False, "damp_percent": 0.01} | fields
    return {"quant_method": "gptq", "group_size": group, "true_sequential": True} | fields


NVFP4 = group_config(type="float", strategy="tensor_group", group_size=16)
PACKINGS = {
    "int4 group": Packing(group_config(group_size=32), int4),
    "int4 group 128": Packing(group_config(group_size=128), lambda w: int4(w, 128)),
    "int4 channel": Packing(group_config(strategy="channel"), lambda w: int4(w, -1)),
    "int4 asymmetric": Packing(
        group_config(group_size=32, symmetric=False), lambda w: int4(w, symmetric=False)
    ),
    "int4 act-order": Packing(
        group_config(group_size=32, actorder="group"), lambda w: int4(w, ordered=False)
    ),
    # Only the order of quantizing follows the activations.
    "int4 act-order of weights": Packing(group_config(group_size=32, actorder="weight"), int4),
    "awq": Packing(awq_config(), awq),
    "awq 128": Packing(awq_config(128), lambda w: awq(w, 128)),
    "gptq": Packing(gptq_config(), gptq),
    "gptq asymmetric": Packing(gptq_config(sym=False), lambda w: gptq(w, symmetric=False)),
    "gptq act-order": Packing(
        gptq_config(desc_act=True, sym=False), lambda w: gptq(w, symmetric=False, ordered=False)
    ),
    "gptq v2": Packing(
        gptq_config(128, checkpoint_format="gptq_v2", sym=False),
        lambda w: gptq(w, 128, symmetric=False, offset=0),
    ),
    "nvfp4": Packing(NVFP4, lambda w: float4(w, "nvfp4")),
    "nvfp4 of ModelOpt": Packing(
        {"quant_method": "modelopt", "quant_algo": "NVFP4", "ignore": ["lm_head"]},
        lambda w: float4(w, "modelopt"),
    ),
    "mxfp4": Packing(group_config(type="float", group_size=32), lambda w: float4(w, "mxfp4")),
}
# GPTQ in other bits, in both formats and orders.
GPTQ_PACKINGS = {
    "2 bits": Packing(gptq_config(bits=2), lambda w: gptq(w, bits=2)),
    "2 bits v2": Packing(
        gptq_config(bits=2, sym=False, checkpoint_format="gptq_v2"),
        lambda w: gptq(w, symmetric=False, offset=0, bits=2),
    ),
    "3 bits": Packing(gptq_config(bits=3, sym=False), lambda w: gptq(w, symmetric=False, bits=3)),
    "3 bits act-order": Packing(
        gptq_config(bits=3, desc_act=True), lambda w: gptq(w, ordered=False, bits=3)
    ),
    "3 bits v2 128": Packing(
        gptq_config(128, bits=3, sym=False, checkpoint_format="gptq_v2"),
        lambda w: gptq(w, 128, symmetric=False, offset=0, bits=3),
    ),
    "8 bits": Packing(gptq_config(bits=8, sym=False), lambda w: gptq(w, symmetric=False, bits=8)),
    "8 bits 128": Packing(gptq_config(128, bits=8), lambda w: gptq(w, 128, bits=8)),
    "8 bits channel": Packing(gptq_config(-1, bits=8), lambda w: gptq(w, -1, bits=8)),
    "8 bits channel asymmetric": Packing(
        gptq_config(-1, bits=8, sym=False), lambda w: gptq(w, -1, symmetric=False, bits=8)
    ),
}


def pack_checkpoint(source: Path, target: Path, packing: Packing) -> dict[str, Tensor]:
    """Copy a checkpoint with its projections in 4 bits; returns the weights that are meant."""
    shutil.copytree(source, target, dirs_exist_ok=True)
    stored: dict[str, Tensor] = {}
    meant: dict[str, Tensor] = {}
    for name, weight in load_file(source / "model.safetensors").items():
        stored[name] = meant[name] = weight
        if not name.endswith("_proj.weight"):
            continue
        del stored[name]
        parts, meant[name] = packing.write(weight.float())
        module = name.removesuffix(".weight")
        stored |= {f"{module}.{last}": part.contiguous() for last, part in parts.items()}
    save_file(stored, target / "model.safetensors")
    raw = json.loads((source / "config.json").read_text())
    raw["quantization_config"] = packing.config
    (target / "config.json").write_text(json.dumps(raw))
    return {name: tensor.contiguous() for name, tensor in meant.items()}
