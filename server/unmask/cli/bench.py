"""`unmask bench`: load generator for a running server."""

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from unmask import __version__
from unmask.cli.flags import with_sampling
from unmask.cli.output import err, out
from unmask.errors import InvalidConfig
from unmask.types import SamplingParams

if TYPE_CHECKING:
    from unmask.bench.exchange import Target
    from unmask.bench.load import Load, Run
    from unmask.bench.workload import Prompt

DEFAULT_MAX_TOKENS = 128


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
        int | None, typer.Option(min=1, help="Concurrent requests; 1 if --rate is unset too.")
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
    json_path: Annotated[
        Path | None,
        typer.Option("--json", metavar="PATH", help="Write the result as JSON; - for stdout."),
    ] = None,
    sampling: SamplingParams,
) -> None:
    """Measure latency and throughput of a server with OpenAI's API."""
    from unmask.bench.load import Load
    from unmask.bench.summary import Slo, summarise
    from unmask.bench.table import tables
    from unmask.bench.workload import Conversation, pick

    if rate is not None and concurrency is not None:
        raise InvalidConfig("set --concurrency or --rate, not both")
    if endpoint not in ("chat", "completions"):
        raise InvalidConfig(f"--endpoint must be chat or completions, got {endpoint!r}")
    load = Load(num_requests, concurrency or 1, rate, warmup, order)
    num_prompts = warmup + num_requests
    known = _known_prompts(prompts, random_len, num_prompts, token_range, order)
    if any(isinstance(prompt, tuple) for prompt in known):
        endpoint = "completions"
    if endpoint != "chat" and any(isinstance(prompt, Conversation) for prompt in known):
        raise InvalidConfig(f"{prompts} has conversations, which need --endpoint chat")
    chosen = pick(known, num_prompts, order)
    body = body_fields(sampling, extra)
    target, run = _run(url, model, api_key, endpoint, body, chosen, load, timeout_s)
    slo = Slo(slo_ttft_ms, slo_e2e_ms)
    summary = summarise(run, slo)
    result = {
        "unmask": __version__,
        "target": asdict(target),
        "load": asdict(load),
        "prompts": str(prompts or (f"random, {random_len} ids" if random_len else "built-in")),
        "slo": asdict(slo),
        "summary": summary.to_dict(),
    }
    if str(json_path) == "-":
        typer.echo(json.dumps(result, indent=2))
    else:
        out.print(*tables(summary, slo))
        if json_path is not None:
            json_path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for detail in sorted({record.detail for record in run.records if record.error})[:3]:
        err.print(detail, markup=False, style="red")
    if not summary.num_completed:
        raise typer.Exit(1)


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


def body_fields(sampling: SamplingParams, extra: str | None = None) -> dict[str, Any]:
    """Fields of a request body: non-default sampling and `extra`; raises `InvalidConfig`."""
    neutral = SamplingParams()
    body = {
        entry.name: value
        for entry in fields(SamplingParams)
        if (value := getattr(sampling, entry.name)) != getattr(neutral, entry.name)
    }
    body.setdefault("max_tokens", DEFAULT_MAX_TOKENS)
    try:
        more = json.loads(extra or "{}")
    except ValueError as error:
        raise InvalidConfig(f"--extra is not JSON: {error}") from error
    if not isinstance(more, dict):
        raise InvalidConfig(f"--extra must be a JSON object, got {extra}")
    return body | more


def _run(
    url: str,
    model: str | None,
    api_key: str | None,
    endpoint: Any,
    body: dict[str, Any],
    prompts: "list[Prompt]",
    load: "Load",
    timeout_s: float,
) -> "tuple[Target, Run]":
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    from unmask.bench.exchange import Target, first_model
    from unmask.bench.load import connect, run_async, run_load

    base_url = url.rstrip("/").removesuffix("/v1")

    async def main() -> "tuple[Target, Run]":
        async with connect(api_key=api_key, timeout_s=timeout_s) as client:
            name = model or await first_model(client, base_url)
            target = Target(base_url, name, endpoint, body)
            task = bar.add_task("requests", total=load.num_requests)
            return target, await run_load(
                client, target, prompts, load, lambda n, _: bar.update(task, completed=n)
            )

    columns = (TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        return run_async(main())
