"""Answers of streams whose engine was killed, against those of an undisturbed run."""

from benchmarks.faults import Answer, told


def test_answers_that_differ_and_streams_without_an_end_are_counted() -> None:
    expected = [Answer("a", "length"), Answer("b", "length"), Answer("c", "length")]
    answers = [expected[0], Answer("B", "length"), Answer("c", None)]
    assert told(answers, expected) == {
        "same": 1,
        "ends": {"length": 2, "none": 1},
        "without_end": 1,
    }
    broken = [Answer("a", "broken: ReadError"), expected[1], Answer("", "error engine_stopped")]
    assert told(broken, expected)["without_end"] == 1
