"""`unmask eval`: accuracy and speed at each decoding setting."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from unmask import __version__
from unmask.cli.flags import with_config, with_sampling
from unmask.cli.loading import load_llm
from unmask.cli.output import STDOUT, check_writable, err, out, write_json
from unmask.errors import InvalidConfig
from unmask.settings import Resolved
from unmask.types import ModelInfo, SamplingParams
from unmask_kernels.policies.table import NUMBERS

if TYPE_CHECKING:
    from unmask.evaluation.policies import PolicyResult
    from unmask.evaluation.runner import Setting, SettingResult, TaskResult
    from unmask.evaluation.suite import EvalProblem
    from unmask.llm import LLM

MAX_TABLE_WIDTH = 120


@with_config("model", "engine")
@with_sampling
def evaluate(
    *,
    suite: Annotated[
        Path | None,
        typer.Option(help="File of problems; if unset, the embedded model's held-out ones."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Task to run; may be repeated. If unset, all tasks.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Most problems of each task and phrasing.")
    ] = None,
    policies: Annotated[
        bool,
        typer.Option(
            "--policies",
            help="Measure the model's policies at several settings, with 20 problems of each task "
            "and phrasing if --limit is unset.",
        ),
    ] = False,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg",
            help="Draw the accuracy of --policies over tokens per forward pass.",
        ),
    ] = None,
    json_path: Annotated[
        Path | None,
        typer.Option("--json", metavar="PATH", help="Write the result as JSON; - for stdout."),
    ] = None,
    resolved: Resolved,
    sampling: SamplingParams,
) -> None:
    """Measure accuracy on held-out problems, with the sampling flags or at several settings."""
    from unmask.evaluation.frontier import draw
    from unmask.evaluation.machine import describe
    from unmask.evaluation.policies import PROBLEMS_PER_TASK, policy_results, policy_settings
    from unmask.evaluation.suite import DEFAULT_SUITE, load_suite

    if plot is not None and not policies:
        raise InvalidConfig("--plot draws the results of --policies")
    suite = suite or DEFAULT_SUITE
    if policies:
        _check_free(sampling)
        limit = limit or PROBLEMS_PER_TASK
    problems = load_suite(suite, tasks=task or (), limit=limit)
    if not problems:
        raise InvalidConfig(f"{suite} has no problems")
    check_writable(json_path, plot)
    with load_llm(resolved.config) as llm:
        if policies:
            are_held = any(problem.is_held for problem in problems)
            settings = policy_settings(sampling, llm.model, are_held=are_held)
        else:
            settings = _settings(sampling, llm.model)
        results = _run(llm, problems, settings)
        if policies:
            found = policy_results(settings, results)
            written = [_of_policy(one) | _to_dict(one.result) for one in found]
            table = _policy_table(found)
            # Rows are longer than many terminals, which would fold each cell.
            wide = Console(highlight=False, soft_wrap=True, width=MAX_TABLE_WIDTH)
        else:
            written = [_to_dict(result) for result in results]
            table, wide = _table(results), out
        if json_path != STDOUT:
            wide.print(table)
        content = {
            "unmask": __version__,
            "model": llm.model.name,
            "suite": suite.name,
            "tasks": task,
            "limit": limit,
            "settings": resolved.to_dict(),
            "results": written,
        }
        if json_path is not None:
            write_json(describe() | content, json_path)
        if plot is not None:
            title = f"{llm.model.name}: accuracy over tokens per forward pass"
            plot.write_text(draw(found, title), encoding="utf-8")


def _run(
    llm: "LLM", problems: "Sequence[EvalProblem]", settings: "Sequence[Setting]"
) -> "list[SettingResult]":
    """Results of every setting, with a bar of the problems that are done."""
    from unmask.evaluation.runner import run_evaluation

    columns = (TextColumn("{task.description}"), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("")

        def progress(setting: str, num_done: int, num_all: int) -> None:
            bar.update(task, description=setting, completed=num_done, total=num_all)

        return run_evaluation(llm, problems, settings, progress)


def _check_free(sampling: SamplingParams) -> None:
    """Raise `InvalidConfig` for what --policies gives by itself."""
    for name in ("policy", "steps", *NUMBERS):
        if getattr(sampling, name) is not None:
            flag = name.replace("_", "-")
            raise InvalidConfig(f"--policies has settings of its own, without --{flag}")


def _settings(sampling: SamplingParams, model: ModelInfo) -> "list[Setting]":
    from unmask.evaluation.policies import default_settings
    from unmask.evaluation.runner import Setting

    if replace(sampling, block_length=None, cache=None) == SamplingParams():
        return default_settings(sampling, model)
    return [Setting("as given", sampling)]


def _table(results: "Sequence[SettingResult]") -> Table:
    """Tasks as rows, settings as columns; memorised tasks are marked and not in the means."""
    table = Table("task", "problems", *(result.setting for result in results))
    for column in table.columns[1:]:
        column.justify = "right"
    phrasing: str | None = None
    for rows in zip(*(result.tasks for result in results), strict=True):
        first: TaskResult = rows[0]
        if phrasing is not None and first.phrasing != phrasing:
            table.add_section()
        phrasing = first.phrasing
        notes = [phrasing] if phrasing is not None else []
        notes += ["memorised"] * first.memorised
        name = f"{first.task} ({', '.join(notes)})" if notes else first.task
        table.add_row(Text(name), str(first.num_prompts), *(f"{row.accuracy:.1%}" for row in rows))
    table.add_section()
    for name in results[0].by_phrasing:
        accuracies = (f"{result.by_phrasing[name]:.1%}" for result in results)
        table.add_row(Text(f"all ({name})"), "", *accuracies)
    if _has_counted(results[0]):
        table.add_row("all but memorised", "", *(f"{one.accuracy:.1%}" for one in results))
    table.add_row("tokens per step", "", *(f"{result.tokens_per_step:.2f}" for result in results))
    table.add_row("rows per token", "", *(f"{result.rows_per_token:.2f}" for result in results))
    table.add_row("tokens/s", "", *(f"{result.tokens_per_s:.0f}" for result in results))
    return table


def _policy_table(found: "Sequence[PolicyResult]") -> Table:
    """Settings as rows; those that no other beats are marked."""
    table = Table("policy", "setting", "right", "tokens per forward", "tokens/s", "")
    for column in table.columns[2:5]:
        column.justify = "right"
    for one in found:
        result = one.result
        numbers = f"{result.tokens_per_forward:.2f}", f"{result.tokens_per_s:.0f}"
        mark = "best" if one.is_best else ""
        table.add_row(one.policy, one.label, f"{result.accuracy:.1%}", *numbers, mark)
    return table


def _has_counted(result: "SettingResult") -> bool:
    """True if not all tasks are memorised, so that there is an accuracy."""
    return not all(task.memorised for task in result.tasks)


def _of_policy(one: "PolicyResult") -> dict[str, Any]:
    return {"policy": one.policy, "given": one.given, "is_best": one.is_best}


def _to_dict(result: "SettingResult") -> dict[str, Any]:
    tasks = [asdict(task) | {"accuracy": task.accuracy} for task in result.tasks]
    derived = (
        "accuracy",
        "by_phrasing",
        "tokens_per_step",
        "tokens_per_forward",
        "rows_per_token",
        "tokens_per_s",
    )
    values = {name: getattr(result, name) for name in derived} | {"tasks": tasks}
    return asdict(result) | values | ({} if _has_counted(result) else {"accuracy": None})
