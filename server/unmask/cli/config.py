"""`unmask config`: resolved settings with their sources."""

from pathlib import Path
from typing import Annotated

import typer

from unmask.cli.checks import check_files, check_server
from unmask.cli.flags import with_config
from unmask.errors import UnmaskError
from unmask.settings import SECTIONS, Resolved


@with_config(*SECTIONS)
def config(
    *,
    check: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Check a file alone, without variables and flags."),
    ] = None,
    resolved: Resolved,
) -> None:
    """Print the resolved settings as TOML, with the source of each."""
    if check is not None:
        found = resolved.config
        check_server(found.server)
        typer.echo(f"{check} is valid")
        try:
            check_files(found)
        except UnmaskError as error:  # it may be for another machine
            typer.echo(f"unmask: here it would not start: {error}", err=True)
        return
    typer.echo(resolved.to_toml(), nl=False)
