"""Memory kept between steps, and huge pages."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, torch
from unmask.models.host_memory import keep_freed_memory
assert keep_freed_memory()

def step():
    wide = torch.ones(2**20)
    return wide.square().to(torch.bfloat16)[0] + wide.mul_(2).sum()

for _ in range(5):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(100):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.exhaustive
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an option of glibc")
def test_freed_tensors_are_used_again_without_page_faults() -> None:
    output = subprocess.check_output([sys.executable, "-c", SCRIPT], text=True)
    assert int(output) < 20_000  # 200,000 and more without the call


FILLED = """
import pathlib, torch
from unmask.models.host_memory import huge_pages

def huge_kib():
    rollup = pathlib.Path("/proc/self/smaps_rollup").read_text()
    return int(rollup.split("AnonHugePages:")[1].split()[0])

before = huge_kib()
with huge_pages():
    weights = [torch.ones(2**20) for _ in range(16)]
print(huge_kib() - before)
"""


def _can_collapse() -> bool:
    enabled = Path("/sys/kernel/mm/transparent_hugepage/enabled")
    version = tuple(int(part) for part in platform.release().split(".")[:2])
    return enabled.exists() and "[never]" not in enabled.read_text() and version >= (6, 1)


@pytest.mark.skipif(not _can_collapse(), reason="Linux 6.1 with huge pages")
def test_weights_are_held_in_huge_pages() -> None:
    output = subprocess.check_output([sys.executable, "-c", FILLED], text=True)
    assert int(output) > 32 * 1024  # of 64 MiB
