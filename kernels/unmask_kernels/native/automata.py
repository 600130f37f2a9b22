"""The C functions of structured output, from automata to masks; no torch."""

import ctypes
import functools
import logging
import subprocess
from typing import Any

import numpy as np
import numpy.typing as npt

from unmask_kernels.native.compiler import (
    Signatures,
    cache_folder,
    compile_to,
    find_compiler,
    load_typed,
)

logger = logging.getLogger(__name__)

FLAGS = "-std=gnu11", "-O3", "-fPIC", "-shared"
COMPILER = "subsets.c", "minimize.c", "token_moves.c"  # from grammars to automata
SOURCES = *COMPILER, "block_sets.c", "block_masks.c", "token_paths.c"
DONE, NO_MEMORY, TOO_LARGE = range(3)  # results of `find_subsets` and `token_moves`
FAILED, IMPOSSIBLE, POSSIBLE = range(-1, 2)  # results of `open_block`

_pointer, _size = ctypes.c_void_p, ctypes.c_int64


class Nfa(ctypes.Structure):
    """`Nfa` of subsets.c."""

    _fields_ = (
        *((name, _pointer) for name in ("move_starts", "move_sets", "move_closures")),
        *((name, _pointer) for name in ("set_starts", "set_columns")),
        *((name, _pointer) for name in ("closure_starts", "closure_states")),
        *((name, _size) for name in ("num_states", "num_columns")),
        *((name, ctypes.c_int32) for name in ("start", "end")),
    )


class Subsets(ctypes.Structure):
    """`Subsets` of subsets.c; `free_subsets` frees its memory."""

    _fields_ = (
        *((name, _size) for name in ("num_subsets", "num_moves")),
        *((name, ctypes.POINTER(ctypes.c_int32)) for name in ("sources", "columns", "targets")),
        ("accepts", ctypes.POINTER(ctypes.c_uint8)),
        *((name, _pointer) for name in ("starts", "states", "slots")),
        *((name, _size) for name in ("num_slots", "subset_room", "state_room", "move_room")),
    )


class Table(ctypes.Structure):
    """`Table` of token_moves.c."""

    _fields_ = (
        *((name, _pointer) for name in ("moves", "column_of")),
        *((name, _size) for name in ("num_states", "num_columns")),
    )


class Trie(ctypes.Structure):
    """`Trie` of token_moves.c."""

    _fields_ = (
        *((name, _pointer) for name in ("symbol", "depth", "next")),
        *((name, _size) for name in ("num_nodes", "max_depth")),
    )


class Functions(ctypes.Structure):
    """`Functions` of token_moves.c; `free_token_moves` frees its memory."""

    _fields_ = (
        *((name, _size) for name in ("num_functions", "num_pairs")),
        ("starts", ctypes.POINTER(ctypes.c_int64)),
        *((name, ctypes.POINTER(ctypes.c_int32)) for name in ("sources", "targets", "after")),
        ("slots", _pointer),
        *((name, _size) for name in ("num_slots", "function_room", "pair_room")),
    )


class Automaton(ctypes.Structure):
    """`Automaton` of token_automata.h."""

    _fields_ = (
        *((name, _pointer) for name in ("starts", "targets", "classes")),
        *((name, _pointer) for name in ("next_starts", "next_states")),
        *((name, _pointer) for name in ("before_starts", "before_states")),
        *((name, _pointer) for name in ("class_starts", "move_sources", "move_targets")),
        *((name, _pointer) for name in ("distance", "leaving", "class_of", "forced")),
        *((name, _size) for name in ("num_states", "num_words", "farthest")),
    )


_automaton = ctypes.POINTER(Automaton)
SIGNATURES: Signatures = {
    "find_subsets": (
        _size,
        (ctypes.POINTER(Nfa), _size, _size, ctypes.POINTER(Subsets)),
    ),
    "free_subsets": (None, (ctypes.POINTER(Subsets),)),
    "mark_live": (_size, (ctypes.c_int32, ctypes.c_int32, *(_pointer,) * 3)),
    "minimize": (_size, (ctypes.c_int32, ctypes.c_int32, *(_pointer,) * 5)),
    "token_moves": (
        _size,
        (
            *(ctypes.POINTER(Table), ctypes.POINTER(Trie), _size, _pointer),
            ctypes.POINTER(Functions),
        ),
    ),
    "free_token_moves": (None, (ctypes.POINTER(Functions),)),
    "end_state": (ctypes.c_int32, (_automaton, _pointer, _size, ctypes.c_int32)),
    "block_bytes": (_size, (_automaton, _size)),
    "open_block": (
        _size,
        (_pointer, _automaton, ctypes.c_int32, _pointer, _pointer, _size, _size),
    ),
    "block_masks": (None, (_pointer, _size, _pointer, _size, _pointer, _pointer)),
    "accept_choices": (_size, (_pointer, _size, _pointer, _pointer, _size, _pointer)),
    "fill_forced": (_size, (_pointer, _size, _pointer, _pointer, _pointer)),
    "best_path": (
        ctypes.c_int32,
        (_automaton, ctypes.c_int32, _size, _pointer, _size, _size, _pointer),
    ),
}


def copied(array: Any, count: int) -> npt.NDArray[Any]:
    """Copy of `count` numbers that C has made; the pointer may be NULL if there are none."""
    kind = np.dtype(array._type_)
    return np.ctypeslib.as_array(array, (count,)).copy() if count else np.zeros(0, kind)


@functools.cache
def automata_library() -> ctypes.CDLL | None:
    """The functions of `SOURCES`; None without a C compiler."""
    compiler = find_compiler()
    if compiler is None:
        return None
    try:
        return load_typed(compile_to(cache_folder(), compiler, FLAGS, SOURCES), SIGNATURES)
    except (OSError, subprocess.SubprocessError) as error:
        message = getattr(error, "stderr", None) or str(error)
        logger.warning("structured output is slower without C: %s: %s", compiler, message)
        return None
