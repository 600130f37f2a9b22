"""The C kernels, compiled once on a machine for its instructions, and cached.

There are none without a C compiler, on a CPU without AVX2, or with `UNMASK_NATIVE=0` in the
environment: torch's operations run instead.
"""

import ctypes
import functools
import logging
import platform
import subprocess
from ctypes import CDLL
from pathlib import Path

import torch
from torch import Tensor

from unmask_kernels.native.compiler import (
    FOLDER,
    Signatures,
    cache_folder,
    compile_to,
    find_compiler,
    load_typed,
)

logger = logging.getLogger(__name__)

SOURCES = (
    *("products.c", "attention.c", "layers.c", "softmax_stats.c", "class_masks.c"),
    *("noise.c", "thread_pool.c"),
)
INSTRUCTIONS = {"AVX2": ("-mavx2", "-mfma"), "AVX512": ("-mavx512f", "-mfma")}
FORMATS = {torch.float32: (), torch.bfloat16: ("-DBF16",)}
# Flags for a CPU's bfloat16 instructions.
TILES = "-DTILES", "-mamx-tile", "-mamx-bf16"
PAIRS = "-DPAIRS", "-mavx512bf16"
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-shared", "-pthread"),
    *("-ffp-contract=fast", "-fno-strict-aliasing", "-Wno-psabi"),
)
ALIGNMENT = 64  # bytes

_pointer, _size, _int, _float = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
SIGNATURES: Signatures = {
    "panel_width": (_size, ()),
    "input_unit": (_size, ()),
    "row_entry_size": (_size, ()),
    "pack": (None, (_pointer, _size, _size, _pointer, _size, _size, _int)),
    "product": (None, (*(_pointer,) * 4, *(_size,) * 3, _int, _int)),
    "gated_product": (None, (*(_pointer,) * 6, *(_size,) * 3, _int, _int)),
    "expert_size": (_size, (_size, _size)),
    "expert_workspace": (_size, (_size, _size)),
    "attention_workspace": (_size, (_size,)),
    "attention": (
        None,
        (*(_pointer,) * 4, _size, *(_pointer,) * 5, *(_size,) * 4, _float, _float, _pointer, _int),
    ),
    "softmax_stats": (None, (*(_pointer,) * 5, _size, _size, _int)),
    "forbid_classes": (None, (*(_pointer,) * 4, *(_size,) * 4, _int)),
    "gumbel_noise": (None, (*(_pointer,) * 4, *(_size,) * 3, _int)),
    "gumbel_at": (None, (*(_pointer,) * 5, _size, _int)),
    "rms_norm": (None, (*(_pointer,) * 3, _size, _size, _float, _int)),
    "qk_norm_rope_store": (
        None,
        (_pointer, _pointer, _size, _float, *(_pointer,) * 6, *(_size,) * 4, _int),
    ),
    "experts": (None, (*(_pointer,) * 5, *(_size,) * 5, _int, *(_pointer,) * 4, _int)),
}


@functools.cache
def library(dtype: torch.dtype, sources: Path = FOLDER) -> CDLL | None:
    """The kernels for a dtype, compiled if they are not in the cache; None if there are none."""
    is_served = dtype in FORMATS and platform.machine() == "x86_64"
    compiler = find_compiler() if is_served else None
    capability = torch.backends.cpu.get_cpu_capability()
    if capability not in INSTRUCTIONS or compiler is None:
        return None
    try:
        flags = (*FLAGS, *INSTRUCTIONS[capability], *_format(dtype, capability))
        compiled = load(compile_to(cache_folder(), compiler, flags, SOURCES, sources))
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("C kernels do not compile, torch is slower: %s: %s", compiler, message)
        return None
    if not multiplies(compiled, dtype):
        logger.warning("the arithmetic of %s's C kernels is wrong, torch is slower", compiler)
        return None
    return compiled


def kernels(dtype: torch.dtype) -> CDLL:
    """The kernels for a dtype, which a plan or a packed weight was made for."""
    compiled = library(dtype)
    assert compiled is not None, "plans and packed weights need C kernels"
    return compiled


def address(tensor: Tensor | None) -> int | None:
    """Data pointer of a tensor, or NULL."""
    return None if tensor is None else tensor.data_ptr()


def load(file: Path) -> CDLL:
    """The kernels in a file; raises `OSError`."""
    return load_typed(file, SIGNATURES)


def multiplies(native: CDLL, dtype: torch.dtype) -> bool:
    """True if a product by compiled kernels equals torch's."""
    rows, outputs, inputs = 35, 37, 96
    numbers = torch.arange(outputs * inputs) * 7 % 11 - 5
    weight = numbers.view(outputs, inputs).to(dtype)
    x = (torch.arange(rows * inputs) * 5 % 7 - 3).view(rows, inputs)
    panels = weight.new_empty(2 * (outputs + native.panel_width()) * inputs)
    out = weight.new_empty(rows, outputs)
    start = -panels.data_ptr() % ALIGNMENT // dtype.itemsize
    rows_in = x.to(dtype if native.row_entry_size() == dtype.itemsize else torch.float32)
    panels_ptr = panels[start:].data_ptr()
    native.pack(weight.data_ptr(), *weight.stride(), panels_ptr, outputs, inputs, 1)
    pointers = rows_in.data_ptr(), panels_ptr, None, out.data_ptr()
    native.product(*pointers, rows, inputs, outputs, False, 1)
    return torch.equal(out, (x.float() @ weight.float().T).to(dtype))


def _format(dtype: torch.dtype, capability: str) -> tuple[str, ...]:
    """Flags of a dtype; `ATEN_CPU_CAPABILITY` may allow less than the CPU has."""
    if dtype is not torch.bfloat16 or capability != "AVX512":
        return FORMATS[dtype]
    if torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx():
        return (*FORMATS[dtype], *TILES)
    if torch.cpu._is_avx512_bf16_supported():
        return (*FORMATS[dtype], *PAIRS)
    return FORMATS[dtype]
