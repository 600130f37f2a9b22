"""Nemotron-Labs-Diffusion-VLM (8B): Nemotron's three modes with images by Pixtral's tower.

Rows of images are in the causal prefix, as text is, with positions that count on.
"""

from unmask.models import nemotron
from unmask.models.config_fields import ConfigFields
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.vision.pixtral import PixtralLines
from unmask.models.vision.pixtral_config import BESIDE, MERGE, read_pixtral_config
from unmask.models.vision.pixtral_traits import LINE_END, PAD, read_line_traits
from unmask.models.vision.pixtral_weights import take_pixtral_tower
from unmask.models.vision.vision_config import NAME as VISION
from unmask.models.weights import Weights

FIELDS = nemotron.FIELDS.joined(
    ConfigFields(
        # Fields of images that are not supported keep nobody from text; see `vision`.
        read=frozenset((*BESIDE, MERGE, VISION)),
        # A constant of the authors' class, whatever a configuration says.
        accepted={"image_token_id": (PAD,), "image_token_index": (PAD,)},
    )
)


def traits(raw: RawConfig) -> Traits:
    """Nemotron's."""
    return nemotron.traits(raw)


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """Nemotron's decoder with a vision tower; raises `InvalidCheckpoint`."""
    config = read_pixtral_config(raw) if weights.with_images else None
    tower = take_pixtral_tower(config, weights)
    decoder = nemotron.build(raw, weights, num_positions)
    if tower is not None:
        decoder.vision = PixtralLines(tower, decoder.embedding[LINE_END])
    return decoder


FAMILY = Family(
    "nemotron-vlm",
    ("NemotronLabsDiffusionVLMModel",),
    traits,
    build,
    FIELDS,
    verified="rows of images to 1e-4, of transformers' Pixtral and Mistral 3, and tokens exactly, "
    "of ports of the authors' loops over them and Ministral 3, on a tiny checkpoint",
    model_types=("nemotron_labs_diffusion_vlm",),
    block_field="block_size",
    images=read_line_traits,
)
