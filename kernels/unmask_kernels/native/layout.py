"""The C functions that lay the rows of a step out (`layout.c`); no torch."""

import ctypes
import functools
import logging
import subprocess

import numpy as np
import numpy.typing as npt

from unmask_kernels.native.compiler import cache_folder, compile_to, find_compiler

logger = logging.getLogger(__name__)

FLAGS = "-std=gnu11", "-O3", "-fPIC", "-shared"
PATTERNS = (
    *("block_causal", "full", "canvas", "causal_prefix", "causal", "causal_window"),
    "prompt_block",
)
ATTENTION = {name: number for number, name in enumerate(PATTERNS)}

_pointer, _size = ctypes.c_void_p, ctypes.c_int64


class Step(ctypes.Structure):
    """`Step` of layout.c."""

    _fields_ = (
        *((name, _pointer) for name in ("bounds", "block_len", "edits_from", "num_unknown")),
        *((name, _pointer) for name in ("tokens", "masked", "pages")),
        *((name, _size) for name in ("num_spans", "token_stride", "page_stride", "page_size")),
        *((name, _size) for name in ("num_slots", "dummy_slot", "attention", "shift")),
    )


class Rows(ctypes.Structure):
    """`Rows` of layout.c."""

    _fields_ = tuple(
        (name, _pointer)
        for name in (
            *("is_known", "token_ids", "positions", "slots", "horizons", "token_slots"),
            *("query_starts", "page_starts", "scored_starts", "pages"),
            *("scored_positions", "scored_spans", "scored_tokens"),
            *("scored_slots", "hidden_rows"),
        )
    )


class Tiles(ctypes.Structure):
    """`Tiles` of layout.c."""

    _fields_ = (
        *((name, _size) for name in ("tile_queries", "chunk", "grain", "keys", "lanes", "limit")),
        ("late", ctypes.c_double),
    )


@functools.cache
def layout_library() -> ctypes.CDLL | None:
    """The functions of layout.c; None without a C compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    try:
        library = ctypes.CDLL(str(compile_to(cache_folder(), compiler, FLAGS, ("layout.c",))))
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("layout.c does not compile, NumPy is slower: %s: %s", compiler, message)
        return None
    library.lay_out.restype = _size
    library.lay_out.argtypes = ctypes.POINTER(Step), ctypes.POINTER(Rows)
    library.plan_tiles.restype = _size
    library.plan_tiles.argtypes = (
        *(ctypes.POINTER(Tiles), _pointer, _size, *(_pointer,) * 3),
        *(_size, _pointer),
    )
    library.final_ends.restype = None
    library.final_ends.argtypes = _pointer, _size, _pointer, _size, _pointer, _pointer
    return library


def lay_out(library: ctypes.CDLL, step: Step, rows: Rows) -> int:
    """Write all rows of a step; returns the number of scored positions."""
    return int(library.lay_out(ctypes.byref(step), ctypes.byref(rows)))


def pointer(array: npt.NDArray[np.generic]) -> int:
    """Address of a contiguous array that may be written to; 0 if it is empty."""
    # Three times as fast as `array.ctypes.data`, and refuses arrays with gaps.
    return ctypes.addressof(ctypes.c_char.from_buffer(array.data)) if array.size else 0
