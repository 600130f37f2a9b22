"""The golden Fast-dVLM with its images and the answers of its reference."""

from tests.support.golden_images import GoldenImages
from tests.support.tiny import MASK_ID
from unmask.image_fits import Units
from unmask.images import ImageTraits

TRAITS = ImageTraits(502, (), (), Units(8, 256, 2048), sees_itself=False, has_grid=True)
# The third is the token of images, and all are before the end and the mask.
TAGS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>", "<|im_start|>")
TAGS += ("<|im_end|>", *(f"<|tag {i}|>" for i in range(4)))
MODEL = GoldenImages("fast_dvlm", TRAITS, TAGS, options={"mask_token_id": MASK_ID})
