"""Write held-out problems as an evaluation suite: `python -m training.suite test FILE.jsonl.gz`."""

import argparse
import gzip
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any, Literal

from transformers import PreTrainedTokenizerFast

from training.tasks.catalog import COUNTED, draw_problem
from training.tasks.problem import MEMORISED, Problem, Split
from training.tokenizer import load
from training.tool_prompt import turns_with_tools

MOST_DRAWN = 40  # problems for each that is asked for; closed sets may have fewer prompts
MOST_TRIED = 3  # problems for each with a hole; some are too short
MOST_HIDDEN = 8  # tokens of a hole
HOLED = ("code", "sql", "json", "json_edit", "story", "sort")
SEEDS = {"validation": 11, "test": 12}
Phrasing = Literal["seen", "held out"]
PHRASINGS: tuple[Phrasing, ...] = ("seen", "held out")


def held_out(split: Split, task: str, count: int, phrasing: Phrasing) -> list[Problem]:
    """`count` different prompts of a task: held-out problems in the words of one phrasing.

    Problems of closed sets are all in training; the words of held-out phrasings never are.
    """
    rng = Random(f"{SEEDS[split]}:{task}:{phrasing}")
    words: Split = "train" if phrasing == "seen" else split
    problems: dict[str, Problem] = {}
    for _ in range(count * MOST_DRAWN):
        problem = draw_problem(rng, split, task, words=words)
        problems.setdefault(repr(problem.turns), problem)
        if len(problems) == count:
            break
    return list(problems.values())


def record(problem: Problem, phrasing: Phrasing) -> dict[str, object]:
    """A problem as a line of the suite."""
    turns = turns_with_tools(problem.turns, problem.tools)
    return {
        "task": problem.task,
        "messages": [{"role": turn.role, "content": turn.content} for turn in turns],
        "checker": problem.checker,
        "reference": problem.reference if problem.reference is not None else problem.answer,
        "phrasing": phrasing,
        "memorised": phrasing == "seen" and problem.keys[0].startswith(MEMORISED),
    }


def held_to_schema(problem: Problem, phrasing: Phrasing) -> dict[str, object]:
    """A problem whose answer is held to the schema of the right one's keys and types."""
    schema = schema_of(json.loads(problem.answer))
    return record(problem, phrasing) | {"task": "schema", "schema": json.dumps(schema)}


def schema_of(value: object) -> dict[str, object]:
    """The strict JSON schema of a value's kind; lists have any number of items of the first's."""
    match value:
        case dict():
            properties = {name: schema_of(part) for name, part in value.items()}
            return {
                "type": "object",
                "properties": properties,
                "required": list(value),
                "additionalProperties": False,
            }
        case list():
            return {"type": "array"} | ({"items": schema_of(value[0])} if value else {})
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case float():
            return {"type": "number"}
        case None:
            return {"type": "null"}
    return {"type": "string"}


def with_hole(
    problem: Problem, phrasing: Phrasing, tokenizer: PreTrainedTokenizerFast
) -> dict[str, Any] | None:
    """A problem whose answer is there but for a hole in its middle; None if it is too short.

    Texts around the hole are the tokens of the whole answer, so the hole has just its size.
    """
    rng = Random(repr(problem.turns))
    ids = tokenizer.encode(problem.answer, add_special_tokens=False)
    size = rng.randint(1, MOST_HIDDEN)
    if len(ids) < size + 2:
        return None
    start = rng.randint(1, len(ids) - size - 1)
    before, behind = (tokenizer.decode(part) for part in (ids[:start], ids[start + size :]))
    for text, part in ((before, ids[:start]), (behind, ids[start + size :])):
        if tokenizer.encode(text, add_special_tokens=False) != part:
            return None
    return record(problem, phrasing) | {"task": "hole", "template": [before, size, behind]}


def with_constraints(split: Split, count: int, phrasing: Phrasing) -> Iterator[dict[str, object]]:
    """Problems of `schema` and of `hole`, `count` each, from those of other tasks."""
    tokenizer = load()
    problems = held_out(split, "json_schema", count, phrasing)
    yield from (held_to_schema(problem, phrasing) for problem in problems)
    each = -(-count // len(HOLED))
    for task in HOLED:
        found = (
            with_hole(problem, phrasing, tokenizer)
            for problem in held_out(split, task, MOST_TRIED * each, phrasing)
        )
        yield from islice(filter(None, found), each)


def write(split: Split, path: Path, count: int) -> None:
    """Write `count` problems a task and phrasing; the same file for the same arguments."""
    records = [
        entry
        for phrasing in PHRASINGS
        for entry in (
            *(
                record(problem, phrasing)
                for task in COUNTED
                for problem in held_out(split, task, count, phrasing)
            ),
            *with_constraints(split, count, phrasing),
        )
    ]
    lines = [json.dumps(entry, ensure_ascii=False) for entry in records]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", fileobj=raw, mtime=0) as packed:
        packed.write(("\n".join(lines) + "\n").encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("split", choices=SEEDS)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=40, help="problems a task and phrasing")
    options = parser.parse_args()
    write(options.split, options.out, options.count)


if __name__ == "__main__":
    main()
