"""Targets of a GPU, and their verdicts for a result."""

from collections.abc import Callable, Iterator
from typing import Any

Row = dict[str, Any]
ATTENTION = {"rows": 64, "queries": 32, "heads": 32, "kv_heads": 8, "head_dim": 128}
CONTEXTS = (1024, 4096, 16_384)
UNMASKING = {"rows": 2048, "hidden": 4096, "vocab": 151_936}
DENSE, GEMMA = "SDAR-8B", "DiffusionGemma-26B-A4B"
OTHERS = 127
CONTEXT = 1024
# Tokens per second on one H100, by model, format, block, tokens per forward, and requests.
USUAL = 32, 4.0
Work = tuple[str, str, tuple[int, float]]
RATES: dict[Work, dict[int, int]] = {
    (DENSE, "none", USUAL): {1: 620, 8: 3700, 32: 4450, 128: 4450},
    (DENSE, "fp8", USUAL): {1: 1050, 8: 5000, 32: 5900, 128: 5900},
    ("SDAR-4B", "none", (4, 2.0)): {1: 550, 8: 3800, 32: 8500, 128: 10_000},
    ("LLaDA2.0-mini", "none", USUAL): {1: 430, 8: 2300, 32: 7200, 128: 15_000},
    ("LLaDA2.0-mini", "fp8", USUAL): {1: 700, 8: 3700, 32: 10_500, 128: 20_000},
    (GEMMA, "none", (256, 16.0)): {1: 620, 4: 1600, 8: 2200, 16: 2700},
    (GEMMA, "fp8", (256, 16.0)): {1: 1100, 4: 2400, 8: 3000, 16: 3400},
}
# The same of the dense model where blocks are smaller or only active rows run, the best of them.
FEWER_ROWS: dict[str, dict[int, int]] = {
    "none": {8: 4500, 32: 6500, 128: 7000},
    "fp8": {8: 6000, 32: 9000, 128: 10_000},
}
SPECULATION = 900  # tokens a second of one request
HTTP_SHARE, HTTP_REQUESTS = 0.9, 128
PEER, PEER_TIMES, PEER_REQUESTS = "LMDeploy", 1.5, 8


def verdicts(result: Row) -> Iterator[str]:
    """Each target with "met", "missed" or "not measured"; rows of other shapes do not count."""
    engine = [row for row in result.get("engine") or [] if row["context"] == CONTEXT]
    yield from _rates(engine)
    yield _speculation(result.get("speculation") or [])
    yield from _beside(result, engine)
    yield from _kernels(result)
    rows = [row for row in engine if _work(row) == (DENSE, "none", USUAL) and _is_plain(row)]
    few = [row for row in rows if row["concurrency"] in (8, 32, 128)]
    yield _verdict(f"{DENSE}: idle under 5%", few, "idle_share", lambda x: x < 0.05)
    company = [row for row in result.get("same_tokens") or [] if row["others"] == OTHERS]
    yield _verdict(f"the same tokens among {OTHERS}", company, "same", bool)


def _rates(engine: list[Row]) -> Iterator[str]:
    for work, wanted in RATES.items():
        model, held, (block, tokens) = work
        matching = [row for row in engine if _work(row) == work and _is_plain(row)]
        name = f"{model} {_held(held)}, {block} by {tokens:g}"
        yield from _each(name, matching, wanted)
    for held, wanted in FEWER_ROWS.items():
        matching = [
            row
            for row in engine
            if (row["model"], row["quantization"]) == (DENSE, held)
            and (1 < row["block"] < 32 or row.get("cache") == "block")
        ]
        yield from _each(f"{DENSE} {_held(held)}, fewer rows", matching, wanted)


def _speculation(rows: list[Row]) -> str:
    """Verdict on the time of a pass; random weights do not show the acceptance rate."""
    label = f"target {DENSE}, lossless speculation, 1 request: {SPECULATION} tokens/s: not measured"
    pass_ms = [row["pass_ms"] for row in rows if row["requests"] == 1 and row["speculation_rows"]]
    if not pass_ms:
        return label
    needed = SPECULATION * min(pass_ms) / 1000 / USUAL[1]
    return f"{label} (takes {needed:.2f} steps in a pass of {min(pass_ms):.2f} ms)"


def _each(name: str, rows: list[Row], wanted: dict[int, int]) -> Iterator[str]:
    """Verdict for each number of requests, on the fastest of its rows."""
    for count, rate in wanted.items():
        matching = [row for row in rows if row["concurrency"] == count]
        label = f"target {name}, {count} requests: {rate:,} tokens/s"
        if not matching:
            yield f"{label}: not measured"
            continue
        best = max(matching, key=lambda row: row["tokens_per_s"])
        reached = best["tokens_per_s"]
        met = "met" if reached >= rate else "missed"
        floor = f"{best['share_of_best']:.0%} of the serial floor"
        yield f"{label}: {met} ({reached:,.0f}, {floor})"


def _beside(result: Row, engine: list[Row]) -> Iterator[str]:
    """Verdicts on the server and its engine, and on other engines, at the same work."""
    rows = [row for row in result.get("http") or [] if row["concurrency"] == HTTP_REQUESTS]
    name = f"HTTP, {HTTP_REQUESTS} requests: {HTTP_SHARE:.0%} of the engine's tokens/s"
    yield _verdict(name, rows, "share_of_engine", lambda x: x >= HTTP_SHARE)
    plain = [row for row in engine if _work(row) == (DENSE, "none", USUAL) and _is_plain(row)]
    ours = {row["concurrency"]: row for row in plain}
    rows = [
        {"times": ours[row["concurrency"]]["tokens_per_s"] / row["tokens_per_s"]}
        for row in result.get("peers") or []
        if row.get("peer") == PEER and row.get("model") == DENSE
        if row["concurrency"] >= PEER_REQUESTS and row["concurrency"] in ours
        if row["tokens_per_s"]
    ]
    name = f"{DENSE}: {PEER_TIMES} times {PEER} from {PEER_REQUESTS} requests on"
    yield _verdict(name, rows, "times", lambda x: x >= PEER_TIMES)


def _kernels(result: Row) -> Iterator[str]:
    for context in CONTEXTS:
        shape = ATTENTION | {"context": context}
        rows = _of_shape(result.get("attention"), shape)
        name = f"attention at {context}"
        yield _verdict(f"{name}: 70% of the floor", rows, "share_of_floor", lambda x: x >= 0.7)
        rows = [
            row | {"flex_times": row["flex_us"] / row["us"]} for row in rows if "flex_us" in row
        ]
        yield _verdict(f"{name}: not slower than flex", rows, "flex_times", lambda x: x >= 1)
    rows = [
        row
        for row in result.get("attention_others") or []
        if row["shape"]["head_dim"] >= 256 and row["shape"]["held"] is None
    ]
    name = "attention, heads of 256 and more: 60% of the floor"
    yield _verdict(name, rows, "share_of_floor", lambda x: x >= 0.6)
    rows = result.get("fp8") or []
    yield _verdict("fp8 products: a row's bits by no number of rows", rows, "same_bits", bool)
    rows = result.get("int4") or []
    yield _verdict("int4 products: a row's bits by no number of rows", rows, "same_bits", bool)
    few = [row for row in rows if row["rows"] <= 64]
    name = "int4 products, few rows: twice as fast as bfloat16"
    yield _verdict(name, few, "times_bf16", lambda x: x >= 2)
    rows = _of_shape(result.get("unmasking"), UNMASKING)
    yield _verdict("unmasking: 1.15 products", rows, "times_product", lambda x: x <= 1.15)
    key = "times_faster_than_eager"
    yield _verdict("unmasking: 1.8 times faster than eager", rows, key, lambda x: x >= 1.8)
    yield _verdict("unmasking: under 100 MB", rows, "extra_mib", lambda x: x * 2**20 < 1e8)


def _work(row: Row) -> Work:
    return row["model"], row["quantization"], (row["block"], row["tokens_per_forward"])


def _is_plain(row: Row) -> bool:
    """True if a row is of the exact loop, whose steps compute whole blocks only."""
    return row.get("cache", "none") == "none"


def _held(quantization: str) -> str:
    return "bf16" if quantization == "none" else quantization


def _of_shape(rows: list[Row] | None, shape: Row) -> list[Row]:
    return [row for row in rows or [] if shape.items() <= row["shape"].items()]


def _verdict(name: str, rows: list[Row], key: str, holds: Callable[[float], bool]) -> str:
    """Verdict of a target that must hold in every row that measured it."""
    values = [row[key] for row in rows if row.get(key) is not None]
    if not values:
        return f"target {name}: not measured"
    seen = ", ".join(f"{value:.2f}" for value in values)
    return f"target {name}: {'met' if all(map(holds, values)) else 'missed'} ({seen})"
