"""Number of threads of the C kernels; it may be more than torch's.

Torch's threads meet at a barrier after every operation. `thread_pool.c` hands parts out one by one
and waits for no thread that has not begun, so a core that is busy elsewhere delays none.
"""

import torch

_num_threads: int | None = None


def get_num_threads() -> int:
    """Threads set with `set_num_threads`, or torch's number."""
    return torch.get_num_threads() if _num_threads is None else _num_threads


def set_num_threads(count: int | None) -> None:
    """Set the number for the whole process; None for torch's."""
    global _num_threads
    _num_threads = count
