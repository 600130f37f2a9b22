"""The golden LLaDA-V with its images and the answers of its reference."""

from tests.support.golden_images import GoldenImages
from unmask.image_fits import Square, Tiles
from unmask.images import ImageTraits

# Special tokens of the tiny tokenizer, the last but the end and the mask.
TAGS = (
    *("<|startoftext|>", "<|endoftext|>", "<|start_header_id|>", "<|end_header_id|>"),
    *("<|eot_id|>", "<|reserved_token_0|>"),
)
BANNED, END, PLACEHOLDER = (504, 505, 506, 507), 508, 509
TILES = Tiles(
    *(20, 3, tuple((20 * down, 20 * across) for across in range(1, 5) for down in range(1, 5)), 4),
    is_rounded=False,
)
TRAITS = ImageTraits(
    *(PLACEHOLDER, (), (), TILES),
    sees_itself=False,
    fit_of_several=Square(20, 3, (127, 127, 127)),
)
MODEL = GoldenImages("llada_v", TRAITS, TAGS)
