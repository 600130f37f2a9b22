"""A step over canvases launches few kernels, asks the device for no number, and compiles."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Of a layer: norms and sums 2; heads 2; attention and its merge 2, and what it zeroes; the way out;
# router 2, pairs 3; products 4, of which experts' gate, and the other gate; experts' sum. By number
# of canvases: of many rows, experts' results are made and summed some columns at a time.
PER_LAYER = {"1": 18, "4": 20}
# Once a step: canvases begin, self-conditioning, embeddings, angles, scores, what is kept and told.
ONCE = 60


@pytest.fixture(scope="module")
def launches() -> dict[str, dict[str, int]]:
    """Launches by number of layers and of canvases, from another process: kernels are compiled."""
    paths = os.pathsep.join(str(ROOT / part) for part in (".", "server", "kernels"))
    environment = os.environ | {"TRITON_INTERPRET": "0", "PYTHONPATH": paths}
    command = [sys.executable, str(ROOT / "tests" / "support" / "meta_canvas.py")]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    result: dict[str, dict[str, int]] = json.loads(run.stdout)
    return result


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_layer_launches_few_kernels_and_a_step_little_besides(
    launches: dict[str, dict[str, int]],
) -> None:
    for canvases, most in PER_LAYER.items():
        few, many = (sum(launches[f"{layers} {canvases}"].values()) for layers in (6, 12))
        per_layer = (many - few) / 6
        assert per_layer <= most
        assert few - 6 * per_layer <= ONCE
    for kernel in ("begin_kernel", "slice_kernel", "join_slices_kernel", "move_kernel"):
        assert all(counts[kernel] == 1 for counts in launches.values())
