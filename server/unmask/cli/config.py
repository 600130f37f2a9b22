"""`unmask config`: resolved settings with their sources."""

from pathlib import Path
from typing import Annotated

import typer

from unmask.cli.checks import check_settings
from unmask.cli.flags import with_config
from unmask.settings import SECTIONS, Resolved, resolve


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
        check_settings(resolve(file=check, environment={}).config)
        typer.echo(f"{check} is valid")
        return
    typer.echo(resolved.to_toml(), nl=False)
