"""Second implementation of LLaDA2 and SDAR-MoE, row by row, from their papers and configs."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Weights = dict[str, Tensor]


def norm(x: Tensor, weight: Tensor, eps: float = 1e-6) -> Tensor:
    return x / (x.pow(2).mean(-1, keepdim=True) + eps).sqrt() * weight


def project(w: Weights, name: str, x: Tensor) -> Tensor:
    return F.linear(x, w[f"{name}.weight"], w.get(f"{name}.bias"))


def mlp(w: Weights, prefix: str, x: Tensor) -> Tensor:
    gate, up, down = (w[f"{prefix}{name}_proj.weight"] for name in ("gate", "up", "down"))
    return (F.silu(x @ gate.T) * (x @ up.T)) @ down.T


def turn(x: Tensor, theta: float, dims: int, scale: float = 1.0) -> Tensor:
    """Heads [T, H, D] with RoPE on the first `dims` dimensions, i with i + dims / 2, and scaled."""
    half = dims // 2
    angles = torch.arange(len(x))[:, None] * theta ** (-torch.arange(half) / half)
    cos, sin = scale * angles.cos()[:, None], scale * angles.sin()[:, None]
    a, b, rest = x[..., :half], x[..., half:dims], x[..., dims:]
    return torch.cat((a * cos - b * sin, b * cos + a * sin, rest), -1)


def attend(query: Tensor, key: Tensor, value: Tensor, block: int) -> Tensor:
    """Block-causal attention of heads [T, H, D]; returns [T, H D]."""
    rows = []
    group = query.shape[1] // key.shape[1]
    for t, heads in enumerate(query):
        end = (t // block + 1) * block
        keys = key[:end].repeat_interleave(group, 1)
        values = value[:end].repeat_interleave(group, 1)
        shares = (torch.einsum("hd,shd->hs", heads, keys) / heads.shape[-1] ** 0.5).softmax(-1)
        rows.append(torch.einsum("hs,shd->hd", shares, values).flatten())
    return torch.stack(rows)


def llada2_experts(raw: dict[str, Any], logits: Tensor, bias: Tensor) -> dict[int, float]:
    """Experts of a row by its router logits [E], with their top-k weights."""
    scores = logits.sigmoid()
    choice = (scores + bias).tolist()
    size = len(choice) // raw["n_group"]
    groups = sorted(
        range(raw["n_group"]),
        key=lambda g: -sum(sorted(choice[g * size : (g + 1) * size])[-2:]),
    )[: raw["topk_group"]]
    allowed = [e for e in range(len(choice)) if e // size in groups]
    best = sorted(allowed, key=lambda e: -choice[e])[: raw["num_experts_per_tok"]]
    total = sum(scores[e].item() for e in best) if len(best) > 1 else 1.0
    return {e: scores[e].item() / total * raw["routed_scaling_factor"] for e in best}


def llada22_experts(raw: dict[str, Any], logits: Tensor, bias: Tensor) -> list[dict[int, float]]:
    """Experts of each row of router logits [T, E] by block, with their top-k weights."""
    scores = logits.sigmoid()
    choice, length = scores + bias, raw.get("block_size", 32)
    chosen = []
    for start in range(0, len(logits), length):
        best = choice[start : start + length].max(0).values.tolist()
        kept = sorted(range(len(best)), key=lambda e: -best[e])[: raw["expert_capacity"]]
        for row in range(start, min(start + length, len(logits))):
            own = choice[row].tolist()
            ids = sorted(kept, key=lambda e: -own[e])[: raw["num_experts_per_tok"]]
            total = sum(scores[row, e].item() for e in ids) if len(ids) > 1 else 1.0
            scale = raw["routed_scaling_factor"] / total
            chosen.append({e: scores[row, e].item() * scale for e in ids})
    return chosen


def qwen3_experts(raw: dict[str, Any], logits: Tensor) -> dict[int, float]:
    """Experts of a row by its router logits [E], with their top-k weights."""
    scores = logits.softmax(-1).tolist()
    best = sorted(range(len(scores)), key=lambda e: -scores[e])[: raw["num_experts_per_tok"]]
    total = sum(scores[e] for e in best) if raw["norm_topk_prob"] else 1.0
    return {e: scores[e] / total for e in best}


def mixture(w: Weights, prefix: str, x: Tensor, chosen: list[dict[int, float]]) -> Tensor:
    rows = [
        sum(share * mlp(w, f"{prefix}{expert}.", row) for expert, share in topk.items())
        for row, topk in zip(x, chosen, strict=True)
    ]
    return torch.stack(rows)


def llada2(
    raw: dict[str, Any], weights: Weights, ids: Tensor, images: tuple[Tensor, Tensor] | None = None
) -> Tensor:
    """Logits [T, V] in float64; `images` are places among the rows, and their embeddings."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    heads, kv, size = raw["num_attention_heads"], raw["num_key_value_heads"], raw["head_dim"]
    dims = int(size * raw["partial_rotary_factor"])
    scale = (raw.get("rope_scaling") or {}).get("attention_factor", 1.0)
    x = w["model.word_embeddings.weight"][ids]
    if images is not None:
        x[images[0]] = images[1].double()
    for i in range(raw["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = norm(x, w[f"{p}input_layernorm.weight"])
        joined = project(w, f"{p}attention.query_key_value", h).view(len(x), -1, size)
        q, k, v = joined.split([heads, kv, kv], 1)
        if raw.get("use_qk_norm", True):
            q = norm(q, w[f"{p}attention.query_layernorm.weight"])
            k = norm(k, w[f"{p}attention.key_layernorm.weight"])
        q, k = (turn(x, raw["rope_theta"], dims, scale) for x in (q, k))
        x = x + project(w, f"{p}attention.dense", attend(q, k, v, 32))
        h = norm(x, w[f"{p}post_attention_layernorm.weight"])
        if i < raw["first_k_dense_replace"]:
            x = x + mlp(w, f"{p}mlp.", h)
            continue
        logits = h @ w[f"{p}mlp.gate.weight"].T
        bias = w[f"{p}mlp.gate.expert_bias"]
        if raw.get("expert_capacity"):
            chosen = llada22_experts(raw, logits, bias)
        else:
            chosen = [llada2_experts(raw, row, bias) for row in logits]
        x = x + mixture(w, f"{p}mlp.experts.", h, chosen)
        if raw["num_shared_experts"]:
            x = x + mlp(w, f"{p}mlp.shared_experts.", h)
    return norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def sdar_moe(raw: dict[str, Any], weights: Weights, ids: Tensor, block: int) -> Tensor:
    """Logits [T, V] in float64."""
    w = {name: tensor.double() for name, tensor in weights.items()}
    size, theta = raw["head_dim"], raw["rope_theta"]
    x = w["model.embed_tokens.weight"][ids]
    for i in range(raw["num_hidden_layers"]):
        p = f"model.layers.{i}."
        h = norm(x, w[f"{p}input_layernorm.weight"])
        q, k, v = (
            project(w, f"{p}self_attn.{name}_proj", h).view(len(x), -1, size) for name in "qkv"
        )
        q = turn(norm(q, w[f"{p}self_attn.q_norm.weight"]), theta, size)
        k = turn(norm(k, w[f"{p}self_attn.k_norm.weight"]), theta, size)
        x = x + project(w, f"{p}self_attn.o_proj", attend(q, k, v, block))
        h = norm(x, w[f"{p}post_attention_layernorm.weight"])
        if f"{p}mlp.gate.weight" not in w:
            x = x + mlp(w, f"{p}mlp.", h)
            continue
        chosen = [qwen3_experts(raw, row) for row in h @ w[f"{p}mlp.gate.weight"].T]
        x = x + mixture(w, f"{p}mlp.experts.", h, chosen)
    return norm(x, w["model.norm.weight"]) @ w["lm_head.weight"].T


def llada2_shapes(raw: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Tensor shapes of a `config.json` by their published names."""
    hidden, size = raw["hidden_size"], raw["head_dim"]
    heads, kv = raw["num_attention_heads"], raw["num_key_value_heads"]

    def mlp(prefix: str, inner: int) -> dict[str, tuple[int, ...]]:
        shapes = {f"{prefix}{name}_proj.weight": (inner, hidden) for name in ("gate", "up")}
        return shapes | {f"{prefix}down_proj.weight": (hidden, inner)}

    shapes: dict[str, tuple[int, ...]] = {"model.norm.weight": (hidden,)}
    for name in ("model.word_embeddings.weight", "lm_head.weight"):
        shapes[name] = (raw.get("vocab_size", 512), hidden)
    for i in range(raw["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name in ("input", "post_attention"):
            shapes[f"{p}{name}_layernorm.weight"] = (hidden,)
        for name in ("query", "key") if raw.get("use_qk_norm", True) else ():
            shapes[f"{p}attention.{name}_layernorm.weight"] = (size,)
        shapes[f"{p}attention.query_key_value.weight"] = ((heads + 2 * kv) * size, hidden)
        shapes[f"{p}attention.dense.weight"] = (hidden, heads * size)
        if raw.get("use_qkv_bias"):
            shapes[f"{p}attention.query_key_value.bias"] = ((heads + 2 * kv) * size,)
        if raw.get("use_bias"):
            shapes[f"{p}attention.dense.bias"] = (hidden,)
        if i < raw["first_k_dense_replace"]:
            shapes |= mlp(f"{p}mlp.", raw["intermediate_size"])
            continue
        shapes[f"{p}mlp.gate.weight"] = (raw["num_experts"], hidden)
        shapes[f"{p}mlp.gate.expert_bias"] = (raw["num_experts"],)
        for expert in range(raw["num_experts"]):
            shapes |= mlp(f"{p}mlp.experts.{expert}.", raw["moe_intermediate_size"])
        if raw["num_shared_experts"] is not None:
            inner = raw["moe_intermediate_size"] * raw["num_shared_experts"]
            shapes |= mlp(f"{p}mlp.shared_experts.", inner)
    return shapes
