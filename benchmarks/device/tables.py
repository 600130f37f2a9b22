"""Printable result: a line for each row."""

from collections.abc import Iterator
from typing import Any

from benchmarks.device import crossover, targets

Row = dict[str, Any]


def lines(result: Row) -> Iterator[str]:
    """All measurements, then all that is missing, then a verdict for each target."""
    if ceilings := result.get("ceilings"):
        eight = ceilings.get("fp8_flops_per_s")
        yield (
            f"copy {ceilings['bytes_per_s'] / 1e12:.2f} TB/s, "
            f"bfloat16 product {ceilings['flops_per_s'] / 1e12:.0f} TFLOP/s, "
            + (f"fp8 {eight / 1e12:.0f} TFLOP/s" if eight else "no fp8 product")
        )
    yield from _bits(result)
    yield from _kernels(result)
    for row in result.get("engine", []):
        yield from _load(row)
    yield from crossover.lines(result.get("engine", []))
    for row in (*result.get("fp8", []), *result.get("int4", [])):
        yield f"{row['part']}, {row['rows']} rows: {_brief(row)}"
    for key in ("speculation", "canvases", "vision", "peers", "http"):
        for row in result.get(key, []):
            yield f"{row['part']}: {_brief(row)}"
    for part in result["skipped"]:
        yield f"skipped {part['name']}: {part['reason']}"
    yield from targets.verdicts(result)


def _load(row: Row) -> Iterator[str]:
    idle = f", idle {row['idle_share']:.0%}" if "idle_share" in row else ""
    yield (
        f"{row['part']}: {row['tokens_per_s']:,.0f} tokens/s, {row['rows_per_s']:,.0f} rows/s, "
        f"{row['tokens_a_step']:.2f} tokens a step ({row['share_of_possible']:.0%} of what is "
        f"possible), step {row['step_ms']:.2f} ms, serial floor {row['floor_ms']:.2f} "
        f"({row['share_of_floor']:.0%}), all at once {row['joint_floor_ms']:.2f} "
        f"({row['share_of_joint_floor']:.0%}), {row['share_of_best']:.0%} of the best "
        f"{row['tokens_per_s_at_best']:,.0f} tokens/s{idle}"
    )
    shown = row["phases"][:16]
    more = "" if len(shown) == len(row["phases"]) else " ..."
    yield f"    begun at steps {' '.join(map(str, shown))}{more}"


def _bits(result: Row) -> Iterator[str]:
    if "attention_same_bits_alone" in result:
        yield f"attention gives the same bits alone: {result['attention_same_bits_alone']}"
    if value := result.get("products"):
        differ = value["differ"] or "none"
        yield f"products that differ among {len(value['rows'])} numbers of rows: {differ}"
    if value := result.get("canvases_differing"):
        yield f"scores of canvases that differ in company: {value}"
    for row in result.get("same_tokens", []):
        yield f"{row['part']}: the same tokens among {row['others']}: {row['same']}"


def _kernels(result: Row) -> Iterator[str]:
    for row in result.get("attention", []):
        flex = f", flex {row['flex_us']:.0f}" if "flex_us" in row else ""
        shape = row["shape"]
        yield (
            f"attention {shape['rows']} x {shape['queries']} at {shape['context']}: "
            f"{_beside(row)}, SDPA {row['sdpa_us']:.0f}{flex}, error {row['relative_error']:.1e}"
        )
        for name, other in row.get("configurations", {}).items():
            yield f"    {name}: {other['us']:.0f} us, same bits {other['same_bits']}"
    for row in result.get("attention_others", []):
        yield (
            f"{row['part']}: {_beside(row)}, SDPA {row['sdpa_us']:.0f}, "
            f"error {row['relative_error']:.1e}"
        )
    for row in result.get("unmasking", []):
        yield (
            f"{row['part']}: {row['us']:.0f} us, drawn {row['us_drawn']:.0f}, "
            f"{row['times_product']:.2f} times the product, "
            f"{row['times_faster_than_eager']:.1f} times faster than eager, "
            f"extra MiB {row['extra_mib']}, entropy error {row['entropy_error']:.1e}"
        )
    for row in result.get("experts", []):
        yield (
            f"{row['part']}: {_beside(row)}, loop {row['torch_us']:.0f}, "
            f"error {row['relative_error']:.1e}"
        )
    for row in result.get("layers", []):
        yield (
            f"{row['name']}: {row['us']:.1f} us, floor {row['floor_us']:.1f} "
            f"({row['share_of_floor']:.0%}), torch {row['torch_us']:.1f}, "
            f"difference {row['relative_difference']:.1e}"
        )


def _beside(row: Row) -> str:
    return f"{row['us']:.0f} us, floor {row['floor_us']:.0f} ({row['share_of_floor']:.0%})"


def _brief(row: Row) -> str:
    """Numbers and words of a row whose keys another module defines."""
    fields = {key: value for key, value in row.items() if key not in ("part", "run")}
    plain = {k: v for k, v in fields.items() if isinstance(v, str | int | float) or v is None}
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
        for key, value in plain.items()
    )
