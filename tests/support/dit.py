"""MDLM's and BD3-LM's transformer in plain torch, trained for a moment on a language of its own.

A text counts up by a step of its own, modulo 24, so a few tokens tell all others.
"""

import json
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

COUNT, EOS, MASK = 24, 24, 25  # numbers, the end, which begins a text too, and the mask
BLOCK_LEN, NUM_BLOCKS, WIDTH, HEADS, CONDITION, LAYERS = 8, 3, 64, 4, 8, 2
LENGTH = BLOCK_LEN * NUM_BLOCKS
Family = Literal["mdlm", "bd3lm"]


class Norm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, (WIDTH,)) * self.weight


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = Norm(), Norm()
        self.attn_qkv = nn.Linear(WIDTH, 3 * WIDTH, bias=False)
        self.attn_out = nn.Linear(WIDTH, WIDTH, bias=False)
        self.mlp = nn.Sequential(
            nn.Linear(WIDTH, 4 * WIDTH), nn.GELU("tanh"), nn.Linear(4 * WIDTH, WIDTH)
        )
        self.adaLN_modulation = nn.Linear(CONDITION, 6 * WIDTH)

    def forward(self, x: Tensor, condition: Tensor, allowed: Tensor) -> Tensor:
        parts = self.adaLN_modulation(condition).chunk(6)
        heads = self.attn_qkv(self.norm1(x) * (1 + parts[1]) + parts[0])
        query, key, value = heads.unflatten(2, (3, HEADS, -1)).unbind(2)
        query, key = rotated(query), rotated(key)
        mixed = F.scaled_dot_product_attention(
            *(part.transpose(1, 2) for part in (query, key, value)), attn_mask=allowed
        )
        x = x + parts[2] * self.attn_out(mixed.transpose(1, 2).flatten(2))
        return x + parts[5] * self.mlp(self.norm2(x) * (1 + parts[4]) + parts[3])


def rotated(heads: Tensor) -> Tensor:
    """Heads [B, T, H, D] turned by their positions, in halves."""
    half = heads.shape[-1] // 2
    angles = torch.arange(heads.shape[1])[:, None] * 10_000.0 ** (-torch.arange(half) / half)
    low, high = heads.split(half, -1)
    cos, sin = angles.cos()[:, None], angles.sin()[:, None]
    return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)


class Dit(nn.Module):
    """Logits [B, T, V] of token ids [B, T], under the names of the published tensors."""

    def __init__(self) -> None:
        super().__init__()
        backbone = self.backbone = nn.Module()
        backbone.vocab_embed = nn.Module()
        backbone.vocab_embed.embedding = nn.Parameter(torch.randn(MASK + 1, WIDTH))
        backbone.sigma_map = nn.Module()
        backbone.sigma_map.mlp = nn.Sequential(
            nn.Linear(256, CONDITION), nn.SiLU(), nn.Linear(CONDITION, CONDITION)
        )
        backbone.blocks = nn.ModuleList(Block() for _ in range(LAYERS))
        final = backbone.output_layer = nn.Module()
        final.norm_final, final.linear = Norm(), nn.Linear(WIDTH, MASK + 1)
        final.adaLN_modulation = nn.Linear(CONDITION, 2 * WIDTH)

    def forward(self, ids: Tensor, allowed: Tensor) -> Tensor:
        backbone: Any = self.backbone
        time = torch.cat((torch.ones(128), torch.zeros(128)))
        condition = F.silu(backbone.sigma_map.mlp(time))
        x = backbone.vocab_embed.embedding[ids]
        for block in backbone.blocks:
            x = block(x, condition, allowed)
        final = backbone.output_layer
        shift, scale = final.adaLN_modulation(condition).chunk(2)
        logits: Tensor = final.linear(final.norm_final(x) * (1 + scale) + shift)
        return logits


def texts(count: int, generator: torch.Generator) -> Tensor:
    """Texts [count, LENGTH] that begin with the end token and count up from anywhere."""
    first = torch.randint(0, COUNT, (count, 1), generator=generator)
    step = torch.randint(1, 6, (count, 1), generator=generator)
    counted = (first + step * torch.arange(LENGTH - 1)) % COUNT
    return torch.cat((torch.full((count, 1), EOS), counted), 1)


def train(family: Family, steps: int) -> Dit:
    """A model trained by the losses of the likelihood bound, each block after clean ones."""
    torch.manual_seed(0)
    generator, model = torch.Generator().manual_seed(1), Dit()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    block = torch.arange(LENGTH) // BLOCK_LEN
    for step in range(steps):
        ids = texts(48, generator)
        end = LENGTH if family == "mdlm" else BLOCK_LEN * (step % NUM_BLOCKS + 1)
        start = 0 if family == "mdlm" else end - BLOCK_LEN
        ids = ids[:, :end]
        times = torch.rand(len(ids), 1, generator=generator).clamp_min(0.05)
        is_masked = torch.rand(ids.shape, generator=generator) < times
        is_masked[:, : max(start, 1)] = False
        seen = block[:end]
        allowed = torch.ones(end, end, dtype=torch.bool)
        if family == "bd3lm":
            allowed = seen[:, None] >= seen
        logits = model(ids.masked_fill(is_masked, MASK), allowed)[..., :MASK]
        losses = F.cross_entropy(logits.transpose(1, 2), ids, reduction="none")
        loss = (losses * is_masked / times).sum() / ids.shape[0] / (end - start)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model


def save(model: Dit, family: Family, folder: Path) -> None:
    """Checkpoint without a tokenizer."""
    raw = {
        "architectures": [family.upper()],
        "model_type": family,
        "vocab_size": MASK + 1,
        "model_length": LENGTH,
        "hidden_dim": WIDTH,
        "cond_dim": CONDITION,
        "n_blocks": LAYERS,
        "n_heads": HEADS,
        "time_conditioning": False,
        "eos_token_id": EOS,
    }
    raw |= {} if family == "mdlm" else {"block_size": BLOCK_LEN, "cross_attn": True}
    (folder / "config.json").write_text(json.dumps(raw))
    tensors = {name: tensor.detach().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / "model.safetensors")
