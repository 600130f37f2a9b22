"""Memory between steps."""

import subprocess
import sys

import pytest

SCRIPT = """
import resource, torch
from unmask.engine.allocator import keep_freed_memory
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


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="an option of glibc")
def test_freed_tensors_are_used_again_without_page_faults() -> None:
    output = subprocess.check_output([sys.executable, "-c", SCRIPT], text=True)
    assert int(output) < 20_000  # 200,000 and more without the call
