"""Writes docs/reference/configuration.md, cli.md and the tables of models.md.

`python -m tools.reference` takes them from settings, flags, families and the census; a test
compares them.
"""

import re
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import typer

from unmask.cli.app import app
from unmask.models.registry import describe_census, describe_families
from unmask.options import OPTIONS, Option
from unmask.settings import FILE_VARIABLE, SECTIONS, to_toml

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
NOTE = "<!-- Written by `python -m tools.reference`; do not edit. -->"
SAMPLING = "Sampling"  # panel of the flags that are the same in every command

CONFIGURATION = f"""# Configuration

{NOTE}

Every setting has a name in a TOML file, an environment variable and a flag of `unmask serve`.
A flag wins over a variable, a variable over the file, and the file over the default.
Name the file with `--config FILE` or `{FILE_VARIABLE}=FILE`.

```toml
[server]
port = 9000
```

- `unmask config` prints the settings as they are resolved, and the source of each.
- `unmask config --check FILE` checks a file. An unknown name or a wrong value is an error.
- Lists are separated by commas in a variable; a flag is repeated.
- Flags of switches have a negative: `--no-prefix-cache`.
- `unmask generate`, `chat` and `eval` have the flags of `[model]` and `[engine]`.

[configs/default.toml](../../configs/default.toml) has all settings with their defaults. The other
files in `configs/` are examples for a CPU, a GPU, and several checkpoints.
"""

CLI = f"""# Command line

{NOTE}

`unmask COMMAND --help` prints the same. A mistake of yours ends a command with exit code 2 and
says on stderr what is wrong.
"""


def configuration() -> str:
    """The page of settings, a table for each section."""
    tables = [
        f"## [{section}]\n\n"
        + _table(
            ("setting, flag, variable", "value", "default", "meaning"),
            (_setting(option) for option in OPTIONS if option.section == section),
        )
        for section in SECTIONS
    ]
    return "\n".join([CONFIGURATION, *tables])


def _setting(option: Option) -> tuple[str, ...]:
    flag = f"{option.flag}, --no-{option.flag[2:]}" if option.base is bool else option.flag
    default = "unset" if option.default is None else f"`{to_toml(option.default)}`"
    value = option.expected + (" (secret)" if option.secret else "")
    names = f"`{option.key}`<br>`{flag}`<br>`{option.variable}`"
    return names, value, default, option.meaning


def cli() -> str:
    """The page of commands, and of the flags that are no settings."""
    by_name = dict(commands(typer.main.get_command(app)))
    parts = [CLI, _table(("command", "use"), _links(by_name))]
    for name, command in by_name.items():
        parts.append(f"## unmask {name}\n\n{command.help}\n")
        panels = {panel for p in command.params if (panel := _panel(p))}
        plain = [p for p in command.params if _panel(p) is None and p.name != "help"]
        if plain:
            parts.append(_table(("argument", "default", "meaning"), map(_flag, plain)))
        if sections := [s for s in SECTIONS if any(p.startswith(f"{s} ") for p in panels)]:
            links = ", ".join(f"[`[{s}]`](configuration.md#{s})" for s in sections)
            sentence = f"It takes `--config FILE` and the flags of these settings: {links}."
            parts.append(textwrap.fill(sentence, 100, break_on_hyphens=False) + "\n")
        if SAMPLING in panels:
            parts.append("It takes [sampling flags](#sampling-flags).\n")
    sampling = {p.name: p for c in by_name.values() for p in c.params if _panel(p) == SAMPLING}
    parts.append("## Sampling flags\n")
    parts.append(_table(("argument", "default", "meaning"), map(_flag, sampling.values())))
    return "\n".join(parts)


def models() -> str:
    """The page of models, whose text is kept and whose two tables are written."""
    page = (FOLDER / "models.md").read_text(encoding="utf-8")
    tables = {table.partition("\n")[0]: table for table in (_families(), _census())}
    heads = "|".join(map(re.escape, tables))
    found = re.compile(rf"^({heads})\n(\|.*\n)+", re.MULTILINE)
    return found.sub(lambda match: tables[match[1]], page)


def _families() -> str:
    head = ("family", "architectures", "attention", "verified")
    rows = (
        (row.name, _names(row.architectures), row.attention, row.verified)
        for row in describe_families()
    )
    return _table(head, rows)


def _census() -> str:
    head = ("checkpoints", "architectures", "answer", "limits, or the reason")
    rows = (
        (
            row.name,
            _names(row.architectures),
            "refused" if row.family is None else f"served by {row.family}",
            row.note or "-",
        )
        for row in describe_census()
    )
    return _table(head, rows)


def _names(architectures: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in architectures) or "-"


def commands(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Commands of a group, those of its groups included, by name."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{prefix}{name} ")
        else:
            yield prefix + name, command


def _panel(parameter: Any) -> str | None:
    panel: str | None = getattr(parameter, "rich_help_panel", None)
    return panel


def _links(commands: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    for name, command in commands.items():
        yield f"[`unmask {name}`](#unmask-{name.replace(' ', '-')})", command.help


def _flag(parameter: Any) -> tuple[str, ...]:
    is_argument = parameter.param_type_name == "argument"
    names = parameter.name.upper() if is_argument else ", ".join(parameter.opts)
    names += "".join(f", {name}" for name in parameter.secondary_opts)
    shown = parameter.default not in (None, "", (), []) and parameter.default is not False
    return f"`{names}`", f"`{parameter.default}`" if shown else "", parameter.help


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(t.replace("|", "\\|") for t in row) + " |\n" for row in cells)


PAGES = {"configuration.md": configuration, "cli.md": cli, "models.md": models}


def main() -> None:
    for name, text in PAGES.items():
        (FOLDER / name).write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
