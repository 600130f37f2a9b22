"""`unmask models`: table of the supported model families."""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from rich.table import Table

from unmask.cli.output import out


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the supported model families and how each was verified."""
    from unmask.models.registry import describe_families

    families = describe_families()
    if as_json:
        typer.echo(json.dumps([asdict(family) for family in families], indent=2))
        return
    table = Table("family", "architectures", "attention", "verified", show_lines=True)
    for family in families:
        names = "\n".join(family.architectures)
        table.add_row(family.name, names, family.attention, family.verified)
    out.print(table)
