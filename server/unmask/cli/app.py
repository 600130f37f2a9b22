"""The `unmask` command: its subcommands and their error messages."""

import os
import sys
from typing import Annotated

import typer

from unmask import __version__
from unmask.cli.bench import bench
from unmask.cli.chat import chat
from unmask.cli.config import config
from unmask.cli.eval import evaluate
from unmask.cli.generate import generate
from unmask.cli.key import key
from unmask.cli.models import models
from unmask.cli.serve import serve
from unmask.errors import UnmaskError

app = typer.Typer(
    name="unmask",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(generate)
app.command()(chat)
app.command("eval")(evaluate)
app.command()(bench)
app.command()(models)
app.command()(config)
app.add_typer(key, name="key")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unmask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Serve and try out diffusion language models."""


def main() -> None:
    """Run the command line; an `UnmaskError` prints one line and exits with code 2."""
    with open(os.devnull, encoding="utf-8") as nothing:
        sys.stdin = sys.stdin or nothing  # `<&-` closes it
        try:
            app()
        except UnmaskError as error:
            typer.echo(f"unmask: {error}", err=True)
            sys.exit(2)
