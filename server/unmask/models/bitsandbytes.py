"""Weights that bitsandbytes has quantized: 4 bits by a table (NF4, FP4), or int8 by rows.

NF4 is of QLoRA (Dettmers et al., 2023). Scales of blocks may be quantized themselves, in bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.compressed import CompressedTensor
from unmask.models.shards import StoredTensor

METHOD = "bitsandbytes"
CHUNK_BLOCKS = 2**15
CPU = torch.device("cpu")
STATE = ".quant_state.bitsandbytes__"  # after a weight's name: facts in JSON
TABLES = ("nf4", "fp4")
CODES = 16
# Parts of a weight of 4 bits, beside its state.
PARTS = ("absmax", "quant_map", "nested_absmax", "nested_quant_map")
INT8_LARGEST = 127.0  # whose products with SCB are the largest weights of rows

Read = StoredTensor | CompressedTensor


@dataclass(frozen=True, slots=True)
class BlockScales:
    """Scales [B] of blocks of weights, or bytes of a table with scales of their own blocks."""

    values: StoredTensor
    table: StoredTensor | None = None  # [256]
    scales: StoredTensor | None = None
    block: int = 1
    offset: float = 0.0

    def read(self, device: torch.device) -> Tensor:
        """Scales in float32."""
        if self.table is None or self.scales is None:
            return self.values.to(device, torch.float32).flatten()
        codes = self.values.to(device, torch.uint8).flatten().int()
        wide = self.scales.to(device, torch.float32).repeat_interleave(self.block)[: len(codes)]
        return self.table.to(device, torch.float32)[codes] * wide + self.offset


@dataclass(frozen=True, slots=True)
class TableTensor:
    """Weight [N, K] of 4 bits on disk: entries of a table, times the scales of their blocks."""

    format: str  # name, for people
    values: StoredTensor  # [N * K / 2] uint8, the higher bits first
    table: StoredTensor  # [16]
    scales: BlockScales
    block: int  # weights of a scale, row after row
    shape: tuple[int, int]

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        parts = self.values, self.table, self.scales.values, self.scales.table, self.scales.scales
        return sum(part.num_bytes for part in parts if part is not None)

    def to(self, device: torch.device, dtype: torch.dtype) -> Tensor:
        """Dequantized weight, rounded once."""
        out = torch.empty(self.shape, dtype=dtype, device=device)
        flat, table = out.view(-1), self.table.to(device, torch.float32)
        # Both numbers of each byte.
        pairs = torch.stack((table.repeat_interleave(CODES), table.repeat(CODES)), dim=1)
        values, scales = self.values.to(device, torch.uint8), self.scales.read(device)
        for first in range(0, len(scales), CHUNK_BLOCKS):
            few = scales[first : first + CHUNK_BLOCKS]
            begin, end = first * self.block, (first + len(few)) * self.block
            numbers = pairs.index_select(0, values[begin // 2 : end // 2].int()).flatten()
            wide = few.repeat_interleave(self.block)[: len(numbers)]
            flat[begin : begin + len(numbers)] = numbers * wide
        return out


def join_bitsandbytes(
    tensors: Mapping[str, StoredTensor],
) -> dict[str, Read | TableTensor]:
    """Tensors by name, with each quantized weight and its parts joined under the weight's name.

    Raises `InvalidCheckpoint` if parts are missing or do not fit.
    """
    joined: dict[str, Read | TableTensor] = dict(tensors)
    for name in tensors:
        weight, state, kind = name.partition(STATE)
        module = name.removesuffix(".SCB")
        if state:
            joined[weight] = _table_tensor(weight, kind, tensors)
            for part in (name, *(f"{weight}.{part}" for part in PARTS)):
                joined.pop(part, None)
        elif module != name:
            joined[f"{module}.weight"] = _int8(module, tensors)
            for part in ("SCB", "weight_format"):
                joined.pop(f"{module}.{part}", None)
    return joined


def _part(name: str, tensors: Mapping[str, StoredTensor]) -> StoredTensor:
    if (tensor := tensors.get(name)) is None:
        raise InvalidCheckpoint(f"{name} is missing, a part of a weight of bitsandbytes")
    return tensor


def _int8(module: str, tensors: Mapping[str, StoredTensor]) -> CompressedTensor:
    """Whole numbers of LLM.int8() with a scale for each output."""
    values, scales = _part(f"{module}.weight", tensors), tensors[f"{module}.SCB"]
    if values.dtype is not torch.int8 or scales.shape != values.shape[:1]:
        raise InvalidCheckpoint(
            f"{module}.weight is {values.shape} of type {values.dtype}, but its SCB {scales.shape}"
        )
    order = tensors.get(f"{module}.weight_format")
    if order is not None and order.to(CPU, torch.float32).any():
        raise InvalidCheckpoint(f"{module}.weight_format is no order of rows")
    block = 1, values.shape[-1]
    return CompressedTensor(values, scales, values.shape, "int8", block, 1 / INT8_LARGEST)


def _table_tensor(name: str, kind: str, tensors: Mapping[str, StoredTensor]) -> TableTensor:
    """A weight of 4 bits, of parts that fit."""
    if kind not in TABLES:
        raise InvalidCheckpoint(f"{name} is {kind} of bitsandbytes; only {', '.join(TABLES)} are")
    values, absmax = _part(name, tensors), _part(f"{name}.absmax", tensors)
    table = _part(f"{name}.quant_map", tensors)
    state = _read_state(name, tensors[f"{name}{STATE}{kind}"])
    try:
        if len(state["shape"]) > 2:
            raise InvalidCheckpoint(
                f"{name} is {tuple(state['shape'])}: stacks of experts as bitsandbytes stores them "
                "are not read; serve the weights that these were made of"
            )
        rows, columns = (int(size) for size in state["shape"])
        block = int(state["blocksize"])
        scales = BlockScales(absmax)
        if "nested_blocksize" in state:
            scales = BlockScales(
                absmax,
                _part(f"{name}.nested_quant_map", tensors),
                _part(f"{name}.nested_absmax", tensors),
                int(state["nested_blocksize"]),
                float(state["nested_offset"]),
            )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidCheckpoint(f"{name}{STATE}{kind} has no usable {error}") from error
    _check_sizes(name, values, scales, table, block, rows * columns)
    # Bytes, whatever type they are stored as (`bnb_4bit_quant_storage`).
    flat = replace(values, shape=(values.num_bytes,), dtype=torch.uint8)
    return TableTensor(kind, flat, table, scales, block, (rows, columns))


def _read_state(name: str, stored: StoredTensor) -> dict[str, Any]:
    text = bytes(stored.to(CPU, torch.uint8).tolist())
    try:
        state = json.loads(text)
    except ValueError as error:
        raise InvalidCheckpoint(f"the quant_state of {name} is not JSON: {error}") from error
    if not isinstance(state, dict):
        raise InvalidCheckpoint(f"the quant_state of {name} must be an object, got {state!r:.40}")
    return state


def _check_sizes(
    name: str,
    values: StoredTensor,
    scales: BlockScales,
    table: StoredTensor,
    block: int,
    num_weights: int,
) -> None:
    """Raise `InvalidCheckpoint` if parts have other sizes than the weight."""
    if block < 2 or block % 2 or num_weights % 2 or scales.block < 1:
        raise InvalidCheckpoint(f"{name} has blocks of {block} of {num_weights} weights")
    num_blocks = -(-num_weights // block)
    expected = [
        ("bytes", values.num_bytes, num_weights // 2),
        ("absmax", scales.values.shape, (num_blocks,)),
        ("quant_map", table.shape, (CODES,)),
    ]
    if scales.table is not None and scales.scales is not None:
        expected += [
            ("nested_quant_map", scales.table.shape, (256,)),
            ("nested_absmax", scales.scales.shape, (-(-num_blocks // scales.block),)),
        ]
    for part, given, wanted in expected:
        if given != wanted:
            raise InvalidCheckpoint(f"{name}: {part} {given}, expected {wanted}")
