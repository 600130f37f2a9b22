"""Ratios of an engine's process to its thread and to the engine alone."""

from benchmarks.engine_process import report


def test_ratios_are_of_the_same_round() -> None:
    process = {1: [95.0, 48.0, 97.0], 64: [210.0, 110.0, 205.0]}
    thread = {1: [100.0, 50.0, 100.0], 64: [200.0, 100.0, 200.0]}
    engine = {1: [100.0, 50.0, 100.0], 64: [220.0, 110.0, 210.0]}
    result = report({"process": process, "thread": thread, "engine": engine})
    assert result["ratios"]["process_to_thread"][1] == {"median": 0.96, "min": 0.95, "max": 0.97}
    assert all(result["checks"].values())
    slower = {1: [90.0, 45.0, 90.0], 64: [200.0, 100.0, 190.0]}
    result = report({"process": slower, "thread": thread, "engine": process})
    assert list(result["checks"].values()) == [False, False, True]
