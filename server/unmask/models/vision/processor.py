"""Files of a checkpoint that say how images are processed, and tokens of images."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models.config_values import Range
from unmask.models.family import RawConfig

# In this order, as transformers reads them; in the first, the processor of images has a field.
NESTED, PLAIN, FIELD = "processor_config.json", "preprocessor_config.json", "image_processor"
BICUBIC = 3  # Pillow's number
FACTOR = 1 / 255  # of colours of 8 bits
TOKENS = Range(0, 2**24)


class Processor(NamedTuple):
    """Fields of the processor of images, and the file that has them."""

    file: str
    fields: Mapping[str, Any]


def read_processor(folder: Path) -> Processor | None:
    """The processor of a folder, if it has one; raises `InvalidCheckpoint`."""
    nested = read_json(folder / NESTED, optional=True).get(FIELD)
    if nested is not None:
        if not isinstance(nested, Mapping):
            raise InvalidCheckpoint(f"{NESTED}: {FIELD} must be an object, got {nested!r:.60}")
        return Processor(NESTED, nested)
    plain = read_json(folder / PLAIN, optional=True)
    return Processor(PLAIN, plain) if plain else None


def check_factor(processor: Processor) -> None:
    """Raise `InvalidCheckpoint` where colours are scaled by another factor than 1 / 255."""
    factor = processor.fields.get("rescale_factor") or FACTOR
    if not isinstance(factor, float) or not math.isclose(factor, FACTOR, rel_tol=1e-4):
        raise InvalidCheckpoint(
            f"{processor.file}: rescale_factor must be 1 / 255, got {factor!r:.40}"
        )


def token_of(raw: RawConfig, name: str, default: int | None = None) -> int:
    """A token id of a `config.json`, in the vocabulary; raises `InvalidCheckpoint`."""
    token_id: Any = raw.get(name, default)
    vocab_size = raw["text_config"]["vocab_size"]
    if not TOKENS.holds(token_id) or token_id >= vocab_size:
        raise InvalidCheckpoint(
            f"config.json: {name} {token_id!r:.40} is not in a vocabulary of {vocab_size}"
        )
    return int(token_id)
