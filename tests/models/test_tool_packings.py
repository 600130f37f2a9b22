"""Matrices that AutoRound, bitsandbytes and MLX have packed are read as their products use them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN
from unmask.errors import InvalidCheckpoint
from unmask.models.bitsandbytes import join_bitsandbytes
from unmask.models.shards import StoredTensor, open_file
from unmask.models.weights import Weights

CPU = torch.device("cpu")
PACKED = {
    tool: load_file(GOLDEN / "packings" / f"{tool}.safetensors")
    for tool in ("auto_round", "bitsandbytes", "mlx")
}


def parts_of(tool: str, packing: str) -> dict[str, torch.Tensor]:
    """Tensors of the recorded matrix, `meant` too."""
    return {
        name.partition(".")[2]: tensor
        for name, tensor in PACKED[tool].items()
        if name.partition(".")[0] == packing
    }


def assert_read(tool: str, packing: str, config: dict[str, Any], folder: Path) -> None:
    parts = parts_of(tool, packing)
    meant = parts.pop("meant")
    save_file({f"a.{name}": part for name, part in parts.items()}, folder / "a.safetensors")
    weights = Weights.from_folder(folder, torch.float32, CPU, compression=config)
    rtol = 1e-3 if tool == "auto_round" else 1e-5  # whose products round weights to float16
    torch.testing.assert_close(weights.take("a.weight", (32, 64)), meant, rtol=rtol, atol=1e-6)
    weights.check_all_taken()


def auto_round(packing: str | None = None, **fields: Any) -> dict[str, Any]:
    """`quantization_config` as AutoRound writes it."""
    named = {} if packing is None else {"packing_format": packing}
    own = {"quant_method": "auto-round", "bits": 4, "group_size": 32, "sym": True} | named
    return own | {"data_type": "int", "autoround_version": "0.16.1", "iters": 100} | fields


@pytest.mark.parametrize(
    ("packing", "config"),
    [
        ("auto_gptq", auto_round("auto_round:auto_gptq")),
        ("auto_gptq", auto_round()),
        ("auto_gptq", auto_round("auto_round:gptq", block_name_to_quantize="model.layers")),
        ("auto_gptq", auto_round("auto_gptq", extra_config={"lm_head": {"bits": 16}})),
        ("auto_gptq", auto_round(backend="auto_round:gptq:exllamav2")),
        ("auto_gptq", auto_round(backend="auto", quant_method="intel/auto-round")),
        ("auto_gptq asymmetric", auto_round("auto_round:auto_gptq", sym=False)),
        *(
            (f"{packing} {bits} bits", auto_round(f"auto_round{of}", bits=bits, sym=False))
            for packing, of in (("auto_gptq", ":auto_gptq"), ("auto_round", ""))
            for bits in (2, 3, 8)
        ),
        (
            "auto_gptq 8 bits",
            auto_round(sym=False, extra_config={"a": {"bits": 8}, "b": {"bits": 16}}),
        ),
        ("gptqmodel", auto_round("auto_round:gptqmodel", sym=False)),
        ("auto_round", auto_round("auto_round", sym=False)),
        ("auto_round", auto_round(backend="auto_round:exllamav2", sym=False)),
        ("auto_awq", auto_round("auto_round:auto_awq", sym=False)),
        ("auto_awq", auto_round("auto_round:awq", sym=False, act_bits=16)),
        ("nv_fp", auto_round("auto_round:llm_compressor", data_type="nv_fp", group_size=16)),
        ("mx_fp", auto_round("auto_round:llm_compressor", data_type="mx_fp")),
    ],
)
def test_auto_round_s_packings_are_read(packing: str, config: dict, tmp_path: Path) -> None:
    assert_read("auto_round", packing, config, tmp_path)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (auto_round(bits=5), "gptq with 5 bits is not supported"),
        (auto_round(bits=2), "a.scales is (2, 32), expected (4, 32)"),
        (auto_round("auto_round:auto_awq", bits=8), "awq with 8 bits is not supported"),
        (auto_round(group_size=0), "group_size must be -1 or above 0"),
        (auto_round("auto_round:fake"), "packed as auto_round:fake is not supported, only as"),
        (auto_round("auto_round:marlin"), "packed as auto_round:marlin is not supported"),
        (auto_round("auto_round:gptq:awq"), "packed as auto_round:gptq:awq is not supported"),
        (auto_round("auto_round:llm_compressor", data_type="mx_int"), "data_type mx_int is not"),
        (
            auto_round(
                "auto_round:llm_compressor", data_type="mx_fp", extra_config={"b": {"bits": 6}}
            ),
            "b has weights of 6 bits",
        ),
        (auto_round(rotation_config={"kind": "hadamard"}), "with rotation_config is not"),
        (auto_round(act_bits=8), "with activations of 8 bits is not supported"),
        (
            auto_round("auto_round:auto_awq", extra_config={"model.norm": {"bits": 8}}),
            "extra_config gives model.norm another bits (8)",
        ),
        (
            auto_round("auto_round:auto_awq", extra_config={"lm_head": {"group_size": 64}}),
            "another group_size (64)",
        ),
        (auto_round(extra_config={"lm_head": {"data_type": "fp"}}), "another data_type (fp)"),
        (auto_round(extra_config={"lm_head": {"bits": 5}}), "gptq with 5 bits of lm_head"),
        (auto_round(extra_config=["lm_head"]), "extra_config must be an object"),
        (auto_round(extra_config={"lm_head": 4}), "lm_head must be an object, got 4"),
    ],
)
def test_packings_and_options_that_auto_round_has_beside_are_named(
    config: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint) as refused:
        assert_read("auto_round", "auto_gptq", config, tmp_path)
    assert message in str(refused.value)


def test_layers_of_auto_round_s_floats_may_have_other_bits(tmp_path: Path) -> None:
    """Its search for bits gives some layers MXFP8 among MXFP4, and their tensors tell."""
    parts = parts_of("auto_round", "mx_fp")
    meant = parts.pop("meant")
    numbers = (torch.arange(128.0).view(2, 64) - 64).to(torch.float8_e4m3fn)
    scales = torch.tensor([[127, 128], [126, 130]], dtype=torch.uint8)
    other = {"b.weight": numbers, "b.weight_scale": scales}
    stored = {f"a.{name}": part for name, part in parts.items()} | other
    save_file(stored, tmp_path / "a.safetensors")
    config = auto_round(
        "auto_round:llm_compressor",
        data_type="mx_fp",
        extra_config={"b": {"bits": 8, "act_bits": 8}, "c": {"bits": 16, "data_type": "float"}},
    )
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=config)
    torch.testing.assert_close(weights.take("a.weight", (32, 64)), meant, rtol=1e-3, atol=1e-6)
    wide = (2.0 ** (scales.float() - 127)).repeat_interleave(32, 1)
    assert torch.equal(weights.take("b.weight", (2, 64)), numbers.float() * wide)


def mlx(bits: int = 4, group: int = 32, **fields: Any) -> dict[str, Any]:
    return {"quant_method": "mlx", "bits": bits, "group_size": group} | fields


@pytest.mark.parametrize(
    ("packing", "config"),
    [
        *((f"{bits} bits", mlx(bits)) for bits in (1, 2, 3, 4, 5, 6, 8)),
        ("4 bits of 64", mlx(4, 64, mode="affine")),
        ("6 bits", mlx(4, 64, a={"bits": 6, "group_size": 32}, b=False)),
        ("3 bits", mlx(4, a={"bits": 3, "group_size": 32})),
        ("4 bits of 64", mlx(4, 32, mode="mxfp4", a={"group_size": 64, "bits": 4})),
        ("4 bits of 64", mlx(8, 32, a={"mode": None})),
        ("mxfp8", mlx(4, 64, a={"mode": "mxfp8"})),
        ("mxfp4", mlx(mode="mxfp4")),
        ("nvfp4", mlx(4, 16, mode="nvfp4")),
        ("nvfp4 of a factor", mlx(4, 16, mode="nvfp4")),
        ("nvfp4 of a factor", mlx(8, a={"mode": "nvfp4", "global_scale": True})),
        ("mxfp8", mlx(4, 64, a={"bits": 8, "group_size": 32, "mode": "mxfp8"})),
    ],
)
def test_mlx_s_numbers_of_any_bits_are_read(packing: str, config: dict, tmp_path: Path) -> None:
    assert_read("mlx", packing, config, tmp_path)


def test_the_layout_is_transformers_metal_too_whose_biases_have_another_name(
    tmp_path: Path,
) -> None:
    parts = parts_of("mlx", "8 bits")
    meant = parts.pop("meant")
    tensors = {f"a.{name.replace('biases', 'qbiases')}": part for name, part in parts.items()}
    save_file(tensors, tmp_path / "a.safetensors")
    config = mlx(8, quant_method="metal", modules_to_not_convert=["lm_head"])
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=config)
    torch.testing.assert_close(weights.take("a.weight", (32, 64)), meant, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("packing", "config", "message"),
    [
        ("4 bits", mlx(quant_method="metal"), "a.qbiases are none, expected (32, 2)"),
        (
            "4 bits",
            mlx(7),
            "quantization.bits of affine must be one of (1, 2, 3, 4, 5, 6, 8), got 7",
        ),
        ("4 bits", mlx(True), "got True"),
        ("4 bits", mlx(mode="nf4"), "quantization.mode 'nf4' is not one of affine, mxfp4"),
        ("4 bits", mlx(group=0), "quantization.group_size must be a whole number from 1"),
        ("4 bits", mlx(group=None), "its scales are (32, 2), which are no groups of 64"),
        ("3 bits", mlx(4, a={"bits": 3}), "which are no groups of 64"),
        ("4 bits", mlx(a={"bits": 0}), "quantization.a.bits of affine must be"),
        ("4 bits", mlx(rank=16), "quantization.rank 16 is not supported"),
        ("4 bits", mlx(8), "a.weight is (32, 32) in 8 bits, but its scales are (32, 2)"),
        ("4 bits", mlx(group=64), "its scales are (32, 2), which are no groups of 64"),
        ("4 bits", mlx(mode="mxfp4"), "mxfp4 has scales in bytes for groups of 32"),
        ("mxfp4", mlx(), "a.biases are none, expected (32, 2)"),
        ("nvfp4", mlx(4, 16, mode="mxfp4"), "bytes for groups of 32, got torch.uint8 for groups"),
    ],
)
def test_mlx_s_parts_that_do_not_fit_are_named(
    packing: str, config: dict, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint) as refused:
        assert_read("mlx", packing, config, tmp_path)
    assert message in str(refused.value)


STACKS = {
    **{f"{bits} bits": mlx(bits) for bits in (3, 4, 8)},
    "mxfp4": mlx(mode="mxfp4"),
    "nvfp4": mlx(4, 16, mode="nvfp4"),
    "nvfp4 of factors": mlx(8, a={"mode": "nvfp4"}),
    "mxfp8": mlx(8, 32, mode="mxfp8"),
}


@pytest.mark.parametrize("packing", STACKS)
def test_mlx_s_stacks_are_read_matrix_by_matrix(packing: str, tmp_path: Path) -> None:
    parts = parts_of("mlx", f"stack of {packing}")
    meant = parts.pop("meant")
    save_file({f"a.{name}": part for name, part in parts.items()}, tmp_path / "a.safetensors")
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=STACKS[packing])
    names = ["experts.0.weight", "experts.1.weight"]
    weights.split("a.weight", (2, 32, 64), names)
    for name, expected in zip(names, meant, strict=True):
        taken = weights.take(name, (32, 64))
        torch.testing.assert_close(taken, expected, rtol=1e-5, atol=1e-6)
    weights.check_all_taken()


@pytest.mark.parametrize(
    ("packing", "config", "change", "message"),
    [
        ("4 bits", mlx(), {"biases": torch.zeros(32, 2)}, "a.biases are (32, 2), expected (2, 32"),
        ("4 bits", mlx(), {"scales": torch.zeros(1, 32, 2)}, "its scales are (1, 32, 2)"),
        ("4 bits", mlx(group=64), {}, "which are no groups of 64"),
        ("4 bits", mlx(8), {}, "a.weight is (2, 32, 32) in 8 bits"),
        ("4 bits", mlx(), {"weight": torch.zeros(8, dtype=torch.uint32)}, "(8,), no matrix and no"),
        (
            "nvfp4 of factors",
            mlx(4, 16, mode="nvfp4"),
            {"global_scale": torch.ones(1)},
            "a.global_scale is (1,) of type torch.float32, expected (2,)",
        ),
    ],
)
def test_stacks_of_mlx_that_do_not_fit_are_named(
    packing: str, config: dict, change: dict[str, torch.Tensor], message: str, tmp_path: Path
) -> None:
    parts = parts_of("mlx", f"stack of {packing}") | change
    save_file({f"a.{name}": part for name, part in parts.items()}, tmp_path / "a.safetensors")
    with pytest.raises(InvalidCheckpoint) as refused:
        Weights.from_folder(tmp_path, torch.float32, CPU, compression=config)
    assert message in str(refused.value)


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("weight.absmax", "bitsandbytes"),
        ("SCB", "bitsandbytes"),
        ("weight._data", "quanto"),
        ("W_q", "HQQ"),
        ("_weight_qdata", "torchao"),
        ("qweight", "AWQ, GPTQ or AutoRound"),
    ],
)
def test_parts_of_weights_without_a_configuration_are_told_by_their_tool(
    name: str, tool: str, tmp_path: Path
) -> None:
    save_file({f"model.layers.0.q_proj.{name}": torch.ones(2, 2)}, tmp_path / "a.safetensors")
    with pytest.raises(InvalidCheckpoint, match=f"quantized by {tool}, but .*serve the weights"):
        Weights.from_folder(tmp_path, torch.float32, CPU)


BITSANDBYTES = {"quant_method": "bitsandbytes", "bnb_4bit_quant_type": "nf4"}


@pytest.mark.parametrize("packing", ["nf4", "nf4 nested", "fp4", "fp4 nested", "int8"])
def test_tables_and_int8_of_bitsandbytes_are_read(packing: str, tmp_path: Path) -> None:
    assert_read("bitsandbytes", packing, BITSANDBYTES, tmp_path)


def test_bytes_that_are_stored_as_another_type_are_read(tmp_path: Path) -> None:
    """`bnb_4bit_quant_storage` asks for it. A matrix that is not quantized stays as it is."""
    parts = parts_of("bitsandbytes", "nf4 nested")
    meant = parts.pop("meant")
    parts["weight"] = parts["weight"].flatten().view(torch.bfloat16)[:, None]
    tensors = {f"a.{name}": part for name, part in parts.items()} | {"b.weight": meant}
    save_file(tensors, tmp_path / "a.safetensors")
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=BITSANDBYTES)
    torch.testing.assert_close(weights.take("a.weight", (32, 64)), meant, rtol=1e-5, atol=1e-6)
    assert torch.equal(weights.take("b.weight", (32, 64)), meant)
    weights.check_all_taken()


def test_int8_of_bitsandbytes_stays_in_8_bits(tmp_path: Path) -> None:
    parts = parts_of("bitsandbytes", "int8")
    meant = parts.pop("meant")
    save_file({f"a.{name}": part for name, part in parts.items()}, tmp_path / "a.safetensors")
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=BITSANDBYTES)
    linear = weights.take_linear(["a"], [32], 64)
    assert torch.equal(linear.weight, parts["weight"])
    torch.testing.assert_close(linear(torch.eye(64)), meant.T, rtol=1e-5, atol=1e-6)
    assert set(weights.held_bytes) == {("int8", "int8")}


class Scanned(dict[str, StoredTensor]):
    """Counts how often all names are gone through."""

    scans = 0

    def __iter__(self) -> Iterator[str]:
        self.scans += 1
        return super().__iter__()


def test_names_are_gone_through_as_often_for_many_weights_as_for_few(tmp_path: Path) -> None:
    """Mixtures of experts have tens of thousands of weights, each with its parts."""
    parts = parts_of("bitsandbytes", "nf4 nested")
    scans = []
    for count in (1, 9):
        file = tmp_path / f"{count}.safetensors"
        stored = {f"{i}.{name}": p.clone() for i in range(count) for name, p in parts.items()}
        save_file(stored, file)
        tensors = Scanned(open_file(file))
        assert len(join_bitsandbytes(tensors)) == 2 * count  # `meant` is whole
        scans.append(tensors.scans)
    assert scans[0] == scans[1]


STATE = "weight.quant_state.bitsandbytes__nf4"


def json_bytes(**state: Any) -> torch.Tensor:
    return torch.frombuffer(bytearray(json.dumps(state).encode()), dtype=torch.uint8)


@pytest.mark.parametrize(
    ("packing", "change", "message"),
    [
        ("nf4", {"weight.absmax": None}, "a.weight.absmax is missing, a part of a weight of bits"),
        ("nf4", {"weight.quant_map": None}, "a.weight.quant_map is missing"),
        ("nf4", {"weight": None}, "a.weight is missing"),
        ("nf4", {"weight": torch.zeros(9)}, "a.weight: bytes 36, expected 1024"),
        ("nf4", {"weight.absmax": torch.zeros(9)}, "absmax (9,), expected (32,)"),
        ("nf4", {"weight.quant_map": torch.zeros(9)}, "quant_map (9,), expected (16,)"),
        ("nf4", {STATE: torch.zeros(3, dtype=torch.uint8)}, "quant_state of a.weight is not JSON"),
        ("nf4", {STATE: json_bytes(shape=[32, 64])}, "has no usable 'blocksize'"),
        ("nf4", {STATE: json_bytes(shape=[2048], blocksize=64)}, "has no usable not enough values"),
        ("nf4", {STATE: json_bytes(shape=[32, 64], blocksize=0)}, "has blocks of 0 of 2048"),
        ("nf4", {STATE: json_bytes(shape=[2, 16, 64])}, "a.weight is (2, 16, 64): stacks of exp"),
        ("nf4 nested", {"weight.nested_absmax": None}, "a.weight.nested_absmax is missing"),
        (
            "nf4 nested",
            {"weight.nested_absmax": torch.ones(2)},
            "nested_absmax (2,), expected (1,)",
        ),
        ("nf4", {f"{STATE[:-3]}af4": json_bytes()}, "is af4 of bitsandbytes; only nf4, fp4"),
        ("int8", {"SCB": torch.ones(9)}, "of type torch.int8, but its SCB (9,)"),
        ("int8", {"weight_format": torch.tensor(1)}, "a.weight_format is no order of rows"),
    ],
)
def test_parts_of_bitsandbytes_that_do_not_fit_are_named(
    packing: str, change: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    parts = {**parts_of("bitsandbytes", packing), **change}
    stored = {f"a.{name}": part for name, part in parts.items() if part is not None}
    save_file(stored, tmp_path / "a.safetensors")
    with pytest.raises(InvalidCheckpoint) as refused:
        Weights.from_folder(tmp_path, torch.float32, CPU, compression=BITSANDBYTES)
    assert message in str(refused.value)
