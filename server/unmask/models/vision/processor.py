"""Files of a checkpoint that say how images are processed, and tokens of images."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.config_values import Range, without_nulls
from unmask.models.family import RawConfig

# In this order, as transformers reads them; in the first, the processor of images has a field.
NESTED, PLAIN, FIELD = "processor_config.json", "preprocessor_config.json", "image_processor"
BICUBIC = 3  # Pillow's number
FACTOR = 1 / 255  # of colours of 8 bits
USUAL = ConfigFields(
    read=frozenset(("image_mean", "image_std", "rescale_factor")),
    harmless=frozenset(
        (
            *("data_format", "default_to_square", "device", "disable_grouping"),
            *("image_processor_type", "image_seq_length", "input_data_format", "pad_size"),
            *("processor_class", "return_tensors"),
        )
    ),
    accepted={
        "do_convert_rgb": (True,),
        "do_rescale": (True,),
        "do_resize": (True,),
        "resample": (BICUBIC,),
    },
)
"""Fields of processors that scale images."""
TOKENS = Range(0, 2**24)


class Processor(NamedTuple):
    """Fields of the processor of images, and the file that has them."""

    file: str
    fields: Mapping[str, Any]


def find_processor(folder: Path, defaults: Mapping[str, Any] | None = None) -> Processor | None:
    """The processor of a folder, with `defaults`, if it has one; raises `InvalidCheckpoint`."""
    file, fields = NESTED, read_json(folder / NESTED, optional=True).get(FIELD)
    if fields is None:
        file, fields = PLAIN, read_json(folder / PLAIN, optional=True) or None
    if fields is None:
        return None
    if not isinstance(fields, Mapping):
        raise InvalidCheckpoint(f"{file}: {FIELD} must be an object, got {fields!r:.60}")
    return Processor(file, {**(defaults or {}), **without_nulls(fields)})


def read_processor(folder: Path, defaults: Mapping[str, Any] | None = None) -> Processor:
    """The processor of a folder, with `defaults`; raises `InvalidCheckpoint`."""
    processor = find_processor(folder, defaults)
    if processor is None:
        raise InvalidCheckpoint(f"there is neither {PLAIN} nor a processor of images in {NESTED}")
    return processor


def check_processor(processor: Processor, known: ConfigFields, expected: Mapping[str, Any]) -> None:
    """Raise `InvalidCheckpoint` for a processor that scales, cuts or colours images in another way.

    Its fields must be `known`, and those of `expected` have these values; one number in place of a
    list is that of each colour. Colours of 8 bits are scaled by 1 / 255.
    """
    file, fields = processor
    check_fields(fields, known, file)
    factor = fields.get("rescale_factor") or FACTOR
    if not isinstance(factor, float) or not math.isclose(factor, FACTOR, rel_tol=1e-4):
        raise InvalidCheckpoint(f"{file}: rescale_factor must be 1 / 255, got {factor!r:.40}")
    for name, value in expected.items():
        given = fields.get(name)
        is_one = isinstance(value, list) and isinstance(given, int | float)
        if ([given] * len(value) if is_one else given) != value:
            raise InvalidCheckpoint(f"{file}: {name} must be {value}, got {given!r:.60}")


def token_of(raw: RawConfig, name: str, default: int | None = None) -> int:
    """A token id of a `config.json`, in the vocabulary; raises `InvalidCheckpoint`."""
    token_id: Any = raw.get(name, default)
    vocab_size = (raw.get("text_config") or raw)["vocab_size"]
    if not TOKENS.holds(token_id) or token_id >= vocab_size:
        raise InvalidCheckpoint(
            f"config.json: {name} {token_id!r:.40} is not in a vocabulary of {vocab_size}"
        )
    return int(token_id)
