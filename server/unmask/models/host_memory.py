"""How the C library treats memory that a step has freed, and the system what steps read."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT_BYTES = 256 * 2**20
LARGEST_POOLED_BYTES = 32 * 2**20  # the most that glibc takes
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25  # sys/mman.h
HUGE_PAGE = 2 * 2**20


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


@contextmanager
def huge_pages() -> Iterator[None]:
    """Have Linux hold the memory that was taken inside in pages of 2 MiB, once that is filled.

    A product of few rows takes as long as reading its weight does, and with small pages a core
    spends a good part of that on finding them. Files that are mapped stay as they are.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    before = dict(_anonymous_memory())
    yield
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _anonymous_memory():
        first = -(-max(start, before.get(start, 0)) // HUGE_PAGE) * HUGE_PAGE
        length = end // HUGE_PAGE * HUGE_PAGE - first
        if length > 0 and madvise(first, length, MADV_HUGEPAGE) == 0:
            madvise(first, length, MADV_COLLAPSE)  # at once, where the system can


def _anonymous_memory() -> Iterator[tuple[int, int]]:
    """Start and end of private, writable memory that belongs to no file: the heap and its likes."""
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == "rw-p" and inode == "0" and (not name or name[0] == "[heap]"):
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
