"""Makes tests/golden/sdar_vl with transformers' LLaVA-OneVision and Qwen3, on a CPU.

`python -m tests.golden.make.sdar_vl`, from the root of this repository, with transformers 5.23.

Rows of images are of `get_image_features`, and tiles of the image processor that uses Pillow. The
authors' loop is a port, that of SDAR: embeddings of the placeholder's positions are rows of images,
under a block-causal mask. Their `config.json` and names of tensors are those of
github.com/JetAstra/SDAR-VL.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import (
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    Qwen3Config,
    Qwen3ForCausalLM,
)
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)

from tests.golden.make.images import Layout, draw_image, make_block_case, spread, write_golden
from tests.golden.make.relatives import Reference
from tests.support.plain import draw_tensors
from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = GOLDEN / "sdar_vl"
IMAGE = 505
TILE, PATCH, MOST = 20, 6, 9  # two pixels of a tile are in no patch
SHAPES = [[TILE * rows, TILE * columns] for rows in range(1, 5) for columns in range(1, 5)]
# Heights and widths: without padding, padded above and beside, and one whose map is shrunk.
IMAGES = ((40, 40), (25, 58), (61, 22), (70, 79))
BLOCK, LENGTH = 4, 32
TEXT: dict[str, Any] = {
    "attention_bias": False,
    "head_dim": 16,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 2048,
    "num_attention_heads": 4,
    "num_hidden_layers": 2,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 1_000_000.0,
    "vocab_size": VOCAB_SIZE,
}
VISION: dict[str, Any] = {
    "hidden_act": "gelu_pytorch_tanh",
    "hidden_size": 24,
    "image_size": TILE,
    "intermediate_size": 40,
    "layer_norm_eps": 1e-6,
    "model_type": "siglip_vision_model",
    "num_attention_heads": 2,
    "num_channels": 3,
    "num_hidden_layers": 2,
    "patch_size": PATCH,
    "vision_use_head": False,
}
STATIC = {
    "policy": "low_confidence",
    "block_length": BLOCK,
    "steps_per_block": 4,
    "gen_length": LENGTH,
}
THRESHOLD = STATIC | {"policy": "threshold", "threshold": 0.05}
# Lengths of text between images: all but the last are before an image. Where the last one is short,
# the first block of the answer begins with rows of an image.
PROMPTS: dict[str, Layout] = {
    "one": ((7, 9), (1,)),
    "large": ((5, 6), (3,)),
    "two": ((6, 3, 11), (2, 0)),
    "side-by-side": ((4, 0, 1), (1, 2)),
}


@dataclass
class Seeing(Reference):
    """The text model with rows of images in the place of embeddings."""

    places: Tensor = field(default_factory=lambda: torch.empty(0, dtype=torch.int64))
    rows: Tensor = field(default_factory=lambda: torch.empty(0))

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        self.forwards += 1
        ids = torch.as_tensor(ids)
        embeddings = self.model.get_input_embeddings()(ids)  # type: ignore[operator]
        embeddings[self.places] = self.rows
        blocks = torch.arange(len(ids)) // BLOCK
        mask = torch.zeros(len(ids), len(ids))
        mask.masked_fill_(blocks[None] > blocks[:, None], torch.finfo(torch.float32).min)
        logits: Tensor = self.model(
            inputs_embeds=embeddings[None], attention_mask=mask[None, None], use_cache=False
        ).logits[0]
        return logits


def make_vision(generator: torch.Generator) -> LlavaOnevisionForConditionalGeneration:
    """Model of which the tower, the projector and the newline have random weights."""
    config = LlavaOnevisionConfig(
        vision_config=VISION,
        text_config=Qwen3Config(**TEXT),
        image_grid_pinpoints=SHAPES,
        vision_aspect_ratio=f"anyres_max_{MOST}",
    )
    model = LlavaOnevisionForConditionalGeneration(config).eval()
    for name, weight in model.model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "norm" in name:
            weight.copy_((0.0 if name.endswith("bias") else 1.0) + 0.2 * noise)
        elif "position" in name or name.endswith(("bias", "newline")):
            weight.copy_(0.5 * noise)
        else:
            weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)
    return model


def features_of(
    model: LlavaOnevisionForConditionalGeneration,
    processor: LlavaOnevisionImageProcessorPil,
    image: Tensor,
) -> tuple[Tensor, Tensor]:
    """Rows [N, C] of an image, and its tiles [B * S, S, 3] in uint8."""
    inputs = processor(Image.fromarray(image.numpy()), return_tensors="pt")
    values = inputs["pixel_values"]
    [rows] = model.model.get_image_features(values, inputs["image_sizes"]).pooler_output
    tiles = ((values[0] * 0.5 + 0.5) * 255).round().to(torch.uint8)
    return rows.contiguous(), tiles.permute(0, 2, 3, 1).flatten(0, 1).contiguous()


def named(model: LlavaOnevisionForConditionalGeneration, text: dict[str, Tensor]) -> Any:
    """Tensors by the names of the published checkpoints."""
    tensors = {f"language_model.{name}": tensor for name, tensor in text.items()}
    for name, tensor in model.model.state_dict().items():
        if not name.startswith("language_model."):
            name = name.replace("vision_tower.", "vision_tower.vision_model.")
            tensors[name] = tensor.contiguous()
    return tensors


def published_config() -> dict[str, Any]:
    text = TEXT | {
        **{"architectures": ["SDAR"], "block_size": BLOCK, "debug": False, "ep_size": 1},
        **{"eos_token_id": None, "fuse_cross_entropy": True, "mask_token_id": MASK_ID},
        **{"max_window_layers": 36, "micro_forward": False, "model_type": "sdar"},
        **{"rope_scaling": None, "sliding_window": None, "use_sliding_window": False},
    }
    return {
        "architectures": ["LlavaOnevisionForConditionalGeneration"],
        "hidden_size": TEXT["hidden_size"],
        "ignore_index": -100,
        "image_grid_pinpoints": SHAPES,
        "image_token_index": IMAGE,
        "model_type": "sdar_v",
        "multimodal_projector_bias": True,
        "projector_hidden_act": "gelu",
        "text_config": text,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "use_cache": False,
        "use_image_newline_parameter": True,
        "video_token_index": IMAGE + 1,
        "vision_aspect_ratio": f"anyres_max_{MOST}",
        "vision_config": VISION,
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "full",
    }


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(21)
    vision = make_vision(generator)
    processor = LlavaOnevisionImageProcessorPil(
        size={"height": TILE, "width": TILE},
        image_grid_pinpoints=SHAPES,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    images = [draw_image(*size, generator) for size in IMAGES]
    rows = torch.cat([features_of(vision, processor, image)[0] for image in images])
    spread(vision.model.multi_modal_projector.linear_2, rows, 1.2)
    made = [features_of(vision, processor, image) for image in images]
    features = [rows for rows, _ in made]
    drawn = draw_tensors(
        vocab=VOCAB_SIZE, width=64, inner=96, layers=2, heads=4, kv_heads=2, qk_norm=True
    )
    drawn["lm_head.weight"] *= 3
    text = Qwen3ForCausalLM(Qwen3Config(**TEXT, tie_word_embeddings=False)).eval()
    text.load_state_dict(drawn)

    def see(places: Tensor, rows: Tensor) -> Seeing:
        return Seeing(text, BLOCK, places=places, rows=rows)

    cases = [
        make_block_case(name, layout, features, settings, see, image=IMAGE, highest=IMAGE)
        for settings in (STATIC, THRESHOLD)
        for name, layout in PROMPTS.items()
    ]
    recorded: dict[str, Tensor] = {}
    for i, (image, (rows, tiles)) in enumerate(zip(images, made, strict=True)):
        recorded |= {f"image.{i}": image, f"pixels.{i}": tiles, f"features.{i}": rows}
    files: dict[str, Any] = {
        "config.json": published_config(),
        "preprocessor_config.json": processor.to_dict(),
        "golden.json": {"family": "sdar_vl", "mask_token_id": MASK_ID, "cases": cases},
    }
    write_golden(FOLDER, named(vision, drawn), recorded, files)
    print([len(rows) for rows in features], [(c["name"], c["forwards"]) for c in cases])


if __name__ == "__main__":
    main()
