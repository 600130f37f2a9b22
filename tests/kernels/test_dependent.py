"""Kernels of few rows are launched while those before them run, and wait before they read."""

import pytest
import torch

from unmask_kernels.dependent_launch import MOST_ROWS, dependent_launch
from unmask_kernels.dispatch import backend
from unmask_kernels.testing.compiling import waits_first

COMPILED = torch.device("meta")  # as if on a chip, without running


@pytest.mark.parametrize(
    ("chip", "num_rows", "device", "depends"),
    [
        (90, MOST_ROWS, COMPILED, True),
        (100, 1, COMPILED, True),
        (90, MOST_ROWS + 1, COMPILED, False),
        (80, 1, COMPILED, False),
        (90, 1, torch.device("cpu"), False),
    ],
)
def test_only_few_rows_on_hopper_and_later_have_dependent_launches(
    chip: int, num_rows: int, device: torch.device, *, depends: bool
) -> None:
    with backend("triton", chip=chip):
        options = dependent_launch(device, num_rows)
    assert options == ({"PDL": True, "launch_pdl": True} if depends else {"PDL": False})


@pytest.mark.parametrize(
    ("ptx", "right"),
    [
        ("ld.global.b32 {%r1}; st.global.b32 {%r2};", True),  # nobody depends on it
        ("griddepcontrol.wait; griddepcontrol.launch_dependents; ld.global.b32", True),
        ("prefetch.global.L2 [%r1]; griddepcontrol.wait; griddepcontrol.launch_dependents;", True),
        ("griddepcontrol.launch_dependents; ld.global.b32", False),
        ("ld.global.b32 {%r1}; griddepcontrol.wait; griddepcontrol.launch_dependents;", False),
        ("cp.async.cg.shared.global; griddepcontrol.wait; griddepcontrol.launch_dependents", False),
        ("ld.volatile.global.b32; griddepcontrol.wait; griddepcontrol.launch_dependents", False),
    ],
)
def test_a_kernel_that_touches_memory_before_it_waits_is_found(ptx: str, *, right: bool) -> None:
    assert waits_first(ptx) == right
