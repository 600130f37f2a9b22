"""The compiled passes."""

import ctypes
import functools
import logging
import subprocess
from pathlib import Path

import torch
from torch import Tensor

from unmask_kernels.native import compiler
from unmask_kernels.native.library import FLAGS, INSTRUCTIONS, TILES

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = "rows.c", "attention.c"

_size = ctypes.c_int64


class Data:
    """Type of arguments that are tensors, or None for NULL."""

    @classmethod
    def from_param(cls, tensor: Tensor | None) -> ctypes.c_void_p:
        """The address of a tensor's data."""
        return ctypes.c_void_p(None if tensor is None else tensor.data_ptr())


class Rope(ctypes.Structure):
    """`Rope` of rows.c."""

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
        *((name, ctypes.c_void_p) for name in ("mask", "mask_t", "tiles", "tiles_t")),
        *((name, _size) for name in ("heads", "kv_heads", "rows")),
    )


_rope, _attention = ctypes.POINTER(Rope), ctypes.POINTER(Attention)
SIGNATURES: compiler.Signatures = {
    "embed": (None, (*(Data,) * 3, _size, _size)),
    "embed_backward": (None, (*(Data,) * 3, _size, _size)),
    "norm": (None, (*(Data,) * 4, _size, _size, ctypes.c_float)),
    "norm_backward": (None, (*(Data,) * 7, _size, _size)),
    "qk_norm_rope": (None, (Data, _rope, Data, Data, _size)),
    "qk_norm_rope_backward": (None, (Data, Data, _rope, *(Data,) * 3, _size)),
    "swiglu": (None, (Data, Data, _size, _size)),
    "swiglu_backward": (None, (*(Data,) * 3, _size, _size)),
    "cross_entropy": (ctypes.c_double, (*(Data,) * 4, _size, _size)),
    "weight_grad": (ctypes.c_int, (Data, _size, Data, _size, Data, _size)),
    "build_masks": (None, (_attention, *(Data,) * 3)),
    "attention_workspace": (_size, (_size,)),
    "attention": (None, (_attention, *(Data,) * 5)),
    "attention_backward": (None, (_attention, *(Data,) * 7)),
}


def load(file: Path) -> ctypes.CDLL:
    """The passes in a file; raises `OSError`."""
    return compiler.load_typed(file, SIGNATURES)


def compile_to(folder: Path, command: str, flags: tuple[str, ...]) -> Path:
    """The library for some instructions, compiled to `folder`; raises as the kernels' one does."""
    shared = f"-I{compiler.FOLDER}"
    return compiler.compile_to(folder, command, (*FLAGS, shared, *flags), SOURCES, FOLDER)


@functools.cache
def library() -> ctypes.CDLL | None:
    """The passes for this CPU; None if it has no AMX, or without a compiler that knows it."""
    command = compiler.find_compiler()
    has_tiles = torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx()
    if not has_tiles or command is None:
        return None
    try:
        file = compile_to(compiler.cache_folder(), command, (*INSTRUCTIONS["AVX512"], *TILES))
        return load(file)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("passes in C do not compile, autograd is slower: %s: %s", command, message)
        return None
