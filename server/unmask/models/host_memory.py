"""malloc and huge-page tuning for CPU inference."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
TRIM_THRESHOLD_BYTES = 256 * 2**20
MMAP_THRESHOLD_BYTES = 32 * 2**20  # glibc's maximum
MADV_HUGEPAGE, MADV_COLLAPSE = 14, 25  # sys/mman.h
HUGE_PAGE = 2 * 2**20


def keep_freed_memory() -> bool:
    """Make glibc keep freed memory for the next step; False without glibc.

    By default freed tensors of some megabytes, and arrays of a step with thousands of rows, go back
    to the system, and clearing new pages takes longer than most operations that fill them.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    is_set = mallopt(M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES)
    return bool(is_set and mallopt(M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES))


@contextmanager
def huge_pages() -> Iterator[None]:
    """Move anonymous memory allocated inside the context to 2 MiB pages on exit (Linux only).

    Products of few rows are bound by reading the weight, and TLB misses of 4 KiB pages slow that.
    Mapped files keep their pages.
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
            madvise(first, length, MADV_COLLAPSE)  # at once, from Linux 6.1


def _anonymous_memory() -> Iterator[tuple[int, int]]:
    """Start and end addresses of private, writable mappings without a file, such as the heap."""
    for line in Path("/proc/self/maps").read_text("utf-8").splitlines():
        addresses, access, _, _, inode, *name = line.split(maxsplit=5)
        if access == "rw-p" and inode == "0" and (not name or name[0] == "[heap]"):
            start, end = addresses.split("-")
            yield int(start, 16), int(end, 16)
