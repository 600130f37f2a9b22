"""LLaDA with Llama's tensor names gives the same logits as with its own."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.support.forward import full, logits_of
from tests.support.plain import LLADA
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.checkpoint import Checkpoint
from unmask.models.registry import LoadedModel, family_of, load_model

NAMES = {
    "d_model": "hidden_size",
    "mlp_hidden_size": "intermediate_size",
    "n_layers": "num_hidden_layers",
    "n_heads": "num_attention_heads",
    "n_kv_heads": "num_key_value_heads",
    "max_sequence_length": "max_position_embeddings",
    "rms_norm_eps": "rms_norm_eps",
    "rope_theta": "rope_theta",
    "vocab_size": "vocab_size",
    "architectures": "architectures",
    "model_type": "model_type",
    "mask_token_id": "mask_token_id",
}


def theirs(name: str) -> str:
    """Llama's name of one of LLaDA's tensors."""
    mlp = {"ff_proj": "mlp.gate_proj", "up_proj": "mlp.up_proj", "ff_out": "mlp.down_proj"}
    top = {new: old for old, new in LLADA.items() if new.startswith("model.transformer.")}
    stem, part = name.removesuffix(".weight"), name.split(".")[-2]
    if ".blocks." not in name:
        return f"{top[stem]}.weight"
    norms = {"attn_norm": "input_layernorm", "ff_norm": "post_attention_layernorm"}
    attention = {"attn_out": "self_attn.o_proj"}
    renamed = (mlp | norms | attention).get(part, f"self_attn.{part}")
    return f"model.layers.{name.split('.')[3]}.{renamed}.weight"


def load(folder: Path, **changes: Any) -> LoadedModel:
    raw = json.loads((GOLDEN / "llada/config.json").read_text())
    config = {NAMES[name]: value for name, value in raw.items() if name in NAMES} | changes
    (folder / "config.json").write_text(json.dumps(config))
    tensors = load_file(GOLDEN / "llada/model.safetensors")
    named = {theirs(name): tensor for name, tensor in tensors.items()}
    save_file(named, folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    return load_model(ModelConfig(str(folder), dtype="float32"), DecodingConfig())


@pytest.mark.parametrize("architectures", [["LLaDAModelLM"], None])
def test_logits_are_those_of_the_published_code(
    architectures: list[str] | None, tmp_path: Path
) -> None:
    bias = {"attention_bias": False, "mlp_bias": False}
    loaded = load(tmp_path, architectures=architectures, **bias)
    golden = load_file(GOLDEN / "llada/forward.safetensors")
    ids = golden["input_ids"].flatten()
    expected = golden["logits"].view(len(ids), -1)
    logits = logits_of(loaded, ids, full(len(ids)))
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()
    assert (loaded.info.attention, loaded.info.shift) == ("full", False)
    assert loaded.info.default_sampling.block_length == 32
    assert loaded.info.max_model_len == 512


def test_a_field_that_neither_spelling_has_is_named_alone(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match="not supported: qk_rope_mix: 3"):
        load(tmp_path, qk_rope_mix=3)


def test_the_spelling_decides_which_names_are_read(tmp_path: Path) -> None:
    load(tmp_path)
    assert family_of(Checkpoint.open(tmp_path)).name == "llada-hf"
    assert family_of(Checkpoint.open(GOLDEN / "llada")).name == "llada"
    assert family_of(Checkpoint.open(GOLDEN / "llada_moe")).name == "llada-moe"
