"""What a GPU does with the kernels and the engine: `python benchmarks/gpu.py`.

Measures the device's ceilings, checks every kernel, times it against its floor and against torch,
then runs the engine on shapes of real checkpoints with random weights. Prints a table, and writes
results/gpu_NAME.json and, beside it, a picture of what is reached under the ceilings; what was
measured so far is in the file at any time. `--only` measures the parts whose names fit a pattern.
`--dry-run` goes the whole way on a CPU with small shapes, in Triton's interpreter, and writes
nothing.
"""

import argparse
import gc
import importlib
import json
import os
import re
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
for folder in (ROOT, ROOT / "server", ROOT / "kernels"):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
DRY = "--dry-run" in sys.argv
if DRY:
    os.environ["TRITON_INTERPRET"] = "1"  # read as triton is imported

import torch  # noqa: E402

from unmask_kernels import dispatch  # noqa: E402

if DRY:
    from unmask_kernels.testing import interpreter

    interpreter.install()

from benchmarks.device import (  # noqa: E402
    attention,
    experts,
    layers,
    products,
    roofline,
    targets,
    unmasking,
)
from benchmarks.device.targets import DENSE  # noqa: E402
from benchmarks.device.timing import Ceilings, measure_ceilings  # noqa: E402
from benchmarks.machine import describe  # noqa: E402

BUDGET_S = 540.0
CONTEXTS = (1024, 4096, 16_384)


class Report:
    """Results so far, and what went wrong on the way."""

    def __init__(
        self, device: torch.device, budget_s: float, only: str | None, out: Path | None
    ) -> None:
        self.started_s = time.monotonic()
        self.device = device
        self.budget_s = budget_s
        self.only = re.compile(only) if only else None
        self.out = out
        self.result: dict[str, Any] = describe() | {"problems": [], "skipped": []}

    @property
    def left_s(self) -> float:
        """Seconds until the budget is spent."""
        return self.budget_s - (time.monotonic() - self.started_s)

    def wants(self, name: str) -> bool:
        """Whether a part was asked for."""
        return self.only is None or self.only.search(name) is not None

    def skip(self, name: str, reason: str) -> None:
        """Tell of a part that was not measured, which is no failure."""
        self.result["skipped"].append({"name": name, "reason": reason})

    def part(
        self, name: str, measure: Callable[[], Any], needs_s: float = 5.0, *, needed: bool = False
    ) -> Any:
        """Measure something, unless there is no time for it, and keep what comes of it.

        What is `needed` for other parts does not have to be asked for.
        """
        if not (needed or self.wants(name)):
            return None
        if self.left_s < needs_s:
            self.skip(name, "no time left")
            return None
        started_s = time.monotonic()
        try:
            found = measure()
        except Exception as error:
            self.result["problems"].append(f"{name}: {type(error).__name__}: {error}"[:500])
            traceback.print_exc()
            found = None
        gc.collect()  # an engine and its metrics know each other
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        print(f"[{time.monotonic() - self.started_s:5.0f} s] {name}", file=sys.stderr, flush=True)
        self.result.setdefault("seconds", {})[name] = round(time.monotonic() - started_s, 1)
        self.write()
        return found

    def write(self) -> None:
        """Leave what is known so far in the file."""
        if self.out is not None:
            self.out.write_text(json.dumps(self.result, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dry-run", action="store_true", help="small shapes, on a CPU")
    parser.add_argument("--name", help="part of the result's file name; the device's if unset")
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="not much more than these")
    parser.add_argument("--only", metavar="PATTERN", help="parts whose name has this in it")
    options = parser.parse_args()
    if not DRY and not torch.cuda.is_available():
        parser.error("there is no GPU here; try --dry-run")
    device = torch.device("cpu" if DRY else "cuda")
    out = options.out
    if out is None and not DRY:
        name = options.name or torch.cuda.get_device_name().lower().replace(" ", "-")
        out = ROOT / "benchmarks" / "results" / f"gpu_{name}.json"
    report = Report(device, options.seconds, options.only, out)
    with dispatch.backend("triton"):
        ceilings = measure_ceilings(device, small=DRY)
        report.result["ceilings"] = asdict(ceilings)
        measure_kernels(report, ceilings)
        measure_engine(report, ceilings)
    report.write()
    print("\n".join(table(report.result)))
    for part in report.result["skipped"]:
        print(f"skipped {part['name']}: {part['reason']}")
    for problem in report.result["problems"]:
        print(f"PROBLEM {problem}")
    if out is not None:
        print(f"written to {out}")
        out.with_suffix(".svg").write_text(roofline.draw(report.result), encoding="utf-8")
    return 1 if report.result["problems"] else 0


def measure_kernels(report: Report, ceilings: Ceilings) -> None:
    """Every kernel alone."""
    device = report.device
    shape = attention.Shape()
    if DRY:
        shape = attention.Shape(rows=2, queries=8, heads=4, kv_heads=2, head_dim=32)
    rows = []
    for context in (64, 192) if DRY else CONTEXTS:
        own = replace(shape, context=context)
        found = report.part(
            f"attention, context {context}",
            partial(
                attention.compare, own, ceilings, device, configurations=context <= CONTEXTS[0]
            ),
            30.0,
        )
        rows += [found] if found else []
    report.result["attention"] = rows
    usual = replace(shape, context=96) if DRY else shape
    rows = []
    for own in attention.others(usual, (64, 256)) if DRY else attention.others(usual):
        found = report.part(
            f"attention, heads of {own.head_dim}, window {own.window}, {own.held or 'bfloat16'}",
            partial(attention.compare, own, ceilings, device, configurations=False),
            15.0,
        )
        rows += [found] if found else []
    report.result["attention_others"] = rows
    report.result["attention_same_bits_alone"] = report.part(
        "attention, alone and together", lambda: attention.same_bits_alone(shape, device)
    )
    head = unmasking.Shape(rows=4, hidden=32, vocab=9000) if DRY else unmasking.Shape()
    rows = []
    for count in (4,) if DRY else (2048, 256, 32):
        own_head = replace(head, rows=count)
        found = report.part(
            f"unmasking, {count} rows",
            partial(unmasking.compare, own_head, ceilings, device),
            30.0,  # the fused kernel takes its time to compile
        )
        rows += [found] if found else []
    report.result["unmasking"] = rows
    rows = []
    for own_mix in (experts.TINY, replace(experts.TINY, held="fp8")) if DRY else experts.every():
        found = report.part(
            f"experts, {own_mix.name}, {own_mix.rows} rows, {own_mix.held or 'bfloat16'}",
            partial(experts.compare, own_mix, ceilings, device),
            15.0,
        )
        rows += [found] if found else []
    report.result["experts"] = rows
    report.result["products"] = report.part(
        "products, alone and together",
        lambda: products.differing(products.TINY if DRY else products.PRODUCTS, device),
    )
    sizes = (4, 64, 96) if DRY else (2048, 4096, 12_288)
    report.result["layers"] = report.part(
        "layers", lambda: layers.compare(*sizes, ceilings, device)
    )


def measure_engine(report: Report, ceilings: Ceilings) -> None:
    """The engine on every shape and load that fits."""
    module = partial(importlib.import_module, "benchmarks.device.engine")
    engine = report.part("engine", module, needed=True)
    if engine is None:  # it needs more than torch: prometheus_client, transformers
        return
    families = importlib.import_module("benchmarks.device.families")
    report.result["engine"] = []
    if DRY:
        for name, shape in families.TINY.items():
            loads = [engine.Load(1, 16, 24, block=8)]
            _measure_shape(report, ceilings, engine, name, shape, loads)
        return
    for loads in engine.ROUNDS:  # something of every model before more of any
        for name, shape in families.SHAPES.items():
            own = [load for load in loads if name == DENSE or load in engine.FOR_ALL]
            _measure_shape(report, ceilings, engine, name, shape, own)


def _measure_shape(
    report: Report,
    ceilings: Ceilings,
    engine: ModuleType,
    name: str,
    shape: Any,
    loads: Sequence[Any],
) -> None:
    """The engine with one model, of which nothing is left afterwards."""
    fitting = []
    for work in loads:
        label = _name(name, work.concurrency, work.context)
        if engine.fits(shape, work, report.device):
            fitting += [work] if report.wants(label) else []
        else:
            report.skip(label, "it does not fit")
    if not fitting:
        return
    longest = max(work.context + work.num_tokens for work in fitting) + 256
    weights = partial(engine.load, shape, report.device, longest)
    loaded = report.part(f"{name}: weights", weights, 40.0, needed=True)
    if loaded is None:
        return
    if name in (DENSE, "tiny SDAR") and "same_tokens" not in report.result:
        others = 1 if DRY else targets.OTHERS
        company = partial(engine.same_tokens, loaded, shape, others, fitting[0].block)
        report.result["same_tokens"] = report.part(f"{name}: company", company, 40.0)
    for work in fitting:
        measure = partial(engine.measure, loaded, shape, work, ceilings)
        found = report.part(_name(name, work.concurrency, work.context), measure, 20.0)
        report.result["engine"] += [{"model": name, **found}] if found else []


def _name(model: str, concurrency: int, context: int) -> str:
    return f"{model}: {concurrency} at {context}"


def table(result: dict[str, Any]) -> Iterator[str]:
    """The result for people."""
    if ceilings := result.get("ceilings"):
        yield (
            f"copy {ceilings['bytes_per_s'] / 1e12:.2f} TB/s, "
            f"bfloat16 product {ceilings['flops_per_s'] / 1e12:.0f} TFLOP/s"
        )
    for row in result.get("attention", []):
        flex = f", flex {row['flex_us']:.0f}" if "flex_us" in row else ""
        yield (
            f"attention {row['shape']['rows']} x {row['shape']['queries']} at "
            f"{row['shape']['context']}: {row['us']:.0f} us, floor {row['floor_us']:.0f} "
            f"({row['share_of_floor']:.0%}), SDPA {row['sdpa_us']:.0f}{flex}, "
            f"error {row['relative_error']:.1e}"
        )
        for name, other in row.get("configurations", {}).items():
            yield f"    {name}: {other['us']:.0f} us, same bits {other['same_bits']}"
    for row in result.get("attention_others", []):
        shape = row["shape"]
        yield (
            f"attention, heads of {shape['head_dim']}, window {shape['window']}, "
            f"{shape['held'] or 'bfloat16'}: {row['us']:.0f} us, floor {row['floor_us']:.0f} "
            f"({row['share_of_floor']:.0%}), SDPA {row['sdpa_us']:.0f}, "
            f"error {row['relative_error']:.1e}"
        )
    yield f"attention gives the same bits alone: {result.get('attention_same_bits_alone')}"
    for row in result.get("unmasking", []):
        yield (
            f"unmasking {row['shape']['rows']} rows: {row['us']:.0f} us, drawn "
            f"{row['us_drawn']:.0f}, {row['times_product']:.2f} times the product, "
            f"{row['times_faster_than_eager']:.1f} times faster than eager, "
            f"extra MiB {row['extra_mib']}, entropy error {row['entropy_error']:.1e}"
        )
        yield (
            f"    fused with the head: {row['fused_us']:.0f} us, "
            f"drawn {row['fused_us_drawn']:.0f}, same tokens {row['fused_same_tokens']:.1%}, "
            f"extra MiB {row['fused_extra_mib']}"
        )
    for row in result.get("experts", []):
        yield (
            f"experts {row['shape']['name']} {row['shape']['rows']} rows "
            f"{row['shape']['held'] or 'bfloat16'}: {row['us']:.0f} us, floor "
            f"{row['floor_us']:.0f} ({row['share_of_floor']:.0%}), loop {row['torch_us']:.0f}, "
            f"error {row['relative_error']:.1e}"
        )
    for row in result.get("layers") or []:
        yield (
            f"{row['name']}: {row['us']:.1f} us, floor {row['floor_us']:.1f} "
            f"({row['share_of_floor']:.0%}), torch {row['torch_us']:.1f}, "
            f"difference {row['relative_difference']:.1e}"
        )
    if found := result.get("products"):
        differ = found["differ"] or "none"
        yield f"products that differ among {len(found['rows'])} numbers of rows: {differ}"
    if company := result.get("same_tokens"):
        others = company["others"]
        yield f"a request has the same tokens alone and among {others}: {company['same']}"
    for row in result.get("engine", []):
        idle = f", idle {row['idle_share']:.0%}" if "idle_share" in row else ""
        yield (
            f"{row['model']} {row['concurrency']:3} at {row['context']}: "
            f"{row['tokens_per_s']:.0f} tokens/s, step {row['step_ms']:.2f} ms, floor "
            f"{row['floor_ms']:.2f} ({row['share_of_floor']:.0%}){idle}"
        )
    yield from targets.verdicts(result)


if __name__ == "__main__":
    sys.exit(main())
