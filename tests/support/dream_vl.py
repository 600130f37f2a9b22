"""The golden Dream-VL with its images and the answers of its reference."""

from tests.support.fast_dvlm import TAGS
from tests.support.fast_dvlm import TRAITS as TRAITS
from tests.support.golden_images import GoldenImages

MODEL = GoldenImages("dream_vl", TRAITS, TAGS, options={"max_model_len": 256})
