"""SDAR-VL: SDAR with images by LLaVA-OneVision's tower, whose class it is named after."""

from collections.abc import Mapping

from unmask.models import sdar
from unmask.models.config_fields import ConfigFields
from unmask.models.config_values import without_nulls
from unmask.models.decoder import Decoder
from unmask.models.family import Family, RawConfig, Traits
from unmask.models.vision.siglip_config import PACKING, RATIO, SHAPES, read_sizes
from unmask.models.vision.siglip_traits import read_tile_traits
from unmask.models.vision.siglip_weights import Names, take_siglip_tower
from unmask.models.vision.vision_config import NAME as VISION
from unmask.models.weights import Weights

MODEL_TYPE, TEXT, PREFIX = "sdar_v", "text_config", "language_model."
TOWER, PROJECTOR, NEWLINE = "vision_tower.vision_model.", "multi_modal_projector.", "image_newline"
NAMES = Names(
    tower=TOWER,
    projector=(f"{PROJECTOR}linear_1", f"{PROJECTOR}linear_2"),
    newline=NEWLINE,
    prefixes=("vision_tower.", PROJECTOR, NEWLINE),
    unread=(f"{TOWER}head.", f"{TOWER}post_layernorm."),
)
FIELDS = ConfigFields(
    # Fields of images that are not supported keep nobody from text; see `vision`.
    read=frozenset(
        (
            *("image_token_id", "image_token_index", "tie_word_embeddings"),
            *(VISION, RATIO, SHAPES, *PACKING),
        )
    ),
    # Videos are not supported; a text model's size is in its own configuration.
    harmless=frozenset(
        (
            *("hidden_size", "ignore_index", "image_seq_length", "video_token_id"),
            "video_token_index",
        )
    ),
    nested={TEXT: sdar.FIELDS},
)


def is_own(raw: RawConfig) -> bool:
    """True for SDAR's text model; others with the class are autoregressive."""
    text = raw.get(TEXT)
    if not isinstance(text, Mapping):
        return False
    has_blocks = text.get("model_type") == "sdar" or text.get("block_size") is not None
    return has_blocks or raw.get("model_type") == MODEL_TYPE


def traits(raw: RawConfig) -> Traits:
    """SDAR's, of the text model."""
    return sdar.traits(raw.get(TEXT) or {})


def build(raw: RawConfig, weights: Weights, num_positions: int) -> Decoder:
    """SDAR's decoder with a vision tower; raises `InvalidCheckpoint`."""
    text: RawConfig = {"tie_word_embeddings": raw.get("tie_word_embeddings")}
    text |= without_nulls(raw[TEXT])
    sizes = read_sizes(raw) if weights.with_images else None
    vision = take_siglip_tower(sizes, NAMES, text["hidden_size"], weights)
    # A prefix that all tensors have was left out when they were opened.
    prefix = PREFIX if any(name.startswith(PREFIX) for name in weights.names) else ""
    decoder = sdar.build(text, weights, num_positions, prefix=prefix)
    decoder.vision = vision
    return decoder


FAMILY = Family(
    "sdar-vl",
    ("LlavaOnevisionForConditionalGeneration",),
    traits,
    build,
    FIELDS,
    verified="rows of images to 1e-4, of transformers' LLaVA-OneVision, and tokens exactly, of a "
    "port of the authors' loop over them, on a tiny random checkpoint",
    model_types=(MODEL_TYPE,),
    images=read_tile_traits,
    is_own=is_own,
)
