"""Hugging Face's DiffusionGemma with random weights: `generate`, one batch at a time.

In transformers' default mode: no graphs, nothing compiled. Random weights are never confident, so
each canvas takes all its steps.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.device.families import Shape


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts of `context` tokens, each continued by `num_canvases` of `steps` each."""

    concurrency: int
    context: int = 1024
    num_canvases: int = 3
    steps: int = 16


# Images are not asked for, but transformers does not do without the tower that sees them.
VISION = {
    "vision_config": {
        "model_type": "gemma4_vision",
        "hidden_size": 16,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
        "head_dim": 8,
    }
}
BATCHES = (Batch(1), Batch(8))
TINY = (Batch(1, 12, 2, 3), Batch(2, 12, 2, 3))


class Clock:
    """Streamer that records when the prompt and each canvas arrive."""

    def __init__(self) -> None:
        self.times_s: list[float] = []

    def put(self, _: Tensor) -> None:
        """Record an arrival; ids are on the CPU already."""
        self.times_s.append(time.perf_counter())

    def end(self) -> None: ...


def measure(
    shape: Shape, batches: Sequence[Batch], result: dict[str, Any], save: Callable[[], None]
) -> None:
    """Run all batches on one model; saves each row of `result`."""
    import transformers

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = build(shape, device)
    config = model.config
    result |= {
        "version": transformers.__version__,
        "settings": {
            "dtype": str(model.dtype),
            "canvas_length": config.canvas_length,
            "attention": config.text_config._attn_implementation,
            "experts": getattr(config.text_config, "_experts_implementation", None),
            "num_weights": sum(weight.numel() for weight in model.parameters()),
        },
    }
    for batch in batches:
        generate(
            model, Batch(batch.concurrency, batch.context, 1, 2), device
        )  # compiles, takes memory
        result["loads"].append(generate(model, batch, device))
        save()


def build(shape: Shape, device: torch.device) -> Any:
    """Model of these sizes with weights drawn on the device, shared ones once."""
    from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16 if device.type == "cuda" else torch.float32)
    try:
        with torch.device("meta"):
            model = DiffusionGemmaForBlockDiffusion(DiffusionGemmaConfig(**shape.raw, **VISION))
    finally:
        torch.set_default_dtype(usual)
    model.tie_weights()
    parameters: dict[int, Tensor] = {}
    for module in model.modules():
        for name, weight in module._parameters.items():
            if weight is not None:
                place = torch.empty_like(weight, device=device)
                parameter = parameters.setdefault(
                    id(weight), nn.Parameter(place, requires_grad=False)
                )
                module._parameters[name] = parameter
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = torch.ones_like(buffer, device=device)
    model.initialize_weights()  # and the buffers that are not one
    return model.eval()


def generate(model: Any, batch: Batch, device: torch.device) -> dict[str, Any]:
    """Tokens per second of a batch, from its first canvas to its last, and with the prompt."""
    from transformers.models.diffusion_gemma import generation_diffusion_gemma as generation

    canvas, vocab_size = model.config.canvas_length, model.config.text_config.vocab_size
    draw = torch.Generator().manual_seed(0)
    prompt = torch.randint(3, vocab_size - 8, (batch.concurrency, batch.context), generator=draw)
    config = generation.DiffusionGemmaGenerationConfig(
        max_new_tokens=batch.num_canvases * canvas,
        max_denoising_steps=batch.steps,
        return_dict_in_generate=True,
    )
    passes = 0

    def count(*_: Any) -> None:
        nonlocal passes
        passes += 1

    hook, clock = model.model.decoder.register_forward_hook(count), Clock()
    try:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        began_s = time.perf_counter()
        output = model.generate(
            prompt.to(device), generation_config=config, streamer=clock, eos_token_id=None
        )
    finally:
        hook.remove()
    num_tokens = output.sequences[:, batch.context :].numel()
    if passes != batch.num_canvases * batch.steps or num_tokens != (
        batch.concurrency * batch.num_canvases * canvas
    ):
        raise RuntimeError(f"not the work that was asked for: {passes} passes, {num_tokens} tokens")
    wall_s = clock.times_s[-1] - began_s
    between_s = clock.times_s[-1] - clock.times_s[1]
    more = batch.num_canvases - 1
    return {
        **asdict(batch),
        "num_tokens": num_tokens,
        "num_forwards": passes,
        "wall_s": wall_s,
        "overall_tokens_per_s": num_tokens / wall_s,
        "tokens_per_s": batch.concurrency * canvas * more / between_s if more else None,
        "step_ms": 1000 * between_s / (more * batch.steps) if more else None,
        "peak_gib": torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None,
    }
