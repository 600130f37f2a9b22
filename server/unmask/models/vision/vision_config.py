"""`vision_config` of a `config.json`, and colours of its pixels."""

from collections.abc import Mapping
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import check_values, without_nulls
from unmask.models.family import RawConfig

NAME = "vision_config"
NUM_COLOURS = 3
LARGEST = 255.0  # value of a colour
MIDDLE = 0.5  # of the largest: mean and deviation of colours in SigLIP


def vision_fields(
    raw: RawConfig,
    known: ConfigFields,
    defaults: Mapping[str, Any],
    beside: Mapping[str, tuple[Any, ...]] | None = None,
) -> dict[str, Any] | None:
    """Fields of the vision configuration, with `defaults`; None if a `config.json` has none.

    Fields of `beside` are those of the whole file, with their accepted values. Raises
    `InvalidCheckpoint` for others than `known` ones, and for values out of range.
    """
    vision, accepted = raw.get(NAME), beside or {}
    if vision is None:
        return None
    if not isinstance(vision, Mapping):
        raise InvalidCheckpoint(f"config.json: {NAME} must be an object, got {vision!r:.60}")
    given = {name: raw[name] for name in accepted if name in raw} | {NAME: vision}
    check_fields(given, ConfigFields(accepted=accepted, nested={NAME: known}))
    fields = {**defaults, **without_nulls(vision)}
    check_values(fields, f"{NAME}.")
    return fields
