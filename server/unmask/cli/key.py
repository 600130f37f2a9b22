"""`unmask key`: keys for the file of `server.api_key_file`."""

from typing import Annotated

import typer

key = typer.Typer(no_args_is_help=True, help="Make API keys for `server.api_key_file`.")


@key.callback()
def _group() -> None:
    """Make API keys for `server.api_key_file`."""


@key.command()
def new(
    name: Annotated[str, typer.Argument(help="Name of the client, as the log tells it.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Right of the key: inference, metrics or admin (default: inference)."),
    ] = None,
) -> None:
    """Print a new key on stderr, and on stdout its entry, which has the digest only."""
    from unmask.api.key_file import entry, new_secret

    secret = new_secret()
    text = entry(name, secret, scope or ["inference"])
    typer.echo(f"The key of {name}, which is shown this once: {secret}", err=True)
    typer.echo(text)
