"""DiffusionGemma's configuration: fields read, defaults, and refusals."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.diffusion_gemma import build, read_schedule, traits
from unmask.models.gemma_config import read_config
from unmask.models.kv_cache import LayerShape
from unmask.models.registry import load_model
from unmask.models.weights import Weights
from unmask.types import MAX_BLOCK_LENGTH, CanvasSchedule

FOLDER = GOLDEN / "dgemma"


def config(**text: Any) -> dict[str, Any]:
    """Golden configuration with changes; None removes a field."""
    raw = json.loads((FOLDER / "config.json").read_text())
    changed = raw["text_config"] | text
    return raw | {"text_config": {k: v for k, v in changed.items() if v is not None}}


def test_layers_have_the_shapes_that_the_configuration_lists() -> None:
    sliding, full = LayerShape(2, 16, 2, 24), LayerShape(1, 32, 4)
    assert read_config(config()).shapes == (sliding, sliding, full)


def test_older_names_say_the_same() -> None:
    older = config(per_layer_config=None, global_head_dim=32, num_global_key_value_heads=1)
    assert read_config(older).shapes == read_config(config()).shapes


def test_what_is_left_out_is_as_in_transformers() -> None:
    bare = config(
        per_layer_config=None,
        layer_types=None,
        rope_parameters=None,
        sliding_window=None,
        num_hidden_layers=12,
    )
    read = read_config(bare)
    sliding, full = LayerShape(2, 16, 2, 512), LayerShape(2, 512, 2)
    assert read.shapes == ((sliding,) * 5 + (full,)) * 2
    assert read.softcap == 30.0
    rope = read.ropes["full_attention"]
    assert (rope.num_pairs, rope.theta) == (64, 1_000_000.0)
    assert read.ropes["sliding_attention"].num_pairs == 8
    assert traits({}).block_length == 256


SIZES = (
    *("head_dim", "hidden_size", "intermediate_size", "moe_intermediate_size"),
    *("num_attention_heads", "num_experts", "num_hidden_layers", "num_key_value_heads"),
    *("top_k_experts", "vocab_size"),
)


@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_is_null_is_named(name: str, tmp_path: Path) -> None:
    raw = config()
    raw["text_config"][name] = None
    (tmp_path / "config.json").write_text(json.dumps(raw))
    shutil.copy(FOLDER / "model.safetensors", tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=f"config.json has no '{name}'"):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


def test_a_null_is_the_default_or_none() -> None:
    raw = config()
    nulls = {"rms_norm_eps": None, "hidden_activation": None, "final_logit_softcapping": None}
    raw["text_config"] |= nulls
    read = read_config(raw)
    assert (read.rms_norm_eps, read.activation, read.softcap) == (1e-6, "gelu_tanh", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_activation": "relu"}, "hidden_activation"),
        ({"attention_bias": True}, "attention_bias"),
        ({"use_bidirectional_attention": "all"}, "use_bidirectional_attention"),
        ({"layer_types": ["full_attention"]}, "layer_types"),
        ({"num_attention_heads": 3}, "is not a multiple of"),
        (
            {"rope_parameters": {k: {"rope_type": "yarn"} for k in ("sliding_attention",)}},
            "rope_parameters",
        ),
        (
            {"rope_parameters": {"sliding_attention": {"rope_theta": 1e4, "factor": 2.0}}},
            "rope_parameters of sliding_attention of type default has no use for factor 2.0",
        ),
    ],
)
def test_what_is_not_supported_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidCheckpoint, match=message):
        read_config(config(**change))


def test_halves_that_are_not_tied_and_long_canvases_are_refused() -> None:
    with pytest.raises(InvalidCheckpoint, match="tied"):
        read_config(config() | {"tie_word_embeddings": False})
    with pytest.raises(InvalidCheckpoint, match=f"at most {MAX_BLOCK_LENGTH}"):
        traits({"canvas_length": MAX_BLOCK_LENGTH + 1})


def test_a_schedule_is_read_where_it_is_given() -> None:
    golden = json.loads((FOLDER / "generation_config.json").read_text())
    assert read_schedule(golden) == CanvasSchedule() == read_schedule({})
    generation = {
        "max_denoising_steps": 12,
        "sampler_config": {"_cls_name": "EntropyBoundSamplerConfig", "entropy_bound": 0.5},
        "t_max": 1.0,
        "t_min": 0.0,
        "stability_threshold": 0,
        "confidence_threshold": 0.25,
    }
    assert read_schedule(generation) == CanvasSchedule(12, 0.5, 1.0, 0.0, 0, 0.25)


def test_shared_weights_may_be_saved_twice_and_others_may_not() -> None:
    tensors = load_file(FOLDER / "model.safetensors")
    again = {
        name.replace("model.decoder.", "model.encoder.language_model."): tensor
        for name, tensor in tensors.items()
        if name.startswith("model.decoder.") and "self_conditioning" not in name
    }

    def load(**extra: torch.Tensor) -> None:
        device = torch.device("cpu")
        build(config(), Weights(again | tensors | extra, torch.float32, device), 64)

    load(**{"lm_head.weight": tensors["model.decoder.embed_tokens.weight"]})
    with pytest.raises(InvalidCheckpoint, match=r"unexpected model\.encoder\.audio"):
        load(**{"model.encoder.audio": torch.zeros(3)})
