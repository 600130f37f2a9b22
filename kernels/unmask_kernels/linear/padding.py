"""Row padding that keeps products batch-invariant, or fast."""

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native

FEWEST_ROWS = 4
MIN_ROW_UNIT = 8
MAX_ROW_UNITS = 16
# For multiples of so many rows, cuBLAS was not seen to split a row's sum. They cost a GPU no more
# than one row does: it waits for the weights.
GPU_ROW_UNIT = 128
OWN_ROW_UNIT = 64  # of our own products, batch-invariant for any number


def pad_rows(x: Tensor, unit: int | None = None) -> Tensor:
    """Pads rows [M, K] with zeros to a multiple of `unit`, by default the device's.

    cuBLAS sums some numbers of rows, the smallest among them, in another order; a multiple of the
    unit keeps every row batch-invariant. oneDNN compiles for milliseconds for each new number of
    rows, so a CPU pads to few of them (`pad_to_bucket`). Pad once for all the products that rows go
    through.
    """
    if missing := -len(x) % (unit or row_unit(x.device)):
        return F.pad(x, (0, 0, 0, missing))
    return x if uses_native(x) else pad_to_bucket(x, FEWEST_ROWS)


def row_unit(device: torch.device, *, is_invariant: bool = False) -> int:
    """Number of rows whose multiples keep products batch-invariant; 1 on a CPU.

    Products that are so for any number (`is_invariant`) take a multiple of their tiles' rows.
    """
    if device.type != "cuda":
        return 1
    return OWN_ROW_UNIT if is_invariant else GPU_ROW_UNIT


def pad_to_bucket(x: Tensor, fewest: int) -> Tensor:
    """Pads rows [M, K] with zeros to one of few numbers on a CPU; a GPU's rows stay as they are.

    The number is at least `fewest`, a power of two. An empty input stays empty.
    """
    if x.device.type != "cpu":
        return x
    missing = -len(x) % _row_unit(len(x), fewest)
    return F.pad(x, (0, 0, 0, missing)) if missing else x


def _row_unit(num_rows: int, fewest: int) -> int:
    if num_rows <= fewest:
        return fewest
    next_power = 1 << (num_rows - 1).bit_length()
    return max(MIN_ROW_UNIT, next_power // MAX_ROW_UNITS)
