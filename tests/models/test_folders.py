"""Folders as people hold them: files beside the weights, and which of several weights are read."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.support.tiny import GOLDEN, write_checkpoint
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.registry import LoadedModel, load_model
from unmask.models.shards import open_shards, usual_dtype
from unmask.models.weights import Weights

CPU = torch.device("cpu")
INDEX = "model.safetensors.index.json"
SHARDS = tuple(f"model-0000{i}-of-00002.safetensors" for i in (1, 2))


def load(path: str, **fields: str) -> LoadedModel:
    return load_model(ModelConfig(path, **fields), DecodingConfig())


def write(folder: Path, name: str, value: float, tensor: str = "a") -> None:
    save_file({tensor: torch.full((2,), value)}, folder / name)


def write_index(folder: Path) -> None:
    names = dict(zip(("a", "b"), SHARDS, strict=True))
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))


def read(folder: Path) -> dict[str, float]:
    return {name: float(t.to(CPU, torch.float32)[0]) for name, t in open_shards(folder).items()}


def test_an_index_counts_beside_a_single_file_where_its_files_are_there(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", 1)
    write(tmp_path, SHARDS[0], 2)
    write(tmp_path, SHARDS[1], 3, "b")
    write_index(tmp_path)
    assert read(tmp_path) == {"a": 2, "b": 3}


def test_a_single_file_is_read_where_an_index_was_left_without_its_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write(tmp_path, "model.safetensors", 1)
    write_index(tmp_path)
    assert read(tmp_path) == {"a": 1}
    assert f"files of {INDEX} are missing; model.safetensors is read" in caplog.text


def test_half_of_the_files_of_an_index_are_not_passed_over(tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", 1)
    write(tmp_path, SHARDS[1], 3, "b")
    write_index(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=rf"1 of 2 files are missing in .*{SHARDS[0]}"):
        read(tmp_path)


def test_weights_of_another_format_beside_numbered_ones_are_not_read(tmp_path: Path) -> None:
    """And the hidden files that a Mac leaves when it copies."""
    write(tmp_path, SHARDS[0], 2)
    write(tmp_path, SHARDS[1], 3, "b")
    write(tmp_path, "consolidated.safetensors", 1)
    (tmp_path / f"._{SHARDS[0]}").write_bytes(b"\0\5\x16\7")
    assert read(tmp_path) == {"a": 2, "b": 3}


def test_weights_of_another_format_alone_are_read(tmp_path: Path) -> None:
    write(tmp_path, "consolidated.safetensors", 1)
    assert read(tmp_path) == {"a": 1}


def test_a_folder_below_that_has_the_weights_is_named(tmp_path: Path) -> None:
    (tmp_path / "checkpoint-100").mkdir()
    write(tmp_path, "checkpoint-100/model.safetensors", 1)
    (tmp_path / "optimizer.pt").write_bytes(b"")
    with pytest.raises(
        InvalidCheckpoint, match=r"no \*\.safetensors in .*/checkpoint-100 has some"
    ):
        read(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        *("rotary_emb.inv_freq", "rotary_emb.original_inv_freq", "rotary_pos_emb.inv_freq"),
        *("layers.0.self_attn.rotary_emb.cos_cached", "layers.0.self_attn.rotary_emb.sin_cached"),
    ],
)
def test_buffers_of_rope_are_not_needed(name: str, tmp_path: Path) -> None:
    write(tmp_path, "model.safetensors", 1, f"model.{name}")
    Weights.from_folder(tmp_path, torch.float32, CPU).check_all_taken()


def test_a_snapshot_of_the_hub_s_cache_is_read_through_its_links(tmp_path: Path) -> None:
    """By its path, with a slash at the end, relative, or by a link to it."""
    blobs, snapshot = (
        tmp_path / "models--org--SDAR-tiny" / part for part in ("blobs", "snapshots/0a1b")
    )
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    for i, file in enumerate(sorted(write_checkpoint(blobs).iterdir())):
        file.rename(blobs / str(i))
        (snapshot / file.name).symlink_to(f"../../blobs/{i}")
    (tmp_path / "link").symlink_to(snapshot)
    for path in (
        snapshot,
        f"{snapshot}/",
        tmp_path / "link",
        f"{snapshot.parent}/../blobs/../snapshots/0a1b",
    ):
        assert load(str(path)).info.name == "SDAR-tiny"
    with pytest.raises(
        InvalidCheckpoint, match=r"no config\.json in .*; .*/snapshots/0a1b has one"
    ):
        load(str(tmp_path / "models--org--SDAR-tiny"))
    (snapshot / "model.safetensors").resolve().unlink()
    with pytest.raises(InvalidCheckpoint, match=r"1 of 1 files are missing .*: model\.safetensors"):
        load(str(snapshot))


def test_a_type_that_the_configuration_does_not_say_is_that_of_most_weights(
    tmp_path: Path,
) -> None:
    tensors = load_file(GOLDEN / "sdar" / "model.safetensors")
    halves = {name: tensor.bfloat16() for name, tensor in tensors.items()}
    halves["model.norm.weight"] = tensors["model.norm.weight"]
    halves["model.embed_tokens.weight.absmax"] = torch.ones(2**20)  # as of bitsandbytes
    write_checkpoint(tmp_path)
    save_file(halves, tmp_path / "model.safetensors")
    assert usual_dtype(open_shards(tmp_path).values()) is torch.bfloat16
    assert usual_dtype([]) is torch.float32
    del halves["model.embed_tokens.weight.absmax"]
    save_file(halves, tmp_path / "model.safetensors")
    raw = json.loads((tmp_path / "config.json").read_text())

    def dtype_of(**fields: str) -> torch.dtype:
        kept = {name: value for name, value in raw.items() if "dtype" not in name}
        (tmp_path / "config.json").write_text(json.dumps(kept | fields))
        return load(str(tmp_path), device="cpu").dtype

    usual = dtype_of(dtype="bfloat16")  # which is float32 on a CPU without instructions for it
    for fields, expected in (
        ({}, usual),
        ({"torch_dtype": "auto"}, usual),
        ({"dtype": "float8_e4m3fn"}, usual),
        ({"dtype": "bfloat16", "torch_dtype": "float32"}, usual),
        ({"dtype": "float32", "torch_dtype": "bfloat16"}, torch.float32),
    ):
        assert dtype_of(**fields) is expected
