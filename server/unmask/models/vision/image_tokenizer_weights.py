"""Tensors of an image tokenizer; a checkpoint that lacks one serves text alone."""

import logging

import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.family import RawConfig
from unmask.models.hub import IMAGE_TOKENIZER
from unmask.models.vision.fitting import Fitted, Shapes, fitted, leave_out
from unmask.models.vision.image_tokenizer import ImageTokenizer
from unmask.models.vision.image_tokenizer_config import (
    ImageTokenizerConfig,
    read_image_tokenizer_config,
)
from unmask.models.vision.image_tokenizer_traits import OFFSET
from unmask.models.vision.siglip import SiglipLayer
from unmask.models.vision.vision_config import NUM_COLOURS
from unmask.models.weights import Weights

TOWER, CODES = "model.visual.", "model.vqmodel."
LAYER = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")
UNREAD = f"{CODES}post_quant_conv."  # the way back to pixels
logger = logging.getLogger(__name__)


def take_image_tokenizer(
    raw: RawConfig, embedding: Tensor, weights: Weights
) -> ImageTokenizer | None:
    """The image tokenizer beside a checkpoint's `weights`, in their dtype.

    `embedding` [V, H] is the text model's. None if there is none, or if `weights` are read without
    images; None, with a logged reason, if files are missing or tensors do not fit the
    configuration. Tensors of other networks, such as GLM-Image's text model, are not read.
    """
    if weights.folder is None or not weights.with_images:
        return None
    config = read_image_tokenizer_config(weights.folder)
    if config is None:
        return None
    try:
        folder = weights.folder / IMAGE_TOKENIZER
        beside = Weights.from_folder(folder, weights.dtype, weights.device)
    except InvalidCheckpoint as error:
        logger.warning("images are not taken, as the image tokenizer is not read: %s", error)
        return None
    leave_out(beside, (UNREAD,))
    found = fitted(_shapes(config), beside, (TOWER, CODES))
    if found is None:
        return None
    offset = raw[OFFSET]
    tokens = embedding[offset : offset + config.num_codes]
    tower = _read(config, found, tokens)
    beside.close()
    return tower


def _shapes(config: ImageTokenizerConfig) -> Shapes:
    width, inner = config.hidden_size, config.intermediate_size
    size = [config.patch_size] * 2
    shapes: dict[str, tuple[int, ...]] = {
        f"{CODES}quant_conv.bias": (config.code_size,),
        f"{CODES}quant_conv.weight": (config.code_size, width, 1, 1),
        f"{CODES}quantize.embedding.weight": (config.num_codes, config.code_size),
        f"{TOWER}embeddings.position_embedding.weight": (config.side**2, width),
        f"{TOWER}patch_embed.proj.bias": (width,),
        f"{TOWER}patch_embed.proj.weight": (width, NUM_COLOURS, *size),
    }
    outputs = dict(zip(LAYER, (3 * width, width, inner, width), strict=True))
    inputs = dict(zip(LAYER, (width, width, width, inner), strict=True))
    for index in range(config.num_layers):
        layer = f"{TOWER}blocks.{index}."
        for norm in ("norm1", "norm2"):
            shapes |= {f"{layer}{norm}.{part}": (width,) for part in ("weight", "bias")}
        for name, count in outputs.items():
            shapes[f"{layer}{name}.weight"] = count, inputs[name]
            shapes[f"{layer}{name}.bias"] = (count,)
    return shapes


def _read(config: ImageTokenizerConfig, found: Fitted, tokens: Tensor) -> ImageTokenizer:
    """The image tokenizer of tensors that fit."""
    take, linear, eps = found.take, found.linear, config.layer_norm_eps

    def layer(index: int) -> SiglipLayer:
        prefix = f"{TOWER}blocks.{index}."
        qkv, out, up, down = (linear(prefix + name) for name in LAYER)
        return SiglipLayer(
            attention_norm=found.norm(f"{prefix}norm1", eps),
            qkv=qkv,
            out=out,
            mlp_norm=found.norm(f"{prefix}norm2", eps),
            up=up,
            down=down,
            num_heads=config.num_heads,
            gelu="none",
        )

    square = take(f"{TOWER}embeddings.position_embedding.weight").float()
    codes = take(f"{CODES}quantize.embedding.weight").float()
    return ImageTokenizer(
        config=config,
        patches=linear(f"{TOWER}patch_embed.proj"),
        positions=square.view(1, config.side, config.side, -1).permute(0, 3, 1, 2),
        layers=[layer(index) for index in range(config.num_layers)],
        projection=linear(f"{CODES}quant_conv"),
        codes=F.normalize(codes, dim=-1),
        embeddings=tokens,
    )
