"""Plain torch decoders over whole matrices, and random checkpoints of any size."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from tests.support.tiny import byte_tokenizer

Tensors = dict[str, Tensor]
LLADA = {
    "model.embed_tokens": "model.transformer.wte",
    "model.norm": "model.transformer.ln_f",
    "lm_head": "model.transformer.ff_out",
    "model.layers": "model.transformer.blocks",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ff_norm",
    "self_attn.o_proj": "attn_out",
    "self_attn.": "",
    "mlp.gate_proj": "ff_proj",
    "mlp.up_proj": "up_proj",
    "mlp.down_proj": "ff_out",
}


def renamed(tensors: Tensors, names: dict[str, str]) -> Tensors:
    """Tensors with parts of their names replaced, in order."""
    result = {}
    for name, tensor in tensors.items():
        for old, new in names.items():
            name = name.replace(old, new)
        result[name] = tensor
    return result


def draw_tensors(
    *,
    vocab: int,
    width: int,
    inner: int,
    layers: int,
    heads: int,
    kv_heads: int,
    bias: bool = False,
    qk_norm: bool = False,
    tied: bool = False,
    num_experts: int = 0,
) -> Tensors:
    """Random weights by Qwen's names, so large that every part affects the logits."""
    generator = torch.Generator().manual_seed(7)
    size = width // heads

    def normal(*shape: int, scale: float) -> Tensor:
        return torch.randn(shape, generator=generator) * scale

    drawn = {"model.embed_tokens.weight": normal(vocab, width, scale=1.0)}
    drawn["model.norm.weight"] = 1 + normal(width, scale=0.3)
    if not tied:
        drawn["lm_head.weight"] = normal(vocab, width, scale=0.1)
    for i in range(layers):
        prefix = f"model.layers.{i}."
        for norm in ("input_layernorm", "post_attention_layernorm"):
            drawn[f"{prefix}{norm}.weight"] = 1 + normal(width, scale=0.3)
        for part, count in (("q", heads), ("k", kv_heads), ("v", kv_heads)):
            name = f"{prefix}self_attn.{part}_proj"
            drawn[f"{name}.weight"] = normal(count * size, width, scale=0.2)
            if bias:
                drawn[f"{name}.bias"] = normal(count * size, scale=0.5)
            if qk_norm and part != "v":
                drawn[f"{prefix}self_attn.{part}_norm.weight"] = 1 + normal(size, scale=0.3)
        drawn[f"{prefix}self_attn.o_proj.weight"] = normal(width, heads * size, scale=0.2)
        mlps = [f"{prefix}mlp.experts.{e}." for e in range(num_experts)] or [f"{prefix}mlp."]
        for mlp in mlps:
            drawn[f"{mlp}gate_proj.weight"] = normal(inner, width, scale=0.2)
            drawn[f"{mlp}up_proj.weight"] = normal(inner, width, scale=0.2)
            drawn[f"{mlp}down_proj.weight"] = normal(width, inner, scale=0.2)
        if num_experts:
            drawn[f"{prefix}mlp.gate.weight"] = normal(num_experts, width, scale=0.3)
    return drawn


def logits_written_out(
    w: Tensors,
    ids: Tensor,
    sees: Tensor,
    *,
    layers: int,
    heads: int,
    kv_heads: int,
    theta: float,
    eps: float,
    top: int = 0,
) -> Tensor:
    """Logits [T, V] of a sequence in which token i sees token j if `sees` [T, T] is True."""

    def norm(x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * w[f"{name}.weight"]

    def project(x: Tensor, name: str) -> Tensor:
        return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))

    def gated(x: Tensor, name: str) -> Tensor:
        gate, up = project(x, f"{name}gate_proj"), project(x, f"{name}up_proj")
        return project(gate * gate.sigmoid() * up, f"{name}down_proj")

    def mixed(x: Tensor, name: str) -> Tensor:
        shares = project(x, f"{name}gate").softmax(-1)
        least = shares.sort(-1, descending=True).values[:, top - 1 : top]
        outputs = [gated(x, f"{name}experts.{e}.") for e in range(shares.shape[1])]
        kept = torch.where(shares >= least, shares, 0.0)
        return sum(kept[:, e, None] * output for e, output in enumerate(outputs))

    x = w["model.embed_tokens.weight"][ids]
    size = x.shape[1] // heads
    inverse = theta ** -(torch.arange(0, size, 2).double() / size)
    turn = torch.polar(torch.ones(()).double(), torch.arange(len(ids))[:, None] * inverse)

    def rotate(h: Tensor) -> Tensor:
        turned = torch.complex(*h.double().chunk(2, -1)) * turn
        return torch.cat((turned.real, turned.imag), -1).to(h.dtype)

    for i in range(layers):
        attn, mlp = f"model.layers.{i}.self_attn.", f"model.layers.{i}.mlp."
        h = norm(x, f"model.layers.{i}.input_layernorm")
        q = project(h, f"{attn}q_proj").view(len(ids), heads, size).transpose(0, 1)
        k, v = (
            project(h, f"{attn}{part}_proj").view(len(ids), kv_heads, size).transpose(0, 1)
            for part in "kv"
        )
        if f"{attn}q_norm.weight" in w:
            q, k = norm(q, f"{attn}q_norm"), norm(k, f"{attn}k_norm")
        k, v = (part.repeat_interleave(heads // kv_heads, 0) for part in (rotate(k), v))
        scores = rotate(q) @ k.transpose(1, 2) / size**0.5
        probabilities = scores.masked_fill(~sees, float("-inf")).softmax(-1)
        x = x + project((probabilities @ v).transpose(0, 1).flatten(1), f"{attn}o_proj")
        h = norm(x, f"model.layers.{i}.post_attention_layernorm")
        x = x + (mixed(h, mlp) if top else gated(h, mlp))
    head = w.get("lm_head.weight", w["model.embed_tokens.weight"])
    return F.linear(norm(x, "model.norm"), head)


def write_folder(
    folder: Path,
    config: dict[str, Any],
    tensors: Tensors,
    edit: Callable[[Any], None] | None = None,
) -> Path:
    """Checkpoint of these tensors with the byte tokenizer, which `edit` may change first."""
    (folder / "config.json").write_text(json.dumps(config))
    save_file({name: t.contiguous() for name, t in tensors.items()}, folder / "model.safetensors")
    tokenizer = byte_tokenizer()
    if edit is not None:
        edit(tokenizer)
    tokenizer.save_pretrained(folder)
    return folder
