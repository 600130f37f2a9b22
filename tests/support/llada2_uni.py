"""A tiny LLaDA2.0-Uni: the golden LLaDA2 with tokens of images, and a random image tokenizer."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import GlmImageVisionConfig, GlmImageVisionModel, GlmImageVQVAE
from transformers.models.glm_image.configuration_glm_image import GlmImageVQVAEConfig

from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model

NUM_CODES, PATCH = 48, 16
NUMBERS = range(1, 41)  # of patches that the tokenizer has tokens for
TAGS = ("<|image|>", "<boi>", "<|/image|>", *(f"<|reserved_token_{n}|>" for n in NUMBERS))
TAGS += ("<role>SYSTEM</role>", "<role>HUMAN</role>", "<role>ASSISTANT</role>")
BEGIN, SIZES_END, END = byte_tokenizer(tags=TAGS).convert_tokens_to_ids(list(TAGS[:3]))
VISION: dict[str, Any] = {
    "depth": 2,
    "hidden_act": "gelu",
    "hidden_size": 24,
    "image_size": 5 * PATCH,
    "intermediate_size": 40,
    "model_type": "glm_image_vision",
    "num_heads": 2,
    "patch_size": PATCH,
}
CODES = {"embed_dim": 12, "latent_channels": 24, "num_embeddings": NUM_CODES}
PROCESSOR: dict[str, Any] = {
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": False,
    "image_mean": [0.5] * 3,
    "image_processor_type": "GlmImageImageProcessor",
    "image_std": [0.5] * 3,
    "max_pixels": 4194304,
    "merge_size": 1,
    "min_pixels": 262144,
    "patch_size": PATCH,
    "resample": 3,
    "rescale_factor": 1 / 255,
    "temporal_patch_size": 1,
}


def raw_config(**changes: Any) -> dict[str, Any]:
    """The golden configuration with tokens of images, and with changed fields."""
    raw: dict[str, Any] = json.loads((GOLDEN / "llada2" / "config.json").read_text())
    return {
        **raw,
        "image_token_offset": VOCAB_SIZE,
        "vocab_size": VOCAB_SIZE + NUM_CODES,
        **changes,
    }


def text_tensors() -> dict[str, Tensor]:
    """The golden weights with random embeddings of images, which the LM head does not predict."""
    tensors = load_file(GOLDEN / "llada2" / "model.safetensors")
    embedding, head = "model.word_embeddings.weight", "lm_head.weight"
    generator = torch.Generator().manual_seed(3)
    width = tensors[embedding].shape[1]
    drawn = torch.randn(NUM_CODES, width, generator=generator) * tensors[embedding].std()
    tensors[embedding] = torch.cat((tensors[embedding], drawn))
    tensors[head] = torch.cat((tensors[head], torch.zeros(NUM_CODES, width)))
    return tensors


@torch.no_grad()
def make_tokenizer() -> tuple[GlmImageVisionModel, GlmImageVQVAE]:
    """transformers' tower and codes with random weights."""
    generator = torch.Generator().manual_seed(5)
    tower = GlmImageVisionModel(GlmImageVisionConfig(**VISION)).eval()
    codes = GlmImageVQVAE(GlmImageVQVAEConfig(**CODES)).eval()
    for model in (tower, codes):
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if "norm" in name:
                weight.copy_((0.0 if name.endswith("bias") else 1.0) + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.1 * noise)
            elif "embedding" in name:
                weight.copy_(0.5 * noise)
            else:  # patches differ by less than pixels do
                scale = 6.0 if "patch_embed" in name else 1.5
                weight.copy_(noise * scale * weight[0].numel() ** -0.5)
    return tower, codes


def tokenizer_tensors() -> dict[str, Tensor]:
    """Tensors of the image tokenizer by the published names."""
    tower, codes = make_tokenizer()
    named = {f"model.visual.{name}": tensor for name, tensor in tower.state_dict().items()}
    return named | {f"model.vqmodel.{name}": tensor for name, tensor in codes.state_dict().items()}


@torch.no_grad()
def codes_of(pixels: Tensor) -> list[int]:
    """The codes of transformers for an image [H, W, 3] in uint8 of whole patches."""
    tower, codes = make_tokenizer()
    rows, columns = pixels.shape[0] // PATCH, pixels.shape[1] // PATCH
    values = (pixels.float() / 255 - 0.5) / 0.5
    patches = values.view(rows, PATCH, columns, PATCH, 3).permute(0, 2, 4, 1, 3).reshape(-1, 768)
    features = tower(patches, grid_thw=torch.tensor([[1, rows, columns]])).last_hidden_state
    found = codes.encode(features.view(1, rows, columns, -1).permute(0, 3, 1, 2)).image_tokens
    return found.flatten().tolist()


def write(
    folder: Path,
    *,
    raw: dict[str, Any] | None = None,
    tensors: dict[str, Tensor] | None = None,
    vision: dict[str, Any] | None = None,
    processor: dict[str, Any] | None = None,
) -> Path:
    """A checkpoint in a folder, with changed fields of its files."""
    beside = folder / "image_tokenizer"
    beside.mkdir()
    (folder / "config.json").write_text(json.dumps(raw or raw_config()))
    save_file(text_tensors(), folder / "model.safetensors")
    save_file(tensors or tokenizer_tensors(), beside / "image_tokenizer.safetensors")
    files = {
        "config.json": {"vision_config": VISION | (vision or {}), "vq_config": CODES},
        "preprocessor_config.json": PROCESSOR | (processor or {}),
    }
    for name, content in files.items():
        (beside / name).write_text(json.dumps(content))
    byte_tokenizer(tags=TAGS).save_pretrained(folder)
    return folder


def load(folder: Path, **config: Any) -> LoadedModel:
    """The checkpoint in a folder, in float32 on a CPU by default."""
    options = {"dtype": "float32", "device": "cpu", "mask_token_id": MASK_ID} | config
    return load_model(ModelConfig(str(folder), **options), DecodingConfig())
