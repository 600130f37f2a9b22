"""The C function that lays the rows of a step out (`layout.c`); no torch."""

import ctypes
import functools
import logging
import subprocess
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from unmask_kernels.native.compiler import cache_folder, compile_to, find_compiler

logger = logging.getLogger(__name__)

FLAGS = "-std=gnu11", "-O3", "-fPIC", "-shared"
ATTENTION = {"block_causal": 0, "full": 1, "canvas": 2}

_pointer, _size = ctypes.c_void_p, ctypes.c_int64


class Step(ctypes.Structure):
    """`Step` of layout.c."""

    _fields_ = (
        *((name, _pointer) for name in ("bounds", "block_len", "edits_from", "in_flight")),
        *((name, _pointer) for name in ("tokens", "masked", "pages")),
        *((name, _size) for name in ("num_spans", "token_stride", "page_stride", "page_size")),
        *((name, _size) for name in ("num_slots", "dummy_slot", "attention")),
    )


class Rows(ctypes.Structure):
    """`Rows` of layout.c."""

    _fields_ = tuple(
        (name, _pointer)
        for name in (
            *("is_known", "token_ids", "positions", "slots", "horizons", "token_slots"),
            *("query_starts", "page_starts", "scored_starts", "pages"),
            *("scored_positions", "scored_rows", "scored_spans"),
        )
    )


@functools.cache
def lay_out_function() -> Callable[[Step, Rows], int] | None:
    """`lay_out` of layout.c; None without a C compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    try:
        file = compile_to(cache_folder(), compiler, FLAGS, ("layout.c",))
        function = ctypes.CDLL(str(file)).lay_out
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("layout.c does not compile, NumPy is slower: %s: %s", compiler, message)
        return None
    function.restype, function.argtypes = _size, (ctypes.POINTER(Step), ctypes.POINTER(Rows))
    return lambda step, rows: int(function(ctypes.byref(step), ctypes.byref(rows)))


def pointer(array: npt.NDArray[np.generic]) -> int:
    """Address of a contiguous array."""
    assert array.flags.c_contiguous
    return array.ctypes.data
