"""Passes saved by speculation for a single request: `python -m benchmarks.speculation`.

Answers held-out problems of the embedded model one by one, with and without speculative states,
checks that the answers are equal, and writes passes and accepted states.
"""

import argparse
import json
import time
from dataclasses import asdict, dataclass, replace

from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.evaluation.suite import EvalProblem, load_suite
from unmask.metrics import Metrics
from unmask.types import Delta, Request, SamplingParams, Usage

RESULT = ROOT / "benchmarks" / "results" / "embedded_speculation.json"
ROWS = (0, 64, 128)
ONE = SamplingParams(temperature=0.0, max_tokens=128, policy="low_confidence")
SURE = replace(ONE, policy="threshold")
SETTINGS = {
    "1 token a step": ONE,
    "1 token a step, temperature 0.7": replace(ONE, temperature=0.7, seed=1),
    "threshold 0.95": replace(SURE, threshold=0.95),
    "threshold 0.9": replace(SURE, threshold=0.9),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One setting with steps of up to `rows`; `steps_per_pass` is the gain of speculation."""

    setting: str
    rows: int
    tokens: int
    steps: int
    passes: int
    steps_per_pass: float
    speculative: int
    accepted: int
    rows_per_token: float
    elapsed_s: float


def run(problems: list[EvalProblem], name: str, rows: int) -> tuple[Row, list[tuple[int, ...]]]:
    """Answers of one setting with their row."""
    metrics = Metrics()
    config = Config(engine=EngineConfig(prefix_cache=False, speculation_rows=rows))
    engine = Engine.load(config, metrics)
    usages: list[Usage] = []
    answers: list[tuple[int, ...]] = []
    started_s = time.perf_counter()
    for i, problem in enumerate(problems):
        prompt = tuple(engine.loaded.tokenizer.apply_chat(problem.messages))
        engine.add(Request(str(i), prompt, SETTINGS[name]))
        answer: list[int] = []
        while engine.has_work:
            for event in engine.step():
                assert isinstance(event, Delta), "nothing else was asked for"
                answer += event.token_ids
                if event.finish is not None:
                    usages.append(event.finish.usage)
        answers.append(tuple(answer))
    elapsed_s = time.perf_counter() - started_s
    read = metrics.registry.get_sample_value
    steps = sum(usage.denoising_steps for usage in usages)
    passes = sum(usage.forward_passes for usage in usages)
    tokens = sum(usage.completion_tokens for usage in usages)
    prompts = sum(usage.prompt_tokens for usage in usages)
    row = Row(
        setting=name,
        rows=rows,
        tokens=tokens,
        steps=steps,
        passes=passes,
        steps_per_pass=steps / passes,
        speculative=int(read("unmask_speculative_states_total") or 0),
        accepted=int(read("unmask_accepted_states_total") or 0),
        rows_per_token=(sum(usage.query_tokens for usage in usages) - prompts) / tokens,
        elapsed_s=elapsed_s,
    )
    return row, answers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, default=2, help="problems of each task")
    options = parser.parse_args()
    problems = load_suite(limit=options.limit)
    results: list[Row] = []
    for name in SETTINGS:
        expected: list[tuple[int, ...]] | None = None
        for rows in ROWS:
            row, answers = run(problems, name, rows)
            assert expected is None or answers == expected, "speculation changes no answer"
            expected = answers
            results.append(row)
            print(
                f"{name:32} {rows:4} rows: {row.steps} steps in {row.passes} passes, "
                f"{row.steps_per_pass:.2f} a pass; {row.accepted} of {row.speculative} accepted; "
                f"{row.rows_per_token:.1f} rows a token; {row.elapsed_s:.1f} s"
            )
    record = describe() | {
        "limit": options.limit,
        "problems": len(problems),
        "results": [asdict(row) for row in results],
    }
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
