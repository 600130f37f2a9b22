"""Tokens per second of each family compared with its reference: `python -m benchmarks.families`.

Random weights of `family_shapes`, prompts of 64 tokens, 128 new ones, one thread, greedy, the same
number of tokens in every step. Reads the references' figures from references/cpu.json, and writes
results/families_cpu.json. A round measures everything once; nothing else may be running. If each
family was measured by a process on its own core, `--join FILE...` merges their results and adds
ratios to `--references`.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.families import RandomWeights
from benchmarks.family_shapes import MASK_ID, SHAPES, VOCAB_SIZE, FamilyShape
from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.errors import InvalidCheckpoint
from unmask.metrics import Metrics
from unmask.models.host_memory import huge_pages, keep_freed_memory
from unmask.models.registry import DTYPES, LoadedModel, find_family
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import Delta, ModelInfo, Request, SamplingParams

REFERENCES = ROOT / "benchmarks" / "references" / "cpu.json"
OUT = ROOT / "benchmarks" / "results" / "families_cpu.json"
BFLOAT16_TARGET = 1.7  # times our own float32
QUIET_LOAD = 0.5
MAX_LEN = 512
PAGE = 32
MATMUL_SIZE = 1024


@dataclass(frozen=True)
class Work:
    """Load of a measurement: number of requests, lengths, and tokens a step."""

    batch: int
    prompt: int
    new: int
    tokens_per_step: int


def load(shape: FamilyShape, dtype: torch.dtype) -> tuple[LoadedModel, int]:
    """Model of a shape, and its number of parameters; raises `InvalidCheckpoint`."""
    torch.manual_seed(0)
    family = find_family(shape.config["architectures"][0])
    traits = family.traits(shape.config)
    device = torch.device("cpu")
    weights = RandomWeights(dtype, device)
    with huge_pages():
        model = family.build(shape.config, weights, 2 * MAX_LEN)
    info = ModelInfo(
        name=shape.name,
        max_model_len=MAX_LEN,
        vocab_size=VOCAB_SIZE,
        mask_token_id=MASK_ID,
        eos_token_ids=(),
        default_sampling=SamplingParams(),
        created_s=0,
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
    )
    return LoadedModel(model, Tokenizer(IdTokenizer()), info, dtype, device), weights.num_taken


def make_engine(loaded: LoadedModel, batch: int) -> Engine:
    """Engine that runs `batch` requests together."""
    engine = EngineConfig(
        max_num_seqs=batch,
        max_batch_tokens=4096,
        page_size=PAGE,
        num_pages=batch * (MAX_LEN // PAGE),
        prefix_cache=False,
    )
    return Engine(Config(engine=engine), loaded, Metrics())


def requests(shape: FamilyShape, work: Work) -> Iterator[Request]:
    """Requests with random prompts and answers of `work.new` tokens."""
    # A threshold that is never reached: the quota alone decides, the same in every step.
    params = SamplingParams(
        max_tokens=work.new,
        policy="threshold",
        threshold=1.0,
        steps=shape.block_length // work.tokens_per_step,
        block_length=shape.block_length,
        cache=shape.cache,
        ignore_eos=True,
    )
    generator = torch.Generator().manual_seed(1)
    for i in range(work.batch):
        ids = torch.randint(0, MASK_ID, (work.prompt,), generator=generator)
        yield Request(str(i), tuple(ids.tolist()), params)


def run(engine: Engine, shape: FamilyShape, work: Work) -> float:
    """Tokens per second, from the first arrival to the last finish."""
    num_tokens = num_steps = 0
    started_s = time.perf_counter()
    for request in requests(shape, work):
        engine.add(request)
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta)
            num_tokens += len(event.token_ids)
            num_steps += event.finish.usage.denoising_steps if event.finish else 0
    elapsed_s = time.perf_counter() - started_s
    assert num_tokens == work.batch * work.new
    assert num_steps * work.tokens_per_step == num_tokens, "as many tokens in every step"
    return num_tokens / elapsed_s


def matmul_gflops(dtype: torch.dtype) -> float:
    """Peak rate of torch's matrix product on this machine."""
    a = torch.randn(MATMUL_SIZE, MATMUL_SIZE).to(dtype)
    times = []
    for _ in range(8):
        started_s = time.perf_counter()
        torch.nn.functional.linear(a, a)
        times.append(time.perf_counter() - started_s)
    return round(2e-9 * MATMUL_SIZE**3 / min(times), 1)


class Bench:
    """Measurements so far, by family, dtype and batch."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.works = [
            Work(batch, options.prompt, options.new, options.tokens_per_step)
            for batch in options.batches
        ]
        self.shapes: list[FamilyShape] = []
        self.parameters: dict[str, int] = {}
        self.engines: dict[tuple[str, str, int], Engine] = {}
        self.rates: dict[tuple[str, str, int], list[float]] = {}

    def join(self, results: Sequence[dict[str, Any]]) -> None:
        """Add the measurements of other processes."""
        for result in results:
            for row in result["rows"]:
                key = row["family"], row["dtype"], row["batch"]
                self.rates.setdefault(key, []).extend(row["tokens_per_s"]["runs"])
            for name, shape in result["shapes"].items():
                self.parameters[name] = shape["parameters"]
        self.shapes = [shape for shape in SHAPES if shape.name in self.parameters]

    def prepare(self) -> None:
        """Load all known families and warm up their engines."""
        for shape in SHAPES:
            if shape.name not in self.options.families:
                continue
            try:
                self._prepare(shape)
            except InvalidCheckpoint as error:
                print(f"{shape.name} is skipped: {error}")
                continue
            self.shapes.append(shape)

    def _prepare(self, shape: FamilyShape) -> None:
        for dtype in self.options.dtypes:
            loaded, self.parameters[shape.name] = load(shape, DTYPES[dtype])
            for work in self.works:
                engine = make_engine(loaded, work.batch)
                short = min(work.new, 2 * shape.block_length)
                run(engine, shape, Work(work.batch, work.prompt, short, work.tokens_per_step))
                self.engines[shape.name, dtype, work.batch] = engine

    def round(self) -> None:
        """Measure everything once."""
        for shape in self.shapes:
            for work in self.works:
                for dtype in self.options.dtypes:
                    key = shape.name, dtype, work.batch
                    rate = run(self.engines[key], shape, work)
                    self.rates.setdefault(key, []).append(rate)
                    print(f"{shape.name:7} {dtype:9} {work.batch:3}: {rate:8.1f} tokens/s")

    def rows(self, references: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Medians with the references' figures and the targets."""
        for shape in self.shapes:
            known = references["tokens_per_s"].get(shape.name, {})
            for work in self.works:
                for dtype in self.options.dtypes:
                    rates = self.rates[shape.name, dtype, work.batch]
                    row = {
                        "family": shape.name,
                        "batch": work.batch,
                        "dtype": dtype,
                        "tokens_per_s": _spread(rates),
                    }
                    float32_rates = self.rates.get((shape.name, "float32", work.batch))
                    if dtype == "float32":
                        yield row | _beside(shape, work.batch, statistics.median(rates), known)
                    elif float32_rates is None:
                        yield row
                    else:
                        ratio = statistics.median(rates) / statistics.median(float32_rates)
                        yield row | _ratio("ratio_to_float32", ratio, BFLOAT16_TARGET)


def _beside(shape: FamilyShape, batch: int, rate: float, known: dict[str, Any]) -> dict[str, Any]:
    """Reference figure at this batch, or at 1 if the reference serves one request at a time."""
    figure = known.get(str(batch), known.get("1"))
    if figure is None:
        return {}
    comparison: dict[str, Any] = {
        "reference_tokens_per_s": figure,
        "reference_batch": batch if str(batch) in known else 1,
    }
    return comparison | _ratio("ratio_to_reference", rate / figure, shape.targets.get(batch))


def _ratio(name: str, ratio: float, target: float | None) -> dict[str, Any]:
    """Ratio with its target, if any, and the verdict."""
    entry: dict[str, Any] = {name: round(ratio, 2)}
    return entry if target is None else entry | {"target": target, "met": ratio >= target}


def _spread(rates: list[float]) -> dict[str, Any]:
    return {
        "median": round(statistics.median(rates), 1),
        "min": round(min(rates), 1),
        "max": round(max(rates), 1),
        "runs": [round(rate, 1) for rate in rates],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Printable table of the rows."""
    lines = ["family   batch dtype      tokens/s   (min-max)        ratio   target"]
    for row in rows:
        rate = row["tokens_per_s"]
        ratio = row.get("ratio_to_reference", row.get("ratio_to_float32", float("nan")))
        of = "of reference" if "ratio_to_reference" in row else "of float32"
        verdict = "" if "target" not in row else "met" if row["met"] else "MISSED"
        lines.append(
            f"{row['family']:8} {row['batch']:4}  {row['dtype']:9} {rate['median']:9.1f}"
            f" ({rate['min']:.1f}-{rate['max']:.1f})".ljust(52)
            + f"{ratio:5.2f} {of:12} {row.get('target', '')!s:4} {verdict}"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--references", type=Path, default=REFERENCES, help="figures to beat")
    parser.add_argument("--out", type=Path, default=OUT, help="result file")
    parser.add_argument("--families", nargs="+", default=names, choices=names)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--dtypes", nargs="+", default=["float32", "bfloat16"], choices=DTYPES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--tokens-per-step", type=int, default=1)
    parser.add_argument("--join", nargs="+", type=Path, help="results of processes beside others")
    return parser.parse_args()


def main() -> None:
    options = parse()
    references = json.loads(options.references.read_text("utf-8"))
    bench = Bench(options)
    if options.join:
        results = [json.loads(path.read_text("utf-8")) for path in options.join]
        head = {key: results[0][key] for key in ("taken", "machine", "versions", "commit")}
        head["uncommitted"] = results[0]["uncommitted"]
        bench.join(results)
        joined = (result["matmul_gflops"].items() for result in results)
        ceilings = dict(itertools.chain.from_iterable(joined))
    else:
        head = describe()
        torch.set_num_threads(options.threads)
        keep_freed_memory()
        bench.prepare()
        ceilings = {dtype: matmul_gflops(DTYPES[dtype]) for dtype in options.dtypes}
        for _ in range(options.rounds):
            bench.round()
    is_quiet = head["machine"]["load_before"] <= QUIET_LOAD
    rows = list(bench.rows(references))
    result = head | {
        "was_quiet": is_quiet,
        "note": None
        if is_quiet
        else "other work was running on this machine, so that rates are too low",
        "load_after": None if options.join else os.getloadavg()[0],
        "work": {name: getattr(options, name) for name in ("prompt", "new", "tokens_per_step")},
        "threads": options.threads,
        "matmul_gflops": ceilings,
        "references": references,
        "shapes": {
            shape.name: asdict(shape) | {"parameters": bench.parameters[shape.name]}
            for shape in bench.shapes
        },
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(table(rows))
    if not is_quiet:
        print(f"load average {head['machine']['load_before']:.1f}: {result['note']}")


if __name__ == "__main__":
    main()
