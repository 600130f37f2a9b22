"""Unknown fields of a `config.json` are refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.checkpoint import Checkpoint
from unmask.models.config_fields import COMMON, HARMLESS, ConfigFields, check_fields
from unmask.models.registry import LoadedModel, family_of, load_model

FOLDERS = sorted(path.parent.name for path in GOLDEN.glob("*/config.json"))
NAMES = st.from_regex(r"[a-z][a-z_]{2,20}", fullmatch=True)
VALUES = st.one_of(st.booleans(), st.integers(0, 64), st.floats(0, 2), st.text("ab", max_size=4))


def raw_config(folder: str) -> dict[str, Any]:
    raw: dict[str, Any] = json.loads((GOLDEN / folder / "config.json").read_text())
    return raw


def known_names(known: ConfigFields) -> set[str]:
    names = COMMON | HARMLESS | known.read | known.harmless | set(known.accepted)
    return names | set(known.nested)


def load(folder: Path, source: str, overrides: str | None = None, **fields: Any) -> LoadedModel:
    """Golden checkpoint with extra fields in its `config.json`."""
    (folder / "config.json").write_text(json.dumps(raw_config(source) | fields))
    shutil.copy(GOLDEN / source / "model.safetensors", folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511, hf_overrides=overrides)
    return load_model(config, DecodingConfig())


@pytest.mark.parametrize("named", [{"auto_map": {"AutoModel": "x.X"}}, {"model_file": "model.py"}])
def test_code_that_a_file_names_is_no_reason_to_refuse_it(named: dict[str, Any]) -> None:
    """It is never run; mlx-lm names a class of the checkpoint's own in the second way."""
    raw = raw_config("nemotron")
    check_fields(raw | named, family_of(Checkpoint(GOLDEN, GOLDEN, raw, {})).fields)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FOLDERS)
@settings(max_examples=200, deadline=None)
@given(name=NAMES, value=VALUES)
def test_any_field_is_known_or_refused_by_name(folder: str, name: str, value: Any) -> None:
    raw = raw_config(folder)
    known = family_of(Checkpoint(GOLDEN / folder, folder, raw, {})).fields
    check_fields(raw, known)
    if name in known_names(known):
        return
    with pytest.raises(InvalidCheckpoint, match=rf"\b{name}: "):
        check_fields(raw | {name: value}, known)
    check_fields(raw | {name: None}, known)
    for part in known.nested:
        inner = dict(raw.get(part) or {})
        if name not in known_names(known.nested[part]):
            with pytest.raises(InvalidCheckpoint, match=rf"\b{part}\.{name}: "):
                check_fields(raw | {part: inner | {name: value}}, known)


PUBLISHED = [
    ("sdar", {"expert_capacity": 48}, "expert_capacity: 48"),
    ("sdar", {"delete_token_id": 156930}, "delete_token_id.*LLaDA2.2"),
    ("sdar", {"split_token_id": 156931}, "split_token_id.*LLaDA2.2"),
    ("sdar", {"block_causal_prompt": True}, "block_causal_prompt: true .*verify drafts"),
    ("llada", {"num_head_layers": 1, "use_adaln": True}, "num_head_layers: 1 .*dUltra.*use_adaln"),
    ("sdar_moe", {"use_regular_causal": True}, "use_regular_causal: true .*I-DLM"),
    ("llada", {"codebook_size": 8192, "num_vq_tokens": 1024}, "codebook_size.*MMaDA"),
    ("llada", {"rope_scaling": {"type": "dynamic", "factor": 31}}, r"rope_scaling\.type"),
    ("llada", {"rope_scaling": {"type": "ntk", "mixed_b": 1}}, r"rope_scaling\.mixed_b"),
    ("efficient_dlm", {"dlm_type": "dream"}, 'dlm_type: "dream"'),
    ("efficient_dlm", {"dlm_paradigm": "autoregressive"}, "dlm_paradigm"),
    ("illada", {"layer_norm_eps": 1e-5}, "layer_norm_eps"),
    ("stable_diffcoder", {"mlp_bias": True}, "mlp_bias"),
    ("rnd1", {"is_causal": True}, "is_causal"),
    ("coda", {"use_sliding_window": True}, "use_sliding_window"),
    ("dream", {"rope_scaling": {"rope_type": "yarn", "llama_4_scaling_beta": 0.1}}, "llama_4_s"),
    ("dgemma", {"text_config": {"num_kv_shared_layers": 4}}, r"text_config\.num_kv_shared_layers"),
    ("sdar_vl", {"text_config": {"expert_capacity": 4}}, r"text_config\.expert_capacity: 4"),
    ("sdar_vl", {"video_crops": 4}, "video_crops: 4"),
    ("llada_v", {"mm_crops": 4}, "mm_crops: 4"),
    ("fast_dvlm", {"text_config": {"expert_capacity": 4}}, r"text_config\.expert_capacity: 4"),
    ("nemotron_vlm", {"image_token_id": 10}, "image_token_id: 10"),
]


@pytest.mark.parametrize(("folder", "fields", "message"), PUBLISHED)
def test_fields_of_published_checkpoints_that_are_not_served_are_refused_with_their_meaning(
    folder: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path, folder, **fields)


@pytest.mark.parametrize(
    ("folder", "fields"),
    [
        ("sdar", {"use_regular_causal": False, "unsloth_version": "2026.1", "max_length": 20}),
        ("sdar", {"_attn_implementation_autoset": True, "base_model_tp_plan": {"a": "colwise"}}),
        ("dream", {"gradient_checkpointing_kwargs": {"use_reentrant": False}}),
        ("dream", {"mlp_bias": False, "rope_scaling": False}),
        ("rnd1", {"rope_parameters": False}),  # as transformers 5 writes rope_scaling
        ("llada2", {"num_nextn_predict_layers": 0, "router_dtype": "fp32", "norm_softmax": False}),
        ("llada2", {"_moe_implementation": "fused"}),  # DMax
        ("llada2", {"_moe_implementation": "eager", "model_type": "llada2_moe_veomni"}),
        ("fast_dllm", {"attention_dropout": 0.0, "initializer_range": 0.02, "use_cache": True}),
    ],
)
def test_fields_with_the_value_that_changes_nothing_are_served(
    folder: str, fields: dict[str, Any], tmp_path: Path
) -> None:
    assert load(tmp_path, folder, **fields).info.vocab_size


def test_a_true_is_no_one() -> None:
    known = ConfigFields(accepted={"groups": (1,)})
    check_fields({"groups": 1}, known)
    with pytest.raises(InvalidCheckpoint, match="groups: true"):
        check_fields({"groups": True}, known)


def test_an_override_takes_a_field_away_or_replaces_it(tmp_path: Path) -> None:
    loaded = load(tmp_path, "sdar", '{"odd": null, "block_size": 8}', odd=3)
    assert loaded.info.default_sampling.block_length == 8


@pytest.mark.parametrize("overrides", ["[1]", "{", "3"])
def test_overrides_that_are_no_object_are_an_error_of_the_configuration(
    overrides: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match="hf_overrides"):
        load(tmp_path, "sdar", overrides)
