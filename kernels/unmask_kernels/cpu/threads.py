"""How many threads the C kernels use, which may be more than torch's.

Torch's wait for each other after every operation; those of `parts.c` wait for nobody who has not
begun, so that a core which is busy with something else delays none.
"""

import torch

_num_threads: int | None = None


def get_num_threads() -> int:
    """As many as were set, or as torch has."""
    return torch.get_num_threads() if _num_threads is None else _num_threads


def set_num_threads(count: int | None) -> None:
    """Set it for the whole process; None for as many as torch has."""
    global _num_threads
    _num_threads = count
