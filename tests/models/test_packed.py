"""Checkpoints of 4 bits load as the numbers that their formats mean."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from tests.support.engines import assert_same_in_company, plain_requests
from tests.support.packing import (
    PACKINGS,
    Packing,
    awq,
    awq_config,
    gptq,
    gptq_config,
    group_config,
    int4,
    pack_checkpoint,
)
from tests.support.plain import write_folder
from tests.support.stored import held, load, logits
from unmask.errors import InvalidCheckpoint
from unmask.models.quantization_files import find_quantization
from unmask.models.weights import Weights
from unmask_kernels.quantization.ops import emulated_w8a8

Q = "model.layers.0.self_attn.q_proj"
CPU = torch.device("cpu")
# Held in 8 bits with the same numbers: one scale an output anywhere, groups of 128 inputs where
# products are W8A8.
PER_OUTPUT, GROUPS_OF_128 = {"int4 channel"}, {"int4 group 128", "awq 128", "gptq v2"}


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("name", PACKINGS)
def test_every_weight_is_the_one_that_is_meant(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    meant = pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=PACKINGS[name].config)
    for tensor_name, expected in meant.items():
        tensor = weights.take(tensor_name, tuple(expected.shape))
        torch.testing.assert_close(tensor, expected, rtol=1e-6, atol=0)
    weights.check_all_taken()
    plain = load_file(tiny_folder / "model.safetensors")[f"{Q}.weight"]
    loss = (meant[f"{Q}.weight"] - plain).norm() / plain.norm()
    assert 0.01 < loss < 0.25  # of 4 bits


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("name", PACKINGS)
def test_logits_are_those_of_the_weights_that_are_meant(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    meant = pack_checkpoint(tiny_folder, tmp_path / "4", PACKINGS[name])
    pack_checkpoint(tiny_folder, tmp_path / "32", PACKINGS[name])
    (tmp_path / "32" / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    save_file(meant, tmp_path / "32" / "model.safetensors")
    expected = logits(load(tmp_path / "32"))
    for quantization in ("auto", "none"):
        loaded = load(tmp_path / "4", quantization=quantization)
        assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()
        # Of 128 and 384 inputs; a group of all of a layer's is a scale for each output.
        as_stored = {torch.int8} if name in PER_OUTPUT else {torch.float32}
        as_stored |= {torch.int8} if name in GROUPS_OF_128 else set()
        assert held(loaded) == (as_stored if quantization == "auto" else {torch.float32})
    for kind, dtype in (("int8", torch.int8), ("fp8", torch.float8_e4m3fn)):
        assert held(load(tmp_path / "4", quantization=kind)) == {dtype}


@pytest.mark.usual_cases(5)
@pytest.mark.parametrize("name", PACKINGS)
def test_groups_of_128_inputs_are_held_in_8_bits_where_products_use_them(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    whole = logits(load(tmp_path, quantization="none"))
    with emulated_w8a8():
        loaded = load(tmp_path)
        result = logits(loaded)
    # Layers of 128 inputs have one group, which is a scale for each output.
    assert loaded.model._layers[0].mlp.down.takes_groups == (name in GROUPS_OF_128)
    loss = float((result - whole).norm() / whole.norm())
    assert (1e-3 if name in GROUPS_OF_128 else -1) < loss < 0.13


@pytest.mark.parametrize("name", ["awq", "int4 channel", "nvfp4"])
def test_a_request_gets_the_same_tokens_in_any_company(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    loaded = load(tmp_path)
    assert_same_in_company(loaded, plain_requests(4, max_tokens=12))


@pytest.mark.parametrize(
    ("name", "quantization", "line"),
    [
        (
            "awq",
            "auto",
            "linear weights: awq, held in float32, 0.00 GiB; --quantization fp8 or int",
        ),
        ("nvfp4", "fp8", "linear weights: nvfp4, held in float8_e4m3fn, 0.00 GiB"),
        ("int4 channel", "auto", "linear weights: int4, held in int8, 0.00 GiB"),
    ],
)
def test_a_start_tells_how_weights_are_stored_and_held(
    tiny_folder: Path,
    tmp_path: Path,
    name: str,
    quantization: str,
    line: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    with caplog.at_level("INFO", "unmask.models.registry"):
        load(tmp_path, quantization=quantization)
    (told,) = [text for text in caplog.messages if text.startswith("linear weights")]
    assert told.startswith(line)
    assert ("--quantization" in told) == ("--quantization" in line)


def test_modelopt_s_own_file_names_the_format(tiny_folder: Path, tmp_path: Path) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS["nvfp4 of ModelOpt"])
    expected = logits(load(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["quantization_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    fields = {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]}
    own = {"producer": {"name": "modelopt"}, "quantization": fields}
    (tmp_path / "hf_quant_config.json").write_text(json.dumps(own))
    assert torch.equal(logits(load(tmp_path)), expected)


@pytest.mark.parametrize("shape", [(8, 8), (8, 64), (64, 8)])
@pytest.mark.parametrize("write", [gptq, int4, awq])
def test_a_single_word_of_inputs_or_outputs_is_read(
    write: Callable[..., tuple[dict[str, Tensor], Tensor]], shape: tuple[int, int], tmp_path: Path
) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    parts, meant = write(weight, 8) if write is awq else write(weight, 8, symmetric=False)
    save_file({f"a.{last}": part for last, part in parts.items()}, tmp_path / "x.safetensors")
    configs = {
        gptq: gptq_config(8, sym=False),
        int4: group_config(group_size=8, symmetric=False),
        awq: awq_config(8),
    }
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=configs[write])
    torch.testing.assert_close(weights.take("a.weight", shape), meant, rtol=1e-6, atol=0)


def without_method(fields: dict) -> dict:
    return {name: value for name, value in fields.items() if name != "quant_method"}


NESTED = {"producer": {"name": "modelopt"}, "quantization": {"quant_algo": "NVFP4"}}
TENSORS_TELL = {  # configurations of the same tensors, as other tools write them
    "format": ("gptq v2", gptq_config(128, format="gptq_v2", sym=False)),
    "method": (
        "gptq v2",
        without_method(gptq_config(128, format="gptq_v2", method="gptq", sym=False)),
    ),
    "skipped layers": ("gptq", gptq_config(32, dynamic={"-:.*lm_head.*": {}, "+:.*q_proj": {}})),
    "skipped layers without a rule": ("gptq", gptq_config(32, dynamic={"-:.*lm_head": None})),
    "fields of GPTQModel": (
        "gptq",
        gptq_config(32, pack_dtype="int32", adapter=None, meta={"quantizer": ["gptqmodel:5"]}),
    ),
    "gemm of GPTQModel": ("awq", awq_config(32, checkpoint_format="gemm", format="gemm")),
    "AutoAWQ's own names": (
        "awq",
        {"quant_method": "awq", "w_bit": 4, "q_group_size": 32, "version": "GEMM"},
    ),
    "nested": ("nvfp4 of ModelOpt", NESTED),
    "nested with a method": ("nvfp4 of ModelOpt", NESTED | {"quant_method": "modelopt"}),
    "lower case": ("nvfp4 of ModelOpt", {"quant_method": "modelopt", "quant_algo": "nvfp4"}),
    "weights alone": (
        "nvfp4 of ModelOpt",
        {"quant_method": "modelopt", "quant_algo": "W4A16_NVFP4"},
    ),
    "no transforms": (
        "int4 group",
        group_config(group_size=32) | {"transform_config": {}, "sparsity_config": {}},
    ),
    "folded transforms": (
        "int4 group",
        group_config(group_size=32)
        | {
            "transform_config": {"config_groups": {"R1": {"apply": [{"location": "weight_input"}]}}}
        },
    ),
}


@pytest.mark.usual_cases(6)
@pytest.mark.parametrize("name", TENSORS_TELL)
def test_other_ways_to_say_the_same_are_read(tiny_folder: Path, tmp_path: Path, name: str) -> None:
    stored, config = TENSORS_TELL[name]
    meant = pack_checkpoint(tiny_folder, tmp_path, replace(PACKINGS[stored], config=config))
    found = find_quantization(json.loads((tmp_path / "config.json").read_text()), tmp_path)
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=found)
    expected = meant[f"{Q}.weight"]
    taken = weights.take(f"{Q}.weight", tuple(expected.shape))
    torch.testing.assert_close(taken, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("stored", "file", "content"),
    [
        ("gptq", "quantize_config.json", {"bits": 4, "group_size": 32, "sym": True}),
        ("awq", "quant_config.json", {"w_bit": 4, "q_group_size": 32, "version": "GEMM"}),
    ],
)
def test_a_quantizer_s_own_file_names_the_format(
    stored: str, file: str, content: dict, tiny_folder: Path, tmp_path: Path
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[stored])
    expected = logits(load(tmp_path))
    config = json.loads((tmp_path / "config.json").read_text())
    del config["quantization_config"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / file).write_text(json.dumps(content))
    assert torch.equal(logits(load(tmp_path)), expected)


def test_a_null_that_is_asked_for_holds_beside_a_quantizer_s_own_file(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """It is the way out that refusals name."""
    shutil.copytree(tiny_folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "quantize_config.json").write_text('{"bits": 5}')
    with pytest.raises(InvalidCheckpoint, match="gptq with 5 bits"):
        load(tmp_path)
    loaded = load(tmp_path, hf_overrides='{"quantization_config": null}')
    assert torch.equal(logits(loaded), logits(load(tiny_folder)))


def test_a_configuration_may_be_the_text_model_s(tmp_path: Path) -> None:
    config = awq_config(32)
    assert find_quantization({"text_config": {"quantization_config": config}}, tmp_path) == config
    assert find_quantization({"text_config": {}}, tmp_path) is None


def test_weights_that_a_configuration_calls_quantized_may_be_whole(
    tiny_folder: Path, tmp_path: Path
) -> None:
    """ModelOpt names the keys and values of a cache alone, without an algorithm for weights."""
    raw = json.loads((tiny_folder / "config.json").read_text())
    raw["quantization_config"] = {"quant_method": "modelopt", "kv_cache_quant_algo": "FP8"}
    tensors = load_file(tiny_folder / "model.safetensors")
    write_folder(tmp_path, raw, tensors | {Q.replace("q_proj", "k_scale"): torch.ones(1)})
    assert torch.equal(logits(load(tmp_path)), logits(load(tiny_folder)))


def test_mxfp4_is_what_transformers_makes_of_it(tiny_folder: Path, tmp_path: Path) -> None:
    packing = PACKINGS["mxfp4"]
    pack_checkpoint(tiny_folder, tmp_path, packing)
    tensors = load_file(tmp_path / "model.safetensors")
    scales, packed = tensors[f"{Q}.weight_scale"], tensors[f"{Q}.weight_packed"]
    blocks = packed.view(1, *scales.shape, 16)
    expected = convert_moe_packed_tensors(blocks, scales[None], dtype=torch.float32)
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=packing.config)
    assert torch.equal(weights.take(f"{Q}.weight", (128, 128)), expected[0].T)


Change = Callable[[dict[str, Tensor]], object]


def without(last: str) -> Change:
    return lambda tensors: tensors.pop(f"{Q}.{last}")


def changed(last: str, change: Callable[[Tensor], Tensor]) -> Change:
    return lambda tensors: tensors.update({f"{Q}.{last}": change(tensors[f"{Q}.{last}"])})


def cut(tensor: Tensor) -> Tensor:
    return tensor[:-1].contiguous()


@pytest.mark.usual_cases(12)
@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("int4 group", without("weight_scale"), "but has no weight_scale"),
        ("int4 group", without("weight_shape"), "but has no weight_shape"),
        ("int4 group", changed("weight_packed", cut), "weight_packed is (127, 16), expected"),
        ("int4 group", changed("weight_scale", cut), "weight_scale is (127, 4), expected"),
        ("int4 group", changed("weight_scale", Tensor.int), "weight_scale is of type torch.int32"),
        ("int4 group", changed("weight_scale", lambda t: t[:, :3].clone()), "no groups of 32"),
        ("int4 group", changed("weight_scale", lambda t: t[:, :2].clone()), "no groups of 32"),
        ("int4 asymmetric", without("weight_zero_point"), "is asymmetric, but has no weight_zero"),
        ("int4 asymmetric", changed("weight_zero_point", cut), "weight_zero_point is (15, 4)"),
        ("int4 act-order", changed("weight_g_idx", cut), "weight_g_idx is (127,), expected (128,)"),
        ("int4 act-order", changed("weight_g_idx", lambda t: t + 9), "names groups beyond 4"),
        ("awq", without("scales"), "but has no scales"),
        ("awq", without("qzeros"), "but has no qzeros"),
        ("awq", changed("qzeros", cut), "qzeros is (3, 16), expected (4, 16)"),
        ("awq", changed("qweight", Tensor.long), "qweight is of type torch.int64"),
        ("awq", changed("qweight", lambda t: t[:100].clone()), "100 inputs, no multiple of 32"),
        ("gptq", changed("scales", cut), "scales is (3, 128), expected (4, 128)"),
        ("gptq", changed("g_idx", lambda t: t - 5), "names groups beyond 4"),
        ("gptq act-order", without("g_idx"), "has no g_idx, which desc_act needs"),
        ("gptq", changed("qweight", lambda t: t.flatten()), "(2048,), not a matrix"),
        ("nvfp4", without("weight_global_scale"), "but has no weight_global_scale"),
        ("nvfp4", changed("weight_scale", cut), "weight_scale is (127, 8), expected (128, 8)"),
        ("nvfp4", changed("weight_global_scale", lambda t: t.repeat(2)), "is (2,), expected (1,)"),
        ("nvfp4 of ModelOpt", without("weight_scale"), "but has no weight_scale"),
        ("mxfp4", without("weight_scale"), "but has no weight_scale"),
        ("mxfp4", changed("weight_packed", lambda t: t[:, :7].clone()), "no multiple of 32"),
        ("mxfp4", lambda t: t.update({f"{Q}.pre_quant_scale": torch.ones(128)}), "unexpected"),
        (
            "mxfp4",
            lambda t: t.update({f"{Q}.weight_global_scale": torch.ones(1)}),
            "is of MXFP4, which has no weight_global_scale",
        ),
    ],
)
def test_parts_that_do_not_fit_are_named(
    tiny_folder: Path, tmp_path: Path, name: str, change: Change, message: str
) -> None:
    pack_checkpoint(tiny_folder, tmp_path, PACKINGS[name])
    tensors = load_file(tmp_path / "model.safetensors")
    change(tensors)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(
        InvalidCheckpoint,
        match=f"(?s){re.escape(Q)}.*{re.escape(message)}|{re.escape(message)}.*{re.escape(Q)}",
    ):
        load(tmp_path)


@pytest.mark.usual_cases(14)
@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("awq", awq_config(bits=3), "awq with 3 bits is not supported"),
        ("awq", awq_config(version="gemv"), "awq of version gemv is not supported, only gemm"),
        ("awq", awq_config(0), "group_size must be -1 or above 0, got 0"),
        ("awq", awq_config(64), "scales is (12, 128), expected (6, 128)"),
        ("gptq", gptq_config(bits=5), "gptq with 5 bits is not supported, only with 2, 3, 4, 8"),
        ("gptq", gptq_config(bits=8), "scales is (12, 128), expected (6, 128)"),
        ("gptq", gptq_config(checkpoint_format="marlin"), "format marlin is not supported"),
        ("gptq", group_config(), "as of awq and gptq, but quant_method is compressed-tensors"),
        ("int4 group", group_config(num_bits=3), "group_0 has weights of 3 bits"),
        ("int4 group", group_config(group_size=64), "no groups of 64"),
        ("nvfp4", {"quant_method": "modelopt", "quant_algo": "W4A8_AWQ"}, "modelopt's W4A8_AWQ"),
        ("nvfp4", {"quant_method": "torchao"}, "by torchao is not supported"),
        ("nvfp4", {"load_in_4bit": True}, "missing model.layers.0.self_attn.q_proj.weight"),
        ("nvfp4", {"bits": 4}, "quantization_config has no quant_method"),
        ("nvfp4", "fp8", "quantization_config must be an object, got 'fp8'"),
        ("gptq", gptq_config(format="marlin"), "format marlin is not supported"),
        ("gptq", gptq_config(is_marlin_format=True), "is_marlin_format: true"),
        (
            "gptq",
            gptq_config(format="gptq_v2", checkpoint_format="gptq"),
            "format and checkpoint_format disagree: ['gptq', 'gptq_v2']",
        ),
        ("gptq", gptq_config(pack_dtype="int8"), 'pack_dtype: "int8"'),
        ("gptq", gptq_config(adapter={"name": "lora"}), 'adapter: {"name": "lora"}'),
        ("gptq", gptq_config(rotation="hadamard"), 'rotation: "hadamard"'),
        ("gptq", gptq_config(dynamic={"+:.*mlp": {"bits": 7}}), "7 bits of +:.*mlp is not"),
        ("awq", awq_config(dynamic={".*mlp": {"group_size": 64}}), "gives layers other groups"),
        ("awq", awq_config(dynamic={".*mlp": {"bits": 8}}), "awq with 8 bits of .*mlp is not"),
        ("gptq", gptq_config(dynamic=[]) | {"dynamic": [1]}, "dynamic must be an object"),
        ("awq", awq_config(version="gemm", format="gemv"), "disagree: ['gemm', 'gemv']"),
        (
            "awq",
            awq_config(version=None, checkpoint_format="gemv"),
            "version gemv is not supported",
        ),
        ("awq", awq_config(backend="llm-awq"), "version llm-awq is not supported"),
        (
            "nvfp4",
            {
                "quant_method": "modelopt",
                "quant_algo": "MIXED_PRECISION",
                "quantized_layers": {"a": {"quant_algo": "W4A16_AWQ"}},
            },
            "modelopt's W4A16_AWQ is not supported",
        ),
        ("int4 group", group_config() | {"format": "marlin-24"}, 'format: "marlin-24"'),
        ("int4 group", group_config() | {"rotation": "hadamard"}, 'rotation: "hadamard"'),
        ("int4 group", group_config(lut="nf4"), "group_0, has fields that are not supported: weig"),
        ("int4 group", group_config() | {"config_groups": {"W4A16": ["Linear"]}}, "W4A16 must be"),
        ("int4 group", group_config() | {"sparsity_config": "2:4"}, "sparse weights are not suppo"),
        (
            "int4 group",
            group_config()
            | {"transform_config": {"config_groups": {"R4": {"apply": [{"location": "input"}]}}}},
            "transform R4 at input is not supported",
        ),
    ],
)
def test_a_configuration_that_is_not_supported_is_named(
    tiny_folder: Path, tmp_path: Path, name: str, config: dict, message: str
) -> None:
    packing: Packing = replace(PACKINGS[name], config=config)
    pack_checkpoint(tiny_folder, tmp_path, packing)
    with pytest.raises(InvalidCheckpoint, match=re.escape(message)):
        load(tmp_path)
