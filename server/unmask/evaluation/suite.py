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

    `phrasing` says whose words it is asked in, such as those that a model was trained on and those
    that it was not. `memorised` marks closed sets without a held-out part, which do not count in
    accuracy. With a `schema` (JSON) the answer is held to it. With a `template`, texts and the
    numbers of tokens of holes, it is the answer with holes to fill.
    """

    task: str
    messages: tuple[dict[str, str], ...]
    checker: str
    reference: str
    phrasing: str | None = None
    memorised: bool = False
    schema: str | None = None
    template: tuple[str | int, ...] = ()


def load_suite(
    path: Path = DEFAULT_SUITE, *, tasks: Sequence[str] = (), limit: int | None = None
) -> list[EvalProblem]:
    """Problems of a suite, of `tasks` if any, at most `limit` a task and phrasing.

    Raises `InvalidConfig` for a suite that is not there and for unknown tasks.
    """
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
            phrasing=record.get("phrasing"),
            memorised=record.get("memorised", False),
            schema=record.get("schema"),
            template=tuple(record.get("template", ())),
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
    seen: dict[tuple[str, str | None], int] = defaultdict(int)
    for problem in problems:
        kind = problem.task, problem.phrasing
        seen[kind] += 1
        if seen[kind] <= limit:
            yield problem
