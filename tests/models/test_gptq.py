"""GPTQ in 2, 3, 4 and 8 bits is read as its tools read it, or refused where they disagree."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.packing import GPTQ_PACKINGS, Packing, gptq, gptq_config
from tests.support.packing import pack_checkpoint as pack
from tests.support.stored import held, load, logits
from tests.support.tiny import GOLDEN
from unmask.errors import InvalidCheckpoint
from unmask.models.weights import Weights
from unmask_kernels.quantization.ops import emulated_w8a8

Q = "model.layers.0.self_attn.q_proj"
CPU = torch.device("cpu")
PACKED = load_file(GOLDEN / "packings" / "gptq.safetensors")
V2 = {"checkpoint_format": "gptq_v2"}
# Held in 8 bits with the same numbers: one scale an output and, of 128 inputs in 2 or 3 bits,
# groups where products are W8A8. Layers have 128 and 384 inputs.
PER_OUTPUT = {"8 bits channel"}
ONE_GROUP = {"3 bits v2 128", "8 bits 128"}


def by(*makers: str) -> dict[str, Any]:
    return {"meta": {"quantizer": list(makers)}}


def read(folder: Path, parts: dict[str, Tensor], config: dict[str, Any]) -> Tensor:
    """The weight [32, 64] of parts of a module."""
    save_file({f"a.{name}": part.contiguous() for name, part in parts.items()}, folder / "a")
    (folder / "a").rename(folder / "a.safetensors")
    weights = Weights.from_folder(folder, torch.float32, CPU, compression=config)
    weight = weights.take("a.weight", (32, 64))
    weights.check_all_taken()
    return weight


def recorded(packing: str) -> dict[str, Tensor]:
    names = ("qweight", "qzeros", "scales", "g_idx", "meant")
    return {name: PACKED[f"{packing}.{name}"] for name in names}


@pytest.mark.parametrize(
    ("packing", "fields"),
    [
        *((f"{bits} bits", {"sym": False}) for bits in (2, 3, 4, 8)),
        *((f"{bits} bits symmetric", {}) for bits in (2, 3, 8)),
        ("3 bits act-order", {"desc_act": True}),
        *((f"{bits} bits of GPTQModel v2", {"sym": False, **V2}) for bits in (2, 3, 4, 8)),
        *(
            (f"{bits} bits of GPTQModel", {"sym": False, **by("gptqmodel:7.7.0")})
            for bits in (2, 3, 4, 8)
        ),
        ("4 bits of GPTQModel", {"sym": False, **by("optimum:1.24.0", "gptqmodel:0.9.0-dev")}),
        ("3 bits of GPTQModel", {"sym": False, "meta": {"quantizer": "gptqmodel:6.1.0"}}),
    ],
)
def test_matrices_that_its_tools_have_packed_are_read_as_they_read_them(
    packing: str, fields: dict, tmp_path: Path
) -> None:
    parts = recorded(packing)
    meant = parts.pop("meant")
    weight = read(tmp_path, parts, gptq_config(bits=int(packing[0])) | fields)
    torch.testing.assert_close(weight, meant, rtol=1e-3, atol=1e-6)  # products in float16


@pytest.mark.usual_cases(4)
@pytest.mark.parametrize("name", GPTQ_PACKINGS)
def test_weights_and_logits_are_those_that_are_meant(
    tiny_folder: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    packing = GPTQ_PACKINGS[name]
    meant = pack(tiny_folder, tmp_path / "few", packing)
    pack(tiny_folder, tmp_path / "32", packing)
    (tmp_path / "32" / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    save_file(meant, tmp_path / "32" / "model.safetensors")
    expected = logits(load(tmp_path / "32"))
    with caplog.at_level("INFO", "unmask.models.registry"):
        loaded = load(tmp_path / "few")
    assert f"linear weights: gptq of {name[0]} bits, held in" in caplog.text
    assert (logits(loaded) - expected).abs().max() < 1e-5 * expected.abs().max()
    as_stored = {torch.int8} if name in PER_OUTPUT else {torch.float32}
    assert held(loaded) == as_stored | ({torch.int8} if name in ONE_GROUP else set())
    for kind, dtype in (("int8", torch.int8), ("fp8", torch.float8_e4m3fn)):
        assert held(load(tmp_path / "few", quantization=kind)) == {dtype}
    weights = Weights.from_folder(
        tmp_path / "few", torch.float32, CPU, compression=packing.config, quantization="none"
    )
    tensor = weights.take(f"{Q}.weight", (128, 128))
    torch.testing.assert_close(tensor, meant[f"{Q}.weight"], rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["3 bits v2 128", "8 bits 128"])
def test_groups_of_128_inputs_are_held_in_e4m3_if_that_has_their_numbers(
    tiny_folder: Path, tmp_path: Path, name: str
) -> None:
    pack(tiny_folder, tmp_path, GPTQ_PACKINGS[name])
    whole = logits(load(tmp_path, quantization="none"))
    with emulated_w8a8():
        loaded = load(tmp_path)
        result = logits(loaded)
    assert loaded.model._layers[0].mlp.down.takes_groups == (name[0] == "3")
    assert float((result - whole).norm() / whole.norm()) < 0.13


def test_layers_may_have_bits_and_groups_of_their_own(tiny_folder: Path, tmp_path: Path) -> None:
    """GPTQModel's `dynamic`, of patterns of names."""

    def write(weight: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        if len(weight) == 384:  # gate and up
            return gptq(weight, 64, bits=8, symmetric=False)
        return gptq(weight) if weight.shape[1] == 128 else gptq(weight, bits=2)

    rules = {
        r"+:.*\.(gate|up)_proj": {"bits": 8, "group_size": 64, "sym": False},
        r".*\.down_proj": {"bits": 2},
        "-:lm_head": {},
    }
    packing = Packing(gptq_config(dynamic=rules), write)
    meant = pack(tiny_folder, tmp_path, packing)
    weights = Weights.from_folder(tmp_path, torch.float32, CPU, compression=packing.config)
    for name, expected in meant.items():
        taken = weights.take(name, tuple(expected.shape))
        torch.testing.assert_close(taken, expected, rtol=1e-6, atol=0)


def with_zeros(bits: int, *numbers: int) -> dict[str, Tensor]:
    """Parts of a symmetric matrix whose first stored zero points are `numbers`."""
    parts = recorded("8 bits symmetric" if bits == 8 else f"{bits} bits")
    del parts["meant"]
    offset = 2 ** (bits - 1) - 1
    row = [*numbers, *[offset] * (32 - len(numbers))]
    whole = sum(number << bits * i for i, number in enumerate(row))
    words = [whole >> 32 * i & 0xFFFFFFFF for i in range(bits)]
    stored = torch.tensor([words] * 2).to(torch.uint32).view(torch.int32)
    return parts | {"qzeros": stored}


@pytest.mark.parametrize("bits", [2, 3, 4, 8])
@pytest.mark.parametrize("symmetric", [True, False])
def test_a_largest_zero_point_of_the_first_format_is_refused_by_name(
    bits: int, symmetric: bool, tmp_path: Path
) -> None:
    """AutoGPTQ's kernels make one more of it, GPTQModel 0 with a carry."""
    largest = 2**bits - 1
    parts = with_zeros(bits, largest)
    config = gptq_config(bits=bits, sym=symmetric)
    message = "not all in the middle" if symmetric else f"{largest}, which is {largest + 1} or 0"
    with pytest.raises(InvalidCheckpoint, match=rf"a\.qzeros.*{message}"):
        read(tmp_path, parts, config)
    if not symmetric:
        assert read(tmp_path, parts, config | V2).isfinite().all()
        assert read(tmp_path, parts, config | by("gptqmodel:7.0.0")).isfinite().all()
        for early in ("gptqmodel:0.8.1", "auto_gptq:0.9.0"):
            with pytest.raises(InvalidCheckpoint, match=f"which is {largest + 1} or 0"):
                read(tmp_path, parts, config | by(early))


@pytest.mark.parametrize("fields", [{}, V2])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_symmetric_weights_have_zero_points_in_the_middle_alone(
    bits: int, fields: dict, tmp_path: Path
) -> None:
    """Kernels for symmetric weights leave them out, so another would be off."""
    middle = 2 ** (bits - 1)
    usual = middle - 1 if not fields else middle
    parts = with_zeros(bits, *[usual] * 32)
    config = gptq_config(bits=bits) | fields
    assert read(tmp_path, parts, config).isfinite().all()
    parts = with_zeros(bits, *[usual] * 31, usual - 1)
    with pytest.raises(InvalidCheckpoint, match=r"a\.qzeros are not all in the middle.*sym: true"):
        read(tmp_path, parts, config)
    assert read(tmp_path, parts, config | {"sym": False}).isfinite().all()


@pytest.mark.parametrize("named", ["gptq", "gptq_v2"])
@pytest.mark.parametrize("bits", [2, 3, 4, 8])
def test_zero_points_of_the_other_format_of_gptq_are_told(
    bits: int, named: str, tmp_path: Path
) -> None:
    """All symmetric weights would be off by a step, which kernels without zero points hide."""
    middle = 2 ** (bits - 1)
    parts = with_zeros(bits, *[middle if named == "gptq" else middle - 1] * 32)
    config = gptq_config(bits=bits, checkpoint_format=named)
    with pytest.raises(InvalidCheckpoint, match=rf"qzeros are of the format .*names {named}: corr"):
        read(tmp_path, parts, config)
    assert read(tmp_path, parts, config | {"sym": False}).isfinite().all()


@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_points_of_3_bits_by_an_early_gptqmodel_are_refused(
    symmetric: bool, tmp_path: Path
) -> None:
    """It took other numbers off words than ones; those in the middle of these it did not write."""
    parts = recorded("3 bits")
    del parts["meant"]
    config = gptq_config(bits=3, sym=symmetric) | by("gptqmodel:5.8.0")
    with pytest.raises(InvalidCheckpoint, match=r"GPTQModel before 6\.1 writes zero points of 3"):
        read(tmp_path, parts, config)
    usual = recorded("3 bits symmetric")
    meant = usual.pop("meant")
    torch.testing.assert_close(read(tmp_path, usual, config), meant, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(
    ("bits", "change", "message"),
    [
        (3, {"qweight": torch.zeros(7, 32, dtype=torch.int32)}, "no whole words of 3 bits"),
        (
            3,
            {
                "qweight": torch.zeros(6, 8, dtype=torch.int32),
                "scales": torch.zeros(2, 8),
                "qzeros": torch.zeros(2, 1, dtype=torch.int32),
            },
            "a has 8 outputs, no multiple of 32",
        ),
        (
            3,
            {"qzeros": torch.zeros(2, 2, dtype=torch.int32)},
            "a.qzeros is (2, 2), expected (2, 3)",
        ),
        (8, {"scales": torch.zeros(3, 32)}, "a.scales is (3, 32), expected (2, 32)"),
        (2, {"g_idx": torch.full((64,), 9)}, "a.g_idx names groups beyond 2"),
    ],
)
def test_parts_of_other_bits_that_do_not_fit_are_named(
    bits: int, change: dict[str, Tensor], message: str, tmp_path: Path
) -> None:
    parts = recorded(f"{bits} bits") | change
    del parts["meant"]
    with pytest.raises(InvalidCheckpoint) as refused:
        read(tmp_path, parts, gptq_config(bits=bits, sym=False))
    assert message in str(refused.value)
