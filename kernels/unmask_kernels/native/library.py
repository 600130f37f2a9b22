"""The C kernels, compiled once on a machine and for its instructions, as Triton compiles its own.

Without a C compiler, on a CPU without AVX2, or with `UNMASK_NATIVE=0` in the
environment there are none, and torch's own operations do the work.
"""

import ctypes
import functools
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from ctypes import CDLL
from pathlib import Path

import torch
from torch import Tensor

logger = logging.getLogger(__name__)

FOLDER = Path(__file__).parent
SOURCES = "products.c", "attention.c", "layers.c", "softmax_stats.c", "thread_pool.c"
INSTRUCTIONS = {"AVX2": ("-mavx2", "-mfma"), "AVX512": ("-mavx512f", "-mfma")}
FORMATS = {torch.float32: (), torch.bfloat16: ("-DBF16",)}
# How a CPU multiplies bfloat16, if it does.
TILES = "-DTILES", "-mamx-tile", "-mamx-bf16"
PAIRS = "-DPAIRS", "-mavx512bf16"
FLAGS = (
    *("-std=gnu11", "-O3", "-fPIC", "-shared", "-pthread"),
    *("-ffp-contract=fast", "-fno-strict-aliasing", "-Wno-psabi"),
)
COMPILE_TIMEOUT_S = 120
ALIGNMENT = 64  # bytes

_pointer, _size, _int, _float = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_float
SIGNATURES: dict[str, tuple[type | None, tuple[type, ...]]] = {
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
    "rms_norm": (None, (*(_pointer,) * 3, _size, _size, _float, _int)),
    "qk_norm_rope_store": (
        None,
        (_pointer, _pointer, _size, _float, *(_pointer,) * 6, *(_size,) * 4, _int),
    ),
    "experts": (None, (*(_pointer,) * 5, *(_size,) * 5, _int, *(_pointer,) * 4, _int)),
}


@functools.cache
def library(dtype: torch.dtype) -> CDLL | None:
    """The kernels for a dtype, compiled if they are not in the cache; None where there are none."""
    is_served = sys.platform.startswith("linux") and platform.machine() == "x86_64"
    if dtype not in FORMATS or not is_served or os.environ.get("UNMASK_NATIVE", "1") == "0":
        return None
    instructions = INSTRUCTIONS.get(torch.backends.cpu.get_cpu_capability())
    compiler = _compiler()
    if instructions is None or compiler is None:
        return None
    try:
        made = load(compile_to(cache_folder(), compiler, (*instructions, *_format(dtype))))
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        logger.warning("%s compiles no kernels for this CPU, which is slower: %s", compiler, told)
        return None
    if not multiplies(made, dtype):
        logger.warning("what %s compiles for this CPU is wrong, torch is used: slower", compiler)
        return None
    return made


def kernels(dtype: torch.dtype) -> CDLL:
    """The kernels for a dtype, for what was planned or packed for them."""
    found = library(dtype)
    assert found is not None, "who planned for kernels has them"
    return found


def address(tensor: Tensor | None) -> int | None:
    """Where the numbers of a tensor lie, or NULL."""
    return None if tensor is None else tensor.data_ptr()


def load(file: Path) -> CDLL:
    """A compiled library with the types of its functions; raises `OSError`."""
    found = CDLL(str(file))
    for name, (result, arguments) in SIGNATURES.items():
        function = getattr(found, name)
        function.restype, function.argtypes = result, arguments
    return found


def compile_to(folder: Path, compiler: str, instructions: tuple[str, ...]) -> Path:
    """The library in a folder, made if it is not there yet.

    Raises `OSError` and `subprocess.SubprocessError`.
    """
    flags = [*FLAGS, *instructions]
    text = b"".join(path.read_bytes() for path in sorted(FOLDER.glob("*.[ch]")))
    key = hashlib.sha256(text + "\0".join((compiler, *flags)).encode()).hexdigest()[:16]
    file = folder / f"kernels-{key}.so"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as room:  # others may be making it as well
            made = Path(room) / file.name
            subprocess.run(
                [compiler, *flags, "-o", str(made), *(str(FOLDER / name) for name in SOURCES)],
                check=True,
                capture_output=True,
                text=True,
                timeout=COMPILE_TIMEOUT_S,
            )
            made.replace(file)
    return file


def multiplies(native: CDLL, dtype: torch.dtype) -> bool:
    """Whether a product by compiled kernels is torch's."""
    rows, outputs, inputs = 35, 37, 96
    numbers = torch.arange(outputs * inputs) * 7 % 11 - 5
    weight = numbers.view(outputs, inputs).to(dtype)
    x = (torch.arange(rows * inputs) * 5 % 7 - 3).view(rows, inputs)
    panels = weight.new_empty(2 * (outputs + native.panel_width()) * inputs)
    found = weight.new_empty(rows, outputs)
    start = -panels.data_ptr() % ALIGNMENT // dtype.itemsize
    own = x.to(dtype if native.row_entry_size() == dtype.itemsize else torch.float32)
    place = panels[start:].data_ptr()
    native.pack(weight.data_ptr(), *weight.stride(), place, outputs, inputs, 1)
    pointers = own.data_ptr(), place, None, found.data_ptr()
    native.product(*pointers, rows, inputs, outputs, False, 1)
    return torch.equal(found, (x.float() @ weight.float().T).to(dtype))


def cache_folder() -> Path:
    """Where compiled kernels are kept: `unmask` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unmask"


def _format(dtype: torch.dtype) -> tuple[str, ...]:
    if dtype is torch.bfloat16 and torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx():
        return (*FORMATS[dtype], *TILES)
    if dtype is torch.bfloat16 and torch.cpu._is_avx512_bf16_supported():
        return (*FORMATS[dtype], *PAIRS)
    return FORMATS[dtype]


def _compiler() -> str | None:
    names = (os.environ.get("CC"), "gcc", "cc", "clang")
    return next((found for name in names if name and (found := shutil.which(name))), None)
