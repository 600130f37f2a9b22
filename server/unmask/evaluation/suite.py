"""Evaluation suites: held-out problems, by default those of the embedded model."""

import gzip
import json
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unmask.errors import InvalidConfig
from unmask.evaluation.checkers import check_reference

DEFAULT_SUITE = Path(__file__).parent.parent / "embedded" / "eval.jsonl.gz"


@dataclass(frozen=True, slots=True)
class EvalProblem:
    """Conversation to answer, with the name of a checker and its reference.

    `phrasing` says whose words it is asked in, such as those that a model was trained on and those
    that it was not. `memorised` marks closed sets without a held-out part, which do not count in
    accuracy. With a `schema` (JSON) the answer is held to it. With a `template`, texts and the
    numbers of tokens of holes, it is the answer with holes to fill. `line` is that of a file.
    """

    task: str
    messages: tuple[dict[str, str], ...]
    checker: str
    reference: str
    phrasing: str | None = None
    memorised: bool = False
    schema: str | None = None
    template: tuple[str | int, ...] = ()
    line: int | None = None

    @property
    def is_held(self) -> bool:
        """True if its answer is held to a schema or a template."""
        return self.schema is not None or bool(self.template)


def load_suite(
    path: Path = DEFAULT_SUITE, *, tasks: Sequence[str] = (), limit: int | None = None
) -> list[EvalProblem]:
    """Problems of a suite, of `tasks` if any, at most `limit` a task and phrasing.

    Raises `InvalidConfig` for a suite that is not there or has a line that is no problem, and for
    unknown tasks.
    """
    opener = gzip.open if path.suffix == ".gz" else open
    problems: list[EvalProblem] = []
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    problems.append(replace(_problem(line, f"{path}, line {number}"), line=number))
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise InvalidConfig(f"no evaluation suite at {path}: {error}") from error
    known = {problem.task for problem in problems}
    for task in tasks:
        if task not in known:
            raise InvalidConfig(f"no task {task!r}; there are {', '.join(sorted(known))}")
    if tasks:
        problems = [problem for problem in problems if problem.task in tasks]
    return list(_at_most(problems, limit)) if limit is not None else problems


def _problem(line: str, place: str) -> EvalProblem:
    """Problem of a line; raises `InvalidConfig` with its place."""
    try:
        record = json.loads(line)
        if not isinstance(record, dict):
            raise ValueError("not an object")
        problem = EvalProblem(
            task=_checked(record, "task", str),
            messages=tuple(_checked(record, "messages", list)),
            checker=_checked(record, "checker", str),
            reference=_checked(record, "reference", str),
            phrasing=_checked(record, "phrasing", str, None),
            memorised=_checked(record, "memorised", bool, False),
            schema=_checked(record, "schema", str, None),
            template=tuple(_checked(record, "template", list, ())),
        )
        check_reference(problem.checker, problem.reference)
        if problem.schema is not None:
            _check_json(problem.schema)
        for message in problem.messages:
            match message:
                case {"role": str()}:
                    continue
            raise ValueError("messages must be a list of objects with a role")
        for part in problem.template:
            if type(part) not in (str, int):
                raise ValueError("template must be a list of texts and numbers of tokens")
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"{place}: {error}") from error
    return problem


def _check_json(schema: str) -> None:
    try:
        json.loads(schema)
    except ValueError as error:
        raise ValueError(f"the schema is not JSON: {error}") from None


def _checked(record: dict[str, Any], name: str, kind: type, *default: Any) -> Any:
    """Value of a field; raises `ValueError`."""
    value = record.get(name, *default)
    if default and value in default:
        return value
    if not isinstance(value, kind):
        raise ValueError(f"{name} must be a {kind.__name__}, got {value!r:.60}")
    return value


def _at_most(problems: Iterable[EvalProblem], limit: int) -> Iterable[EvalProblem]:
    seen: dict[tuple[str, str | None], int] = defaultdict(int)
    for problem in problems:
        kind = problem.task, problem.phrasing
        seen[kind] += 1
        if seen[kind] <= limit:
            yield problem
