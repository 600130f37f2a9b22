"""Launches of the engine compile for their very arguments, and the host never waits."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
EVERYWHERE = {"rms_norm_kernel", "heads_kernel", "attention_kernel", "draw_kernel"}
SEVERAL_CHUNKS = {"merge_kernel"}
MASKED = EVERYWHERE | {
    "swiglu_kernel", "piece_kernel", "top_kernel", "finish_kernel", "constrain_kernel",
    "select_kernel",
}  # fmt: skip
EXPERTS = {
    "grouped_gate_kernel",
    "grouped_down_kernel",
    "combine_kernel",
    "count_pairs_kernel",
    "place_pairs_kernel",
}


EXPECTED = {
    "LLaDA2.0-mini": MASKED | EXPERTS | SEVERAL_CHUNKS,
    "LLaDA-8B": MASKED,
    "DiffusionGemma-26B-A4B": EVERYWHERE | EXPERTS | {"slice_kernel"},
    "LLaDA2.0-mini, fp8": EVERYWHERE | EXPERTS | {"quantize_rows_kernel"},
    "DiffusionGemma-26B-A4B, fp8": EVERYWHERE | EXPERTS | {"quantize_rows_kernel"},
}


def launched(family: str) -> list[dict[str, Any]]:
    """Reports of another process: in this one kernels are interpreted.

    Steps run on the meta device, so that one which asks the device for a number fails.
    """
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "server", "kernels"))
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": paths}
    command = [sys.executable, str(ROOT / "tests" / "support" / "meta_engine.py"), family]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    reports: list[dict[str, Any]] = json.loads(run.stdout)[family]
    return reports


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.parametrize("family", list(EXPECTED))
def test_every_launch_compiles_without_spills_and_on_the_matrix_units(family: str) -> None:
    reports = launched(family)
    problems = [(report["name"], report["problems"]) for report in reports if report["problems"]]
    assert problems == []
    # Steps of every kind were launched.
    assert {report["name"] for report in reports} >= EXPECTED[family]
