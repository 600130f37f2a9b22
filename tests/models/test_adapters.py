"""Adapters are merged as PEFT merges them, or refused by name."""

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.cli.running import serving
from tests.support.compressing import compress
from tests.support.engines import make_engine, run_all
from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import BLOCK_LENGTHS, FOLDERS, cases_of, read_reference
from tests.support.lora import draw_pairs, linear_modules, merged, read_weights, write_adapter
from tests.support.tiny import GOLDEN, save_tokenizer
from unmask import LLM
from unmask.config import Config, DecodingConfig, EngineConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams

Q = "model.layers.1.self_attn.q_proj"


def copy(name: str, target: Path) -> Path:
    target.mkdir(exist_ok=True)
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name / file, target / file)
    save_tokenizer(target)
    return target


def load(folder: Path, *adapters: Path, name: str = "sdar", **options: Any) -> LoadedModel:
    mask = read_reference(name).get("mask_token_id")
    fields = {"dtype": "float32", "mask_token_id": mask} | options
    paths = tuple(str(adapter) for adapter in adapters)
    return load_model(ModelConfig(str(folder), adapter=paths, **fields), DecodingConfig())


def logits(loaded: LoadedModel, block_len: int | None = 4) -> torch.Tensor:
    ids = torch.arange(40) * 11 % 500
    return logits_of(loaded, ids, full(40) if block_len is None else block_causal(40, block_len))


def assert_equal(one: torch.Tensor, other: torch.Tensor) -> None:
    assert torch.equal(one, other)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return copy("sdar", tmp_path / "base")


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("name", FOLDERS)
def test_logits_are_those_of_the_sum_for_every_family(name: str, tmp_path: Path) -> None:
    base = copy(name, tmp_path / "base")
    weights = read_weights(base)
    pairs = draw_pairs(weights, linear_modules(weights))
    adapter = write_adapter(tmp_path / "adapter", pairs)
    whole = copy(name, tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    block_len = BLOCK_LENGTHS.get(name)
    result = logits(load(base, adapter, name=name), block_len)
    assert_equal(result, logits(load(whole, name=name), block_len))
    plain = logits(load(base, name=name), block_len)
    is_chosen = plain > -1e3  # a mask's logit may be fixed
    assert (result - plain)[is_chosen].abs().max() > 0.05 * plain[is_chosen].abs().max()


def test_encoder_and_decoder_of_diffusion_gemma_are_adapted_together(tmp_path: Path) -> None:
    base = copy("dgemma", tmp_path / "base")
    weights = read_weights(base)
    modules = [m for m in linear_modules(weights) if m.startswith("model.decoder.")]
    pairs = draw_pairs(weights, modules)
    whole = copy("dgemma", tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    request = Request("a", tuple(range(20)), SamplingParams(max_tokens=12, seed=1))

    def answer(loaded: LoadedModel) -> object:
        return run_all(make_engine(loaded), [request])["a"].essence

    result = answer(load(base, write_adapter(tmp_path / "a", pairs), name="dgemma"))
    assert result == answer(load(whole, name="dgemma"))
    assert result != answer(load(base, name="dgemma"))
    halves = {m: pair for m, pair in pairs.items() if m.startswith("model.decoder.")}
    with pytest.raises(InvalidCheckpoint, match="encoder and decoder share this weight"):
        load(base, write_adapter(tmp_path / "b", halves), name="dgemma")


def adapter_and_sum(base: Path, folder: Path) -> tuple[Path, Path]:
    """An adapter of `base`, and a checkpoint of their sum."""
    weights = read_weights(base)
    pairs = draw_pairs(weights, linear_modules(weights))
    whole = copy("sdar", folder / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    return write_adapter(folder / "adapter", pairs), whole


SAMPLING = SamplingParams(max_tokens=12, ignore_eos=True)
CONFIG = Config(ModelConfig(dtype="float32"), EngineConfig(num_pages=100, threads=1))


def test_an_adapter_is_a_setting_of_the_library(base: Path, tmp_path: Path) -> None:
    adapter, whole = adapter_and_sum(base, tmp_path)
    (expected,) = LLM(str(whole), config=CONFIG).generate("hello", SAMPLING)
    (answer,) = LLM(str(base), config=CONFIG, adapter=str(adapter)).generate("hello", SAMPLING)
    assert answer.token_ids == expected.token_ids


@pytest.mark.exhaustive
@pytest.mark.slow
def test_an_adapter_is_a_setting_of_the_command(base: Path, tmp_path: Path) -> None:
    adapter, whole = adapter_and_sum(base, tmp_path)
    (expected,) = LLM(str(whole), config=CONFIG).generate("hello", SAMPLING)
    args = str(base), "--adapter", str(adapter), "--dtype", "float32", "--num-pages", "100"
    with serving(*args) as server:
        body = {"prompt": "hello", "max_tokens": 12, "ignore_eos": True}
        served = httpx.post(f"{server.url}/v1/completions", json=body, timeout=60).json()
    assert served["choices"][0]["text"] == expected.text


def test_a_request_gets_the_tokens_of_the_sum(tmp_path: Path) -> None:
    base = copy("llada2", tmp_path / "base")
    weights = read_weights(base)
    pairs = draw_pairs(weights, linear_modules(weights))
    save_file(merged(weights, pairs), copy("llada2", tmp_path / "b") / "model.safetensors")
    adapter = write_adapter(tmp_path / "adapter", pairs)
    requests = [case.request for case in cases_of("llada2")][:3]
    result = run_all(make_engine(load(base, adapter, name="llada2")), requests)
    expected = run_all(make_engine(load(tmp_path / "b", name="llada2")), requests)
    assert {r: s.essence for r, s in result.items()} == {r: s.essence for r, s in expected.items()}


def test_several_adapters_are_added_one_after_the_other(base: Path, tmp_path: Path) -> None:
    weights = read_weights(base)
    first = draw_pairs(weights, linear_modules(weights), seed=1)
    second = draw_pairs(weights, [Q], rank=2, seed=2)
    whole = copy("sdar", tmp_path / "whole")
    both = merged(merged(weights, first), second, scale=6 / 2)
    save_file(both, whole / "model.safetensors")
    a, b = write_adapter(tmp_path / "a", first), write_adapter(tmp_path / "b", second, r=2)
    assert_equal(logits(load(base, a, b)), logits(load(whole)))


@pytest.mark.parametrize(
    ("fields", "scale"),
    [
        ({"use_rslora": True}, 6 / 2),
        ({"alpha_pattern": {"q_proj": 2}}, 2 / 4),
        ({"alpha_pattern": {r"layers\.1\.self_attn\.q_proj": 2}}, 2 / 4),
        ({"alpha_pattern": {"roj": 2, "layers.0.self_attn.q_proj": 2}}, 6 / 4),
        ({"r": 8, "rank_pattern": {"self_attn.q_proj": 4}}, 6 / 4),
        ({"r": 8, "rank_pattern": {"q_proj": 4}, "use_rslora": True}, 6 / 2),
        ({"target_modules": r".*layers\.1.*q_proj"}, 6 / 4),
        ({"target_modules": "all-linear"}, 6 / 4),
        ({"target_modules": ["q_proj", "no_such_layer"]}, 6 / 4),
        ({"layers_to_transform": [1], "layers_pattern": "layers"}, 6 / 4),
    ],
)
def test_ranks_and_scales_are_each_module_s(
    fields: dict[str, Any], scale: float, base: Path, tmp_path: Path
) -> None:
    weights = read_weights(base)
    pairs = draw_pairs(weights, [Q])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(weights, pairs, scale), whole / "model.safetensors")
    adapter = write_adapter(tmp_path / "adapter", pairs, **fields)
    assert_equal(logits(load(base, adapter)), logits(load(whole)))


def test_the_sum_is_rounded_once(base: Path, tmp_path: Path) -> None:
    half = {name: tensor.bfloat16() for name, tensor in read_weights(base).items()}
    save_file(half, base / "model.safetensors")
    pairs = draw_pairs(half, [Q])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(half, pairs), whole / "model.safetensors")
    adapter = write_adapter(tmp_path / "adapter", pairs)
    expected = logits(load(whole, dtype="bfloat16"))
    assert torch.equal(logits(load(base, adapter, dtype="bfloat16")), expected)


def test_whole_modules_replace_the_checkpoint_s(base: Path, tmp_path: Path) -> None:
    weights = read_weights(base)
    saved = {name: 0.5 * weights[name] for name in ("lm_head.weight", "model.embed_tokens.weight")}
    whole = copy("sdar", tmp_path / "whole")
    save_file(weights | saved, whole / "model.safetensors")
    for named in (["lm_head", "embed_tokens"], None):  # PEFT saves them unnamed on request
        adapter = write_adapter(tmp_path / "a", {}, saved, modules_to_save=named)
        assert_equal(logits(load(base, adapter)), logits(load(whole)))


def test_modules_to_save_are_found_by_the_ends_of_their_names(base: Path, tmp_path: Path) -> None:
    """`norm` stands for every norm in PEFT."""
    weights = read_weights(base)
    saved = {name: 1.5 * tensor for name, tensor in weights.items() if name.endswith("norm.weight")}
    whole = copy("sdar", tmp_path / "whole")
    save_file(weights | saved, whole / "model.safetensors")
    adapter = write_adapter(tmp_path / "a", {}, saved, modules_to_save=["norm"])
    assert_equal(logits(load(base, adapter)), logits(load(whole)))


def test_a_head_is_adapted_with_the_weight_that_peft_saves_beneath(
    base: Path, tmp_path: Path
) -> None:
    weights = read_weights(base)
    weights["lm_head.weight"] = 0.5 * weights["lm_head.weight"]
    pairs = draw_pairs(weights, [Q, "lm_head"])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    beneath = {"lm_head.base_layer.weight": weights["lm_head.weight"]}
    adapter = write_adapter(tmp_path / "a", pairs, beneath)
    assert_equal(logits(load(base, adapter)), logits(load(whole)))


def test_an_adapter_beside_the_weights_is_merged_if_it_is_asked_for(
    base: Path, tmp_path: Path
) -> None:
    weights = read_weights(base)
    pairs = draw_pairs(weights, [Q])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    write_adapter(base, pairs)
    with pytest.raises(InvalidCheckpoint, match=f"adapter beside .*: --adapter {base} merges it"):
        load(base)
    assert_equal(logits(load(base, base)), logits(load(whole)))


def test_numbers_of_an_adapter_are_floats(base: Path, tmp_path: Path) -> None:
    adapter = write_adapter(tmp_path / "a", draw_pairs(read_weights(base), [Q]))
    file = adapter / "adapter_model.safetensors"
    save_file({name: t.to(torch.int8) for name, t in load_file(file).items()}, file)
    with pytest.raises(InvalidCheckpoint, match=r"lora_A\.weight is of type torch\.int8"):
        load(base, adapter)


def test_weights_of_8_bits_are_widened_for_an_adapter(base: Path, tmp_path: Path) -> None:
    group = {"num_bits": 8, "symmetric": True, "strategy": "channel", "type": "int"}
    config = {"quant_method": "compressed-tensors", "config_groups": {"g": {"weights": group}}}
    meant = compress(base, tmp_path / "8", config, torch.int8, (1, 10**9))
    pairs = draw_pairs(meant, [Q])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(meant, pairs), whole / "model.safetensors")
    adapter = write_adapter(tmp_path / "a", pairs)
    result = logits(load(tmp_path / "8", adapter, quantization="none"))
    assert_equal(result, logits(load(whole)))
    near = logits(load(tmp_path / "8", adapter))  # other weights are multiplied in 8 bits
    assert (near - result).abs().max() < 1e-5 * result.abs().max()
    held = load(base, adapter, quantization="int8")
    assert held.model._layers[1].qkv.weight.dtype is torch.int8


@pytest.mark.parametrize("prefix", ["", "model.model."])
def test_a_root_that_one_of_both_lacks_is_found(prefix: str, base: Path, tmp_path: Path) -> None:
    weights = read_weights(base)
    pairs = draw_pairs(weights, [Q])
    whole = copy("sdar", tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    renamed = {prefix + Q.removeprefix("model."): pairs[Q]}
    adapter = write_adapter(tmp_path / "a", renamed)
    assert_equal(logits(load(base, adapter)), logits(load(whole)))


def test_llada_is_adapted_by_llama_s_names_too(tmp_path: Path) -> None:
    base = copy("llada", tmp_path / "base")
    weights = read_weights(base)
    names = {
        "model.layers.1.self_attn.o_proj": "model.transformer.blocks.1.attn_out",
        "model.layers.0.mlp.gate_proj": "model.transformer.blocks.0.ff_proj",
        "model.layers.0.mlp.down_proj": "model.transformer.blocks.0.ff_out",
        "model.layers.0.self_attn.k_proj": "model.transformer.blocks.0.k_proj",
    }
    pairs = draw_pairs(weights, list(names.values()))
    whole = copy("llada", tmp_path / "whole")
    save_file(merged(weights, pairs), whole / "model.safetensors")
    adapter = write_adapter(tmp_path / "a", {one: pairs[own] for one, own in names.items()})
    expected = logits(load(whole, name="llada"), None)
    assert_equal(logits(load(base, adapter, name="llada"), None), expected)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"use_dora": True}, "use_dora: true"),
        ({"bias": "lora_only"}, "bias"),
        ({"lora_bias": True}, "lora_bias"),
        ({"fan_in_fan_out": True}, "fan_in_fan_out"),
        ({"init_lora_weights": "pissa"}, "init_lora_weights"),
        ({"init_lora_weights": "olora"}, "init_lora_weights"),
        ({"layer_replication": [[0, 2]]}, "layer_replication"),
        ({"target_parameters": ["mlp.experts.gate_up_proj"]}, "target_parameters"),
        ({"trainable_token_indices": [3]}, "trainable_token_indices"),
        ({"peft_type": "IA3"}, "peft_type 'IA3' is not supported, only LORA"),
        ({"peft_type": "LOHA", "module_dropout": 0.0}, "peft_type 'LOHA' is not supported"),
        ({"layers_to_transform": None}, "nothing for model.layers.0.self_attn.q_proj.weight"),
        ({"a_new_field": 1}, "a_new_field"),
        ({"r": 0}, "r must be from 1"),
        ({"r": 8}, r"lora_A of .* is \(4, 128\), expected \(8, 128\)"),
        ({"rank_pattern": {"q_proj": 3}}, r"expected \(3, 128\)"),
        ({"rank_pattern": {"q_proj": "3"}}, "rank_pattern.q_proj must be from 1"),
        ({"rank_pattern": [1]}, "rank_pattern must be an object"),
        ({"alpha_pattern": {"(": 3}}, "not a pattern"),
        ({"lora_alpha": None}, "lora_alpha must be above 0"),
        ({"target_modules": ["q_proj", "k_proj"]}, "target_modules name k_proj"),
        ({"target_modules": ["k_proj"]}, "target_modules do not name"),
        ({"target_modules": [1]}, "target_modules must be a list of names"),
    ],
)
def test_an_adapter_of_another_kind_is_refused_by_name(
    fields: dict[str, Any], message: str, base: Path, tmp_path: Path
) -> None:
    pairs = draw_pairs(read_weights(base), [Q])
    adapter = write_adapter(tmp_path / "adapter", pairs, **fields)
    with pytest.raises(InvalidCheckpoint, match=f"(?s)^adapter .*{message}"):
        load(base, adapter)


BASE = "base_model.model."


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        (f"{BASE}{Q}.lora_magnitude_vector", (128,), "DoRA is not supported"),
        (f"{BASE}model.embed_tokens.lora_embedding_A", (4, 512), "adapted embedding"),
        (f"{BASE}model.embed_tokens.weight", (513, 128), r"\(513, 128\), expected \(512, 128\)"),
        (f"{BASE}model.norm.weight", (128,), "nor in modules_to_save"),
        (f"{BASE}{Q}.bias", (128,), "nor in modules_to_save"),
        (f"{BASE}lm_head.base_layer.weight", (500, 128), r"\(500, 128\), expected \(512, 128\)"),
        (f"{BASE}model.layers.9.self_attn.q_proj.lora_A.weight", (4, 128), "no weight .* takes"),
        (f"{BASE}model.layers.0.self_attn.q_proj.lora_A.weight", (4, 128), "but no lora_B"),
        ("q_proj.lora_A.weight", (4, 128), "unexpected q_proj.lora_A.weight"),
    ],
)
def test_a_tensor_that_no_weight_takes_is_named(
    name: str, shape: tuple[int, ...], message: str, base: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "a", draw_pairs(read_weights(base), [Q]))
    file = adapter / "adapter_model.safetensors"
    save_file(load_file(file) | {name: torch.ones(shape)}, file)
    with pytest.raises(InvalidCheckpoint, match=message):
        load(base, adapter)


def test_a_head_that_is_the_embedding_cannot_be_adapted_alone(base: Path, tmp_path: Path) -> None:
    weights = read_weights(base)
    raw = json.loads((base / "config.json").read_text())
    (base / "config.json").write_text(json.dumps(raw | {"tie_word_embeddings": True}))
    head = write_adapter(tmp_path / "a", draw_pairs(weights, ["lm_head"]))
    with pytest.raises(InvalidCheckpoint, match=r"lm_head\.weight is adapted, but the model does"):
        load(base, head)
    saved = {"model.embed_tokens.weight": weights["model.embed_tokens.weight"]}
    rows = write_adapter(tmp_path / "b", {}, saved, modules_to_save=["embed_tokens"])
    with pytest.raises(InvalidCheckpoint, match="is adapted, but it is the LM head too"):
        load(base, rows)


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("llada", "D2F_LLaDA_Instruct_8B_Lora", None),
        ("illada", "d2f-illada", "made for blocks behind a prompt that sees itself"),
        ("illada", "CDLM-LLaDA", "made for blocks behind a prompt that sees itself"),
        ("idlm", "I-DLM-8B-lora", "which then are not the base model's"),
        ("llada", "d2fine", None),
        ("sdar", "lora", None),
    ],
)
def test_a_start_tells_of_adapters_that_imply_another_decoding(
    name: str, folder: str, message: str | None, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = copy(name, tmp_path / "base")
    weights = read_weights(base)
    adapter = write_adapter(tmp_path / folder, draw_pairs(weights, linear_modules(weights)))
    with caplog.at_level("INFO", "unmask.models.adapters"):
        load(base, adapter, name=name)
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == (message is not None)
    assert all(message in warning for warning in warnings if message)
    num_modules = len(linear_modules(weights))
    assert f"adapter {adapter}: merged into {num_modules} tensors" in caplog.messages


def test_a_folder_that_is_no_adapter_is_refused(base: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"adapter .*there is no adapter_config\.json"):
        load(base, base)
    adapter = write_adapter(tmp_path / "a", draw_pairs(read_weights(base), [Q]))
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")
    with pytest.raises(InvalidCheckpoint, match="can run code and is not read"):
        load(base, adapter)
    (tmp_path / "run").mkdir()
    adapter.rename(tmp_path / "run" / "checkpoint-100")
    with pytest.raises(InvalidCheckpoint, match="run/checkpoint-100 has one"):
        load(base, tmp_path / "run")
    with pytest.raises(InvalidCheckpoint, match=r"no config\.json .* it is an adapter: serve the"):
        load(tmp_path / "run" / "checkpoint-100")
