"""Targets are judged by what was measured, and only by that."""

from typing import Any

from benchmarks.device.targets import DENSE, verdicts

ROW: dict[str, Any] = {
    "model": DENSE,
    "quantization": "none",
    "context": 1024,
    "block": 32,
    "tokens_per_forward": 4.0,
    "concurrency": 8,
    "tokens_per_s": 3800.0,
    "share_of_best": 0.82,
    "idle_share": 0.03,
}


def _line(result: dict[str, Any], part: str) -> str:
    return next(line for line in verdicts(result) if part in line)


def test_without_a_measurement_no_target_is_met() -> None:
    assert all(line.endswith(": not measured") for line in verdicts({}))


def test_what_speculation_needs_is_told_and_no_verdict() -> None:
    rows = [
        {"requests": 1, "speculation_rows": rows, "pass_ms": ms}
        for rows, ms in ((0, 7.0), (128, 8.0), (256, 9.0))
    ]
    line = _line({"speculation": rows}, "speculation")
    assert line.endswith("not measured (takes 1.80 steps in a pass of 8.00 ms)")


def test_a_rate_is_judged_for_its_number_of_requests() -> None:
    result = {"engine": [ROW, ROW | {"concurrency": 32, "tokens_per_s": 4000.0}]}
    met = "SDAR-8B bf16, 32 by 4, 8 requests: 3,700 tokens/s: met (3,800, 82% of the serial floor)"
    assert met in _line(result, "32 by 4, 8 requests")
    assert "missed (4,000" in _line(result, "32 by 4, 32 requests")
    assert "not measured" in _line(result, "32 by 4, 128 requests")
    assert "not measured" in _line(result, "SDAR-8B fp8, 32 by 4, 8 requests")


def test_of_smaller_blocks_the_best_counts_and_a_block_of_one_does_not() -> None:
    small = [
        ROW | {"block": block, "concurrency": 32, "tokens_per_s": rate}
        for block, rate in ((16, 6000.0), (8, 6600.0), (1, 9000.0))
    ]
    assert "met (6,600" in _line({"engine": small}, "fewer rows, 32 requests")


def test_active_rows_count_as_fewer_rows_and_not_as_the_exact_loop() -> None:
    active = ROW | {"cache": "block", "tokens_per_s": 5000.0}
    assert "met (5,000" in _line({"engine": [active]}, "fewer rows, 8 requests")
    assert "not measured" in _line({"engine": [active]}, "bf16, 32 by 4, 8 requests")


def test_other_work_says_nothing_of_a_target() -> None:
    longer = ROW | {"context": 8192}
    assert "not measured" in _line({"engine": [longer]}, "32 by 4, 8 requests")
    row = {"shape": {"rows": 4, "hidden": 32, "vocab": 9000}, "times_product": 1.0}
    assert all(line.endswith(": not measured") for line in verdicts({"unmasking": [row]}))


def test_another_engine_is_beaten_by_what_was_measured_of_both() -> None:
    peer = {"peer": "LMDeploy", "model": DENSE, "concurrency": 8, "tokens_per_s": 1900.0}
    line = _line({"engine": [ROW], "peers": [peer]}, "LMDeploy")
    assert "met (2.00)" in line
    assert "not measured" in _line({"engine": [], "peers": [peer]}, "LMDeploy")


def test_the_server_is_measured_by_its_engine() -> None:
    row = {"concurrency": 128, "share_of_engine": 0.88}
    assert "missed (0.88)" in _line({"http": [row]}, "HTTP, 128")
