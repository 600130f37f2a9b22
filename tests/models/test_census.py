"""Published checkpoints are decoded like by their authors, or refused by name.

Golden checkpoints stand for them, with the fields that distinguish them.
"""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.dream_files import MASK_ID, NUM_TOKENS, write_tokenizer
from tests.support.tiny import GOLDEN, VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.registry import LoadedModel, load_model


def load(
    folder: Path,
    source: str,
    generation: dict[str, Any] | None = None,
    without: str | None = None,
    decoding: DecodingConfig | None = None,
    **fields: Any,
) -> LoadedModel:
    """Golden checkpoint with changed fields (None removes one), optionally without a tensor."""
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / source / "config.json").read_text()) | fields
    kept = {name: value for name, value in raw.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    tensors = load_file(GOLDEN / source / "model.safetensors")
    stored = {name: tensor for name, tensor in tensors.items() if name != without}
    save_file(stored, folder / "model.safetensors")
    if not (folder / "vocab.json").exists():
        byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32")
    return load_model(config, decoding or DecodingConfig())


SAMPLED = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}
REFUSED = {
    "MMaDA": ("llada", {"vocab_size": 134656, "embedding_size": 134656}, "vocabulary of 134656"),
    "GPTQ": ("sdar", {"quantization_config": {"quant_method": "gptq", "bits": 4}}, "gptq"),
    "AWQ": ("sdar", {"quantization_config": {"quant_method": "awq", "bits": 4}}, "awq"),
    "NVFP4": (
        "sdar",
        {"quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4"}},
        "modelopt",
    ),
} | {
    name: ("sdar", {"architectures": [architecture]}, f"{architecture} is not supported")
    for name, architecture in {
        "Stable-DiffCoder": "StableDiffcoderForCausalLM",
        "iLLaDA": "ILLaDAForCausalLM",
        "A2D": "A2DQwen3LMHeadModel",
        "Efficient-DLM": "DiffEncoderModel",
        "CoDA": "CoDALanguageModel",
        "RND1": "RND1LM",
        "Nemotron-Labs-Diffusion-VLM": "NemotronLabsDiffusionVLMModel",
        "LLaDA-V": "LlavaLLaDAModelLM",
    }.items()
}


@pytest.mark.parametrize("published", REFUSED)
def test_what_is_not_served_is_refused_by_name(published: str, tmp_path: Path) -> None:
    source, fields, message = REFUSED[published]
    with pytest.raises(InvalidCheckpoint, match=message) as caught:
        load(tmp_path / "checkpoint", source, **fields)
    assert "\n" not in str(caught.value)


def test_a_context_is_the_one_that_authors_state(tmp_path: Path) -> None:
    assert load(tmp_path, "dream", max_position_embeddings=131072).info.max_model_len == 2048


def test_defaults_of_a_generation_configuration_are_all_taken(tmp_path: Path) -> None:
    sampling = load(tmp_path, "sdar", SAMPLED).info.default_sampling
    assert (sampling.temperature, sampling.top_k, sampling.top_p) == (0.6, 20, 0.95)


@pytest.mark.parametrize(("name", "edits"), [("LLaDA2.1-flash", True), ("LLaDA2.0-flash", False)])
def test_one_configuration_of_two_models_is_told_apart_by_name(
    name: str, edits: bool, tmp_path: Path
) -> None:
    sampling = load(tmp_path / name, "llada2", model_type="llada2_moe").info.default_sampling
    assert (sampling.editing_threshold is not None) == edits


@pytest.mark.parametrize("preset", [None, "speed", "plain"])
def test_llada22_is_served_by_the_settings_of_its_model_card_and_without_editing(
    preset: str | None, tmp_path: Path
) -> None:
    """Sampling values of its generation configuration are not those of its greedy loop."""
    ends = {"eos_token_id": [500, 510], "do_sample": True, "temperature": 0.7}
    info = load(tmp_path, "llada22", ends, decoding=DecodingConfig(preset=preset)).info
    sampling = info.default_sampling
    expected = (0.95, None) if preset == "plain" else (0.5, 0.0)
    assert (sampling.threshold, sampling.editing_threshold) == expected
    assert (sampling.temperature, info.block_length, info.max_post_steps) == (0.0, 32, 16)
    assert info.edit_commands == (508, 509)
    assert info.routing_block_length == 32
    assert info.eos_token_ids == (500, 510)


@pytest.mark.parametrize(
    ("name", "fields", "preset", "expected"),
    [
        ("any", {"expand_token_id": 500, "eos_token_id": 510}, None, ("entropy", 0.2, 0.9)),
        ("DreamOn-v0-7B", {}, None, ("entropy", 0.2, 0.9)),
        ("DreamOn-v0-7B", {}, "greedy", ("entropy", 0.0, None)),
        ("Dream-v0-Base-7B", {}, None, (None, 0.0, None)),
    ],
)
def test_dreamon_has_the_values_of_its_quickstart(
    name: str,
    fields: dict[str, Any],
    preset: str | None,
    expected: tuple[str | None, float, float | None],
    tmp_path: Path,
) -> None:
    info = load(tmp_path / name, "dream", decoding=DecodingConfig(preset=preset), **fields).info
    sampling = info.default_sampling
    assert (sampling.policy, sampling.temperature, sampling.top_p) == expected
    assert (info.length_commands is not None) == bool(fields)


def test_commands_of_lengths_are_an_option_of_models_that_have_them(tmp_path: Path) -> None:
    pads = DecodingConfig(pad_delete_to_right=True)
    with pytest.raises(InvalidConfig, match="pad_delete_to_right is for models as DreamOn"):
        load(tmp_path, "dream", decoding=pads)
    loaded = load(tmp_path, "dream", decoding=pads, expand_token_id=500, eos_token_id=510)
    assert loaded.info.default_sampling.pad_delete_to_right


def test_a_block_length_of_the_name_is_taken(tmp_path: Path) -> None:
    loaded = load(tmp_path / "SDAR-4B-Chat-b16", "sdar", block_size=None)
    assert loaded.info.default_sampling.block_length == 16


@pytest.mark.parametrize("source", ["sdar", "dream", "llada2", "sdar_moe"])
@pytest.mark.parametrize("without", [None, "lm_head.weight"])
def test_a_head_that_the_configuration_says_nothing_of_is_tied_where_none_is_stored(
    source: str, without: str | None, tmp_path: Path
) -> None:
    loaded = load(tmp_path, source, without=without, tie_word_embeddings=None)
    tensors = load_file(GOLDEN / source / "model.safetensors")
    embedding = next(name for name in tensors if "embed" in name)
    weight = tensors[embedding if without else "lm_head.weight"][:VOCAB_SIZE]
    row = torch.ones(1, weight.shape[1])
    assert torch.allclose(loaded.model.lm_head(row), row @ weight.T, rtol=1e-4, atol=1e-4)


def test_a_head_that_is_said_to_be_there_is_missed(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"missing lm_head\.weight"):
        load(tmp_path, "sdar", without="lm_head.weight", tie_word_embeddings=False)


def test_a_tokenizer_of_vocabulary_and_merges_is_read(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    info = load(tmp_path, "dream", mask_token_id=MASK_ID, eos_token_id=500).info
    assert (info.vocab_size, info.mask_token_id) == (NUM_TOKENS, MASK_ID)


@pytest.mark.parametrize(
    ("source", "fields", "attention"),
    [
        ("llada_moe", {"architectures": ["LLaDAMoEModel"]}, "full"),
        ("sdar", {"architectures": ["DreamForCausalLM"]}, "block_causal"),
        ("sdar", {"architectures": None, "auto_map": None}, "block_causal"),
        ("llada", {"architectures": None, "auto_map": None}, "full"),
        ("wedlm", {}, "causal_window"),
        ("wedlm_bias", {"attention_bias": None, "architectures": None}, "causal_window"),
    ],
    ids=[
        *("LLaDA-MoE-Base", "DreamReasoner", "nameless SDAR", "nameless LLaDA"),
        *("WeDLM-8B", "nameless WeDLM-7B"),
    ],
)
def test_a_name_that_is_another_or_missing_is_served(
    source: str, fields: dict[str, Any], attention: str, tmp_path: Path
) -> None:
    assert load(tmp_path, source, **fields).info.attention == attention
