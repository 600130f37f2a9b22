"""Memory of DiffusionGemma's published shape: a sparse file of one period of layers, on meta."""

import json
import math
from pathlib import Path

import torch

from unmask.models.diffusion_gemma import build
from unmask.models.family import RawConfig
from unmask.models.weights import Weights

PUBLISHED = Path(__file__).parent.parent / "published" / "diffusion-gemma-26b.json"
ROOT = "model.decoder."
PERIOD, NUM_PERIODS = 6, 5
SIZES = {"BF16": 2, "F32": 4, "F8_E4M3": 1}
CHANNELS = {"quant_method": "compressed-tensors"}
Entries = dict[str, tuple[str, tuple[int, ...]]]


def linear(name: str, shape: tuple[int, int], kind: str) -> Entries:
    """Tensors of a linear layer by name: type and shape."""
    rows = shape[0]
    if kind == "fp8":
        return {
            f"{name}.weight": ("F8_E4M3", shape),
            f"{name}.weight_scale": ("BF16", (rows, 1)),
        }
    return {f"{name}.weight": ("BF16", shape)}


def entries(raw: RawConfig, kind: str) -> Entries:
    """All tensors of the text model, as quantizers of linear layers save them."""
    text = raw["text_config"]
    hidden, inner, heads = (
        text[key] for key in ("hidden_size", "intermediate_size", "num_attention_heads")
    )
    found: Entries = {
        f"{ROOT}embed_tokens.weight": ("BF16", (text["vocab_size"], hidden)),
        f"{ROOT}norm.weight": ("BF16", (hidden,)),
        f"{ROOT}self_conditioning.pre_norm.weight": ("BF16", (hidden,)),
    }

    def mlp(prefix: str, size: int, mlp_kind: str) -> None:
        for part in ("gate", "up"):
            found.update(linear(f"{prefix}{part}_proj", (size, hidden), mlp_kind))
        found.update(linear(f"{prefix}down_proj", (hidden, size), mlp_kind))

    mlp(f"{ROOT}self_conditioning.", inner, "bf16")
    for index, span in enumerate(text["layer_types"]):
        layer, is_full = f"{ROOT}layers.{index}.", span == "full_attention"
        dim = text["global_head_dim" if is_full else "head_dim"]
        num_kv = text["num_global_key_value_heads" if is_full else "num_key_value_heads"]
        attn = f"{layer}self_attn."
        found |= linear(f"{attn}q_proj", (heads * dim, hidden), kind)
        found |= linear(f"{attn}k_proj", (num_kv * dim, hidden), kind)
        if not is_full:
            found |= linear(f"{attn}v_proj", (num_kv * dim, hidden), kind)
        found |= linear(f"{attn}o_proj", (hidden, heads * dim), kind)
        found |= {f"{attn}{part}_norm.weight": ("BF16", (dim,)) for part in "qk"}
        mlp(f"{layer}mlp.", inner, kind)
        for expert in range(text["num_experts"]):
            mlp(f"{layer}experts.{expert}.", text["moe_intermediate_size"], kind)
        norms = ("pre_feedforward_layernorm", "post_feedforward_layernorm")
        names = [f"{norm}{part}" for norm in norms for part in ("", "_1", "_2")][:3:2]
        names += [f"{norms[1]}{part}" for part in ("", "_1", "_2")]
        names += ["input_layernorm", "post_attention_layernorm"]
        found |= {f"{layer}{name}.weight": ("BF16", (hidden,)) for name in names}
        found[f"{layer}router.proj.weight"] = ("BF16", (text["num_experts"], hidden))
        found[f"{layer}router.scale"] = ("BF16", (hidden,))
        found[f"{layer}router.per_expert_scale"] = ("BF16", (text["num_experts"],))
        encoder = f"model.encoder.language_model.layers.{index}.layer_scalar"
        found |= dict.fromkeys((f"{layer}layer_scalar", encoder), ("BF16", (1,)))
    return found


def write_sparse(file: Path, found: Entries) -> None:
    """Write a file with this header, whose numbers take no space on the disk."""
    header, end = {}, 0
    for name, (dtype, shape) in found.items():
        begin, end = end, end + SIZES[dtype] * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with file.open("wb") as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        stream.truncate(8 + len(text) + end)


def test_the_published_shape_in_fp8_takes_less_than_30_gb(tmp_path: Path) -> None:
    raw: RawConfig = json.loads(PUBLISHED.read_text())["config"]
    text = raw["text_config"]
    assert text["layer_types"] == text["layer_types"][:PERIOD] * NUM_PERIODS
    few = {"layer_types": text["layer_types"][:PERIOD], "num_hidden_layers": PERIOD}
    raw = raw | {"text_config": text | few}
    write_sparse(tmp_path / "model.safetensors", entries(raw, "fp8"))
    weights = Weights.from_folder(
        tmp_path,
        torch.bfloat16,
        torch.device("meta"),
        compression=CHANNELS,
    )
    model = build(raw, weights, 8192)
    assert set(weights.expert_bytes) == {torch.float8_e4m3fn}
    expert_bytes = NUM_PERIODS * sum(weights.expert_bytes.values())
    assert 22e9 < expert_bytes < 24e9
    total_bytes = NUM_PERIODS * sum(weights.held_bytes.values()) + model.embedding.nbytes
    assert expert_bytes < total_bytes < 30e9  # norms and routers take 0.03 GB
