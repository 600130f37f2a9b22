"""The compiled passes."""

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from unmask_kernels.native import compiler
from unmask_kernels.native.library import FLAGS, INSTRUCTIONS, TILES

FOLDER = Path(__file__).parent
SOURCES = "rows.c", "attention.c"

_size = ctypes.c_int64


class Data:
    """Type of arguments that are tensors, or None for NULL."""

    @classmethod
    def from_param(cls, tensor: Tensor | None) -> ctypes.c_void_p:
        """The address of a tensor's data."""
        return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


class Rotation(ctypes.Structure):
    """`Rotation` of rows.c."""

    _fields_ = (
        *((name, _size) for name in ("query_heads", "heads", "over_rows")),
        *((name, ctypes.c_void_p) for name in ("query_weight", "key_weight")),
        *((name, ctypes.c_void_p) for name in ("cosines", "sines", "positions")),
        ("eps", ctypes.c_float),
    )


class Attention(ctypes.Structure):
    """`Attention` of attention.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("starts", "lengths")),
        ("num_segments", _size),
        *((name, ctypes.c_void_p) for name in ("seen", "seeing", "used", "using")),
        *((name, _size) for name in ("heads", "kv_heads", "rows")),
    )


_rotation, _attention = ctypes.POINTER(Rotation), ctypes.POINTER(Attention)
SIGNATURES: dict[str, tuple[type | None, tuple[type, ...]]] = {
    "embed": (None, (*(Data,) * 3, _size, _size)),
    "embed_backward": (None, (*(Data,) * 3, _size, _size)),
    "norm": (None, (*(Data,) * 4, _size, _size, ctypes.c_float)),
    "norm_backward": (None, (*(Data,) * 7, _size, _size)),
    "rotate": (None, (Data, _rotation, Data, Data, _size)),
    "rotate_backward": (None, (Data, Data, _rotation, *(Data,) * 3, _size)),
    "swiglu": (None, (Data, Data, _size, _size)),
    "swiglu_backward": (None, (*(Data,) * 3, _size, _size)),
    "cross_entropy": (ctypes.c_double, (*(Data,) * 4, _size, _size)),
    "weight_slopes": (ctypes.c_int, (Data, _size, Data, _size, Data, _size)),
    "mark_seen": (None, (_attention, *(Data,) * 3)),
    "attention_workspace": (_size, (_size,)),
    "attention": (None, (_attention, *(Data,) * 5)),
    "attention_backward": (None, (_attention, *(Data,) * 7)),
}


def load(file: Path) -> ctypes.CDLL:
    """A compiled library with the types of its functions."""
    compiled = ctypes.CDLL(str(file))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(compiled, name)
        function.restype, function.argtypes = result, arguments
    return compiled


def compile_with(folder: Path, flags: tuple[str, ...]) -> Path | None:
    """The library for some instructions in `folder`; None without a C compiler."""
    command = compiler.find_compiler()
    if command is None:
        return None
    shared = f"-I{compiler.FOLDER}"
    return compiler.compile_to(folder, command, (*FLAGS, shared, *flags), SOURCES, FOLDER)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The passes for this CPU; None if it has no AMX, or without a C compiler."""
    if not (torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx()):
        return None
    file = compile_with(compiler.cache_folder(), (*INSTRUCTIONS["AVX512"], *TILES))
    return None if file is None else load(file)
