"""The C functions of W8A8 products (`int8.c`), on CPUs with AVX512_VNNI."""

import ctypes
import functools
import logging
import platform
import subprocess
from ctypes import CDLL
from pathlib import Path

import torch

from unmask_kernels.native.compiler import FOLDER, cache_folder, compile_to, find_compiler
from unmask_kernels.native.library import FLAGS, FORMATS, INSTRUCTIONS

logger = logging.getLogger(__name__)

SOURCES = "int8.c", "thread_pool.c"
VNNI = *INSTRUCTIONS["AVX512"], "-mavx512vnni"
NO_ACTIVATION = -1
MOST_INPUTS = 65_536  # whose sums are below 2^31

_pointer, _size, _int = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int


class Weight(ctypes.Structure):
    """`Weight` of int8.c."""

    _fields_ = tuple((name, _pointer) for name in ("panels", "scales", "bias", "corrections"))


@functools.cache
def int8_library(dtype: torch.dtype, sources: Path = FOLDER) -> CDLL | None:
    """The functions for rows of a dtype; None without a C compiler, or without AVX512_VNNI."""
    is_served = dtype in FORMATS and platform.machine() == "x86_64"
    compiler = find_compiler() if is_served else None
    if compiler is None or not torch.cpu._is_vnni_supported():
        return None
    try:
        flags = (*FLAGS, *VNNI, *FORMATS[dtype])
        compiled = load(compile_to(cache_folder(), compiler, flags, SOURCES, sources))
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("int8.c does not compile, int8 is slower: %s: %s", compiler, message)
        return None
    return compiled


def load(file: Path) -> CDLL:
    """A compiled library with the types of its functions; raises `OSError`."""
    compiled, weight = CDLL(str(file)), ctypes.POINTER(Weight)
    compiled.int8_panel_width.restype = _size
    compiled.int8_panel_width.argtypes = ()
    compiled.quantize_rows.restype = None
    compiled.quantize_rows.argtypes = (_pointer, _size, *(_pointer,) * 2, *(_size,) * 3, _int)
    compiled.pack_int8.restype = None
    compiled.pack_int8.argtypes = (_pointer, _size, *(_pointer,) * 2, *(_size,) * 3)
    compiled.product_int8.restype = None
    compiled.product_int8.argtypes = (
        *(_pointer, _pointer, weight, weight, _pointer),
        *(*(_size,) * 3, _int, _int, _int),
    )
    return compiled
