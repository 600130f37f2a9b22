"""Safetensors files, mapped into memory and read one tensor at a time."""

import json
import logging
import math
import mmap
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.hub import GGUF
from unmask_kernels.native.memory import reserve

logger = logging.getLogger(__name__)

INDEX = "model.safetensors.index.json"
WHOLE = "model.safetensors"
ADAPTER = "adapter_model.safetensors"  # beside weights
OTHER_FORMAT = "consolidated"  # the same weights by Mistral's or Meta's names, beside
# Of `torch.compile`, of data parallel training and of text models in mlx-vlm.
WRAPPERS = ("_orig_mod.", "module.", "language_model.")
CHUNK_BYTES = 64 * 2**20
CHUNK_ITEMS = 2**24
PICKLED = (".bin", ".pt", ".pth")
COMPARED_BYTES = 2**18  # at once: copies that leave the cores' caches take long
DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E8M0": torch.uint8,  # exponents, as others store them
    "I64": torch.int64,
    "I32": torch.int32,
    "U32": torch.int32,  # words of packed bits, as others store them
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
FLOATS = (torch.bfloat16, torch.float16, torch.float32)  # of weights that are not quantized


class _Mapping:
    """Memory-mapped file with pages that can be released."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            # Private and writable: torch warns about tensors over read-only memory.
            self.memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)

    def release(self, start: int, end: int) -> None:
        """Release the pages of these bytes; a later access reads them from the file again."""
        if hasattr(mmap, "MADV_DONTNEED"):
            start -= start % mmap.PAGESIZE
            self.memory.madvise(mmap.MADV_DONTNEED, start, end - start)


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Tensor on disk; `to` reads it."""

    file: _Mapping
    start: int  # bytes from the beginning of the file
    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def num_bytes(self) -> int:
        """Bytes on disk."""
        return math.prod(self.shape) * self.dtype.itemsize

    def select(self, index: int) -> "StoredTensor":
        """Entry at `index` of the first dimension."""
        shape = self.shape[1:]
        start = self.start + index * math.prod(shape) * self.dtype.itemsize
        return StoredTensor(self.file, start, shape, self.dtype)

    def equals(self, other: "StoredTensor") -> bool:
        """True if another has the same shape, type and bytes."""
        if (self.shape, self.dtype) != (other.shape, other.dtype):
            return False
        for first in range(0, self.num_bytes, COMPARED_BYTES):
            ours, theirs = (tensor._bytes_from(first) for tensor in (self, other))
            if ours != theirs:
                return False
        return True

    def _bytes_from(self, first: int) -> bytes:
        """A copy of some bytes, as views are compared item by item, which is slow."""
        start = self.start + first
        end = min(start + COMPARED_BYTES, self.start + self.num_bytes)
        copied = self.file.memory[start:end]
        self.file.release(start, end)
        return copied

    def rounds_to(self, other: "StoredTensor") -> bool:
        """True if both have the same shape, and may be roundings of the same numbers.

        Each may be half a step of its type away from these: together less than a step of the
        coarser type, and the smallest steps of both beside zero.
        """
        if self.shape != other.shape:
            return False
        limits = torch.finfo(self.dtype), torch.finfo(other.dtype)
        step = max(limit.eps for limit in limits)
        smallest = max(limit.smallest_normal * limit.eps for limit in limits)
        for first in range(0, math.prod(self.shape), CHUNK_ITEMS):
            ours, theirs = (
                tensor._items_from(first).to(torch.device("cpu"), torch.float32)
                for tensor in (self, other)
            )
            allowed = torch.maximum(ours.abs(), theirs.abs()).mul_(step).add_(smallest)
            if not bool(((ours - theirs).abs_() <= allowed).all()):
                return False
        return True

    def _items_from(self, first: int) -> "StoredTensor":
        """At most `CHUNK_ITEMS` of the flat tensor."""
        count = min(CHUNK_ITEMS, math.prod(self.shape) - first)
        start = self.start + first * self.dtype.itemsize
        return StoredTensor(self.file, start, (count,), self.dtype)

    def to(
        self, device: torch.device, dtype: torch.dtype, *, chunk_bytes: int = CHUNK_BYTES
    ) -> Tensor:
        """Copy in `dtype` on a device, read in chunks of `chunk_bytes`."""
        out = reserve(self.shape, dtype, device)
        flat, item = out.view(-1), self.dtype.itemsize
        for first in range(0, len(flat), chunk_bytes // item):
            part = flat[first : first + chunk_bytes // item]
            start = self.start + first * item
            source = torch.frombuffer(
                self.file.memory, dtype=self.dtype, count=len(part), offset=start
            )
            part.copy_(source)
            self.file.release(start, start + len(part) * item)
        return out


def open_shards(folder: Path) -> dict[str, StoredTensor]:
    """All tensors of a folder by name; raises `InvalidCheckpoint` if files are missing."""
    tensors: dict[str, StoredTensor] = {}
    files = _files(folder)
    for file in files:
        for name, tensor in open_file(file).items():
            if name in tensors:
                raise InvalidCheckpoint(f"{name} is in {file.name} and in another file of {folder}")
            tensors[name] = tensor
    return _without_wrapper(tensors)


def usual_dtype(tensors: Iterable[StoredTensor]) -> torch.dtype:
    """The type of `FLOATS` that has the most bytes of matrices; float32 if none has any.

    Vectors are norms and biases, and scales of bitsandbytes, which are float32 in any model.
    """
    sizes = dict.fromkeys(FLOATS, 0)
    for tensor in tensors:
        if tensor.dtype in sizes and len(tensor.shape) > 1:
            sizes[tensor.dtype] += tensor.num_bytes
    best = max(FLOATS, key=lambda dtype: sizes[dtype])
    return best if sizes[best] else torch.float32


def _without_wrapper(tensors: dict[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Tensors without the prefix that wrappers of models give to all names."""
    for prefix in WRAPPERS:
        if tensors and all(name.startswith(prefix) for name in tensors):
            return {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _files(folder: Path) -> list[Path]:
    """Files in the index, else `model.safetensors`, else all; raises `InvalidCheckpoint`."""
    is_whole = (folder / WHOLE).is_file()
    if (folder / INDEX).is_file():
        names = _names_of_index(folder / INDEX)
        if is_whole and not any((folder / name).is_file() for name in names):
            logger.warning("%s: files of %s are missing; %s is read", folder, INDEX, WHOLE)
            return [folder / WHOLE]
    elif is_whole:
        return [folder / WHOLE]
    else:
        found = [file.name for file in folder.glob("*.safetensors") if file.name[0] != "."]
        own = [name for name in found if name != ADAPTER and not name.startswith(OTHER_FORMAT)]
        names = _numbered(own or found)
    if not names:
        raise InvalidCheckpoint(f"no *.safetensors in {folder}{_unread(folder)}")
    if missing := [name for name in names if not (folder / name).is_file()]:
        raise InvalidCheckpoint(
            f"{len(missing)} of {len(names)} files are missing in {folder}: {', '.join(missing)}"
        )
    return [folder / name for name in names]


def _unread(folder: Path) -> str:
    """Part of an error about a folder without weights: those of other formats, and the way out."""
    below = sorted(folder.glob("*/*.safetensors"))
    hint = f"; {below[0].parent} has some" if below else ""
    if any(file.suffix in PICKLED for file in folder.glob("*")):
        hint += (
            "; *.bin, *.pt and *.pth can run code and are not read: load them with transformers "
            "where you trust them, and save_pretrained writes *.safetensors"
        )
    return hint + (f". {GGUF}" if any(folder.glob("*.gguf")) else "")


def _names_of_index(path: Path) -> list[str]:
    try:
        names = sorted(set(json.loads(path.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError, RecursionError) as error:
        raise InvalidCheckpoint(f"{path} is not a safetensors index: {error}") from error
    if odd := [name for name in names if not isinstance(name, str)]:
        raise InvalidCheckpoint(f"{path} is not a safetensors index: {odd[0]!r} is not a file name")
    if outside := [name for name in names if Path(name).name != name]:
        raise InvalidCheckpoint(f"{path} names files in other folders: {', '.join(outside)}")
    return names


def _numbered(names: list[str]) -> list[str]:
    """File names, completed to whole series such as `a-1-of-3` to `a-3-of-3`."""
    wanted = set(names)
    for name in names:
        if match := re.fullmatch(r"(.*-)(\d+)(-of-)(\d+)(\.safetensors)", name):
            head, digits, of, count, end = match.groups()
            series = range(1, int(count) + 1) if int(count) <= 10_000 else ()
            wanted |= {f"{head}{i:0{len(digits)}}{of}{count}{end}" for i in series}
    return sorted(wanted)


def open_file(path: Path) -> dict[str, StoredTensor]:
    """Tensors of a file by name, checked to lie within the file; raises `InvalidCheckpoint`."""
    try:
        file = _Mapping(path)
    except (OSError, ValueError) as error:  # mmap refuses an empty file with a ValueError
        raise InvalidCheckpoint(f"cannot read {path}: {error}") from error
    memory = file.memory
    header_bytes = int.from_bytes(memory[:8], "little")
    begin = 8 + header_bytes
    if memory[:8] == b"version ":
        raise InvalidCheckpoint(f"{path} is a Git LFS pointer; download the file with git lfs pull")
    if len(memory) < 8 or begin > len(memory):
        raise InvalidCheckpoint(f"{path} is truncated, or not in the safetensors format")
    try:
        header: dict[str, Any] = json.loads(memory[8:begin])
        header.pop("__metadata__", None)
        return {name: _stored(file, begin, name, entry) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InvalidCheckpoint(f"{path} is not in the safetensors format: {error}") from error
    except InvalidCheckpoint as error:
        raise InvalidCheckpoint(f"{path}: {error}") from None


def _stored(file: _Mapping, begin: int, name: str, entry: dict[str, Any]) -> StoredTensor:
    if entry["dtype"] not in DTYPES:
        raise InvalidCheckpoint(f"{name} is of type {entry['dtype']}, which is not supported")
    start, end = entry["data_offsets"]
    if not all(isinstance(number, int) and number >= 0 for number in (start, end, *entry["shape"])):
        raise ValueError(f"shape and data_offsets of {name} must be whole numbers")
    tensor = StoredTensor(file, begin + start, tuple(entry["shape"]), DTYPES[entry["dtype"]])
    if start < 0 or end - start != tensor.num_bytes:
        raise InvalidCheckpoint(f"{name} {tensor.shape} does not fill bytes {start} to {end}")
    if begin + end > len(file.memory):
        raise InvalidCheckpoint(
            f"truncated: {name} ends at byte {begin + end} of {len(file.memory)}"
        )
    return tensor
