"""Refusing what a `config.json` asks for and a family does not do."""

from collections.abc import Mapping
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.family import RawConfig

Accepted = Mapping[str, tuple[Any, ...]]


def check_fields(raw: RawConfig, accepted: Accepted) -> None:
    """Raise `InvalidCheckpoint` that names every field with a value that is not accepted.

    A field that is not there has the meaning that its family gives it.
    """
    refused = [
        f"{name}: {raw[name]!r}"
        for name, values in accepted.items()
        if name in raw and raw[name] not in values
    ]
    if refused:
        raise InvalidCheckpoint(f"config.json asks for what is not supported: {', '.join(refused)}")
