"""Lower bounds of the time of a step: serial over its parts, and with all of them in parallel."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.device.families import Sizes
from benchmarks.device.timing import Ceilings
from unmask.models.kv_cache import LayerShape


@dataclass(frozen=True)
class Term:
    """Part of a step, with the bytes it moves and its operations."""

    name: str
    num_bytes: float
    flops: float
    eight_bits: bool = False


@dataclass(frozen=True)
class StepWork:
    """Rows of a step, scored rows, and requests with their mean number of keys."""

    requests: float
    rows: float
    scored: float
    keys: float  # mean number of keys a row, its block included
    kv_element_bytes: int = 2


def terms(sizes: Sizes, work: StepWork) -> list[Term]:
    """Terms of a step; products read their weights once, and rows stay in L2 between parts.

    Passes between products read and write every row once, attention its keys, values, queries and
    results. Experts count in the proportion that random routing reaches.
    """
    rows = work.rows
    result = [
        Term(
            "layers",
            sizes.linear_bytes,
            2 * rows * sizes.linear,
            eight_bits=sizes.linear_bytes == sizes.linear,  # 4 bits are multiplied in bfloat16
        ),
        Term("routers and norms", 2 * sizes.other, 2 * rows * sizes.other),
        Term("passes", rows * sizes.row_bytes, 0),
    ]
    if sizes.experts:
        reached = 1 - (1 - sizes.share_of_experts) ** rows
        result.append(
            Term(
                "experts",
                sizes.experts_bytes * reached + rows * sizes.mixture_row_bytes,
                2 * rows * sizes.experts * sizes.share_of_experts,
                eight_bits=sizes.experts_bytes < 2 * sizes.experts,
            )
        )
    result += [_attention(layer, work) for layer in sizes.layers]
    products = sizes.head_products
    result.append(
        Term("head", 2 * products * sizes.head, 2 * products * work.scored * sizes.head)
        if work.scored
        else Term("head", 0, 0)
    )
    return result


def _attention(layer: LayerShape, work: StepWork) -> Term:
    keys = min(work.keys, layer.window or work.keys)
    heads = layer.num_kv_heads * layer.group_size
    kv_bytes = work.requests * keys * layer.slot_numbers * work.kv_element_bytes
    row_bytes = 2 * 2 * heads * layer.head_dim
    return Term(
        "attention",
        kv_bytes + work.rows * row_bytes,
        4 * work.rows * heads * layer.head_dim * keys,
    )


def serial_s(parts: Sequence[Term], ceilings: Ceilings) -> float:
    """Time of the parts one by one, each bound by bandwidth or by compute."""
    return sum(
        ceilings.floor_s(part.num_bytes, part.flops, eight_bits=part.eight_bits) for part in parts
    )


def joint_s(parts: Sequence[Term], ceilings: Ceilings) -> float:
    """Maximum of the time for all bytes and the time for all operations."""
    moving_s = sum(part.num_bytes for part in parts) / ceilings.bytes_per_s
    computing_s = sum(part.flops / ceilings.rate(eight_bits=part.eight_bits) for part in parts)
    return max(moving_s, computing_s)


def by_name(parts: Sequence[Term], ceilings: Ceilings) -> dict[str, float]:
    """Milliseconds of the serial floor by part."""
    times_ms: dict[str, float] = {}
    for part in parts:
        floor_s = serial_s([part], ceilings)
        times_ms[part.name] = times_ms.get(part.name, 0.0) + 1000 * floor_s
    return times_ms
