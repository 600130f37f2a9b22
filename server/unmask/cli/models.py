"""`unmask models`: tables of the model families, and of published checkpoints."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from unmask.cli.output import out

if TYPE_CHECKING:
    from unmask.models.registry import FamilyInfo


def models(
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    census: Annotated[
        bool, typer.Option("--census", help="List published checkpoints only.")
    ] = False,
) -> None:
    """List families and published checkpoints: served and how verified, or refused and why."""
    from unmask.models.registry import describe_census, describe_families

    families, rows = describe_families(), describe_census()
    if as_json:
        listed = [asdict(row) for row in rows] if census else [asdict(row) for row in families]
        typer.echo(json.dumps(listed, indent=2))
        return
    if not census:
        _print_families(families)
    table = _table("checkpoints", "architectures", "answer", "verified, or limits and reasons")
    for row in rows:
        answer = "refused" if row.family is None else f"served by {row.family}"
        parts = [part for part in (row.verified, row.note) if part]
        table.add_row(row.name, "\n".join(row.architectures), answer, "; ".join(parts))
    out.print(table)


def _print_families(families: "list[FamilyInfo]") -> None:
    table = _table("family", "architectures", "attention", "verified")
    for family in families:
        names = "\n".join(family.architectures)
        table.add_row(family.name, names, family.attention, family.verified)
    out.print(table)


def _table(*headers: str) -> Table:
    """A table whose names are whole on any terminal."""
    return Table(*(Column(header, overflow="fold") for header in headers), show_lines=True)
