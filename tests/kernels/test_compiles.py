"""Every kernel compiles for the GPUs that matter, on a machine that has none."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from unmask_kernels.testing.compiling import read_too_early

ROOT = Path(__file__).parents[2]
# Instructions that are told of kernels, to see that they are read from what was compiled.
TOLD = {
    80: {"attention d128 bf16": "mma"},
    90: {"attention d128 bf16": "tma", "attention d128 bf16 no tma": "wgmma"},
    100: {"attention d128 bf16": "tcgen05"},
}


PARTS = 3  # of the variants for each chip


def compiled(folder: Path, capability: int, *options: str) -> list[dict[str, Any]]:
    """Reports of another process: in this one kernels are interpreted."""
    out = folder / "kernels.json"
    command = [sys.executable, "-m", "unmask_kernels.testing.compiling", "--out", str(out)]
    command += ["--capability", str(capability), *options]
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": str(ROOT / "kernels")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert out.exists(), run.stdout[-2000:] + run.stderr[-2000:]
    kernels: list[dict[str, Any]] = json.loads(out.read_text())["kernels"]
    return kernels


TURN = """
  %sum = ttng.warp_group_dot %p, %v, %old {isAsync = true} : tensor<64x64xf32, #mma>
  WAIT
  %mixed = scf.if %ends -> (tensor<64x64xf32, #mma>) {
    %part = arith.mulf READ, %share : tensor<64x64xf32, #mma> loc(#loc1)
    scf.yield %part : tensor<64x64xf32, #mma>
  }
  scf.yield %sum, %mixed : tensor<64x64xf32, #mma>, tensor<64x64xf32, #mma>
"""


def test_a_product_that_is_read_before_it_is_summed_is_told() -> None:
    early = TURN.replace("WAIT", "").replace("READ", "%sum")
    [line] = read_too_early(early)
    assert line.startswith("%part = arith.mulf")
    waited = "%done:2 = ttng.warp_group_dot_wait %sum, %v {pendings = 0 : i32}"
    assert not read_too_early(TURN.replace("WAIT", waited).replace("READ", "%done#0"))


@pytest.mark.usual_cases(1)
@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("capability", list(TOLD))
def test_no_kernel_spills_or_misses_the_matrix_units(
    tmp_path: Path, capability: int, part: int
) -> None:
    reports = compiled(tmp_path, capability, "--part", f"{part}/{PARTS}")
    assert {report["capability"] for report in reports} == {capability}
    problems = [(report["name"], report["problems"]) for report in reports if report["problems"]]
    assert problems == []
    own = {report["name"]: report for report in reports}
    for name, instruction in TOLD[capability].items():
        assert name not in own or instruction in own[name]["instructions"]
    for name, report in own.items():
        if name.startswith("fp8 product"):  # loads before the loop, and not only inside it
            assert report["instructions"]["tma"] > 2
    assert all(report["registers"] > 0 for report in reports)


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("head_dim", [512, 256])
def test_wide_heads_fit_the_shared_memory_of_consumer_chips(tmp_path: Path, head_dim: int) -> None:
    reports = compiled(tmp_path, 120, "--only", f"attention d{head_dim} bf16")
    assert reports
    assert [report["problems"] for report in reports if report["problems"]] == []
