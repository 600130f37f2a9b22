"""`vision_config` of a `config.json`, and colours of its pixels."""

from collections.abc import Mapping
from typing import Any

from unmask.errors import InvalidCheckpoint
from unmask.models.config_fields import CONFIG, ConfigFields, check_fields
from unmask.models.config_values import check_values, without_nulls
from unmask.models.family import RawConfig

NAME = "vision_config"
NUM_COLOURS = 3
LARGEST = 255.0  # value of a colour
MIDDLE = 0.5  # of the largest: mean and deviation of colours in SigLIP
# The same in CLIP, for each colour.
MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
TURNED = 4  # parts of a head that RoPE of patches has: two of rows, two of columns


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
    if raw.get(NAME) is None:
        return None
    if beside is not None:
        check_fields({name: raw.get(name) for name in beside}, ConfigFields(accepted=beside))
    return object_fields(raw, NAME, known, defaults)


def refused(reason: str) -> InvalidCheckpoint:
    """The error for a vision configuration; `reason` begins with a field of it."""
    return InvalidCheckpoint(f"{CONFIG}: {NAME}.{reason}")


def object_fields(
    raw: Mapping[str, Any],
    name: str,
    known: ConfigFields,
    defaults: Mapping[str, Any],
    file: str = CONFIG,
) -> dict[str, Any]:
    """Fields of an object in a file, with `defaults`.

    Raises `InvalidCheckpoint` for others than `known` ones, and for values out of range.
    """
    given = raw.get(name)
    if not isinstance(given, Mapping):
        raise InvalidCheckpoint(f"{file}: {name} must be an object, got {given!r:.60}")
    check_fields({name: given}, ConfigFields(nested={name: known}), file)
    fields = {**defaults, **without_nulls(given)}
    check_values(fields, f"{name}.", file)
    return fields
