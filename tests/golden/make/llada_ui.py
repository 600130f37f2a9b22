"""Makes tests/golden/llada_ui with transformers' Qwen2.5-VL tower, on a CPU.

`python -m tests.golden.make.llada_ui`, from the root of this repository, with transformers 5.23.

Rows of images are of `Qwen2_5_VisionTransformerPretrainedModel`, and pixels of Qwen2-VL's image
processor that uses Pillow. The text model is the second implementation of LLaDA2 in
`tests.support.moe_reference`, with rows of images in the place of embeddings and the plain index as
position. The loop is a port of `generate_bd` of github.com/inclusionAI/LLaDA-UI, which is SDAR's in
blocks of 32. Names of tensors and of fields are those of the authors' code.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.golden.make.images import Layout, draw_image, make_block_case, spread, write_golden
from tests.golden.make.relatives import Reference
from tests.support.checkpoints import draw_weights
from tests.support.moe_reference import Weights, llada2, llada2_shapes
from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = GOLDEN / "llada_ui"
IMAGE = 505
PATCH, MERGE, FRAMES = 4, 2, 2
MIN_PIXELS, MAX_PIXELS = 256, 2048
# Heights and widths: as they are, stretched, of fewer and of more pixels than are allowed.
IMAGES = ((40, 40), (24, 61), (9, 9), (90, 70))
BLOCK, LENGTH = 32, 40
TEXT: dict[str, Any] = {
    "first_k_dense_replace": 1,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 2048,
    "model_type": "llada2_vl",
    "moe_intermediate_size": 32,
    "n_group": 4,
    "num_attention_heads": 4,
    "num_experts": 8,
    "num_experts_per_tok": 2,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "num_shared_experts": 1,
    "partial_rotary_factor": 0.5,
    "rms_norm_eps": 1e-6,
    "rope_scaling": {"mrope_section": [2, 1, 1], "rope_type": "default", "type": "default"},
    "rope_theta": 600_000.0,
    "routed_scaling_factor": 2.5,
    "topk_group": 2,
    "use_bias": False,
    "use_qkv_bias": False,
    "vocab_size": VOCAB_SIZE,
}
VISION: dict[str, Any] = {
    "depth": 4,
    "fullatt_block_indexes": [1, 3],
    "hidden_act": "silu",
    "hidden_size": 32,
    "in_channels": 3,
    "intermediate_size": 40,
    "num_heads": 2,
    "out_hidden_size": TEXT["hidden_size"],
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "temporal_patch_size": FRAMES,
    "tokens_per_second": 2,
    "window_size": 16,
}
STATIC = {
    "policy": "low_confidence",
    "block_length": BLOCK,
    "steps_per_block": 8,
    "gen_length": LENGTH,
}
THRESHOLD = STATIC | {"policy": "threshold", "threshold": 0.4, "steps_per_block": 32}
# Lengths of text between images: all but the last are before an image. Answers begin within a
# block, after text or after rows of an image.
PROMPTS: dict[str, Layout] = {
    "one": ((7, 9), (1,)),
    "large": ((15, 0), (3,)),
    "two": ((6, 3, 11), (2, 0)),
    "side-by-side": ((4, 0, 1), (1, 2)),
}


@dataclass
class Seeing(Reference):
    """The text model with rows of images in the place of embeddings."""

    weights: Weights = field(default_factory=dict)
    images: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        self.forwards += 1
        return llada2(TEXT, self.weights, torch.as_tensor(ids), self.images)


@torch.no_grad()
def make_vision(generator: torch.Generator) -> Qwen2_5_VisionTransformerPretrainedModel:
    """A tower with random weights."""
    model = Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(**VISION)).eval()
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "norm" in name or "ln_q" in name:
            weight.copy_(1.0 + 0.2 * noise)
        elif name.endswith("bias"):
            weight.copy_(0.3 * noise)
        else:
            weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)
    return model


def features_of(
    model: Qwen2_5_VisionTransformerPretrainedModel,
    processor: Qwen2VLImageProcessorPil,
    image: Tensor,
) -> tuple[Tensor, Tensor]:
    """Rows [N, C] of an image, and its pixels [H, W, 3] in uint8."""
    inputs = processor(Image.fromarray(image.numpy()), return_tensors="pt")
    [[_, rows, columns]] = inputs["image_grid_thw"].tolist()
    features = model(inputs["pixel_values"], grid_thw=inputs["image_grid_thw"]).pooler_output
    down, across = rows // MERGE, columns // MERGE
    parts = inputs["pixel_values"].view(down, across, MERGE, MERGE, 3, FRAMES, PATCH, PATCH)
    first = parts[:, :, :, :, :, 0].permute(0, 2, 5, 1, 3, 6, 4)
    values = first.reshape(rows * PATCH, columns * PATCH, 3)
    mean, deviation = torch.tensor(processor.image_mean), torch.tensor(processor.image_std)
    return features.contiguous(), ((values * deviation + mean) * 255).round().to(torch.uint8)


def named(model: Qwen2_5_VisionTransformerPretrainedModel, text: Weights) -> Weights:
    """Tensors by the names of the authors' model."""
    tensors = {
        name.replace("model.", "model.language_model.")
        if name.startswith("model.")
        else f"model.{name}": tensor
        for name, tensor in text.items()
    }
    tower = {f"model.visual.{name}": tensor for name, tensor in model.state_dict().items()}
    return {name: tensor.contiguous() for name, tensor in (tensors | tower).items()}


def published_config() -> dict[str, Any]:
    return {
        "architectures": ["LLaDA2MoE_VLForConditionalGeneration"],
        "image_token_id": IMAGE,
        "is_composition": True,
        "model_type": "llada2vl",
        "text_config": TEXT,
        "torch_dtype": "float32",
        "video_token_id": IMAGE + 1,
        "vision_config": VISION | {"model_type": "lladavision"},
        "vision_end_token_id": IMAGE - 1,
        "vision_start_token_id": IMAGE - 2,
    }


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(23)
    vision = make_vision(generator)
    processor = Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=FRAMES,
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
    )
    images = [draw_image(*size, generator) for size in IMAGES]
    rows = torch.cat([features_of(vision, processor, image)[0] for image in images])
    spread(vision.merger.mlp[2], rows, TEXT["hidden_size"] ** -0.5)
    made = [features_of(vision, processor, image) for image in images]
    features = [rows for rows, _ in made]
    text = draw_weights(llada2_shapes(TEXT))
    text["lm_head.weight"] *= 3

    def see(places: Tensor, rows: Tensor) -> Seeing:
        return Seeing(torch.nn.Module(), BLOCK, weights=text, images=(places, rows))

    cases = [
        make_block_case(name, layout, features, settings, see, image=IMAGE, highest=IMAGE - 2)
        for settings in (STATIC, THRESHOLD)
        for name, layout in PROMPTS.items()
    ]
    recorded: dict[str, Tensor] = {}
    for i, (image, (rows, pixels)) in enumerate(zip(images, made, strict=True)):
        recorded |= {f"image.{i}": image, f"pixels.{i}": pixels, f"features.{i}": rows}
    files: dict[str, Any] = {
        "config.json": published_config(),
        "preprocessor_config.json": processor.to_dict(),
        "golden.json": {"family": "llada_ui", "mask_token_id": MASK_ID, "cases": cases},
    }
    write_golden(FOLDER, named(vision, text), recorded, files)
    print([len(rows) for rows in features], [(c["name"], c["forwards"]) for c in cases])


if __name__ == "__main__":
    main()
