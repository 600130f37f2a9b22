"""The benchmark of 4 bits measures the weights that its shapes name."""

import pytest
import torch

from benchmarks.device import int4


@pytest.mark.parametrize("zeros", [False, True])
def test_weights_have_the_size_of_their_shape_and_zero_points_are_whole(zeros: bool) -> None:
    shape = int4.Shape("small", 48, 256, zeros=zeros)
    for weight in int4.build(shape, 2, torch.device("cpu")):
        assert weight.nbytes == shape.num_bytes
        assert (weight.zeros is not None) == zeros
        assert weight.zeros is None or not weight.zeros.is_floating_point()
