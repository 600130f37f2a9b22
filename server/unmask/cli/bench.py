"""`unmask bench`: load generator for a running server."""

import json
from collections.abc import Callable, Coroutine
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from rich.console import Console

from unmask import __version__
from unmask.cli.flags import with_sampling
from unmask.cli.output import STDOUT, check_writable, err, out, write_json
from unmask.errors import InvalidConfig
from unmask.types import SamplingParams

if TYPE_CHECKING:
    from unmask.bench.exchange import Target
    from unmask.bench.load import Load, Run
    from unmask.bench.summary import Slo
    from unmask.bench.sweep import Combination, SweepRun
    from unmask.bench.workload import Prompt

DEFAULT_MAX_TOKENS = 128
MAX_TABLE_WIDTH = 240
T = TypeVar("T")
Progress = Callable[[str, int], None]  # name of a run, and its requests that ended


@with_sampling
def bench(
    *,
    url: Annotated[str, typer.Option(help="URL of the server, without /v1.")] = (
        "http://127.0.0.1:8000"
    ),
    model: Annotated[
        str | None, typer.Option(help="Model name; if unset, the first that the server lists.")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="OPENAI_API_KEY", help="API key, sent as bearer token.")
    ] = None,
    num_requests: Annotated[int, typer.Option(min=1, help="Measured requests.")] = 100,
    warmup: Annotated[int, typer.Option(min=0, help="Requests before the measured ones.")] = 4,
    concurrency: Annotated[
        str | None,
        typer.Option(
            metavar="N[,N...]",
            help="Concurrent requests, 1 if --rate is unset too; several, as 1,4,16, are a sweep.",
        ),
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=1e-6, help="Requests per second, as Poisson arrivals.")
    ] = None,
    endpoint: Annotated[
        str, typer.Option(metavar="chat|completions", help="Endpoint of OpenAI's API.")
    ] = "chat",
    prompts: Annotated[
        Path | None,
        typer.Option(help="File of prompts, one a line, or *.jsonl; if unset, built-in prompts."),
    ] = None,
    random_len: Annotated[
        int | None,
        typer.Option(min=1, help="Length of prompts of random token ids, sent to completions."),
    ] = None,
    token_range: Annotated[
        tuple[int, int], typer.Option(help="Range [LOW, HIGH) of random token ids.")
    ] = (100, 1000),
    extra: Annotated[
        str | None, typer.Option(metavar="JSON", help="More fields of every request body.")
    ] = None,
    timeout_s: Annotated[
        float, typer.Option(help="Longest wait for data from the server, in seconds.")
    ] = 600.0,
    slo_ttft_ms: Annotated[
        float | None, typer.Option(help="Goodput limit: time to the first text.")
    ] = None,
    slo_e2e_ms: Annotated[
        float | None, typer.Option(help="Goodput limit: time of the whole request.")
    ] = None,
    order: Annotated[int, typer.Option(help="Seed of the prompt order and of arrivals.")] = 0,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FIELD=A,B,C",
            help="Run with each value of a sampling parameter; repeated, with each combination.",
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE.svg", help="Draw tokens per second over --concurrency."),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", metavar="PATH", help="Write the result as JSON; - for stdout."),
    ] = None,
    sampling: SamplingParams,
) -> None:
    """Measure latency and throughput of a server with OpenAI's API."""
    from unmask.bench.load import Load
    from unmask.bench.summary import Slo
    from unmask.bench.sweep import parse_concurrencies, parse_sweep
    from unmask.bench.workload import Conversation, pick

    if rate is not None and concurrency is not None:
        raise InvalidConfig("set --concurrency or --rate, not both")
    if endpoint not in ("chat", "completions"):
        raise InvalidConfig(f"--endpoint must be chat or completions, got {endpoint!r}")
    levels = parse_concurrencies(concurrency or "1")
    given = given_fields(sampling, extra)
    combinations = parse_sweep(sweep or (), given)
    is_sweep = bool(sweep) or len(levels) > 1 or plot is not None
    if rate is not None and is_sweep:
        raise InvalidConfig("--sweep and --plot go over --concurrency, not --rate")
    loads = [Load(num_requests, level, rate, warmup, order) for level in levels]
    check_writable(json_path, plot)
    server = Server(_base_url(url), model, _checked_key(api_key), timeout_s)
    num_prompts = warmup + num_requests

    def prompts_of(run: int) -> "list[Prompt]":
        # Random prompts are new in each run: with those of another one in the prefix cache, it
        # would have less to do.
        seed = order + run if random_len else order
        return pick(
            _known_prompts(prompts, random_len, num_prompts, token_range, seed), num_prompts, order
        )

    known = prompts_of(0)
    if any(isinstance(prompt, tuple) for prompt in known):
        endpoint = "completions"
    if endpoint != "chat" and any(isinstance(prompt, Conversation) for prompt in known):
        raise InvalidConfig(f"{prompts} has conversations, which need --endpoint chat")
    body = {"max_tokens": DEFAULT_MAX_TOKENS} | given
    slo = Slo(slo_ttft_ms, slo_e2e_ms)
    source = str(prompts or (f"random, {random_len} ids" if random_len else "built-in"))
    if is_sweep:
        target, runs = _sweep(server, endpoint, body, combinations, loads, prompts_of, slo)
        _report_sweep(target, runs, source, slo, json_path, plot)
    else:
        target, run = _run(server, endpoint, body, known, loads[0])
        _report(target, run, loads[0], source, slo, json_path)


def _base_url(url: str) -> str:
    """A server's URL without /v1; raises `InvalidConfig`."""
    import httpx

    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidConfig(f"--url {url!r} is not a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidConfig(f"--url must be as http://localhost:8000, got {url!r}")
    return url.rstrip("/").removesuffix("/v1")


def _checked_key(key: str | None) -> str | None:
    if key is not None and not (key.isascii() and key.isprintable()):
        raise InvalidConfig("--api-key (OPENAI_API_KEY) has characters that no header may have")
    return key


@dataclass(frozen=True, slots=True)
class Server:
    """Server of a load: its address, the model to ask for, and the wait for its data."""

    base_url: str
    model: str | None
    api_key: str | None
    timeout_s: float


def _report(
    target: "Target", run: "Run", load: "Load", source: str, slo: "Slo", json_path: Path | None
) -> None:
    """Print or write the result of a single load; exits with 1 if nothing was answered."""
    from unmask.bench.summary import summarise
    from unmask.bench.table import tables

    summary = summarise(run, slo)
    result = {
        "unmask": __version__,
        "target": asdict(target),
        "load": asdict(load),
        "prompts": source,
        "slo": asdict(slo),
        "summary": summary.to_dict(),
    }
    write_json(result, json_path)
    if json_path != STDOUT:
        out.print(*tables(summary, slo))
    _print_details({record.detail for record in run.records if record.error})
    if not summary.num_completed:
        raise typer.Exit(1)


def _report_sweep(
    target: "Target",
    runs: "list[SweepRun]",
    source: str,
    slo: "Slo",
    json_path: Path | None,
    plot: Path | None,
) -> None:
    """Print or write the results of a sweep; exits with 1 if a run had no answer."""
    from unmask.bench.curves import draw
    from unmask.bench.sweep_table import sweep_table

    result = {
        "unmask": __version__,
        "target": asdict(target),
        "prompts": source,
        "slo": asdict(slo),
        "runs": [run.to_dict() for run in runs],
    }
    write_json(result, json_path)
    if json_path != STDOUT:
        # Rows are longer than many terminals, which would fold each cell.
        Console(highlight=False, soft_wrap=True, width=MAX_TABLE_WIDTH).print(sweep_table(runs))
    if plot is not None:
        plot.write_text(draw(runs, f"{target.model}: tokens per second"), encoding="utf-8")
    _print_details({detail for run in runs for detail in run.details})
    if not all(run.summary.num_completed for run in runs):
        raise typer.Exit(1)


def _print_details(details: set[str]) -> None:
    for detail in sorted(details)[:3]:
        err.print(detail, markup=False, style="red")


def _known_prompts(
    file: Path | None,
    random_len: int | None,
    num_prompts: int,
    token_range: tuple[int, int],
    seed: int,
) -> "tuple[Prompt, ...]":
    from unmask.bench.workload import BUILT_IN, random_prompts, read_prompts

    if random_len is None:
        return BUILT_IN if file is None else read_prompts(file)
    if file is not None:
        raise InvalidConfig("set --prompts or --random-len, not both")
    if not 0 <= token_range[0] < token_range[1]:
        raise InvalidConfig(f"--token-range must be LOW HIGH with 0 <= LOW < HIGH: {token_range}")
    return random_prompts(num_prompts, random_len, token_range, seed)


def given_fields(sampling: SamplingParams, extra: str | None) -> dict[str, Any]:
    """Fields of a request body: non-default sampling and `extra`; raises `InvalidConfig`."""
    neutral = SamplingParams()
    body = {
        entry.name: value
        for entry in fields(SamplingParams)
        if (value := getattr(sampling, entry.name)) != getattr(neutral, entry.name)
    }
    try:
        more = json.loads(extra or "{}")
    except ValueError as error:
        raise InvalidConfig(f"--extra is not JSON: {error}") from error
    if not isinstance(more, dict):
        raise InvalidConfig(f"--extra must be a JSON object, got {extra}")
    return body | more


def _run(
    server: Server, endpoint: Any, body: dict[str, Any], prompts: "list[Prompt]", load: "Load"
) -> "tuple[Target, Run]":
    from unmask.bench.load import run_load

    async def measure(client: Any, target: "Target", progress: Progress) -> "Run":
        return await run_load(client, target, prompts, load, lambda n, _: progress("requests", n))

    return _connected(server, endpoint, body, load.num_requests, measure)


def _sweep(
    server: Server,
    endpoint: Any,
    body: dict[str, Any],
    combinations: "tuple[Combination, ...]",
    loads: "list[Load]",
    prompts_of: "Callable[[int], list[Prompt]]",
    slo: "Slo",
) -> "tuple[Target, list[SweepRun]]":
    from unmask.bench.sweep import run_sweep

    async def measure(client: Any, target: "Target", progress: Progress) -> "list[SweepRun]":
        return await run_sweep(client, target, combinations, loads, prompts_of, slo, progress)

    return _connected(server, endpoint, body, loads[0].num_requests, measure)


def _connected(
    server: Server,
    endpoint: Any,
    body: dict[str, Any],
    num_requests: int,
    measure: "Callable[[Any, Target, Progress], Coroutine[Any, Any, T]]",
) -> "tuple[Target, T]":
    """The target, and what `measure` returns for it, with a bar of the requests that ended."""
    from rich.progress import MofNCompleteColumn, TextColumn
    from rich.progress import Progress as Bar

    from unmask.bench.exchange import Target, first_model
    from unmask.bench.load import connect, run_async

    async def main() -> "tuple[Target, T]":
        async with connect(api_key=server.api_key, timeout_s=server.timeout_s) as client:
            name = server.model or await first_model(client, server.base_url)
            target = Target(server.base_url, name, endpoint, body)
            task = bar.add_task("requests", total=num_requests)
            return target, await measure(
                client, target, lambda name, n: bar.update(task, description=name, completed=n)
            )

    columns = (TextColumn("{task.description}"), MofNCompleteColumn())
    with Bar(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        return run_async(main())
