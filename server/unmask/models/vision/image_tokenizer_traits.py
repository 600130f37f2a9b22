"""Images of a LLaDA2.0-Uni checkpoint: its configuration and the files of its image tokenizer."""

from pathlib import Path

from unmask.errors import InvalidCheckpoint
from unmask.image_fits import Patches
from unmask.images import ImageTraits, SizeTokens
from unmask.models.config_fields import ConfigFields
from unmask.models.family import RawConfig, TokenId
from unmask.models.hub import IMAGE_TOKENIZER
from unmask.models.vision.image_tokenizer_config import read_image_tokenizer_config
from unmask.models.vision.processor import PLAIN, check_processor, find_processor
from unmask.models.vision.siglip_config import COLOURS

OFFSET = "image_token_offset"  # the token of the first code, behind those of text
# Tokens of the published tokenizer; heights and widths are told by those of a number.
BEGIN, SIZES_END, END, NUMBER = "<|image|>", "<boi>", "<|/image|>", "<|reserved_token_{}|>"
MAX_NUMBER = 2048
# Of the authors' `smart_resize_images`: no file of a checkpoint has them.
UNIT = 32  # pixels
MIN_PIXELS, MAX_PIXELS, MAX_PIXELS_OF_SEVERAL = 128**2, 800**2, 448**2
PROCESSOR = ConfigFields(
    read=frozenset(("image_mean", "image_std", "patch_size", "rescale_factor")),
    # GLM-Image's own resize, which the authors' code never does, and fields of transformers.
    harmless=frozenset(
        (
            *("data_format", "default_to_square", "device", "disable_grouping", "do_resize"),
            *("image_processor_type", "image_seq_length", "input_data_format", "max_pixels"),
            *("min_pixels", "processor_class", "resample", "return_tensors", "size"),
        )
    ),
    accepted={
        "do_convert_rgb": (True,),
        "do_normalize": (True,),
        "do_rescale": (True,),
        "merge_size": (1,),
        "temporal_patch_size": (1,),
    },
)


def read_patch_traits(raw: RawConfig, folder: Path, token_id: TokenId) -> ImageTraits | None:
    """The way that the checkpoint in a folder, with the `config.json` `raw`, takes images.

    None if it has no image tokenizer. Raises `InvalidCheckpoint` if that is not supported.
    """
    config = read_image_tokenizer_config(folder)
    if config is None:
        return None
    if raw[OFFSET] + config.num_codes > raw["vocab_size"]:
        raise InvalidCheckpoint(
            f"{config.num_codes} tokens of images behind {OFFSET} {raw[OFFSET]} are more than the "
            f"vocabulary of {raw['vocab_size']} has"
        )
    patch = config.patch_size
    if UNIT % patch:
        raise InvalidCheckpoint(
            f"{IMAGE_TOKENIZER}: patches of {patch} pixels do not divide {UNIT}"
        )
    processor = find_processor(folder / IMAGE_TOKENIZER)
    if processor is None:
        raise InvalidCheckpoint(f"there is no {IMAGE_TOKENIZER}/{PLAIN}")
    named = processor._replace(file=f"{IMAGE_TOKENIZER}/{processor.file}")
    check_processor(named, PROCESSOR, {**COLOURS, "patch_size": patch})
    numbers = {number: token_id(NUMBER.format(number)) for number in range(1, MAX_NUMBER)}
    by_number = {number: found for number, found in numbers.items() if found is not None}
    begin, sizes_end, end = (token_id(text) for text in (BEGIN, SIZES_END, END))
    if begin is None or sizes_end is None or end is None or not by_number:
        raise InvalidCheckpoint(f"the tokenizer lacks one of {BEGIN} {NUMBER} {SIZES_END} {END}")
    return ImageTraits(
        begin,
        before=(begin,),
        behind=(end,),
        fit=Patches(patch, UNIT, MIN_PIXELS, MAX_PIXELS),
        sees_itself=False,
        size_tokens=SizeTokens(by_number, patch, sizes_end),
        fit_of_several=Patches(patch, UNIT, MIN_PIXELS, MAX_PIXELS_OF_SEVERAL),
    )
