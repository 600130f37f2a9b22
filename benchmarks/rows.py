"""Rows per token and accuracy of each setting: `python -m benchmarks.rows`.

Answers the embedded model's held-out problems with several block lengths and with the cache
`block`, and writes accuracy, tokens per step and rows per token of each.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

from benchmarks.machine import ROOT, describe
from unmask.config import Config, EngineConfig
from unmask.evaluation.runner import Setting, SettingResult, run_evaluation
from unmask.evaluation.suite import load_suite
from unmask.llm import LLM
from unmask.types import AUTO, SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "embedded_rows.json"
LENGTHS = (32, 16, 8, 4, AUTO)
THRESHOLDS = (0.9, 0.95)


def settings() -> list[Setting]:
    """All block lengths, then active rows in blocks of 16 and 32.

    Each at two thresholds and with one token a step.
    """
    greedy = SamplingParams(temperature=0.0)
    result: list[Setting] = []
    for threshold in THRESHOLDS:
        base = replace(greedy, policy="threshold", threshold=threshold)
        for length in LENGTHS:
            name = f"block {length}, threshold {threshold}"
            result.append(Setting(name, replace(base, block_length=length)))
        for length in (32, 16):
            name = f"block {length}, threshold {threshold}, cache block"
            result.append(Setting(name, replace(base, block_length=length, cache="block")))
    single = replace(greedy, policy="low_confidence", block_length=16)
    result.append(Setting("block 16, 1 token a step", single))
    result.append(Setting("block 16, 1 token a step, cache block", replace(single, cache="block")))
    return result


def summarise(result: SettingResult) -> dict[str, object]:
    """Results of one setting, with the accuracy of each task."""
    return {
        "setting": result.setting,
        "accuracy": result.accuracy,
        "tokens_per_step": result.tokens_per_step,
        "rows_per_token": result.rows_per_token,
        "block_lengths": result.block_lengths,
        "tokens": result.num_tokens,
        "tasks": {task.task: task.accuracy for task in result.tasks},
    }


def show(results: Sequence[SettingResult]) -> None:
    """One line a setting."""
    for result in results:
        print(
            f"{result.setting:42} {result.accuracy:6.1%} right, "
            f"{result.tokens_per_step:5.2f} tokens a step, "
            f"{result.rows_per_token:5.2f} rows a token"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="problems of each task")
    options = parser.parse_args()
    problems = load_suite(limit=options.limit)
    config = Config(engine=EngineConfig(prefix_cache=False))
    with LLM(config=config) as llm:
        results = run_evaluation(llm, problems, settings())
    show(results)
    record = describe() | {
        "limit": options.limit,
        "problems": len(problems),
        "results": [summarise(result) for result in results],
    }
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
