"""Flags of commands, made from the tables of settings and of sampling parameters."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any

import typer

from unmask.options import OPTIONS, Option
from unmask.parameter import Parameter
from unmask.sampling_params import PARAMETERS, SamplingParams
from unmask.settings import FILE_VARIABLE, resolve, to_toml
from unmask.value_types import ValueType

Command = Callable[..., None]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE",
        help=f"TOML file of settings (environment: {FILE_VARIABLE}).",
        rich_help_panel="Configuration",
    ),
]


SAMPLING = tuple(row for row in PARAMETERS.values() if row.has_flag)


def with_config(*sections: str) -> Callable[[Command], Command]:
    """Give a command a flag for each setting of some sections.

    The command is called with `resolved`, the merged configuration, in place of them all. If it has
    a flag `--check FILE`, that file alone is resolved.
    """
    options = [option for option in OPTIONS if option.section in sections]
    parameters = [_keyword("config", ConfigFile)]
    parameters += [_keyword(option.key, _flag_of(option)) for option in options]

    def collect(values: dict[str, Any]) -> dict[str, Any]:
        flags = {option.name: values.pop(option.key) for option in options}
        file = values.pop("config")
        if (alone := values.get("check")) is not None:
            return {"resolved": resolve(file=alone, environment={})}
        return {"resolved": resolve(flags, file=file)}

    return lambda command: _extend(command, parameters, "resolved", collect)


def with_sampling(command: Command) -> Command:
    """Give a command a flag for each sampling parameter; it is called with `sampling`."""
    parameters = [_keyword(row.name, _sampling_flag(row)) for row in SAMPLING]

    def collect(values: dict[str, Any]) -> dict[str, Any]:
        flags = {row.name: values.pop(row.name) for row in SAMPLING}
        flags = {name: value for name, value in flags.items() if value not in (None, [])}
        flags |= {name: tuple(v) for name, v in flags.items() if isinstance(v, list)}
        return {"sampling": SamplingParams(**flags)}

    return _extend(command, parameters, "sampling", collect)


def _keyword(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
    )


def _flag_of(option: Option) -> Any:
    flag, kind = option.flag, option.base.__name__.upper()
    default = "" if option.default in (None, ()) else f" (default: {to_toml(option.default)})"
    choices = f" One of {', '.join(option.choices)}." if option.choices else ""
    boolean = option.base is bool
    # Values stay text here, so that flags and variables are read by the same rules.
    annotation: Any = bool if boolean else list[str] if option.many else str
    info = typer.Option(
        f"{flag}/--no-{flag[2:]}" if boolean else flag,
        metavar=None if boolean else {"STR": "TEXT"}.get(kind, kind),
        help=option.meaning + choices + default.replace('"', ""),
        rich_help_panel=f"{option.section} (environment: UNMASK_{option.section.upper()}_...)",
        show_default=False,
    )
    return Annotated[annotation | None, info]


def _sampling_flag(row: Parameter) -> Any:
    kind = row.type
    choices = f" One of {', '.join(kind.choices)}." if kind.choices else ""
    parser = _number_or_word(kind) if kind.words else None
    annotation: Any = Any if parser else kind.base
    if kind.many:
        annotation = GenericAlias(list, kind.base)
    return Annotated[
        annotation | None,
        typer.Option(
            "--" + row.name.replace("_", "-"),
            help=row.meaning + choices,
            parser=parser,
            metavar=f"<{'|'.join((kind.base.__name__, *kind.words))}>" if parser else None,
            rich_help_panel="Sampling",
            show_default=False,
        ),
    ]


def _number_or_word(kind: ValueType) -> Callable[[str], Any]:
    """A parser that leaves all but numbers to `SamplingParams`, which refuses by name."""

    def parse(text: str) -> Any:
        return kind.base(text) if text.lstrip("-").isdecimal() else text

    return parse


def _extend(
    command: Command,
    parameters: list[inspect.Parameter],
    replaced: str,
    collect: Callable[[dict[str, Any]], dict[str, Any]],
) -> Command:
    """`command` with `parameters` in its signature in place of the one that `collect` makes."""

    @functools.wraps(command)
    def run(**values: Any) -> None:
        collected = collect(values)
        command(**values, **collected)

    signature = inspect.signature(command, eval_str=True)
    shown = [*(p for p in signature.parameters.values() if p.name != replaced), *parameters]
    shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in shown]
    del run.__wrapped__
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in shown} | {"return": None}
    return run
