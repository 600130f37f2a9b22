"""Speculative states on a device: their cost a step, and whether answers stay the same.

    python -m benchmarks.device.speculation --out results/gpu_speculation_NAME.json

Random weights tell the time of a pass with and without speculative states in its spare rows, but
not the acceptance rate: `python -m benchmarks.speculation` measures it.
"""

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.device.engine import load
from benchmarks.device.families import SHAPES, TINY
from benchmarks.machine import describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Delta, Request, SamplingParams

MODEL = "SDAR-8B"
REQUESTS = (1, 2, 4)
# Rows of a step, and tokens of a page: blocks of 32 begin at each of 32 tokens.
SETTINGS = ((0, 64), (128, 64), (256, 64), (128, 32))
CONTEXT, NUM_TOKENS, BLOCK, STEPS = 1024, 256, 32, 8
LEAST_ROWS = 512  # rows of a step with captured graphs


def prompts(count: int, length: int, vocab_size: int) -> list[tuple[int, ...]]:
    random = torch.Generator().manual_seed(0)
    drawn = torch.randint(vocab_size - 1, (count, length), generator=random)
    return [tuple(ids) for ids in drawn.tolist()]


def start(loaded: LoadedModel, rows: int, page_size: int) -> Engine:
    """Engine with steps of up to `rows` for speculation."""
    pages = 2 + (CONTEXT + NUM_TOKENS + 2 * BLOCK) // page_size
    config = EngineConfig(
        max_num_seqs=max(REQUESTS),
        max_batch_tokens=LEAST_ROWS,
        page_size=page_size,
        num_pages=2 * max(REQUESTS) * pages,
        speculation_rows=rows,
    )
    return Engine(Config(engine=config), loaded, Metrics())


def run(
    engine: Engine, count: int, params: SamplingParams, context: int = CONTEXT
) -> tuple[dict[str, Any], list[Any]]:
    """Run a number of requests from their first step to the last."""
    token_ids = prompts(count, context, engine.loaded.info.vocab_size)
    read = engine.metrics.registry.get_sample_value
    names = ("forward_passes", "denoising_steps", "query_tokens", "speculative_states")
    names = (*names, "accepted_states")
    before = {name: read(f"unmask_{name}_total") or 0.0 for name in names}
    for i, ids in enumerate(token_ids):
        engine.add(Request(f"{time.monotonic_ns()}-{i}", ids, params))
    answers: dict[str, list[int]] = {}
    started_s = time.perf_counter()
    while engine.has_work:
        for event in engine.step():
            assert isinstance(event, Delta), "nothing else was asked for"
            answers.setdefault(event.request_id, []).extend(event.token_ids)
    elapsed_s = time.perf_counter() - started_s
    counts = {name: (read(f"unmask_{name}_total") or 0.0) - before[name] for name in names}
    passes = counts["forward_passes"]
    numbers = {
        "requests": count,
        **counts,
        "pass_ms": 1000 * elapsed_s / passes,
        "rows_a_pass": counts["query_tokens"] / passes,
        "steps_a_pass": counts["denoising_steps"] / count / passes,
        "tokens_per_s": sum(map(len, answers.values())) / elapsed_s,
    }
    return numbers, sorted(answers.values())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="result file")
    parser.add_argument("--tiny", action="store_true", help="a small shape")
    options = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    shape = TINY["tiny SDAR"] if options.tiny else SHAPES[MODEL]
    loaded = load(shape, device, CONTEXT + NUM_TOKENS + BLOCK, block_length=BLOCK)
    params = SamplingParams(
        max_tokens=NUM_TOKENS,
        block_length=BLOCK,
        steps=STEPS,
        policy="low_confidence",
        ignore_eos=True,
    )
    results: list[dict[str, Any]] = []
    expected: dict[int, list[Any]] = {}
    for rows, page_size in SETTINGS:
        engine = start(loaded, rows, page_size)
        run(engine, max(REQUESTS), params)  # reads the prompts, and compiles kernels
        for count in REQUESTS:
            result, answers = run(engine, count, params)
            result |= {"speculation_rows": rows, "page_size": page_size}
            same = expected.setdefault(count, answers) == answers
            results.append(result | {"same": same})
            print(
                f"{rows:4} rows, pages of {page_size}, {count} requests: "
                f"{result['pass_ms']:.2f} ms a pass of {result['rows_a_pass']:.0f} rows, "
                f"{result['steps_a_pass']:.2f} steps a pass, same answers: {same}"
            )
        del engine
    record = describe() | {
        "model": "tiny" if options.tiny else MODEL,
        "context": CONTEXT,
        "results": results,
    }
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
