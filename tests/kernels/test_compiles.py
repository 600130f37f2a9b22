"""Every kernel compiles for the GPUs that matter, on a machine that has none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CAPABILITIES = (80, 90, 100)


def compiled(folder: Path) -> list[dict[str, Any]]:
    """Reports of a process of its own: in this one kernels are interpreted."""
    out = folder / "kernels.json"
    command = [sys.executable, "-m", "unmask_kernels.testing.compiling", "--out", str(out)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(root / "kernels")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert out.exists(), run.stdout[-2000:] + run.stderr[-2000:]
    kernels: list[dict[str, Any]] = json.loads(out.read_text())["kernels"]
    return kernels


@pytest.mark.slow
def test_no_kernel_spills_or_misses_the_matrix_units(tmp_path: Path) -> None:
    """One test, so that kernels are compiled by one of the workers only."""
    reports = compiled(tmp_path)
    assert {report["capability"] for report in reports} == set(CAPABILITIES)
    problems = [(r["name"], r["capability"], r["problems"]) for r in reports if r["problems"]]
    assert problems == []
    # What is told of a kernel is read from what was compiled.
    own = {(report["name"], report["capability"]): report for report in reports}
    assert "wgmma" in own["attention d128 bf16", 90]["instructions"]
    assert "tma" in own["attention d128 bf16 tma", 90]["instructions"]
    assert "tcgen05" in own["attention d128 bf16", 100]["instructions"]
    assert own["attention d128 bf16", 80]["registers"] > own["merge d64", 80]["registers"] > 0
