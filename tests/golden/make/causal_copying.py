"""Tiny causal models that copy periodic text, so that guesses at masks are often right.

Weights are set by hand: embeddings hold a code of the token, zero for the mask, and a constant.
Attention looks a fixed distance back by RoPE alone, copies the code found there, and the head reads
the copied one. Layer by layer, masks copy from masks. Noise on all weights makes errors.
"""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.support.tiny import EOS_ID, MASK_ID, save_tokenizer

PERIOD = 5
LETTERS = (*range(64), EOS_ID)  # tokens of the text
THETA = 1_000_000.0
# Parts of the hidden state; the mask fills the last, and so has the norm of a letter.
CODE, COPY, CONSTANT, REST = slice(0, 13), slice(13, 26), slice(26, 29), slice(29, 32)

# Fields of all configurations.
FIELDS: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "max_window_layers": 2,
    "bos_token_id": 0,
    "eos_token_id": EOS_ID,
    "mask_token_id": MASK_ID,
    "rope_theta": THETA,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "use_cache": False,
}


def text(length: int, generator: torch.Generator, *, ends: bool = False) -> list[int]:
    """Periodic token ids; with `ends`, the fourth token after them is the end."""
    drawn = torch.randint(0, 64, (PERIOD,), generator=generator)
    drawn[torch.rand(PERIOD, generator=generator) < 0.1] = EOS_ID
    if ends:
        drawn[(length + 3) % PERIOD] = EOS_ID
    period: list[int] = drawn.tolist()
    return (period * length)[:length]


@torch.no_grad()
def set_weights(model: torch.nn.Module, distance: int, generator: torch.Generator) -> None:
    """Weights of a model with Qwen's names that copies from `distance` rows back."""

    def noise(weight: Tensor, size: float) -> Tensor:
        drawn: Tensor = torch.randn(weight.shape, generator=generator)
        return drawn * (size / math.sqrt(weight.shape[-1]))

    weights = dict(model.named_parameters())
    for name, weight in weights.items():
        if name.endswith("norm.weight"):
            weight.copy_(1 + 0.1 * torch.randn(weight.shape, generator=generator))
        else:
            weight.copy_(noise(weight, 0.3))
    codes = torch.randn(len(LETTERS), 13, generator=generator)
    codes *= 13**0.5 / codes.norm(dim=1, keepdim=True)
    embedding, head = weights["model.embed_tokens.weight"], weights["lm_head.weight"]
    embedding[:, CONSTANT] += 1.0
    embedding[MASK_ID, REST] += (13 / 3) ** 0.5
    for letter, code in zip(LETTERS, codes, strict=True):
        embedding[letter, CODE] += code
        head[letter, COPY] += 1.1 * code
    frequencies = THETA ** -(torch.arange(8) / 8)
    angles = torch.cat((-frequencies * distance, torch.zeros(8)))
    wave = torch.cat((angles[:8].cos(), angles[:8].sin()))
    for layer in range(FIELDS["num_hidden_layers"]):
        attention = f"model.layers.{layer}.self_attn."
        query, key = weights[f"{attention}q_proj.weight"], weights[f"{attention}k_proj.weight"]
        query.view(4, 16, 32)[:, :, CONSTANT] += wave[:, None]
        key.view(2, 16, 32)[:, :8, CONSTANT] += 1.0
        for norm in "q_norm", "k_norm":
            if f"{attention}{norm}.weight" in weights:
                weights[f"{attention}{norm}.weight"].mul_(2.5)
        if f"{attention}q_norm.weight" not in weights:
            query.mul_(0.6)
        value, out = weights[f"{attention}v_proj.weight"], weights[f"{attention}o_proj.weight"]
        for head_index in range(2):
            value.view(2, 16, 32)[head_index, :13, CODE] += torch.eye(13)
            if layer:
                value.view(2, 16, 32)[head_index, :13, COPY] += torch.eye(13)
        for head_index in range(4):
            out.view(32, 4, 16)[COPY, head_index, :13] += 0.25 * torch.eye(13)


def write(
    folder: Path,
    model: torch.nn.Module,
    raw: dict[str, Any],
    tensors: dict[str, Tensor],
    reference: dict[str, Any],
) -> None:
    """Checkpoint in the Hugging Face layout with a byte tokenizer, and both files of reference."""
    folder.mkdir(exist_ok=True)
    weights = {name: weight.contiguous() for name, weight in model.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(raw, indent=1, sort_keys=True) + "\n")
    save_tokenizer(folder)
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    save_file(tensors, folder / "reference.safetensors")
    cases = ",\n".join(json.dumps(case) for case in reference.pop("cases"))
    head = json.dumps(reference)[:-1]
    (folder / "reference.json").write_text(f'{head}, "cases": [\n{cases}\n]}}\n')
    for path in sorted(folder.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")
