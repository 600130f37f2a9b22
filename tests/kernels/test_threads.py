"""C kernels on several threads give the same results, with other work on the machine too."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from unmask_kernels.attention.cpu import make_reach_plan, run_reaches
from unmask_kernels.layers import cpu as layers
from unmask_kernels.linear import cpu as native
from unmask_kernels.native.library import FORMATS, library
from unmask_kernels.native.threads import get_num_threads, set_num_threads

pytestmark = pytest.mark.skipif(
    library(torch.float32) is None, reason="no C compiler, or no CPU that it is for"
)
ROWS, PAGE, PAGES = 200, 8, 13  # rows are two sequences, each with so many pages of its own


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    yield
    set_num_threads(None)


def make_work(dtype: torch.dtype) -> Callable[[], list[Tensor]]:
    """A call of each kernel that threads share."""
    torch.manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return (torch.randn(shape) / 8).to(dtype)

    x, gate, up, bias = draw(ROWS, 320), draw(1000, 320), draw(1000, 320), draw(1000)
    experts = native.NativeExperts(9, 320, 64, "silu", dtype)
    for i in range(9):
        experts.fill(i, draw(64, 320), draw(64, 320), draw(320, 64))
    ids, topk_weights = torch.randn(ROWS, 9).topk(3).indices, torch.rand(ROWS, 3)
    heads, norms, angles = draw(ROWS, 8, 40), draw(6, 40), draw(ROWS, 1, 20)
    half = ROWS // 2
    plan = make_reach_plan(
        (0, half, ROWS), None, np.full(ROWS, half), np.arange(2 * PAGES), (0, PAGES, 2 * PAGES)
    )
    slots = torch.cat((torch.arange(half), torch.arange(half) + PAGES * PAGE))

    def work() -> list[Tensor]:
        packed, keys = native.pack(gate, bias), torch.zeros(2 * PAGES, PAGE, 2, 40, dtype=dtype)
        values = torch.zeros_like(keys)
        query = layers.qk_norm_rope_store(
            heads, norms, 1e-6, angles.cos(), angles.sin(), keys, values, slots
        )
        return [
            packed.product(x),
            packed.gate(x, native.pack(up, None), "silu"),
            experts(x, ids, topk_weights),
            layers.rms_norm(x, x[0], 1e-6),
            *(query, keys, values),
            run_reaches(query, keys, values, plan, 0.2, None, None, None),
        ]

    return work


def assert_same(result: list[Tensor], expected: list[Tensor]) -> None:
    for one, other in zip(result, expected, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", FORMATS)
def test_the_number_of_threads_changes_no_bit(dtype: torch.dtype) -> None:
    work = make_work(dtype)
    set_num_threads(1)
    alone = work()
    for count in (2, 3, 300):
        set_num_threads(count)
        for _ in range(5):
            assert_same(work(), alone)


def test_there_are_as_many_as_torch_has_unless_they_are_set() -> None:
    assert get_num_threads() == torch.get_num_threads()
    set_num_threads(7)
    assert get_num_threads() == 7


def test_callers_at_the_same_time_get_what_each_gets_alone() -> None:
    work = make_work(torch.float32)
    set_num_threads(1)
    alone = work()
    set_num_threads(3)
    result: list[list[Tensor]] = []

    def call() -> None:
        result.extend(work() for _ in range(10))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(result) == 40
    for own in result:
        assert_same(own, alone)


FORKING = """
import os, torch
from unmask_kernels.linear import cpu as native
from unmask_kernels.native.threads import set_num_threads
set_num_threads(3)
weight, x = native.pack(torch.randn(2000, 300), None), torch.randn(100, 300)
before = weight.product(x)
child = os.fork()
assert torch.equal(weight.product(x), before)
if child == 0:
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
print(len(os.listdir("/proc/self/task")))
"""


def test_a_forked_process_makes_threads_of_its_own() -> None:
    kernels = Path(native.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", FORKING],
        env=os.environ | {"PYTHONPATH": str(kernels), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert int(done.stdout) >= 3, "no threads were made"
