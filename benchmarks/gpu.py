"""Benchmark of the kernels and the engine on a GPU: `python benchmarks/gpu.py`.

Measures the device's ceilings, then the engine on shapes of real checkpoints with random weights,
all kernels against their floors and against torch, and the parts of other modules. Prints a table
with a verdict for each target, and writes results/gpu_NAME.json with a roofline picture beside it;
the file has all measurements so far at any time. A second run adds to the file: its parts replace
those of the same name.

    python benchmarks/gpu.py --plan                          # parts in order, with their seconds
    python benchmarks/gpu.py --only "SDAR-8B (bf16|fp8), 32" --seconds 120
    python benchmarks/gpu.py --dry-run                       # small shapes, on a CPU

A part that loses the device or hangs ends its process; the script continues in another one, without
the rest of that model. `--resume` continues the last run of a file, after a kill. `--dry-run` runs
everything in Triton's interpreter, and writes nothing without `--out`.
"""

import argparse
import importlib
import importlib.util
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path
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

from benchmarks.device import kernels, loads, roofline, tables, targets  # noqa: E402
from benchmarks.device.apart import run_apart  # noqa: E402
from benchmarks.device.families import Sizes, sizes  # noqa: E402
from benchmarks.device.loads import Case, Load  # noqa: E402
from benchmarks.device.report import DeviceLost, Part, Report  # noqa: E402
from benchmarks.device.timing import Ceilings, measure_ceilings  # noqa: E402
from benchmarks.machine import describe  # noqa: E402

BUDGET_S = 540.0
CEILINGS_S = 3.0
LEAST_WINDOW_S = 0.0 if DRY else 1.5
COMPANY_S = 12.0
RESTART_S = 10.0
SPECULATION_S = 50.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dry-run", action="store_true", help="small shapes, on a CPU")
    parser.add_argument("--plan", action="store_true", help="print the parts and their seconds")
    parser.add_argument("--name", help="part of the result's file name; the device's if unset")
    parser.add_argument("--out", type=Path, help="result file")
    parser.add_argument("--seconds", type=float, default=BUDGET_S, help="not much more than these")
    parser.add_argument("--only", metavar="PATTERN", help="parts whose name has this in it")
    parser.add_argument("--resume", action="store_true", help="go on with the last run in the file")
    parser.add_argument(
        "--wheels",
        type=Path,
        metavar="DIR",
        help="packages of other engines, installed there by `pip install --target DIR`",
    )
    options = parser.parse_args()
    if options.wheels is not None:
        _offer(options.wheels)
    if options.plan:
        print("\n".join(plan(options.only)))
        return 0
    if not DRY and not torch.cuda.is_available():
        parser.error("there is no GPU here; try --dry-run or --plan")
    device = torch.device("cpu" if DRY else "cuda")
    out = options.out
    if out is None and not DRY:
        name = options.name or torch.cuda.get_device_name().lower().replace(" ", "-")
        out = ROOT / "benchmarks" / "results" / f"gpu_{name}.json"
    try:
        report = Report(
            describe(), device, options.seconds, options.only, out, resume=options.resume
        )
    except ValueError as error:
        parser.error(f"{error}; choose another file with --out")
    if device.type == "cuda":
        report.restart = partial(_restart, report, options)
    with dispatch.backend("triton"):
        try:
            measure(report)
        except DeviceLost as error:
            print(f"the device was lost in {error}", file=sys.stderr, flush=True)
            if report.restart is not None:
                report.restart()
    report.write()
    print("\n".join(tables.lines(report.result)))
    for problem in report.problems:
        print(f"PROBLEM {problem}")
    if out is not None:
        print(f"written to {out}")
        out.with_suffix(".svg").write_text(roofline.draw(report.result), encoding="utf-8")
    return 1 if report.problems else 0


def _restart(report: Report, options: argparse.Namespace) -> None:
    """Continue in a new process, with the time that is left."""
    more = ["--resume", "--out", str(report.out), "--seconds", str(report.left_s - RESTART_S)]
    more += ["--only", options.only] if options.only is not None else []
    more += ["--wheels", str(options.wheels)] if options.wheels is not None else []
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, __file__, *more])


def _offer(folder: Path) -> None:
    """Append a folder to the import path of this process and its children."""
    sys.path.append(str(folder))
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = f"{before}{os.pathsep}{folder}" if before else str(folder)


def contents(device: torch.device, ceilings: Ceilings) -> Iterator[Part | Case]:
    """All parts, most important first."""
    yield from kernels.bits(device, small=DRY)
    cases = loads.DRY_CASES if DRY else loads.CASES
    yield from cases[:2]
    yield from kernels.products_int4(device, ceilings, small=DRY)
    yield from kernels.products_fp8(device, ceilings, small=DRY)
    yield from cases[2:]
    guesses = partial(_speculation, ["--tiny"] if DRY else [])
    yield Part("speculation, few requests", SPECULATION_S, guesses, "speculation")
    yield from _others("canvas", device, ceilings)
    yield from _others("vision", device, ceilings)
    yield from _others("peers", device, ceilings)
    yield from _others("http", device, ceilings)
    yield from kernels.parts(device, ceilings, small=DRY)


def _speculation(options: list[str]) -> list[dict[str, Any]]:
    """Pass with and without speculative states, measured in a separate process."""
    result = run_apart("speculation", options, 3 * SPECULATION_S)
    if "error" in result:
        raise RuntimeError(" | ".join(result["error"]))
    rows: list[dict[str, Any]] = result["results"]
    return rows


def _others(name: str, device: torch.device, ceilings: Ceilings) -> Iterator[Part]:
    """Parts of an optional module; see `benchmarks.device.report`."""
    if importlib.util.find_spec(f"benchmarks.device.{name}") is not None:
        module = importlib.import_module(f"benchmarks.device.{name}")
        parts = getattr(module, "parts", None)
        yield from () if parts is None else parts(device, ceilings, small=DRY)


def measure(report: Report) -> None:
    """Measure all selected parts."""
    ceilings = measure_ceilings(report.device, small=DRY)
    report.result["ceilings"] = report.run["ceilings"] = asdict(ceilings)
    for one in contents(report.device, ceilings):
        report.group = ()
        if isinstance(one, Part):
            report.measure(one)
        else:
            measure_case(report, ceilings, one)


def measure_case(report: Report, ceilings: Ceilings, case: Case) -> None:
    """Measure all loads of a model with one engine, then free it."""
    company = _company(case)
    asks = [load for load in case.loads if report.wants(case.part(load))]
    if not asks and not (company and report.wants(company)):
        return
    report.group = tuple(filter(None, [*map(case.part, case.loads), company]))
    case_sizes = sizes(case.shape, case.loads[0].quantization)
    engine = importlib.import_module("benchmarks.device.engine")
    fitting = []
    for load in asks:
        if engine.fits(case_sizes, load, report.device):
            fitting.append(load)
        else:
            report.skip(case.part(load), "it does not fit")
    longest = max(load.longest for load in case.loads) + 1024  # other requests' prompts are as long
    first = case.loads[0]
    block = min(load.block for load in case.loads if load.mode != "ar")
    weights = partial(engine.load, case.shape, report.device, longest, first.quantization, block)
    needs_s = loads.weights_seconds(case_sizes)
    loaded = report.measure(Part(f"{case.name}: weights", needs_s, weights), needed=True)
    if loaded is None:
        return
    if fitting:
        start = partial(engine.start, loaded, fitting)
        needs_s = loads.start_seconds(fitting, case_sizes)
        started = report.measure(Part(f"{case.name}: start", needs_s, start), needed=True)
        for load in fitting if started is not None else ():
            _measure_load(report, ceilings, case, load, case_sizes, started)
        del started
    if company:
        others = 1 if DRY else targets.OTHERS
        alone = partial(engine.same_tokens, loaded, others, first)
        report.measure(Part(company, COMPANY_S, alone, "same_tokens"))


def _company(case: Case) -> str | None:
    """Name of the part that checks batch invariance of a load with a target, if any."""
    cases = loads.DRY_CASES[:2] if DRY else loads.COMPANY
    return f"{case.name}: company" if case in cases else None


def _measure_load(
    report: Report, ceilings: Ceilings, case: Case, load: Load, case_sizes: Sizes, started: Any
) -> None:
    engine = importlib.import_module("benchmarks.device.engine")
    name, needs_s = case.part(load), loads.seconds(load, case_sizes, LEAST_WINDOW_S)

    def run() -> dict[str, Any]:
        row: dict[str, Any] = engine.measure(
            started, case_sizes, load, ceilings, least_s=LEAST_WINDOW_S
        )
        return {"model": case.model} | row

    row = report.measure(Part(name, 0 if DRY else needs_s, run, "engine"))
    for problem in row["problems"] if row else ():
        report.fail(name, problem)


def plan(only: str | None) -> Iterator[str]:
    """Parts in order, with the estimated seconds of each and their running sum."""
    report = Report({}, torch.device("meta"), float("inf"), only, None)
    sum_s = 0.0
    for name, needs_s in [("ceilings", CEILINGS_S), *_planned(report)]:
        sum_s += needs_s
        yield f"{sum_s:6.0f} s  {needs_s:5.1f}  {name}"


def _planned(report: Report) -> Iterator[tuple[str, float]]:
    for one in contents(report.device, loads.USUAL):
        if isinstance(one, Part):
            if report.wants(one.name):
                yield one.name, one.seconds
            continue
        asks = [load for load in one.loads if report.wants(one.part(load))]
        company = _company(one)
        if not asks and not (company and report.wants(company)):
            continue
        case_sizes = sizes(one.shape, one.loads[0].quantization)
        yield f"{one.name}: weights", loads.weights_seconds(case_sizes)
        if asks:
            yield f"{one.name}: start", loads.start_seconds(asks, case_sizes)
        for load in asks:
            yield one.part(load), loads.seconds(load, case_sizes, LEAST_WINDOW_S)
        if company and report.wants(company):
            yield company, COMPANY_S


if __name__ == "__main__":
    sys.exit(main())
