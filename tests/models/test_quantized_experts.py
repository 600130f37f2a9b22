"""8-bit experts of every MoE family: loading, formats and use."""

import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.support.compressing import scales_of, spread
from tests.support.engines import assert_same_in_company, make_engine, run_all
from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import BLOCK_LENGTHS, cases_of, company, load_golden
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.moe import take_experts
from unmask.models.registry import LoadedModel, find_family, load_model
from unmask.models.weights import Weights
from unmask_kernels.moe.ops import Experts, gather_experts
from unmask_kernels.quantization.ops import dequantize, emulated_w8a8, quantize
from unmask_kernels.quantization.types import DTYPES, QuantizedWeight

FP8, INT8 = torch.float8_e4m3fn, torch.int8
CHANNELS = {"quant_method": "compressed-tensors"}
MOE = ("llada2", "llada_moe", "llada_moe_options", "sdar_moe")
ALL = 10**9


def raw_of(folder: str) -> dict:
    return json.loads((GOLDEN / folder / "config.json").read_text())


def build(path: Path, **options: object) -> Weights:
    """Model and the weights it was built from."""
    raw = json.loads((path / "config.json").read_text())
    weights = Weights.from_folder(path, torch.float32, torch.device("cpu"), **options)
    find_family(raw["architectures"][0]).build(raw, weights, 64)
    return weights


def matrices(folder: str) -> dict[str, Tensor]:
    """All matrices of a golden checkpoint's experts."""
    stored = load_file(GOLDEN / folder / "model.safetensors")
    encoder = "model.encoder."
    return {
        name: tensor
        for name, tensor in stored.items()
        if ".experts." in name and not name.startswith(encoder)
    }


def bytes_in_8_bits(tensors: dict[str, Tensor]) -> int:
    """A byte an element, and four a row."""
    return sum(t.numel() + 4 * t.numel() // t.shape[-1] for t in tensors.values())


def save(folder: str, target: Path, tensors: dict[str, Tensor], config: dict | None = None) -> Path:
    save_file(tensors, target / "model.safetensors")
    raw = raw_of(folder) | ({} if config is None else {"quantization_config": config})
    (target / "config.json").write_text(json.dumps(raw))
    byte_tokenizer().save_pretrained(target)
    return target


def load(folder: str, path: Path, **options: object) -> LoadedModel:
    mask = json.loads((GOLDEN / folder / "golden.json").read_text()).get("mask_token_id")
    config = ModelConfig(path=str(path), dtype="float32", mask_token_id=mask, **options)
    return load_model(config, DecodingConfig())


@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("folder", [*MOE, "dgemma"])
def test_experts_are_held_in_8_bits_where_that_is_asked_for(folder: str, kind: str) -> None:
    weights = build(GOLDEN / folder, quantization=kind)
    assert weights.expert_bytes == {DTYPES[kind]: bytes_in_8_bits(matrices(folder))}


@pytest.mark.parametrize("folder", [*MOE, "dgemma"])
def test_experts_stay_whole_otherwise(folder: str) -> None:
    assert set(build(GOLDEN / folder).expert_bytes) <= {torch.float32}


def stored_in_8_bits(
    folder: str, dtype: torch.dtype, block: tuple[int, int], *, flat: bool = False
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Checkpoint whose experts have block scales, and their dequantized weights."""
    stored = load_file(GOLDEN / folder / "model.safetensors")
    meant = dict(stored)
    for name, weight in matrices(folder).items():
        stacked = weight if weight.ndim == 3 else weight[None]
        size = tuple(min(b, n) for b, n in zip(block, stacked.shape[1:], strict=True))
        scales = [scales_of(part.float(), size, dtype) for part in stacked]
        wide = torch.stack([spread(scale, size, stacked.shape[1:]) for scale in scales])
        values = (stacked.float() / wide).to(dtype)
        meant[name] = (values.float() * wide).view(weight.shape)
        stored[name] = values.view(weight.shape)
        joined = torch.stack(scales) if weight.ndim == 3 else scales[0]
        stored[f"{name}_scale"] = joined.flatten(1) if flat and weight.ndim == 3 else joined
    return stored, meant


@pytest.mark.usual_cases(3)
@pytest.mark.parametrize("folder", [*MOE, "dgemma"])
@pytest.mark.parametrize(
    ("block", "flat"),
    [((1, ALL), False), ((1, ALL), True), ((ALL, ALL), False), ((ALL, ALL), True)],
)
def test_experts_stored_in_e4m3_are_held_as_the_file_has_them(
    folder: str, block: tuple[int, int], flat: bool, tmp_path: Path
) -> None:
    stored, meant = stored_in_8_bits(folder, FP8, block, flat=flat)
    save(folder, tmp_path, stored)
    weights = build(tmp_path, compression=CHANNELS)
    assert weights.expert_bytes == {FP8: bytes_in_8_bits(matrices(folder))}
    if folder == "dgemma":
        return
    whole = tmp_path / "whole"
    whole.mkdir()
    (tmp_path / "config.json").write_text(
        json.dumps(raw_of(folder) | {"quantization_config": CHANNELS})
    )
    cases = [case.request for case in cases_of(folder)][:3]
    result = run_all(make_engine(load(folder, tmp_path)), cases)
    expected = run_all(make_engine(load(folder, save(folder, whole, meant))), cases)
    for case in cases:
        assert result[case.request_id].essence == expected[case.request_id].essence


@pytest.mark.parametrize("folder", ["llada2", "dgemma"])
def test_experts_in_blocks_are_widened(folder: str, tmp_path: Path) -> None:
    stored, _ = stored_in_8_bits(folder, FP8, (16, 16))
    save(folder, tmp_path, stored)
    config = CHANNELS | {"weight_block_size": [16, 16]}
    assert FP8 not in build(tmp_path, compression=config).expert_bytes
    held = build(tmp_path, compression=config, quantization="int8").expert_bytes
    assert held == {INT8: bytes_in_8_bits(matrices(folder))}


def test_experts_in_blocks_of_128_inputs_are_held_where_products_use_them(tmp_path: Path) -> None:
    torch.manual_seed(0)
    sizes = {"gate": (144, 272), "up": (144, 272), "down": (272, 144)}
    tensors = {}
    for expert in range(3):
        for name, shape in sizes.items():
            weight = torch.randn(shape) / shape[1] ** 0.5
            scales = scales_of(weight, (128, 128), FP8)
            key = f"experts.{expert}.{name}_proj.weight"
            tensors[key] = (weight / spread(scales, (128, 128), weight.shape)).to(FP8)
            tensors[f"{key}_scale_inv"] = scales
    save_file(tensors, tmp_path / "model.safetensors")
    config = {"quant_method": "fp8", "weight_block_size": [128, 128]}

    def take() -> Experts:
        weights = Weights.from_folder(
            tmp_path, torch.float32, torch.device("cpu"), compression=config
        )
        experts = take_experts(weights, "experts.", 3, 272, 144)
        weights.check_all_taken()
        return experts

    x, ids, topk_weights = torch.randn(9, 272), torch.randint(0, 3, (9, 2)), torch.rand(9, 2)
    expected = take()(x, ids, topk_weights)  # of widened weights
    with emulated_w8a8():
        held = take()
        assert held.takes_groups
        num_scales = 2 * 144 * 3 + 272 * 2  # of 272 inputs and of 144
        assert held.num_bytes == {FP8: 3 * (3 * 144 * 272 + 4 * num_scales)}
        result = held(x, ids, topk_weights)
    assert 1e-3 < ((result - expected).norm() / expected.norm()).item() < 0.06


def test_experts_of_several_kinds_are_widened(tmp_path: Path) -> None:
    stored, _ = stored_in_8_bits("llada2", FP8, (1, ALL))
    whole = load_file(GOLDEN / "llada2" / "model.safetensors")
    name = next(name for name in matrices("llada2") if ".0.up_proj" in name)
    stored[name] = whole[name]
    del stored[f"{name}_scale"]
    save("llada2", tmp_path, stored)
    held = build(tmp_path, compression=CHANNELS).expert_bytes
    layers = {name.split(".experts.")[0] for name in matrices("llada2")}
    all_bytes = bytes_in_8_bits(matrices("llada2"))
    assert held.get(FP8, 0) == all_bytes * (len(layers) - 1) // len(layers)


def test_experts_of_diffusion_gemma_may_be_stored_one_by_one(tmp_path: Path) -> None:
    """Quantizers that know only linear layers save them so."""
    tensors = load_file(GOLDEN / "dgemma" / "model.safetensors")
    for name in matrices("dgemma"):
        prefix, _, last = name.rpartition(".")
        for i, part in enumerate(tensors.pop(name)):
            parts = dict(zip(("gate", "up"), part.chunk(2), strict=True))
            for key, matrix in (parts if last == "gate_up_proj" else {"down": part}).items():
                small = quantize(matrix, "fp8")
                tensors[f"{prefix}.{i}.{key}_proj.weight"] = small.values
                tensors[f"{prefix}.{i}.{key}_proj.weight_scale"] = small.scales[:, None]
    save("dgemma", tmp_path, {n: t.contiguous() for n, t in tensors.items()})
    weights = build(tmp_path, compression=CHANNELS)
    assert weights.expert_bytes == {FP8: bytes_in_8_bits(matrices("dgemma"))}


def test_one_expert_at_a_time_is_in_memory_twice() -> None:
    alive: list[weakref.ref[Tensor]] = []
    most = 0

    def each() -> Iterator[tuple[QuantizedWeight, ...]]:
        nonlocal most
        for _ in range(6):
            expert = [quantize(torch.randn(shape), "fp8") for shape in ((8, 12), (8, 12), (12, 8))]
            alive.extend(weakref.ref(weight.values) for weight in expert)
            most = max(most, sum(ref() is not None for ref in alive))
            yield tuple(expert)

    held = gather_experts(each(), 6)
    assert most <= 2 * 3  # this one, and the one that the caller still names
    assert held.num_bytes == {FP8: 6 * (3 * 96 + 4 * 28)}


@pytest.mark.parametrize("folder", MOE)
def test_logits_drift_by_no_more_than_8_bits_are_worth(folder: str, tmp_path: Path) -> None:
    whole = load_golden(folder, tmp_path)
    ids = load_file(GOLDEN / folder / "forward.safetensors")["input_ids"].flatten()
    block_len = BLOCK_LENGTHS.get(folder)
    horizons = full(len(ids)) if block_len is None else block_causal(len(ids), block_len)
    expected = logits_of(whole, ids, horizons)
    for kind, most in (("int8", 0.05), ("fp8", 0.2)):
        result = logits_of(load(folder, tmp_path, quantization=kind), ids, horizons)
        drift = (result - expected).norm(dim=1) / expected.norm(dim=1)
        # Most rows: a few are routed to other experts.
        assert 1e-4 < drift.median().item() < most


def test_a_start_tells_how_experts_are_held(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "llada2" / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    with caplog.at_level("INFO", "unmask.models.registry"):
        load("llada2", tmp_path, quantization="fp8")
    assert "experts: float8_e4m3fn, 0.00 GiB" in caplog.messages


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("kind", DTYPES)
@pytest.mark.parametrize("folder", ["llada2", "llada_moe", "sdar_moe"])
def test_requests_get_the_same_tokens_in_any_company(
    folder: str, kind: str, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / folder / name, tmp_path / name)
    byte_tokenizer().save_pretrained(tmp_path)
    loaded = load(folder, tmp_path, quantization=kind)
    assert_same_in_company(loaded, company(loaded, 5, seed=1), num_alone=3)


def test_an_expert_of_8_bits_gives_what_its_whole_weights_give() -> None:
    torch.manual_seed(0)
    whole = [tuple(torch.randn(s) / 6 for s in ((24, 40), (24, 40), (40, 24))) for _ in range(3)]
    small = [tuple(quantize(weight, "int8") for weight in expert) for expert in whole]
    wide = [tuple(dequantize(w, torch.float32) for w in expert) for expert in small]
    x, ids, topk_weights = torch.randn(9, 40), torch.randint(0, 3, (9, 2)), torch.rand(9, 2)
    result = gather_experts(iter(small), 3)(x, ids, topk_weights)
    torch.testing.assert_close(result, gather_experts(iter(wide), 3)(x, ids, topk_weights))
