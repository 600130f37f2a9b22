"""Tokens per second of each mode, beside the loops of the models' authors, on one CPU thread.

    python -m benchmarks.modes modeling_nemotron_labs_diffusion.py
    python -m benchmarks.modes --families idlm --rounds 3

Random weights of `mode_models`, the same ones for both; prompts of 64 tokens, greedy, float32. A
pair is a run of the authors' loop and one of the engine, one right after the other in alternating
order, so that other work on the machine slows both; a ratio is of a pair. A loop that takes one
prompt at a time is compared with a batch by its tokens per second for one. `diffusion` fills 4
tokens a step. Drafts are verified with weights that make all of them wrong, or all right. Writes
results/modes_cpu.json.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.families import MAX_LEN, PAGE
from benchmarks.family_shapes import MASK_ID, VOCAB_SIZE
from benchmarks.machine import ROOT, describe
from benchmarks.mode_models import (
    SHAPES,
    Drafts,
    Idlm,
    ModeShape,
    Nemotron,
    Published,
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


@dataclass(frozen=True)
class Work:
    """One mode at one batch size; `drafts` tells the weights of a mode that verifies them."""

    mode: ModeName
    batch: int
    new: int
    drafts: Drafts


@dataclass(frozen=True)
class Pair:
    """One run of each: seconds, passes of a request, and whether the tokens are the same."""

    published_s: float
    ours_s: float
    published_passes: int
    our_passes: int
    is_same: bool


def works(shape: ModeShape, drafts: Drafts, batches: list[int], new: int) -> Iterator[Work]:
    """Modes of a shape for these weights; wrong drafts have short answers, as they take long."""
    for batch in batches:
        for mode in shape.modes:
            if mode == "self_speculation":
                yield Work(mode, batch, new if drafts == "right" else new // 4, drafts)
            elif drafts == "wrong":
                yield Work(mode, batch, new, drafts)


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
    """Parameters of a mode: whole drafts in one pass, and blocks in `STEPS` equal steps."""
    if work.mode == "ar":
        return SamplingParams(max_tokens=work.new, mode="ar", ignore_eos=True)
    policy: dict[str, Any] = {}
    if work.mode == "diffusion":
        policy = {"policy": "low_confidence", "steps": 1 + STEPS}
    return SamplingParams(
        max_tokens=work.new,
        mode=work.mode,
        block_length=shape.block_length,
        ignore_eos=True,
        **policy,
    )


def run_ours(
    engine: Engine, prompts: Tensor, params: SamplingParams
) -> tuple[list[list[int]], int, float]:
    """Answers, passes of a request, and seconds from the first arrival to the last finish."""
    answers: dict[str, list[int]] = {str(i): [] for i in range(len(prompts))}
    passes = 0
    started_s = time.perf_counter()
    for name, ids in zip(answers, prompts.tolist(), strict=True):
        engine.add(Request(name, tuple(ids), params))
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta), "nothing else was asked for"
            answers[event.request_id] += event.token_ids
            if event.finish is not None:
                passes = max(passes, event.finish.usage.forward_passes)
    return list(answers.values()), passes, time.perf_counter() - started_s


def measure(
    published: Published, shape: ModeShape, engine: Engine, work: Work, *, ours_first: bool
) -> Pair:
    """A pair; a loop that takes one prompt answers the first one only."""
    generator = torch.Generator().manual_seed(1)
    prompts = torch.randint(0, MASK_ID, (work.batch, PROMPT), generator=generator)
    given = prompts if published.batches(work.mode) else prompts[:1]
    loop = published.loop(work.mode, shape.block_length, STEPS)

    def theirs() -> tuple[list[list[int]], int, float]:
        started_s = time.perf_counter()
        answers, passes = loop(given, work.new)
        return answers, passes, time.perf_counter() - started_s

    def ours() -> tuple[list[list[int]], int, float]:
        return run_ours(engine, prompts, params_of(shape, work))

    second = theirs() if not ours_first else None
    our_answers, our_passes, ours_s = ours()
    answers, passes, theirs_s = second or theirs()
    is_same = our_answers[: len(answers)] == answers
    return Pair(theirs_s, ours_s, passes, our_passes, is_same)


def row_of(shape: ModeShape, published: Published, work: Work, pairs: list[Pair]) -> dict[str, Any]:
    """Medians and spreads of both, and of the ratio within pairs."""
    beside = work.batch if published.batches(work.mode) else 1
    theirs = [beside * work.new / pair.published_s for pair in pairs]
    ours = [work.batch * work.new / pair.ours_s for pair in pairs]
    ratios = [b / a for a, b in zip(theirs, ours, strict=True)]
    ratio = statistics.median(ratios)
    return {
        "family": shape.name,
        "mode": work.mode,
        "drafts": work.drafts if work.mode == "self_speculation" else None,
        "batch": work.batch,
        "new": work.new,
        "tokens_per_s": _spread(ours),
        "tokens_per_forward": round(work.new / pairs[0].our_passes, 2),
        "published_tokens_per_s": _spread(theirs),
        "published_tokens_per_forward": round(work.new / pairs[0].published_passes, 2),
        "published_batch": beside,
        "ratio": _spread(ratios, 2),
        "same_tokens": all(pair.is_same for pair in pairs),
        "target": TARGET,
        "met": ratio >= TARGET,
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
    """Rows of a family: all rounds with wrong drafts, then with right ones."""
    for drafts in ("wrong", "right"):
        loaded = load(shape, draw_weights(published.module, shape, drafts))
        engines = {batch: make_engine(loaded, batch) for batch in options.batches}
        chosen = list(works(shape, drafts, options.batches, options.new))
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
                    f"{shape.name} {work.mode}, drafts {drafts}, {work.batch}: published "
                    f"{one.published_s:.2f} s in {one.published_passes} passes, ours "
                    f"{one.ours_s:.2f} s in {one.our_passes}, same {one.is_same}",
                    flush=True,
                )
        yield from (row_of(shape, published, work, pairs[work]) for work in chosen)


def table(rows: list[dict[str, Any]]) -> str:
    """Printable table of the rows."""
    lines = ["family    mode              drafts batch   tokens/s  published   ratio (min-max)"]
    for row in rows:
        ratio = row["ratio"]
        lines.append(
            f"{row['family']:9} {row['mode']:17} {row['drafts'] or '-':6} {row['batch']:5} "
            f"{row['tokens_per_s']['median']:10.1f} {row['published_tokens_per_s']['median']:10.1f}"
            f"   {ratio['median']:5.2f} ({ratio['min']:.2f}-{ratio['max']:.2f})"
            f" {'met' if row['met'] else 'MISSED'}"
        )
    return "\n".join(lines)


def parse() -> argparse.Namespace:
    """Command line arguments."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    names = [shape.name for shape in SHAPES]
    parser.add_argument("published", type=Path, nargs="?", help="modeling file of Nemotron's")
    parser.add_argument("--families", nargs="+", default=names, choices=names)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=64, help="tokens of an answer")
    parser.add_argument("--out", type=Path, default=OUT, help="result file")
    options = parser.parse_args()
    if "nemotron" in options.families and options.published is None:
        parser.error("nemotron needs the published modeling_nemotron_labs_diffusion.py")
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
        published = Idlm() if shape.name == "idlm" else Nemotron(options.published)
        shapes[shape.name] = shape.config | {"parameters": parameters(published.module)}
        rows += measure_shape(shape, published, options)
    result = head | {
        "threads": 1,
        "dtype": "float32",
        "prompt": PROMPT,
        "rounds": options.rounds,
        "shapes": shapes,
        "rows": rows,
    }
    options.out.write_text(json.dumps(result, indent=2) + "\n", "utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
