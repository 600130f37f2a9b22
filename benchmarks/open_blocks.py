"""Accuracy with several open blocks: `python -m benchmarks.open_blocks`.

Answers the embedded model's held-out problems with one, two and four open blocks, and writes
accuracy, tokens per forward pass and rows per token of each. The model is trained for one, and
problems whose answers are held to a schema or a template are left out.
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
from unmask.types import SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "embedded_open_blocks.json"
THRESHOLDS = (0.9, 0.95)
# Open blocks, and the shares at which the next one opens and is filled at full pace.
SHARES = ((2, 0.1, 0.9), (4, 0.1, 0.9), (4, 0.9, 0.9))


def settings() -> list[Setting]:
    """One block at a time and several, at each threshold."""
    result: list[Setting] = []
    for threshold in THRESHOLDS:
        one = SamplingParams(temperature=0.0, policy="threshold", threshold=threshold)
        result.append(Setting(f"threshold {threshold}, 1 open block", one))
        for count, add, semi_complete in SHARES:
            several = replace(
                one,
                open_blocks=count,
                add_block_threshold=add,
                semi_complete_threshold=semi_complete,
            )
            name = f"threshold {threshold}, {count} open blocks, the next at {add}"
            result.append(Setting(name, several))
    return result


def summarise(result: SettingResult) -> dict[str, object]:
    """Results of one setting, with the accuracy of each task."""
    return {
        "setting": result.setting,
        "accuracy": result.accuracy,
        "tokens_per_forward": result.tokens_per_forward,
        "rows_per_token": result.rows_per_token,
        "tokens": result.num_tokens,
        "tasks": {task.task: task.accuracy for task in result.tasks},
    }


def show(results: Sequence[SettingResult]) -> None:
    """One line a setting."""
    for result in results:
        print(
            f"{result.setting:48} {result.accuracy:6.1%} right, "
            f"{result.tokens_per_forward:5.2f} tokens a pass, "
            f"{result.rows_per_token:5.2f} rows a token"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--limit", type=int, help="problems of each task")
    options = parser.parse_args()
    problems = [
        problem
        for problem in load_suite(limit=options.limit)
        if problem.schema is None and not problem.template
    ]
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
