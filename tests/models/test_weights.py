"""Reading a checkpoint's tensors, and errors of files and tensors that do not match."""

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from unmask.errors import InvalidCheckpoint
from unmask.models.shards import open_shards
from unmask.models.weights import Weights

CPU = torch.device("cpu")
INDEX = "model.safetensors.index.json"


def open_weights(folder: Path, dtype: torch.dtype = torch.float32, **options: object) -> Weights:
    return Weights.from_folder(folder, dtype, CPU, **options)


def write_shards(folder: Path, files: dict[str, dict[str, torch.Tensor]]) -> None:
    for file, tensors in files.items():
        save_file(tensors, folder / file)
    index = {name: file for file, tensors in files.items() for name in tensors}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": index}))


@pytest.mark.parametrize("chunk_bytes", [16, 2**20])
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_tensors_are_those_of_the_file_in_the_dtype_asked_for(
    tmp_path: Path, stored: torch.dtype, dtype: torch.dtype, chunk_bytes: int
) -> None:
    torch.manual_seed(0)
    shapes = {"a": (37, 11), "b": (), "c": (0, 4), "d": (5,)}
    tensors = {name: torch.randn(shape).to(stored) for name, shape in shapes.items()}
    save_file(tensors, tmp_path / "model.safetensors")
    for name, tensor in open_shards(tmp_path).items():
        read = tensor.to(CPU, dtype, chunk_bytes=chunk_bytes)
        assert torch.equal(read, tensors[name].to(dtype))
    weights = open_weights(tmp_path, dtype)
    for name, shape in shapes.items():
        assert torch.equal(weights.take(name, shape), tensors[name].to(dtype))
    weights.check_all_taken()


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module."])
def test_a_wrapper_s_prefix_of_all_names_is_left_out(prefix: str, tmp_path: Path) -> None:
    save_file(
        {f"{prefix}a": torch.ones(2), f"{prefix}b": torch.ones(3)}, tmp_path / "x.safetensors"
    )
    assert set(open_weights(tmp_path).names) == {"a", "b"}
    save_file({f"{prefix}a": torch.ones(2), "b": torch.ones(3)}, tmp_path / "x.safetensors")
    assert set(open_weights(tmp_path).names) == {f"{prefix}a", "b"}


def test_an_adapter_beside_numbered_files_is_none_of_them(tmp_path: Path) -> None:
    save_file({"a": torch.ones(2)}, tmp_path / "model-00001-of-00001.safetensors")
    save_file({"b": torch.ones(2)}, tmp_path / "adapter_model.safetensors")
    assert set(open_weights(tmp_path).names) == {"a"}


def test_a_copy_may_have_another_type_but_no_other_numbers(tmp_path: Path) -> None:
    numbers = torch.randn(4, 8, generator=torch.Generator().manual_seed(0)).bfloat16()
    tensors = {"kept": numbers, "same": numbers.clone(), "wide": numbers.float()}
    save_file(tensors | {"other": numbers * 2}, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path)
    for name in ("same", "wide", "missing"):
        weights.drop_copy(name, "kept")
    weights.drop_copy("other", "kept")
    weights.take("kept", (4, 8))
    with pytest.raises(
        InvalidCheckpoint, match=r"json: other differs from kept, though config\.json"
    ):
        weights.check_all_taken()


@pytest.mark.parametrize("one", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("other", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_two_roundings_of_the_same_numbers_are_copies(
    one: torch.dtype, other: torch.dtype, scale: float, tmp_path: Path
) -> None:
    """Rounding one to the type of the other would round twice, some numbers to a neighbour."""
    numbers = scale * torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    tensors = {"kept": numbers.to(one), "copy": numbers.to(other)}
    moved = numbers.clone()
    moved[-1, -1] += 1
    save_file(tensors | {"moved": moved.to(other)}, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path)
    weights.drop_copy("copy", "kept")
    weights.take("kept", (64, 64))
    weights.drop("moved")
    weights.check_all_taken()
    weights = open_weights(tmp_path)
    weights.drop_copy("moved", "kept")
    with pytest.raises(InvalidCheckpoint, match="moved differs from kept"):
        weights.check_all_taken()


def test_tensors_are_found_in_the_files_that_the_index_names(tmp_path: Path) -> None:
    files = {"one.safetensors": {"a": torch.ones(2)}, "two.safetensors": {"b": torch.zeros(3)}}
    write_shards(tmp_path, files)
    save_file({"a": torch.zeros(9)}, tmp_path / "consolidated.safetensors")
    weights = open_weights(tmp_path)
    assert weights.take("b", (3,)).tolist() == [0, 0, 0]
    assert weights.take("a", (2,)).tolist() == [1, 1]
    weights.check_all_taken()


def test_what_was_taken_outlives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "model.safetensors"
    save_file({"a": torch.arange(5000.0)}, file)
    taken = open_weights(tmp_path).take("a", (5000,))
    file.write_bytes(bytes(file.stat().st_size))
    assert torch.equal(taken, torch.arange(5000.0))


def test_a_tensor_is_read_when_it_is_taken_and_progress_is_told_in_bytes(tmp_path: Path) -> None:
    tensors = {"a": torch.ones(8), "b": torch.ones(3).bfloat16(), "c.d": torch.ones(2)}
    save_file(tensors, tmp_path / "model.safetensors")
    steps: list[tuple[str, int, int]] = []
    weights = open_weights(tmp_path, progress=lambda *step: steps.append(step))
    assert steps == []
    weights.take("b", (3,))
    weights.take("a", (8,))
    weights.drop_prefix("c.")
    assert steps == [("weights", 6, 46), ("weights", 38, 46), ("weights", 46, 46)]


def test_tensors_may_be_asked_for_and_left(tmp_path: Path) -> None:
    names = ("a", "vision.b", "vision.c")
    save_file({name: torch.ones(2) for name in names}, tmp_path / "model.safetensors")
    weights = open_weights(tmp_path)
    assert weights.has("a")
    assert not weights.has("b")
    assert weights.take_optional("b", (2,)) is None
    assert weights.take_optional("a", (2,)) is not None
    assert not weights.has("a")
    weights.drop_prefix("vision.")
    weights.check_all_taken()


def test_every_tensor_that_does_not_fit_is_named_with_its_shape() -> None:
    tensors = {"a": torch.ones(2, 3), "extra": torch.ones(4)}
    weights = Weights(tensors, torch.float32, CPU)
    assert weights.take("a", (3, 2)).shape == (3, 2)
    weights.take("lost", (7,))
    with pytest.raises(InvalidCheckpoint) as caught:
        weights.check_all_taken()
    for part in ("a is (2, 3), expected (3, 2)", "missing lost (7,)", "unexpected extra (4,)"):
        assert part in str(caught.value)


def test_a_hundred_tensors_of_the_same_kind_are_summarised() -> None:
    names = [f"model.layers.{i}.bias" for i in range(100)]
    weights = Weights({name: torch.ones(4) for name in names}, torch.float32, CPU)
    for i in range(100):
        weights.take(f"model.layers.{i}.norm", (5,))
    weights.take("model.norm", (5,))
    with pytest.raises(InvalidCheckpoint) as caught:
        weights.check_all_taken()
    message = str(caught.value)
    assert message.count("missing model.layers.") == message.count("unexpected") == 3
    assert message.count("and 97 more like it") == 2
    assert "missing model.norm (5,)" in message
    assert len(message) < 600


def test_a_wish_for_8_bits_that_no_weight_heeds_is_an_error() -> None:
    weights = Weights({"a.weight": torch.ones(2, 3)}, torch.float32, CPU, quantization="int8")
    weights.take("a.weight", (2, 3))
    with pytest.raises(
        InvalidCheckpoint, match="no weight of this family can be quantized to int8"
    ):
        weights.check_all_taken()


def test_shards_that_are_missing_are_named(tmp_path: Path) -> None:
    ones = torch.ones(2)
    write_shards(tmp_path, {f"m-{i}.safetensors": {f"t{i}": ones} for i in range(4)})
    (tmp_path / "m-1.safetensors").unlink()
    (tmp_path / "m-3.safetensors").unlink()
    with pytest.raises(InvalidCheckpoint, match=r"2 of 4 files .*: m-1\.safet.*, m-3\.safet"):
        open_weights(tmp_path)


def test_a_gap_in_a_numbered_series_is_seen_without_an_index(tmp_path: Path) -> None:
    for i in (1, 3):
        save_file({f"t{i}": torch.ones(2)}, tmp_path / f"model-0000{i}-of-00003.safetensors")
    with pytest.raises(InvalidCheckpoint, match=r"1 of 3 .*: model-00002-of-00003\.safetensors$"):
        open_weights(tmp_path)


def whole_file(tmp_path: Path) -> bytes:
    save_file({"a": torch.ones(100)}, tmp_path / "x")
    return (tmp_path / "x").read_bytes()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-1], "truncated: a ends at byte"),
        (lambda data: data[:20], "is truncated, or not in the safetensors format"),
        (lambda data: data[:3], "is truncated, or not in the safetensors format"),
        (lambda data: b"", "cannot read"),
        (lambda data: b"version https://git-lfs.github.com/spec/v1\n", "is a Git LFS pointer"),
        (lambda data: data.replace(b"[100]", b"[101]"), "a (101,) does not fill bytes 0 to 400"),
        (lambda data: data.replace(b'"F32"', b'"F99"'), "a is of type F99, which is not supported"),
        (lambda data: data.replace(b'"dtype"', b'"dtipe"'), "not in the safetensors format"),
        (lambda data: data[:8] + b"x" + data[9:], "not in the safetensors format"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path, damage, message) -> None:
    data = damage(whole_file(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(data)
    with pytest.raises(InvalidCheckpoint, match=re.escape(message)) as caught:
        open_weights(tmp_path)
    assert "model.safetensors" in str(caught.value)


def test_tensors_that_do_not_begin_at_a_multiple_of_their_size_are_read(tmp_path: Path) -> None:
    data = whole_file(tmp_path)
    size = int.from_bytes(data[:8], "little")
    moved = (size + 1).to_bytes(8, "little") + data[8 : 8 + size] + b" " + data[8 + size :]
    (tmp_path / "model.safetensors").write_bytes(moved)
    assert torch.equal(open_weights(tmp_path).take("a", (100,)), torch.ones(100))


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "is not a safetensors index"),
        ('{"weight_map": 3}', "is not a safetensors index"),
        (
            '{"weight_map": {"a": "../secret.safetensors"}}',
            "names files in other folders: ../secret",
        ),
        ('{"weight_map": {}}', "no *.safetensors in"),
    ],
)
def test_an_index_that_makes_no_sense_is_an_error(tmp_path: Path, index: str, message: str) -> None:
    (tmp_path / INDEX).write_text(index)
    with pytest.raises(InvalidCheckpoint, match=re.escape(message)):
        open_weights(tmp_path)


def test_a_tensor_in_two_files_is_an_error(tmp_path: Path) -> None:
    for name in ("p.safetensors", "q.safetensors"):
        save_file({"a": torch.ones(1)}, tmp_path / name)
    with pytest.raises(InvalidCheckpoint, match=r"a is in q\.safetensors and in another file"):
        open_weights(tmp_path)


def test_pickled_weights_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"not opened")
    with pytest.raises(InvalidCheckpoint, match=r"can run code and are not read"):
        open_weights(tmp_path)


def test_gguf_is_named_where_there_are_no_safetensors(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"GGUF")
    with pytest.raises(InvalidCheckpoint, match="GGUF is not read"):
        open_weights(tmp_path)
