"""Flags made from the types they fill: settings of the configuration, sampling of a request."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from unmask.options import OPTIONS, Option
from unmask.settings import FILE_VARIABLE, resolve, to_toml
from unmask.types import POLICY_NAMES, SamplingParams

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


def _block_length(text: str) -> int | str:
    """A number, or auto; whatever else, `SamplingParams` refuses by name."""
    return int(text) if text.lstrip("-").isdecimal() else text


SAMPLING: tuple[tuple[str, Any, str], ...] = (
    ("max_tokens", int, "Longest answer, in tokens; as long as the context allows if unset."),
    ("temperature", float, "Temperature; 0 is greedy."),
    ("top_p", float, "Sample from the likeliest tokens of this total probability."),
    ("top_k", int, "Sample from this many of the likeliest tokens."),
    ("seed", int, "Seed of the random numbers."),
    ("stop", list[str], "Text to stop before; may be repeated."),
    ("ignore_eos", bool, "Go on after an end-of-sequence token."),
    ("policy", str, "Which positions to fill: " + ", ".join(POLICY_NAMES) + "."),
    ("threshold", float, "Confidence that the policy 'threshold' asks for."),
    ("factor", float, "Factor of the policy 'factor'."),
    ("entropy_bound", float, "Entropy in nats of the policy 'entropy_bound'."),
    ("steps", int, "Denoising steps that a block may take."),
    ("block_length", _block_length, "Positions denoised together; auto takes fewer under load."),
    ("cache", str, "Keys kept within a block: none, block, or with full attention prefix, dual."),
    ("editing_threshold", float, "Confidence that replaces a token, in models trained for it."),
    ("sub_block_length", int, "Positions of a block that are filled before the next ones."),
    ("eos_last", bool, "Fill positions that would end the answer after all others."),
    ("cfg_scale", float, "Classifier-free guidance, with full attention; 0 is off."),
)


def with_config(*sections: str) -> Callable[[Command], Command]:
    """Give a command a flag for each setting of some sections.

    The command is called with `resolved`, the merged configuration, in place of them all.
    """
    options = [option for option in OPTIONS if option.section in sections]
    parameters = [_keyword("config", ConfigFile)]
    parameters += [_keyword(option.key, _flag_of(option)) for option in options]

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        flags = {option.name: given.pop(option.key) for option in options}
        return {"resolved": resolve(flags, file=given.pop("config"))}

    return lambda command: _extend(command, parameters, "resolved", collect)


def with_sampling(command: Command) -> Command:
    """Give a command a flag for each sampling parameter; it is called with `sampling`."""
    parameters = [_keyword(name, _sampling_flag(name, kind, text)) for name, kind, text in SAMPLING]

    def collect(given: dict[str, Any]) -> dict[str, Any]:
        values = {name: given.pop(name) for name, _, _ in SAMPLING}
        values["stop"] = tuple(values["stop"] or ())
        values = {name: value for name, value in values.items() if value is not None}
        return {"sampling": SamplingParams(**values)}

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


def _sampling_flag(name: str, kind: Any, text: str) -> Any:
    flag = "--" + name.replace("_", "-")
    parser = kind if inspect.isfunction(kind) else None
    return Annotated[
        Any if parser else kind | None,
        typer.Option(
            flag,
            help=text,
            parser=parser,
            metavar="<int|auto>" if parser else None,
            rich_help_panel="Sampling",
            show_default=False,
        ),
    ]


def _extend(
    command: Command,
    parameters: list[inspect.Parameter],
    replaced: str,
    collect: Callable[[dict[str, Any]], dict[str, Any]],
) -> Command:
    """`command` with `parameters` in its signature in place of the one that `collect` makes."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        made = collect(given)
        command(**given, **made)

    own = inspect.signature(command, eval_str=True).parameters.values()
    shown = [*(p for p in own if p.name != replaced), *parameters]
    shown = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in shown]
    del run.__wrapped__
    run.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in shown} | {"return": None}
    return run
