"""Tokens per second of each mode, beside the loops of the models' authors, on one CPU thread.

    python -m benchmarks.modes --nemotron modeling_nemotron_labs_diffusion.py --wedlm WeDLM
    python -m benchmarks.modes --families idlm --rounds 3

Random weights of `mode_models`, the same ones for both; prompts of 64 tokens, greedy, float32. A
pair is a run of the authors' loop and one of the engine, one right after the other in alternating
order; a ratio is of a pair. Seconds are CPU time of the process, so that other work on the machine
hardly counts; `wall_ratio` is by the clock. A loop that takes one prompt at a time is compared with
a batch by its tokens per second for one. Nemotron's `diffusion` fills 4 tokens a step. Modes that
verify drafts, or fill positions that are sure, run with random weights and with peaked ones: the
fewest tokens a pass, and the most. Writes results/modes_cpu.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from benchmarks.families import MATMUL_SIZE, MAX_LEN, PAGE
from benchmarks.family_shapes import MASK_ID, VOCAB_SIZE
from benchmarks.machine import ROOT, describe
from benchmarks.mode_models import (
    DISTANCE_PENALTY,
    ENTROPY_THRESHOLD,
    SHAPES,
    Idlm,
    Kind,
    Loop,
    ModeShape,
    Nemotron,
    Published,
    Wedlm,
    draw_weights,
    parameters,
)
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.host_memory import huge_pages, keep_freed_memory
from unmask.models.registry import LoadedModel
from unmask.models.weights import Weights
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import Delta, ModelInfo, ModeName, Request, SamplingParams

OUT = ROOT / "benchmarks" / "results" / "modes_cpu.json"
TARGET = 2.0
STEPS = 8  # of a block of 32 in diffusion, beside the pass that gives its first token
PROMPT = 64
READ_NUMBERS = 75_000_000


@dataclass(frozen=True)
class Work:
    """One mode at one batch size, with one kind of weights."""

    mode: ModeName
    batch: int
    new: int
    kind: Kind


@dataclass(frozen=True)
class Elapsed:
    """Time of a run by the process's CPU and by the clock."""

    cpu_s: float
    wall_s: float

    @classmethod
    def since(cls, before: "Elapsed") -> "Elapsed":
        now = cls.now()
        return cls(now.cpu_s - before.cpu_s, now.wall_s - before.wall_s)

    @classmethod
    def now(cls) -> "Elapsed":
        return cls(time.process_time(), time.perf_counter())


@dataclass(frozen=True)
class Run:
    """Answers with the passes of a request and the time of all."""

    answers: list[list[int]]
    passes: int
    elapsed: Elapsed


@dataclass(frozen=True)
class Pair:
    """One run of each: times, passes of a request, and whether the tokens are the same."""

    published: Elapsed
    ours: Elapsed
    published_passes: int
    our_passes: int
    is_same: bool


def works(shape: ModeShape, kind: Kind, batches: list[int], new: int) -> Iterator[Work]:
    """Modes of a shape for these weights, which matter to one of them.

    With random ones its answers are short, as they take long.
    """
    for batch in batches:
        for mode in shape.modes:
            if mode == shape.guessing:
                yield Work(mode, batch, new if kind == "peaked" else new // 4, kind)
            elif kind == "random":
                yield Work(mode, batch, new, kind)


def load(shape: ModeShape, tensors: dict[str, Tensor]) -> LoadedModel:
    """The engine's model with the same weights."""
    traits = shape.family.traits(shape.config)
    device, dtype = torch.device("cpu"), torch.float32
    weights = Weights(tensors, dtype, device)
    with huge_pages():
        model = shape.family.build(shape.config, weights, 2 * MAX_LEN)
    info = ModelInfo(
        name=shape.name,
        max_model_len=MAX_LEN,
        vocab_size=VOCAB_SIZE,
        mask_token_id=MASK_ID,
        eos_token_ids=(),
        default_sampling=SamplingParams(block_length=shape.block_length),
        created_s=0,
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
    )
    return LoadedModel(model, Tokenizer(IdTokenizer()), info, dtype, device)


def make_engine(loaded: LoadedModel, batch: int) -> Engine:
    config = EngineConfig(
        max_num_seqs=batch,
        max_batch_tokens=2048,
        page_size=PAGE,
        num_pages=batch * (MAX_LEN // PAGE),
        prefix_cache=False,
    )
    return Engine(Config(engine=config), loaded, Metrics())


def params_of(shape: ModeShape, work: Work) -> SamplingParams:
    """Parameters of a mode: whole drafts in one pass, and blocks in `STEPS` equal steps.

    A window is filled by the published engine's rule.
    """
    if work.mode == "ar":
        return SamplingParams(max_tokens=work.new, mode="ar", ignore_eos=True)
    policy: dict[str, Any] = {}
    if shape.name == "wedlm":
        policy = {"policy": "entropy_threshold", "entropy_threshold": ENTROPY_THRESHOLD}
        policy |= {"distance_penalty": DISTANCE_PENALTY}
    elif work.mode == "diffusion":
        policy = {"policy": "low_confidence", "steps": 1 + STEPS}
    return SamplingParams(
        max_tokens=work.new,
        mode=work.mode,
        block_length=shape.block_length,
        ignore_eos=True,
        **policy,
    )


def run_ours(engine: Engine, prompts: Tensor, params: SamplingParams) -> Run:
    """Run from the first arrival to the last finish."""
    answers: dict[str, list[int]] = {str(i): [] for i in range(len(prompts))}
    passes, started = 0, Elapsed.now()
    for name, ids in zip(answers, prompts.tolist(), strict=True):
        engine.add(Request(name, tuple(ids), params))
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta), "nothing else was asked for"
            answers[event.request_id] += event.token_ids
            if event.finish is not None:
                passes = max(passes, event.finish.usage.forward_passes)
    return Run(list(answers.values()), passes, Elapsed.since(started))


def run_published(loop: Loop, prompts: Tensor, num_tokens: int) -> Run:
    started = Elapsed.now()
    answers, passes = loop(prompts, num_tokens)
    return Run(answers, passes, Elapsed.since(started))


def measure(
    published: Published, shape: ModeShape, engine: Engine, work: Work, *, ours_first: bool
) -> Pair:
    """A pair; a loop that takes one prompt answers the first one only."""
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(0, MASK_ID, (work.batch, PROMPT), generator=generator)
    given = prompts if published.batches(work.mode) else prompts[:1]
    loop = published.loop(work.mode, shape.block_length, STEPS)
    first = None if ours_first else run_published(loop, given, work.new)
    ours = run_ours(engine, prompts, params_of(shape, work))
    theirs = first or run_published(loop, given, work.new)
    is_same = ours.answers[: len(theirs.answers)] == theirs.answers
    return Pair(theirs.elapsed, ours.elapsed, theirs.passes, ours.passes, is_same)


def row_of(shape: ModeShape, published: Published, work: Work, pairs: list[Pair]) -> dict[str, Any]:
    """Medians and spreads of both, and of the ratio within pairs."""
    beside = work.batch if published.batches(work.mode) else 1
    more = work.batch / beside
    theirs = [beside * work.new / pair.published.cpu_s for pair in pairs]
    ours = [work.batch * work.new / pair.ours.cpu_s for pair in pairs]
    ratios = [more * pair.published.cpu_s / pair.ours.cpu_s for pair in pairs]
    by_clock = [more * pair.published.wall_s / pair.ours.wall_s for pair in pairs]
    return {
        "family": shape.name,
        "mode": work.mode,
        "weights": work.kind if work.mode == shape.guessing else None,
        "batch": work.batch,
        "new": work.new,
        "tokens_per_s": _spread(ours),
        "tokens_per_forward": round(work.new / pairs[0].our_passes, 2),
        "published_tokens_per_s": _spread(theirs),
        "published_tokens_per_forward": round(work.new / pairs[0].published_passes, 2),
        "published_batch": beside,
        "ratio": _spread(ratios, 2),
        "wall_ratio": _spread(by_clock, 2),
        "same_tokens": all(pair.is_same for pair in pairs),
        "target": TARGET,
        "met": statistics.median(ratios) >= TARGET,
    }


def _spread(values: list[float], digits: int = 1) -> dict[str, Any]:
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
    }


def measure_shape(
    shape: ModeShape, published: Published, options: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    """Rows of a family: all rounds with one kind of weights, then with the other."""
    for kind in get_args(Kind):
        loaded = load(shape, draw_weights(published.module, shape, kind))
        engines = {batch: make_engine(loaded, batch) for batch in options.batches}
        chosen = list(works(shape, kind, options.batches, options.new))
        pairs: dict[Work, list[Pair]] = {work: [] for work in chosen}
        for work in chosen:  # warm up
            short = replace(work, new=min(work.new, shape.block_length))
            measure(published, shape, engines[work.batch], short, ours_first=False)
        for index in range(options.rounds):
            for work in chosen:
                engine = engines[work.batch]
                one = measure(published, shape, engine, work, ours_first=index % 2 == 1)
                pairs[work].append(one)
                print(
                    f"{shape.name} {work.mode}, {kind} weights, {work.batch}: published "
                    f"{one.published.cpu_s:.2f} s in {one.published_passes} passes, ours "
                    f"{one.ours.cpu_s:.2f} s in {one.our_passes}, same {one.is_same}",
                    flush=True,
                )
        yield from (row_of(shape, published, work, pairs[work]) for work in chosen)


def ceilings() -> dict[str, float]:
    """Rates of this core: torch's largest products, and reading an array that no cache holds."""
    numbers, matrix = torch.randn(READ_NUMBERS), torch.randn(MATMUL_SIZE, MATMUL_SIZE)
    product_s = _least_s(partial(torch.nn.functional.linear, matrix, matrix))
    return {
        "matmul_gflops": round(2e-9 * MATMUL_SIZE**3 / product_s, 1),
        "read_gb_per_s": round(4e-9 * READ_NUMBERS / _least_s(numbers.sum), 1),
    }


def _least_s(call: Callable[[], object]) -> float:
    """Least CPU time of a call."""
    seconds = []
    for _ in range(8):
        started = Elapsed.now()
        call()
        seconds.append(Elapsed.since(started).cpu_s)
    return min(seconds)


def table(rows: list[dict[str, Any]]) -> str:
    """Table of docs/reference/performance.md."""
    lines = [
        "| model, mode | batch | tokens a pass | unmask | published | ratio (least, most) |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        kind = "" if row["weights"] is None else f", {row['weights']} weights"
        rate, theirs = row["tokens_per_s"]["median"], row["published_tokens_per_s"]["median"]
        ratio = row["ratio"]
        median = f"**{ratio['median']:.2f}**" if row["met"] else f"{ratio['median']:.2f}"
        one_by_one = "" if row["published_batch"] == row["batch"] else " (1 at a time)"
        lines.append(
            f"| {row['family']}, {row['mode']}{kind} | {row['batch']} "
            f"| {row['tokens_per_forward']} | {rate} | {theirs}{one_by_one} "
            f"| {median} ({ratio['min']:.2f}, {ratio['max']:.2f}) |"
        )
    return "\n".join(lines)


def open_published(shape: ModeShape, options: argparse.Namespace) -> Published:
    """The authors' code of a family, with a model of its shape."""
    if shape.name == "nemotron":
        return Nemotron(options.nemotron, shape.config)
    if shape.name == "wedlm":
        return Wedlm(options.wedlm, shape.config)
    return Idlm(shape.config)


def parse() -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--nemotron", type=Path, help="modeling_nemotron_labs_diffusion.py")
    parser.add_argument("--wedlm", type=Path, help="checkout of github.com/Tencent/WeDLM")
    parser.add_argument("--families", nargs="+", default=names, choices=names)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--new", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--out", type=Path, default=OUT, help="result file")
    options = parser.parse_args()
    for name in ("nemotron", "wedlm"):
        if name in options.families and getattr(options, name) is None:
            parser.error(f"{name} needs its published code: --{name}")
    return options


def main() -> None:
    options = parse()
    head = describe()
    torch.set_num_threads(1)
    keep_freed_memory()
    rows: list[dict[str, Any]] = []
    shapes: dict[str, Any] = {}
    for shape in SHAPES:
        if shape.name not in options.families:
            continue
        published = open_published(shape, options)
        shapes[shape.name] = shape.config | {"parameters": parameters(published.module)}
        rows += measure_shape(shape, published, options)
    result = head | {
        "threads": 1,
        "dtype": "float32",
        "prompt": PROMPT,
        "rounds": options.rounds,
        "ceilings": ceilings(),
        "shapes": shapes,
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
