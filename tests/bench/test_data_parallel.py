"""Ratios of two engines to one."""

from benchmarks.data_parallel import ONE, TWO, WIDE, Run, report


def test_ratios_are_of_the_same_round() -> None:
    speeds = {TWO: [180.0, 90.0, 190.0], ONE: [100.0, 50.0, 100.0], WIDE: [150.0, 70.0, 100.0]}
    runs = {name: [Run(speed, 7.0, 1.0) for speed in own] for name, own in speeds.items()}
    result = report(runs)
    to_one, to_wide = result["ratios"].values()
    assert to_one == {"median": 1.8, "min": 1.8, "max": 1.9}
    assert to_wide["median"] == 90 / 70
    assert list(result["checks"].values()) == [True, False]
    assert result["tokens_per_s"] == {TWO: 180.0, ONE: 100.0, WIDE: 100.0}
    assert result["cpu_us_a_token"][TWO] == 7
