"""Makes tests/golden/dgemma_images with transformers' classes, on a CPU.

`python -m tests.golden.make.dgemma_images`, from the root of this repository, with transformers
5.23.

Rows of images are of `get_image_features`, whose patches are padded as the processor does it. The
prompt is encoded with the masks of `generate`: in a plain forward pass of transformers no image
sees itself.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import DynamicCache
from transformers.models.diffusion_gemma import (
    DiffusionGemmaConfig,
    DiffusionGemmaForBlockDiffusion,
)
from transformers.models.gemma4.image_processing_pil_gemma4 import Gemma4ImageProcessorPil

FOLDER = Path(__file__).parent.parent / "dgemma_images"
VOCAB_SIZE, CANVAS, TEMPERATURE = 512, 16, 0.7
IMAGE, BEFORE, BEHIND = 508, 509, 510
PATCH, POOLING = 4, 3
CELL = PATCH * POOLING
MAX_ROWS = 70
CELLS = ((5, 6), (1, 7), (4, 3))  # rows and columns of images; the first is above the window
TEXT_LENGTHS = (6, 9, 8)  # of a prompt with the first two images
SLIDING, FULL = "sliding_attention", "full_attention"
TEXT: dict[str, Any] = {
    "vocab_size": VOCAB_SIZE,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "layer_types": [SLIDING, SLIDING, FULL],
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "global_head_dim": 32,
    "num_global_key_value_heads": 1,
    "sliding_window": 24,
    "num_experts": 8,
    "top_k_experts": 2,
    "moe_intermediate_size": 32,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-6,
    "use_bidirectional_attention": "vision",
}
VISION: dict[str, Any] = {
    "model_type": "gemma4_vision",
    "hidden_size": 32,
    "intermediate_size": 56,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "patch_size": PATCH,
    "pooling_kernel_size": POOLING,
    "position_embedding_size": MAX_ROWS * POOLING,
    "standardize": True,
    "use_clipped_linears": True,
}


@torch.no_grad()
def make_model(generator: torch.Generator) -> DiffusionGemmaForBlockDiffusion:
    """Model with random weights, norms, scalars and bounds."""
    config = DiffusionGemmaConfig(
        text_config=TEXT,
        vision_config=VISION,
        canvas_length=CANVAS,
        image_token_id=IMAGE,
        boi_token_id=BEFORE,
        eoi_token_id=BEHIND,
    )
    model = DiffusionGemmaForBlockDiffusion(config).eval()
    for name, weight in model.named_parameters():
        noise = torch.randn(weight.shape, generator=generator)
        if "q_norm" in name or "k_norm" in name:  # scores are not scaled
            weight.copy_(0.4 + 0.1 * noise)
        elif "norm" in name or name.endswith("scale"):
            weight.copy_(1.0 + 0.2 * noise)
        elif "position_embedding_table" in name:
            weight.copy_(0.3 * noise)
        elif "embed_tokens" in name:
            weight.copy_(0.1 * noise)
        else:
            weight.copy_(noise * weight.shape[-1] ** -0.5)
    for name, buffer in model.named_buffers():
        noise = torch.randn(buffer.shape, generator=generator)
        last = name.rpartition(".")[2]
        if last in ("layer_scalar", "std_scale"):
            buffer.copy_(1.0 + 0.2 * noise)
        elif last == "std_bias":
            buffer.copy_(2.0 * noise)
        elif last in ("input_min", "output_min"):
            buffer.copy_(-1.0 - 0.1 * noise.abs())
        elif last in ("input_max", "output_max"):
            buffer.copy_(1.0 + 0.1 * noise.abs())
    return model


def draw_image(rows: int, columns: int, generator: torch.Generator) -> Tensor:
    """A smooth image [H, W, 3] in uint8 with some noise."""
    shape = 1, 3, rows * CELL, columns * CELL
    coarse = torch.rand(1, 3, rows + 1, columns + 1, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, shape[2:], mode="bilinear")
    noisy = 0.9 * smooth + 0.1 * torch.rand(shape, generator=generator)
    return (noisy[0].permute(1, 2, 0) * 255).to(torch.uint8).contiguous()


def processed(images: list[Tensor]) -> dict[str, Tensor]:
    """Inputs of the model for images."""
    processor = Gemma4ImageProcessorPil(
        patch_size=PATCH, pooling_kernel_size=POOLING, max_soft_tokens=MAX_ROWS, do_resize=False
    )
    inputs = processor([image.numpy() for image in images], return_tensors="pt")
    return {name: inputs[name] for name in ("pixel_values", "image_position_ids")}


@torch.no_grad()
def logits_of(
    model: DiffusionGemmaForBlockDiffusion,
    prompt: Tensor,
    images: list[Tensor],
    canvas: Tensor,
    sees_itself: bool = True,
) -> Tensor:
    """Logits [2, L, V] of a canvas [L] after a prompt, the second conditioned on the first."""
    cache = DynamicCache(config=model.config.get_text_config(decoder=True))
    encoder, ids = model.model.encoder, prompt[None]
    positions = torch.arange(len(prompt))[None]
    masks = encoder.create_masks_for_generate(
        config=model.config,
        inputs_embeds=torch.empty(*ids.shape, 0),
        attention_mask=torch.ones_like(ids),
        past_key_values=cache,
        position_ids=positions,
        mm_token_type_ids=(ids == IMAGE).long() if sees_itself else None,
    )
    encoder(
        input_ids=ids,
        attention_mask=masks,
        position_ids=positions,
        past_key_values=cache,
        **processed(images),
    )
    first = model(decoder_input_ids=canvas[None], past_key_values=cache).logits
    second = model(
        decoder_input_ids=canvas[None],
        past_key_values=cache,
        self_conditioning_logits=first / TEMPERATURE,
    ).logits
    return torch.cat((first, second))


@torch.no_grad()
def main() -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(12)
    model = make_model(generator)
    images = [draw_image(*cells, generator) for cells in CELLS]
    features = [
        model.model.encoder.get_image_features(**processed([image])).pooler_output
        for image in images
    ]
    parts: list[Tensor] = []
    for length, cells in zip(TEXT_LENGTHS, (*CELLS[:2], None), strict=True):
        parts.append(torch.randint(3, IMAGE, (length,), generator=generator))
        if cells is not None:
            parts.append(torch.tensor([BEFORE, *[IMAGE] * (cells[0] * cells[1]), BEHIND]))
    prompt = torch.cat(parts)
    canvas = torch.randint(3, IMAGE, (CANVAS,), generator=generator)
    logits = logits_of(model, prompt, images[:2], canvas)
    # The images count, and so does it that they see themselves.
    other = logits_of(model, prompt, [255 - images[0], images[1]], canvas)
    causal = logits_of(model, prompt, images[:2], canvas, sees_itself=False)
    assert min((one - logits).abs().max() for one in (other, causal)) > 0.01 * logits.abs().max()

    FOLDER.mkdir(exist_ok=True)
    model.save_pretrained(FOLDER)
    tensors = {"input_ids": torch.cat((prompt, canvas)), "logits": logits}
    for i, (image, rows) in enumerate(zip(images, features, strict=True)):
        tensors |= {f"pixels.{i}": image, f"features.{i}": rows.contiguous()}
    save_file(tensors, FOLDER / "forward.safetensors")
    processor = Gemma4ImageProcessorPil(
        patch_size=PATCH, pooling_kernel_size=POOLING, max_soft_tokens=MAX_ROWS
    )
    nested = {"image_processor": processor.to_dict(), "processor_class": "Gemma4Processor"}
    (FOLDER / "processor_config.json").write_text(json.dumps(nested, indent=2) + "\n")
    for file in sorted(FOLDER.iterdir()):
        print(f"{file.name}: {file.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
