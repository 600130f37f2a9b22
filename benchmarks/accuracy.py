"""Accuracy and cost of settings on problems of the embedded model's suite."""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.machine import describe
from unmask.config import Config, EngineConfig
from unmask.evaluation.runner import Setting, SettingResult, run_evaluation
from unmask.evaluation.suite import EvalProblem, load_suite
from unmask.llm import LLM


def summarise(result: SettingResult) -> dict[str, object]:
    """Results of one setting, with the accuracy of each task."""
    return {
        "setting": result.setting,
        "accuracy": result.accuracy,
        "tokens_per_step": result.tokens_per_step,
        "tokens_per_forward": result.tokens_per_forward,
        "rows_per_token": result.rows_per_token,
        "block_lengths": result.block_lengths,
        "tokens": result.num_tokens,
        "tasks": {task.task: task.accuracy for task in result.tasks},
    }


def show(results: Sequence[SettingResult]) -> None:
    """One line a setting."""
    for result in results:
        print(
            f"{result.setting:48} {result.accuracy:6.1%} right, "
            f"{result.tokens_per_step:5.2f} tokens a step, "
            f"{result.tokens_per_forward:5.2f} a pass, "
            f"{result.rows_per_token:5.2f} rows a token"
        )


def main(
    text: str | None,
    settings: Sequence[Setting],
    path: Path,
    *,
    takes: Callable[[EvalProblem], bool] = lambda _problem: True,
) -> None:
    """Answer the problems that `takes` picks in each setting, and write the results to `path`.

    `text` is the help of a command with `--limit`.
    """
    parser = argparse.ArgumentParser(description=text)
    parser.add_argument("--limit", type=int, help="problems of each task")
    options = parser.parse_args()
    problems = list(filter(takes, load_suite(limit=options.limit)))
    config = Config(engine=EngineConfig(prefix_cache=False))
    with LLM(config=config) as llm:
        results = run_evaluation(llm, problems, settings)
    show(results)
    record = describe() | {
        "limit": options.limit,
        "problems": len(problems),
        "results": [summarise(result) for result in results],
    }
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
