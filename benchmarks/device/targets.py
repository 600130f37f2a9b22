"""What a GPU is to reach, and whether a result shows it."""

from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
ATTENTION = {"rows": 64, "queries": 32, "heads": 32, "kv_heads": 8, "head_dim": 128}
CONTEXTS = (1024, 4096, 16_384)
UNMASKING = {"rows": 2048, "hidden": 4096, "vocab": 151_936}
DENSE = "SDAR-8B"
OTHERS = 127


def verdicts(result: Row) -> Iterator[str]:
    """Each target with "met", "missed" or "not measured"; rows of other shapes do not count."""
    for context in CONTEXTS:
        shape = ATTENTION | {"context": context}
        rows = _of_shape(result.get("attention"), shape)
        name = f"attention at {context}"
        yield _verdict(f"{name}: 70% of the floor", rows, "share_of_floor", lambda x: x >= 0.7)
        rows = [
            row | {"flex_times": row["flex_us"] / row["us"]} for row in rows if "flex_us" in row
        ]
        yield _verdict(f"{name}: not slower than flex", rows, "flex_times", lambda x: x >= 1)
    rows = _of_shape(result.get("unmasking"), UNMASKING)
    yield _verdict("unmasking: 1.15 products", rows, "times_product", lambda x: x <= 1.15)
    key = "times_faster_than_eager"
    yield _verdict("unmasking: 1.8 times faster than eager", rows, key, lambda x: x >= 1.8)
    yield _verdict("unmasking: under 100 MB", rows, "extra_mib", lambda x: x * 2**20 < 1e8)
    engine = result.get("engine") or []
    rows = [row for row in engine if row["model"] == DENSE and row["concurrency"] >= 8]
    yield _verdict(f"{DENSE}: 70% of the floor", rows, "share_of_floor", lambda x: x >= 0.7)
    yield _verdict(f"{DENSE}: idle under 5%", rows, "idle_share", lambda x: x < 0.05)
    company = result.get("same_tokens") or {}
    rows = [company] if company.get("others") == OTHERS else []
    yield _verdict(f"{DENSE}: the same tokens among {OTHERS}", rows, "same", bool)


def _of_shape(rows: list[Row] | None, shape: Row) -> list[Row]:
    return [row for row in rows or [] if shape.items() <= row["shape"].items()]


def _verdict(name: str, rows: list[Row], key: str, holds: Callable[[float], bool]) -> str:
    """A target holds if it does in every row that measured it."""
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return f"target {name}: not measured"
    seen = ", ".join(f"{value:.2f}" for value in values)
    return f"target {name}: {'met' if all(map(holds, values)) else 'missed'} ({seen})"
