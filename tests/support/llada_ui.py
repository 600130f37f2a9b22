"""The golden LLaDA-UI with its images and the answers of its reference."""

from tests.support.golden_images import GoldenImages
from tests.support.tiny import MASK_ID
from unmask.image_fits import Units
from unmask.images import ImageTraits

TRAITS = ImageTraits(505, (), (), Units(8, 256, 2048), sees_itself=False)
# The third is the token of images.
TAGS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|role_end|>")
TAGS += ("<role>", "</role>")
MODEL = GoldenImages("llada_ui", TRAITS, TAGS, options={"mask_token_id": MASK_ID})
