"""Images of a Nemotron-Labs-Diffusion-VLM checkpoint, whose processor is code with constants."""

from collections.abc import Mapping
from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Lines
from unmask.images import ImageTraits
from unmask.models.family import RawConfig, TokenId
from unmask.models.vision.pixtral_config import read_pixtral_config
from unmask.models.vision.vision_config import refused

BEGIN, PAD, LINE_END, END = 18, 19, 20, 21
# Token ids in `image_processing.py` of the authors, which no configuration has.
TOKENS: Mapping[str, int] = {
    "<|image_start|>": BEGIN,
    "<|image_pad|>": PAD,
    "<|image_break|>": LINE_END,
    "<|image_end|>": END,
}
MAX_SIDE = 1400  # pixels, the authors' default


def read_line_traits(raw: RawConfig, _folder: Path, token_id: TokenId) -> ImageTraits | None:
    """The way that a checkpoint with the `config.json` `raw` takes images.

    None if it has no vision tower. Raises `InvalidCheckpoint` if that is not supported.
    """
    config = read_pixtral_config(raw)
    if config is None:
        return None
    for text, expected in TOKENS.items():
        if token_id(text) != expected:
            raise InvalidCheckpoint(
                f"{text} of the tokenizer is {token_id(text)}, but {expected} in the authors' code"
            )
    fit = Lines(config.unit_size, MAX_SIDE)
    longest, _ = fit.scaled(MAX_SIDE, 1)
    if longest > config.max_side:
        raise refused(
            f"image_size {config.max_side} is less than the {longest} pixels that images may have"
        )
    return ImageTraits(
        *(BEGIN, (BEGIN,), (END,), fit),
        sees_itself=False,
        part_type="image_url",  # as in the authors' messages
    )
