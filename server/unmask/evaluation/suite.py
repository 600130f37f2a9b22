"""Evaluation suites: held-out problems, by default those of the embedded model."""

import gzip
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask.errors import InvalidConfig

DEFAULT_SUITE = Path(__file__).parent.parent / "embedded" / "eval.jsonl.gz"


@dataclass(frozen=True, slots=True)
class EvalProblem:
    """Conversation to answer, with the name of a checker and its reference.

    `memorised` marks closed sets without a held-out part, which do not count in accuracy.
    """

    task: str
    messages: tuple[dict[str, str], ...]
    checker: str
    reference: str
    memorised: bool = False


def load_suite(
    path: Path = DEFAULT_SUITE, *, tasks: Sequence[str] = (), limit: int | None = None
) -> list[EvalProblem]:
    """Problems of a suite, of `tasks` if any, at most `limit` each; raises `InvalidConfig`."""
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            records = [json.loads(line) for line in lines]
    except OSError as error:
        raise InvalidConfig(f"no evaluation suite at {path}: {error}") from error
    problems = [
        EvalProblem(
            task=record["task"],
            messages=tuple(record["messages"]),
            checker=record["checker"],
            reference=record["reference"],
            memorised=record.get("memorised", False),
        )
        for record in records
    ]
    known = {problem.task for problem in problems}
    for task in tasks:
        if task not in known:
            raise InvalidConfig(f"no task {task!r}; there are {', '.join(sorted(known))}")
    if tasks:
        problems = [problem for problem in problems if problem.task in tasks]
    return list(_at_most(problems, limit)) if limit is not None else problems


def _at_most(problems: Iterable[EvalProblem], limit: int) -> Iterable[EvalProblem]:
    seen: dict[str, int] = defaultdict(int)
    for problem in problems:
        seen[problem.task] += 1
        if seen[problem.task] <= limit:
            yield problem
