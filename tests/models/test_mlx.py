"""Checkpoints that MLX has quantized are served with the weights that are meant."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.lora import draw_pairs, merged, write_adapter
from tests.support.mlx import pack_with_mlx
from tests.support.stored import load, logits
from unmask.errors import InvalidCheckpoint


def test_every_matrix_is_the_one_that_is_meant(tiny_folder: Path, tmp_path: Path) -> None:
    """Embeddings and the head, which MLX quantizes like all others, too."""
    for name in ("4", "32"):
        shutil.copytree(tiny_folder, tmp_path / name)
    meant = pack_with_mlx(tiny_folder, tmp_path / "4")
    save_file(meant, tmp_path / "32" / "model.safetensors")
    expected = logits(load(tmp_path / "32"))
    assert (expected - logits(load(tiny_folder))).abs().max() > 0.01
    torch.testing.assert_close(logits(load(tmp_path / "4")), expected, rtol=1e-4, atol=1e-4)
    assert load(tmp_path / "4", quantization="int8").model.layers


def test_an_adapter_is_added_to_the_weights_that_are_meant(
    tiny_folder: Path, tmp_path: Path
) -> None:
    for name in ("4", "32"):
        shutil.copytree(tiny_folder, tmp_path / name)
    meant = pack_with_mlx(tiny_folder, tmp_path / "4")
    pairs = draw_pairs(meant, ["model.layers.1.mlp.down_proj", "model.layers.0.self_attn.q_proj"])
    save_file(merged(meant, pairs), tmp_path / "32" / "model.safetensors")
    adapter = (str(write_adapter(tmp_path / "adapter", pairs)),)
    expected = logits(load(tmp_path / "32"))
    adapted = logits(load(tmp_path / "4", adapter=adapter))
    torch.testing.assert_close(adapted, expected, rtol=1e-4, atol=1e-4)


def test_a_tied_embedding_is_the_head_too(tiny_folder: Path, tmp_path: Path) -> None:
    pack_with_mlx(tiny_folder, tmp_path, tie_word_embeddings=True)
    tensors = load_file(tmp_path / "model.safetensors")
    parts = {last: tensors.pop(f"lm_head.{last}") for last in ("weight", "scales", "biases")}
    save_file(tensors, tmp_path / "model.safetensors")
    expected = logits(load(tmp_path))
    copies = {f"lm_head.{p}": tensors[f"model.embed_tokens.{p}"].clone() for p in parts}
    save_file(tensors | copies, tmp_path / "model.safetensors")
    assert torch.equal(logits(load(tmp_path)), expected)
    save_file(
        tensors | {f"lm_head.{last}": part for last, part in parts.items()},
        tmp_path / "model.safetensors",
    )
    with pytest.raises(InvalidCheckpoint, match=r"lm_head\.weight differs from model\.embed_token"):
        load(tmp_path)


def test_a_start_tells_how_weights_are_stored_and_held(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pack_with_mlx(tiny_folder, tmp_path)
    with caplog.at_level("INFO", "unmask.models.registry"):
        load(tmp_path)
    told = [text for text in caplog.messages if text.startswith("linear weights")]
    assert any(
        text.startswith("linear weights: mlx of 4 bits, held in float32") and "int8 holds" in text
        for text in told
    )


@pytest.mark.parametrize("packing", ["mlx", "auto_round:mlx"])
def test_auto_round_s_own_field_beside_mlx_s_adds_nothing(
    packing: str, tiny_folder: Path, tmp_path: Path
) -> None:
    for name in ("mlx", "auto_round"):
        shutil.copytree(tiny_folder, tmp_path / name)
    pack_with_mlx(tiny_folder, tmp_path / "mlx")
    own = {"quant_method": "auto-round", "packing_format": packing, "bits": 4, "group_size": 64}
    pack_with_mlx(tiny_folder, tmp_path / "auto_round", quantization_config=own)
    assert torch.equal(logits(load(tmp_path / "auto_round")), logits(load(tmp_path / "mlx")))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"quantization": 4, "quantization_config": None}, "quantization must be an object, got 4"),
        ({"quantization_config": {"quant_method": "awq"}}, "quantization is of MLX, and quantiz"),
        ({"quantization": {"bits": 4, "group_size": 32}}, r"are no groups of 32"),
        ({"quantization": None, "quantization_config": None}, "quantized by MLX, but config.json"),
    ],
)
def test_a_configuration_that_does_not_fit_is_named(
    fields: dict, message: str, tiny_folder: Path, tmp_path: Path
) -> None:
    pack_with_mlx(tiny_folder, tmp_path, **fields)
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path)
