"""How the C library treats memory that a step has freed."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT_BYTES = 256 * 2**20
LARGEST_POOLED_BYTES = 32 * 2**20  # the most that glibc takes


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next step; False where there is no glibc.

    By default tensors of some megabytes go back to the system and come again as pages to be
    cleared, which takes longer than most of the operations that fill them.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    kept = mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
    return bool(kept and mallopt(M_MMAP_THRESHOLD, LARGEST_POOLED_BYTES))
