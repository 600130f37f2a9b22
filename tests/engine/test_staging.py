"""Packed arrays are unpacked unchanged."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from unmask.engine.run.staging import ALIGNMENT, Staging, pack, packed_size, unpack

DTYPES = st.sampled_from([np.int64, np.int32, np.float32, np.bool_])
SHAPES = st.lists(st.integers(0, 5), min_size=1, max_size=2).map(tuple)


@given(
    kinds=st.lists(st.tuples(DTYPES, SHAPES), max_size=8),
    seed=st.integers(0, 1000),
    strided=st.booleans(),
)
def test_what_is_packed_is_unpacked(
    kinds: list[tuple[type, tuple[int, ...]]], seed: int, strided: bool
) -> None:
    random = np.random.default_rng(seed)
    arrays = [random.integers(0, 2**31, shape).astype(dtype) for dtype, shape in kinds]
    if strided:
        arrays = [np.repeat(array, 2, 0)[::2] for array in arrays]
    memory = torch.full((packed_size(arrays),), 255, dtype=torch.uint8)
    pack(arrays, memory)
    for array, tensor in zip(arrays, unpack(arrays, memory), strict=True):
        assert tensor.numpy().dtype == array.dtype
        np.testing.assert_array_equal(tensor.numpy(), array)
        if array.size:
            assert (tensor.data_ptr() - memory.data_ptr()) % ALIGNMENT == 0


def test_on_a_cpu_nothing_is_copied() -> None:
    array = np.arange(5)
    [tensor] = Staging(torch.device("cpu")).to_device([array])
    assert tensor.data_ptr() == array.ctypes.data
