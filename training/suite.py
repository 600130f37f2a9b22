"""Write held-out problems as an evaluation suite: `python -m training.suite test FILE.jsonl.gz`."""

import argparse
import gzip
import json
from pathlib import Path
from random import Random

from training.tasks.catalog import CHECKABLE, MEMORISED_TASKS, draw_problem
from training.tasks.problem import Problem, Split

SEEDS = {"validation": 11, "test": 12}
MEMORISED_SHARE = 4  # memorised tasks are listed apart, with fewer prompts


def held_out(split: Split, task: str, count: int) -> list[Problem]:
    """`count` problems of a task with different prompts."""
    rng = Random(f"{SEEDS[split]}:{task}")
    problems: dict[str, Problem] = {}
    while len(problems) < count:
        problem = draw_problem(rng, split, task)
        problems.setdefault(repr(problem.turns), problem)
    return list(problems.values())


def record(problem: Problem, *, memorised: bool) -> dict[str, object]:
    """A problem as a line of the suite."""
    return {
        "task": problem.task,
        "messages": [{"role": turn.role, "content": turn.content} for turn in problem.turns],
        "checker": problem.checker,
        "reference": problem.reference if problem.reference is not None else problem.answer,
        "memorised": memorised,
    }


def write(split: Split, path: Path, count: int) -> None:
    """Write `count` problems a task; the same file for the same arguments."""
    lines = [
        json.dumps(record(problem, memorised=False), ensure_ascii=False)
        for task in CHECKABLE
        for problem in held_out(split, task, count)
    ]
    lines += [
        json.dumps(record(problem, memorised=True), ensure_ascii=False)
        for task in MEMORISED_TASKS
        for problem in held_out(split, task, count // MEMORISED_SHARE)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=SEEDS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=200, help="problems a task")
    options = parser.parse_args()
    write(options.split, options.out, options.count)


if __name__ == "__main__":
    main()
