"""Targets are judged by what was measured, and only by that."""

from benchmarks.device.targets import DENSE, verdicts


def test_without_a_measurement_no_target_is_met() -> None:
    assert all(line.endswith(": not measured") for line in verdicts({}))


def test_one_row_below_a_target_misses_it() -> None:
    rows = [
        {"model": DENSE, "concurrency": 8, "share_of_floor": 0.9},
        {"model": DENSE, "concurrency": 64, "share_of_floor": 0.6},
    ]
    line = next(x for x in verdicts({"engine": rows}) if f"{DENSE}: 70%" in x)
    assert "missed (0.90, 0.60)" in line
    line = next(x for x in verdicts({"engine": rows[:1]}) if f"{DENSE}: 70%" in x)
    assert "met (0.90)" in line


def test_a_small_shape_says_nothing_of_a_target() -> None:
    row = {"shape": {"rows": 4, "hidden": 32, "vocab": 9000}, "times_product": 1.0}
    assert all(line.endswith(": not measured") for line in verdicts({"unmasking": [row]}))
