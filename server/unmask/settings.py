"""Resolves the configuration: defaults, then a file, then the environment, then flags."""

import difflib
import json
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from unmask.config import Config
from unmask.errors import InvalidConfig
from unmask.options import OPTIONS, Option, Value

FILE_VARIABLE = "UNMASK_CONFIG"
NO_SETTINGS = (FILE_VARIABLE, "UNMASK_NATIVE")  # the latter is unmask_kernels.native.library's
OF_SERVICES = re.compile(
    r"UNMASK_(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_\w+)?)"
)
SECTIONS = tuple(section.name for section in fields(Config))


@dataclass(frozen=True, slots=True)
class Resolved:
    """The configuration, and the source of each value that is no default."""

    config: Config
    sources: Mapping[str, str]

    def get(self, option: Option) -> Value:
        """The value of a setting."""
        value: Value = getattr(getattr(self.config, option.section), option.key)
        return value

    def to_toml(self) -> str:
        """The whole tree as TOML that `resolve` reads back, secrets excepted."""
        lines: list[str] = []
        for option in OPTIONS:
            if f"[{option.section}]" not in lines:
                lines += [""] * bool(lines) + [f"[{option.section}]"]
            value = self.get(option)
            text = "" if value is None else to_toml(value)
            if option.secret and value is not None:
                text = '"(redacted)"'
            source = self.sources.get(option.name)
            line = f"{option.key} = {text}" if text else f"# {option.key} is unset"
            lines.append(line + (f"  # {source}" if source else ""))
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, dict[str, Value]]:
        """The tree as plain values, secrets redacted, for logs and results."""
        tree: dict[str, dict[str, Value]] = {section: {} for section in SECTIONS}
        for option in OPTIONS:
            value = self.get(option)
            shown = "(redacted)" if option.secret and value is not None else value
            tree[option.section][option.key] = shown
        return tree


def to_toml(value: Value) -> str:
    """One value as TOML writes it."""
    if isinstance(value, tuple):
        return "[" + ", ".join(to_toml(item) for item in value) + "]"
    # What JSON makes of strings, numbers and booleans is TOML too.
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def resolve(
    flags: Mapping[str, str | list[str] | bool | None] | None = None,
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Resolved:
    """Merge every source into one tree; raises `InvalidConfig`.

    `flags` go by the names of settings (`server.port`); None is a flag that was not given. Without
    `file`, the variable UNMASK_CONFIG may name one. `environment` is the process's by default.
    """
    environment = os.environ if environment is None else environment
    if file is None and environment.get(FILE_VARIABLE):
        file = Path(environment[FILE_VARIABLE])
    sourced: dict[str, tuple[Value, str]] = {}
    if file is not None:
        sourced |= _read_file(file)
    sourced |= _read_environment(environment)
    sourced |= _read_flags(flags or {})
    values: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for option in OPTIONS:
        if option.name in sourced:
            values[option.section][option.key] = sourced[option.name][0]
    base = Config()
    trees = {name: replace(getattr(base, name), **values[name]) for name in SECTIONS}
    return Resolved(Config(**trees), {name: source for name, (_, source) in sourced.items()})


def _read_file(file: Path) -> dict[str, tuple[Value, str]]:
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidConfig(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise InvalidConfig(f"{file} is not TOML: {error}") from error
    options = {option.name: option for option in OPTIONS}
    sourced: dict[str, tuple[Value, str]] = {}
    for section, table in content.items():
        if section not in SECTIONS:
            keys = [o.name for o in OPTIONS if o.key == section]
            raise InvalidConfig(f"{file}: {_unknown(section, SECTIONS, keys)}")
        if not isinstance(table, dict):
            raise InvalidConfig(f"{file}: {section} must be a table, got {table!r}")
        for key, value in table.items():
            name = f"{section}.{key}"
            if name not in options:
                raise InvalidConfig(f"{file}: {_unknown(name, options)}")
            try:
                sourced[name] = options[name].check(value), str(file)
            except InvalidConfig as error:
                raise InvalidConfig(f"{file}: {name} {error}") from None
    return sourced


def _read_environment(environment: Mapping[str, str]) -> dict[str, tuple[Value, str]]:
    options = {option.variable: option for option in OPTIONS}
    sourced: dict[str, tuple[Value, str]] = {}
    for variable, text in environment.items():
        if not variable.startswith("UNMASK_") or variable in NO_SETTINGS:
            continue
        if _is_from_kubernetes(variable, text):
            continue
        if variable in options:
            sourced |= _parse(options[variable], text, variable)
        else:
            raise InvalidConfig(f"environment: {_unknown(variable, options)}")
    return sourced


def _is_from_kubernetes(variable: str, text: str) -> bool:
    """True for variables that Kubernetes sets in every pod beside services called unmask..."""
    is_address = variable.endswith("_PORT") and text.startswith(("tcp://", "udp://", "sctp://"))
    return is_address or OF_SERVICES.fullmatch(variable) is not None


def _read_flags(
    flags: Mapping[str, str | list[str] | bool | None],
) -> dict[str, tuple[Value, str]]:
    options = {option.name: option for option in OPTIONS}
    sourced: dict[str, tuple[Value, str]] = {}
    for name, value in flags.items():
        if value is None or value == []:
            continue
        option = options[name]
        text = ",".join(value) if isinstance(value, list) else str(value)
        sourced |= _parse(option, text, option.flag)
    return sourced


def _parse(option: Option, text: str, source: str) -> dict[str, tuple[Value, str]]:
    try:
        return {option.name: (option.parse(text), source)}
    except InvalidConfig as error:
        raise InvalidConfig(f"{source} {error}") from None


def _unknown(name: str, known: Iterable[str], better: Iterable[str] = ()) -> str:
    close = [*better, *difflib.get_close_matches(name, known, n=1, cutoff=0.0)]
    return f"{name} is not a setting; the nearest is {close[0]}"
