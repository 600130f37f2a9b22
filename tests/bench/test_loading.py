"""Loading takes little more memory than the model."""

from pathlib import Path

import pytest

from benchmarks.loading import LIMIT, SHAPES, run_apart, tensor_shapes, write_checkpoint


@pytest.mark.exhaustive
@pytest.mark.parametrize(("quantization", "held"), [("none", 1.05), ("fp8", 0.62)])
def test_loading_peaks_little_above_the_checkpoint_s_size(
    tmp_path: Path, quantization: str, held: float
) -> None:
    write_checkpoint(tmp_path, SHAPES["small"], 150_000_000)
    run = run_apart(str(tmp_path), "bfloat16", quantization)
    assert run["files"] > 2
    assert run["checkpoint_bytes"] > 2 * sum(
        size[0] * size[-1] for size in tensor_shapes(SHAPES["small"]).values() if len(size) > 1
    )
    assert run["peak_anonymous_ratio"] < LIMIT
    assert run["peak_rss_ratio"] < LIMIT
    assert run["held_ratio"] < held
