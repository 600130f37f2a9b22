"""The command `unmask`: which commands there are, and how their errors are told."""

import sys
from typing import Annotated

import typer

from unmask import __version__
from unmask.cli.bench import bench
from unmask.cli.chat import chat
from unmask.cli.config import config
from unmask.cli.eval import evaluate
from unmask.cli.generate import generate
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


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"unmask {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show it, end.")
    ] = False,
) -> None:
    """Serve diffusion language models, and try them out."""


def main() -> None:
    """Run the command line; what a user can put right is told in one line, with exit code 2."""
    try:
        app()
    except UnmaskError as error:
        typer.echo(f"unmask: {error}", err=True)
        sys.exit(2)
