"""Every kernel compiles for the GPUs that matter, on a machine that has none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CAPABILITIES = (80, 90, 100)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Compiled in a process of its own: in this one kernels are interpreted."""
    out = tmp_path_factory.mktemp("compiled") / "kernels.json"
    command = [sys.executable, "-m", "unmask_kernels.testing.compiling", "--out", str(out)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(root / "kernels")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert out.exists(), run.stdout[-2000:] + run.stderr[-2000:]
    kernels: list[dict[str, Any]] = json.loads(out.read_text())["kernels"]
    return kernels


@pytest.mark.slow
@pytest.mark.parametrize("capability", CAPABILITIES)
def test_no_kernel_spills_or_misses_the_matrix_units(
    reports: list[dict[str, Any]], capability: int
) -> None:
    own = [report for report in reports if report["capability"] == capability]
    assert own
    assert {r["name"]: r["problems"] for r in own if r["problems"]} == {}


@pytest.mark.slow
def test_what_is_told_of_a_kernel_is_read_from_its_code(reports: list[dict[str, Any]]) -> None:
    own = {(report["name"], report["capability"]): report for report in reports}
    assert "HGMMA" in own["attention d128 bf16", 90]["instructions"]
    assert "UTMALDG" in own["attention d128 bf16 tma", 90]["instructions"]
    assert "UTCHMMA" in own["attention d128 bf16", 100]["instructions"]
    assert own["attention d128 bf16", 80]["registers"] > own["merge d64", 80]["registers"] > 0
