"""Spoiled folders end in a one-line error, not in a traceback or in gigabytes."""

import json
import resource
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import load_model

GROWTH_MIB = 1024
DEEP = "[" * 200_000


def set_field(**fields: Any) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        raw = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(raw | fields))

    return spoil


def write(name: str, content: str | bytes) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        data = content.encode() if isinstance(content, str) else content
        (folder / name).write_bytes(data)

    return spoil


def header(content: Any) -> Callable[[Path], None]:
    text = content if isinstance(content, str) else json.dumps(content)
    return write("model.safetensors", struct.pack("<Q", len(text)) + text.encode())


def index(content: Any) -> Callable[[Path], None]:
    text = content if isinstance(content, str) else json.dumps(content)
    return write("model.safetensors.index.json", text)


def link(name: str, target: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target)

    return spoil


def template(text: str, file: str | None = None) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        if file is not None:
            (folder / file).write_text(text)
            return
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        raw = json.loads((folder / "tokenizer_config.json").read_text())
        raw["chat_template"] = text
        (folder / "tokenizer_config.json").write_text(json.dumps(raw))

    return spoil


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def cut(name: str, keep: int) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep])


def make_folder(name: str) -> Callable[[Path], None]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


ENTRY = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
NUMBERS = {
    "vocab_size": [10**12, "many", 0, -1, 1.5, True, None, []],
    "hidden_size": [10**9, "wide", 0, float("nan")],
    "num_hidden_layers": [10**5, 10**9, -1, "two", 900],
    "num_attention_heads": [0, 3, "4", 10**6],
    "num_key_value_heads": [0, 3, -2],
    "head_dim": [0, 10**9, "32"],
    "intermediate_size": [0, 10**10, {}],
    "max_position_embeddings": [10**12, 0, "long"],
    "rope_theta": [float("nan"), 0, -1, "big", float("inf")],
    "rms_norm_eps": ["small", -1, float("nan")],
    "block_size": [0, 10**9, -4, "4"],
    "mask_token_id": ["mask", 10**9, -1, 511.0],
    "eos_token_id": [10**9, [[3]], "end"],
    "rope_scaling": [{"rope_type": "linear", "factor": 10**9}, {"type": "yarn"}, "yarn", [1]],
    "architectures": [7, ["None"], "SDARForCausalLM", [3]],
    "torch_dtype": [3, ["float32"]],
    "quantization_config": ["fp8", {"quant_method": 3}, {}],
    "layer_types": [["sliding_attention"], 3],
}
FIELDS = [
    pytest.param(set_field(**{name: value}), id=f"{name}={str(value)[:24]}")
    for name, values in NUMBERS.items()
    for value in values
]
FILES = [
    ("config-list", write("config.json", "[]")),
    ("config-deep", write("config.json", DEEP)),
    ("config-empty", write("config.json", "")),
    ("config-bytes", write("config.json", b"\xff\xfe\x00")),
    ("config-missing", remove("config.json")),
    ("config-folder", make_folder("config.json")),
    ("config-endless", link("config.json", "/dev/zero")),
    ("config-huge", write("config.json", '{"x": "' + "a" * (17 * 2**20) + '"}')),
    ("generation-list", write("generation_config.json", "[1]")),
    ("generation-deep", write("generation_config.json", DEEP)),
    ("weights-missing", remove("model.safetensors")),
    ("weights-empty", write("model.safetensors", b"")),
    ("weights-short", cut("model.safetensors", 100)),
    ("weights-cut", cut("model.safetensors", 20_000)),
    ("weights-lfs", write("model.safetensors", "version https://git-lfs.github.com/spec/v1\n")),
    ("weights-folder", make_folder("model.safetensors")),
    ("header-length", write("model.safetensors", struct.pack("<Q", 2**63) + b"{}")),
    ("header-deep", header(DEEP)),
    ("header-list", header([1])),
    ("header-float-shape", header({"x": ENTRY | {"shape": [2.0, 2.0]}})),
    ("header-negative", header({"x": ENTRY | {"data_offsets": [-16, 0]}})),
    ("header-text-offsets", header({"x": ENTRY | {"data_offsets": ["a", "b"]}})),
    ("header-beyond", header({"x": ENTRY | {"shape": [10**9, 10**9]}})),
    ("header-dtype", header({"x": ENTRY | {"dtype": "F3"}})),
    ("header-entry", header({"x": 3})),
    ("header-other-names", header({"x": ENTRY})),
    ("index-numbers", index({"weight_map": {"a": 3, "b": 4}})),
    ("index-mixed", index({"weight_map": {"a": 3, "b": "c"}})),
    ("index-deep", index(DEEP)),
    ("index-list", index([])),
    ("index-outside", index({"weight_map": {"a": "../../x.safetensors"}})),
    (
        "index-missing-file",
        index({"weight_map": {"a": "model.safetensors", "b": "other.safetensors"}}),
    ),
    ("tokenizer-deep", write("tokenizer.json", DEEP)),
    ("tokenizer-list", write("tokenizer.json", "[]")),
    ("tokenizer-empty", write("tokenizer.json", "")),
    ("tokenizer-cut", cut("tokenizer.json", 300)),
    ("tokenizer-config-list", write("tokenizer_config.json", "[]")),
    ("template-huge", template("{{ 'a' * 10**10 }}")),
    ("template-wide", template("{{ '%1000000000s' % 'a' }}")),
    ("template-padded", template("{{ 'a'.ljust(10**10) }}")),
    (
        "template-nested",
        template("{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"),
    ),
    ("template-power", template("{{ 10 ** (10 ** 9) }}")),
    (
        "template-long",
        template("{% for i in range(99999) %}{{ messages[0].content * 99 }}{% endfor %}"),
    ),
    ("template-file", template("{{ 'a' * 10**10 }}", "chat_template.jinja")),
]


@pytest.mark.usual_cases(30)
@pytest.mark.parametrize(
    "spoil", [*FIELDS, *(pytest.param(spoil, id=name) for name, spoil in FILES)]
)
def test_a_spoiled_folder_ends_in_one_line(spoil: Callable[[Path], None], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    spoil(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InvalidCheckpoint) as caught:
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())
    message = str(caught.value)
    assert message
    assert "\n" not in message
    assert len(message) < 4000
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib < GROWTH_MIB * 1024


NULLS = ("rms_norm_eps", "num_attention_heads", "hidden_size", "vocab_size", "num_hidden_layers")


@pytest.mark.parametrize(
    ("golden", "fields", "message"),
    [
        *(("sdar", {name: None}, f"config.json has no '{name}'") for name in NULLS),
        ("sdar_moe", {"num_experts_per_tok": None}, "config.json has no 'num_experts_per_tok'"),
        ("sdar_moe", {"num_experts_per_tok": 99}, "num_experts_per_tok 99 is above num_experts"),
        ("sdar_moe", {"mlp_only_layers": 3}, "mlp_only_layers must be a list of type int, got 3"),
        ("sdar", {"layer_types": [1]}, "layer_types must be a list of type str"),
        ("sdar", {"num_attention_heads": 5}, "num_attention_heads 5 is no multiple of"),
        ("llada_moe", {"moe_layer_freq": 1}, "moe_layer_freq must be a list of type int, got 1"),
        ("llada_moe", {"moe_layer_freq": [1]}, "moe_layer_freq has 1 entries for 2 layers"),
        ("llada2", {"n_group": None}, "config.json has no 'n_group'"),
        ("llada2", {"n_group": 3}, "topk_group 2 of n_group 3 of 16 experts"),
        ("llada2", {"topk_group": 0}, "topk_group 0 of n_group"),
        ("llada2", {"topk_group": 99}, "topk_group 99 of n_group"),
        ("llada2", {"routed_scaling_factor": None}, "config.json has no 'routed_scaling_factor'"),
        ("nemotron", {"rope_parameters": {"mscale": "x"}}, "mscale must be a number"),
    ],
)
def test_fields_that_a_first_request_would_fail_with_are_refused(
    golden: str, fields: dict[str, Any], message: str, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / golden / name, tmp_path / name)
    set_field(**fields)(tmp_path)
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=message):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


def test_a_head_that_is_tied_and_stored_with_other_numbers_is_refused(tmp_path: Path) -> None:
    """Releases of transformers differ: the former tie it, the latter do not."""
    shutil.copy(GOLDEN / "sdar" / "config.json", tmp_path)
    set_field(tie_word_embeddings=True)(tmp_path)
    tensors = load_file(GOLDEN / "sdar" / "model.safetensors")
    save_file(tensors, tmp_path / "model.safetensors")
    byte_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(
        InvalidCheckpoint, match=r"lm_head\.weight differs from model\.embed_tokens"
    ):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())
    embedding = tensors["model.embed_tokens.weight"]
    whole, rounded = torch.float32, torch.bfloat16
    for of_head, of_embedding in ((whole, rounded), (rounded, whole), (whole, whole)):
        tensors["lm_head.weight"] = embedding.to(of_head, copy=True)
        tensors["model.embed_tokens.weight"] = embedding.to(of_embedding)
        save_file(tensors, tmp_path / "model.safetensors")
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())
    tensors["lm_head.weight"][-1, -1] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InvalidCheckpoint, match="set that to false with"):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


@pytest.mark.parametrize(
    "name",
    [
        "layers.0.input_layernorm.weight",
        "layers.0.self_attn.o_proj.weight",
        "layers.0.mlp.up_proj.weight",
        "layers.0.experts.down_proj",
        "embed_tokens.weight",
    ],
)
def test_an_encoder_of_diffusion_gemma_with_numbers_of_its_own_is_refused(
    name: str, tmp_path: Path
) -> None:
    shutil.copy(GOLDEN / "dgemma" / "config.json", tmp_path)
    tensors = load_file(GOLDEN / "dgemma" / "model.safetensors")
    byte_tokenizer().save_pretrained(tmp_path)
    copy = f"model.encoder.language_model.{name}"
    tensors[copy] = tensors[f"model.decoder.{name}"].clone()
    save_file(tensors, tmp_path / "model.safetensors")
    load_model(ModelConfig(str(tmp_path)), DecodingConfig())
    tensors[copy] += 1
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(InvalidCheckpoint, match=rf"{name} differs from model\.decoder\.{name}"):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


def test_a_folder_without_a_configuration_is_told_with_what_it_is(tmp_path: Path) -> None:
    def error() -> str:
        with pytest.raises(InvalidCheckpoint, match="there is no ") as caught:
            load_model(ModelConfig(str(tmp_path / "model")), DecodingConfig())
        return str(caught.value)

    assert "model; names of the Hugging Face hub are ORG/NAME" in error()
    (tmp_path / "model" / "snapshots" / "abc").mkdir(parents=True)
    (tmp_path / "model" / "snapshots" / "abc" / "config.json").write_text("{}")
    assert "model/snapshots/abc has one" in error()
    (tmp_path / "model" / "q4.gguf").write_bytes(b"GGUF")
    assert "GGUF is not read" in error()


POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n"


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_pointer_of_git_lfs_is_called_one(name: str, tmp_path: Path) -> None:
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / file, tmp_path / file)
    byte_tokenizer().save_pretrained(tmp_path)
    write(name, POINTER)(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=f"{name} is a Git LFS pointer"):
        load_model(ModelConfig(str(tmp_path)), DecodingConfig())


def test_there_are_as_many_kinds_as_were_met() -> None:
    assert len(FIELDS) + len(FILES) >= 62


@pytest.mark.parametrize(
    "text",
    [
        "{% for m in messages %}{{ m.content }}{% endfor %}",
        "{{ raise_exception('only for system turns') }}",
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",  # of transformers alone
        "{{ strftime_now('%Y') }}{{ messages | tojson }}{{ unknown.field }}",
        "{% if",
    ],
)
def test_a_template_that_ends_is_no_fault_of_a_checkpoint(text: str, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    template(text)(tmp_path)
    assert load_model(ModelConfig(str(tmp_path)), DecodingConfig()).tokenizer.has_chat_template
