"""Sweep over request fields and concurrencies: the combinations, their order and their results."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import httpx

from unmask.bench.exchange import Target
from unmask.bench.load import Load, run_load
from unmask.bench.summary import Slo, Summary, summarise
from unmask.bench.workload import Prompt
from unmask.errors import InvalidConfig
from unmask.parameter import Parameter
from unmask.sampling_params import PARAMETERS

FLAGS = {"true": True, "false": False}
CONCURRENT_READS = 4  # prompts sent at a time before the first run


@dataclass(frozen=True, slots=True)
class Combination:
    """Values of the swept fields in a request body."""

    fields: Mapping[str, Any]

    def __str__(self) -> str:
        return " ".join(f"{name}={_shown(value)}" for name, value in self.fields.items())


@dataclass(frozen=True, slots=True)
class SweepRun:
    """Result of one combination at one load; `details` tell of its failures."""

    combination: Combination
    load: Load
    target: Target
    summary: Summary
    details: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "swept": dict(self.combination.fields),
            "load": asdict(self.load),
            "fields": self.target.fields,
            "summary": self.summary.to_dict(),
        }


def parse_concurrencies(text: str) -> tuple[int, ...]:
    """Numbers of requests at a time, such as `1,4,16`; raises `InvalidConfig`."""
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InvalidConfig(f"--concurrency takes numbers from 1 on, such as 1,4,16; got {text!r}")
    return tuple(dict.fromkeys(map(int, parts)))


def parse_sweep(texts: Sequence[str], given: Collection[str]) -> tuple[Combination, ...]:
    """All combinations of `FIELD=a,b,c`, the last field changing fastest; none may be `given`.

    Raises `InvalidConfig`, and `InvalidRequest` for a value that no server could take.
    """
    values: dict[str, list[Any]] = {}
    for text in texts:
        name, equals, listed = text.partition("=")
        name = name.strip().replace("-", "_")
        row = PARAMETERS.get(name)
        if not equals or row is None or row.type.many:
            known = ", ".join(row.name for row in PARAMETERS.values() if not row.type.many)
            raise InvalidConfig(f"--sweep takes FIELD=a,b,c with a field of {known}; got {text!r}")
        if name in values or name in given:
            raise InvalidConfig(f"{name} is given twice, by --sweep {text}")
        parsed = [_value(row, part.strip()) for part in listed.split(",")]
        values[name] = list(dict.fromkeys(parsed))
    return tuple(
        Combination(dict(zip(values, chosen, strict=True)))
        for chosen in itertools.product(*values.values())
    )


async def run_sweep(
    client: httpx.AsyncClient,
    target: Target,
    combinations: Sequence[Combination],
    loads: Sequence[Load],
    prompts_of: Callable[[int], Sequence[Prompt]],
    slo: Slo,
    progress: Callable[[str, int], None],
) -> list[SweepRun]:
    """Run every combination at every load, one after another, all of one load first.

    `prompts_of` gives the prompts of a run by its number, `progress` takes its name and the number
    of its requests that ended. Prompts that all runs share are sent once before the first, so that
    it does not find fewer of them in a prefix cache than the others do.
    """
    first = prompts_of(0)
    if prompts_of(1) == first:
        await _send_once(client, target, combinations[0], first)
    runs: list[SweepRun] = []
    for load, combination in itertools.product(loads, combinations):
        chosen = replace(target, fields={**target.fields, **combination.fields})
        name = f"{combination} x{load.concurrency}".strip()
        prompts = prompts_of(len(runs))
        run = await run_load(client, chosen, prompts, load, partial(_count, progress, name))
        details = sorted({record.detail for record in run.records if record.error})
        runs.append(SweepRun(combination, load, chosen, summarise(run, slo), tuple(details)))
    return runs


def _count(progress: Callable[[str, int], None], name: str, done: int, _: int) -> None:
    progress(name, done)


async def _send_once(
    client: httpx.AsyncClient, target: Target, first: Combination, prompts: Sequence[Prompt]
) -> None:
    """Send each prompt for an answer of one token."""
    distinct = list({id(prompt): prompt for prompt in prompts}.values())
    short = replace(target, fields={**target.fields, **first.fields, "max_tokens": 1})
    await run_load(client, short, distinct, Load(len(distinct), concurrency=CONCURRENT_READS))


def best_runs(runs: Sequence[SweepRun]) -> Iterator[SweepRun]:
    """The run with most tokens a second of each concurrency at which several answered."""
    levels: dict[int, list[SweepRun]] = {}
    for run in runs:
        if run.summary.num_completed:
            levels.setdefault(run.load.concurrency, []).append(run)
    for level in levels.values():
        if len(level) > 1:
            yield max(level, key=lambda run: run.summary.output_tokens_per_s)


def _value(row: Parameter, text: str) -> Any:
    """Value of a field as a body has it; raises `InvalidConfig` or `InvalidRequest`."""
    kind: type = row.type.base
    if kind is bool:
        if text not in FLAGS:
            raise InvalidConfig(f"{row.name} must be true or false, got {text!r}")
        return FLAGS[text]
    try:
        value: Any = text if text in row.type.words else kind(text)
    except ValueError as error:
        expected = "a number" + "".join(f" or {word}" for word in row.type.words)
        raise InvalidConfig(f"{row.name} must be {expected}, got {text!r}") from error
    row.check(row.aliases.get(value, value))
    return value


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
