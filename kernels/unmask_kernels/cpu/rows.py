"""Rows filled up, where a CPU's products would depend on their number or be slow for it."""

import torch.nn.functional as F
from torch import Tensor

from unmask_kernels.dispatch import uses_native

FEWEST_ROWS = 4
MIN_ROW_UNIT = 8
MAX_ROW_UNITS = 16


def fill_rows(x: Tensor) -> Tensor:
    """Rows [M, K], where oneDNN multiplies them with rows of zeros after them; see `pad_rows`.

    It takes milliseconds to make code for a number of rows that it has not met, and keeps it, so
    there are few such numbers. Best called once for all the products that rows go through.
    """
    return x if uses_native(x) else pad_rows(x, FEWEST_ROWS)


def pad_rows(x: Tensor, fewest: int) -> Tensor:
    """Rows [M, K], on a CPU with rows of zeros after them up to one of few numbers.

    That is at least `fewest`, a power of two, but none where there are none.
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
