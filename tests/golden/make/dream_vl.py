"""Makes tests/golden/dream_vl with transformers' Qwen2-VL, on a CPU.

`python -m tests.golden.make.dream_vl`, from the root of this repository, with transformers 5.23.

The reference is `Qwen2VLForConditionalGeneration` with full attention: its tower, its positions
(`get_rope_index`) and its text model, whose layers are Dream's, with rows of images in the place of
embeddings. Rows are those of the tower under a projector of two layers with GELU, as the authors'
class has it. Pixels are of Qwen2-VL's image processor that uses Pillow. The loop is the port of
Dream's `diffusion_generate` in `relatives.py`; Dream-VL's is the same without `eos_penalty`. Names
of tensors and of fields are those of github.com/DreamLM/Dream-VLX.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from tests.golden.make.images import Layout, draw_image, make_block_case, spread, write_golden
from tests.golden.make.llada_ui import FRAMES, MAX_PIXELS, MERGE, MIN_PIXELS, PATCH, features_of
from tests.golden.make.relatives import Reference, dream_loop
from tests.support.tiny import GOLDEN, MASK_ID, VOCAB_SIZE

FOLDER = GOLDEN / "dream_vl"
BEGIN, END, IMAGE, VIDEO = 500, 501, 502, 503
# Heights and widths: as they are, stretched to a wide one, of fewer pixels, and a high one.
IMAGES = ((40, 40), (24, 61), (9, 9), (90, 30))
SECTIONS, MIDDLE = [2, 3, 3], 48
TEXT: dict[str, Any] = {
    "attention_dropout": 0.0,
    "bos_token_id": None,
    "eos_token_id": None,
    "hidden_act": "silu",
    "hidden_size": 64,
    "intermediate_size": 96,
    "max_position_embeddings": 2048,
    "max_window_layers": 3,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 2,
    "rms_norm_eps": 1e-6,
    "rope_theta": 10_000.0,
    "sliding_window": None,
    "tie_word_embeddings": False,
    "use_sliding_window": False,
    "vocab_size": VOCAB_SIZE,
}
VISION: dict[str, Any] = {
    "depth": 3,
    "embed_dim": 32,
    "hidden_act": "quick_gelu",
    "hidden_size": MIDDLE,
    "in_chans": 3,
    "mlp_ratio": 2,
    "num_heads": 2,
    "patch_size": PATCH,
    "spatial_merge_size": MERGE,
    "spatial_patch_size": PATCH,
    "temporal_patch_size": FRAMES,
}
PROMPTS: dict[str, Layout] = {
    "one": ((7, 9), (1,)),
    "high": ((15, 1), (3,)),
    "two": ((6, 3, 11), (2, 0)),
    "near": ((4, 1, 1), (1, 3)),
}
LENGTH = 24
SETTINGS = [
    {"policy": "maskgit_plus", "steps": LENGTH, "gen_length": LENGTH},
    {"policy": "maskgit_plus", "steps": 7, "gen_length": LENGTH},
    {"policy": "entropy", "steps": 10, "gen_length": LENGTH},
]


@dataclass
class Eyes:
    """The tower with its projector."""

    visual: nn.Module
    projector: nn.Sequential

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        passed = self.visual(*inputs, **named)
        passed.pooler_output = self.projector(passed.pooler_output)
        return passed


@dataclass
class Seeing(Reference):
    """The model with rows of images at places of a prompt, and grids of its images."""

    places: Tensor | None = None
    rows: Tensor | None = None
    grids: Tensor | None = None

    def positions(self, ids: Tensor) -> Tensor:
        """Positions [3, T] of a sequence by transformers."""
        kinds = torch.zeros_like(ids).int()
        kinds[self.places] = 1
        found, _ = self.model.model.get_rope_index(ids[None], kinds[None], self.grids)
        positions: Tensor = found[:, 0]
        return positions

    @torch.no_grad()
    def logits(self, ids: list[int] | Tensor) -> Tensor:
        self.forwards += 1
        ids = torch.as_tensor(ids)
        rows = self.model.model.language_model.embed_tokens(ids)
        rows[self.places] = self.rows
        hidden = self.model.model.language_model(
            inputs_embeds=rows[None],
            attention_mask=torch.zeros(1, 1, len(ids), len(ids)),
            position_ids=self.positions(ids)[:, None],
            use_cache=False,
        ).last_hidden_state
        logits: Tensor = self.model.lm_head(hidden)[0]
        return torch.cat((logits[:1], logits[:-1])) if self.shift else logits


def draw_weights(parts: list[nn.Module], generator: torch.Generator) -> None:
    for part in parts:
        for name, weight in part.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            if ("norm" in name or "ln_q" in name) and name.endswith("weight"):
                weight.copy_(1.0 + 0.2 * noise)
            elif name.endswith("bias"):
                weight.copy_(0.3 * noise)
            elif "lm_head" in name:
                weight.copy_(noise * 0.6)
            elif "embed_tokens" in name:
                weight.copy_(noise * 0.3)
            else:
                weight.copy_(noise * 1.5 * weight[0].numel() ** -0.5)


def published_config() -> dict[str, Any]:
    return TEXT | {
        "architectures": ["DreamVLModel"],
        "auto_map": {
            "AutoConfig": "configuration_dreamvl.DreamVLConfig",
            "AutoModel": "modeling_dreamvl.DreamVLModel",
        },
        "full_attn_mask": True,
        "image_token_id": IMAGE,
        "initializer_range": 0.02,
        "mask_token_id": MASK_ID,
        "model_type": "dream-vl",
        "mrope_section": SECTIONS,
        "projector_hidden_act": "gelu",
        "rope_scaling": None,
        "torch_dtype": "float32",
        "use_cache": False,
        "video_token_id": VIDEO,
        "vision_config": VISION | {"model_type": "dream_vl"},
        "vision_end_token_id": END,
        "vision_start_token_id": BEGIN,
        "vision_token_id": VIDEO + 1,
    }


def named(model: Qwen2VLForConditionalGeneration, projector: nn.Sequential) -> dict[str, Tensor]:
    """Tensors by the names of the authors' class."""
    tensors = {
        name.replace("model.language_model.", "model.").replace("model.visual.", "visual."): tensor
        for name, tensor in model.state_dict().items()
    }
    for name, tensor in projector.state_dict().items():
        index, kind = name.split(".")
        tensors[f"projector.linear_{1 if index == '0' else 2}.{kind}"] = tensor
    return {name: tensor.contiguous() for name, tensor in tensors.items()}


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(37)
    rope = {"mrope_section": SECTIONS, "rope_type": "default"}
    config = Qwen2VLConfig(
        text_config=TEXT | {"rope_scaling": rope},
        vision_config={
            name: value for name, value in VISION.items() if name not in ("spatial_patch_size",)
        },
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    )
    model = Qwen2VLForConditionalGeneration(config).eval()
    width = TEXT["hidden_size"]
    projector = nn.Sequential(nn.Linear(MIDDLE, width), nn.GELU(), nn.Linear(width, width))
    draw_weights([model, projector], generator)
    eyes = Eyes(model.model.visual, projector)
    processor = Qwen2VLImageProcessorPil(
        patch_size=PATCH,
        merge_size=MERGE,
        temporal_patch_size=FRAMES,
        min_pixels=MIN_PIXELS,
        max_pixels=MAX_PIXELS,
    )
    images = [draw_image(*size, generator) for size in IMAGES]
    rows = torch.cat([features_of(eyes, processor, image)[0] for image in images])
    spread(projector[2], rows, 0.3)
    made = [features_of(eyes, processor, image) for image in images]
    features = [rows for rows, _ in made]
    grids = [processor(image.numpy(), return_tensors="pt")["image_grid_thw"] for image in images]
    cases = []
    for settings in SETTINGS:
        for name, layout in PROMPTS.items():
            shown = torch.cat([grids[image] for image in layout[1]])

            def see(places: Tensor, rows: Tensor, shown: Tensor = shown) -> Seeing:
                return Seeing(model, None, True, places=places, rows=rows, grids=shown)

            case = make_block_case(
                f"{name}-{settings['steps']}",
                layout,
                features,
                settings,
                see,
                image=IMAGE,
                highest=BEGIN,
                loop=dream_loop,
            )
            cases.append(case)
    ids = [*range(20, 26), *[IMAGE] * len(features[3]), 30, *[IMAGE] * len(features[1]), 31, 32]
    ids += [40, MASK_ID, 41, MASK_ID, MASK_ID]
    places = (torch.tensor(ids) == IMAGE).nonzero().flatten()
    seen = torch.cat([features[3], features[1]])
    whole = Seeing(model, None, places=places, rows=seen, grids=torch.cat([grids[3], grids[1]]))
    recorded: dict[str, Tensor] = {
        "input_ids": torch.tensor(ids),
        "positions": whole.positions(torch.tensor(ids)).T.contiguous(),
        "logits": whole.logits(ids).contiguous(),
    }
    for i, (image, (rows, pixels)) in enumerate(zip(images, made, strict=True)):
        recorded |= {f"image.{i}": image, f"pixels.{i}": pixels, f"features.{i}": rows}
    files: dict[str, Any] = {
        "config.json": published_config(),
        "preprocessor_config.json": processor.to_dict(),
        "golden.json": {"family": "dream_vl", "mask_token_id": MASK_ID, "cases": cases},
    }
    write_golden(FOLDER, named(model, projector), recorded, files)
    print([len(rows) for rows in features], [(c["name"], c["forwards"]) for c in cases])


if __name__ == "__main__":
    main()
