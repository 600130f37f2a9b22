"""The request that an engine cannot bear is found among many."""

from random import Random

import pytest

from unmask.engine.process.recovery import Recovery


def run(names: list[str], culprit: str | None, *, is_certain: bool) -> tuple[list[str], int]:
    """Requests given up, and how often the engine was lost, until all others have ended."""
    recovery, alive, given_up, num_lost = Recovery(), list(names), list[str](), 0
    for _ in range(200):
        inside = [name for name in alive if recovery.admits(name)]
        if not inside:
            assert not alive
            return given_up, num_lost
        if culprit in inside:
            num_lost += 1
            gone = recovery.lost(dict.fromkeys(inside, 3), is_certain=is_certain)
            if gone is not None:
                given_up.append(gone)
                alive.remove(gone)
                recovery.ended([gone])
            continue
        for name in inside:
            alive.remove(name)
            recovery.ended([name])
    raise AssertionError("the requests never end")


@pytest.mark.parametrize("is_certain", [False, True])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 120])
def test_only_the_culprit_is_given_up(count: int, is_certain: bool) -> None:
    names = [f"r{i}" for i in range(count)]
    for at in {0, count // 2, count - 1}:
        given_up, num_lost = run(names, names[at], is_certain=is_certain)
        assert given_up == [names[at]]
        assert num_lost <= count.bit_length() + 4


def test_a_request_alone_whose_step_raised_is_given_up_at_once() -> None:
    assert Recovery().lost({"a": 3}, is_certain=True) == "a"
    assert Recovery().lost({"a": 3}, is_certain=False) is None


def test_engines_that_die_at_other_places_of_the_answers_make_nobody_suspect() -> None:
    recovery, names, rng = Recovery(), [f"r{i}" for i in range(64)], Random(1)
    for i in range(5):
        positions = {name: 10 * i + rng.randrange(10) for name in names}
        assert recovery.lost(positions, is_certain=False) is None
        assert all(map(recovery.admits, names))


def test_suspects_run_apart_from_others_until_they_have_ended() -> None:
    recovery = Recovery()
    recovery.lost({"a": 1, "b": 1, "c": 1}, is_certain=False)
    recovery.lost({"a": 1, "b": 1, "c": 2}, is_certain=False)
    assert [recovery.admits(name) for name in ("a", "b", "c", "new")] == [True, False, False, False]
    assert recovery.ended(["a"])
    assert [recovery.admits(name) for name in ("b", "c", "new")] == [True, False, False]
    assert recovery.ended(["b"])
    assert recovery.admits("c")
    assert recovery.admits("new")


def test_a_suspect_that_comes_further_is_tried_next_and_before_others() -> None:
    recovery = Recovery()
    for _ in range(2):
        recovery.lost(dict.fromkeys("abcd", 1), is_certain=False)
    assert recovery.lost({"a": 1, "b": 5}, is_certain=False) is None
    assert [recovery.admits(name) for name in "abcd"] == [True, False, False, False]
    assert recovery.lost({"a": 1}, is_certain=False) == "a"
    assert recovery.ended("a")
    assert [recovery.admits(name) for name in "bcd"] == [True, False, False]


def test_suspects_that_are_aborted_hold_nobody_up() -> None:
    recovery = Recovery()
    for _ in range(2):
        recovery.lost({"a": 1, "b": 1}, is_certain=False)
    assert not recovery.ended(["b"])
    assert recovery.ended(["a"])
    assert recovery.admits("new")


def test_a_request_is_suspect_on_its_second_engine_and_those_beside_it_are_not() -> None:
    last: dict[str, int] = {}
    first, second = Recovery(last), Recovery(last)
    assert first.lost({"bad": 3, "good": 7}, is_certain=False) is None
    assert not first.is_trying
    assert second.lost({"bad": 3, "good": 5, "other": 1}, is_certain=False) is None
    assert second.is_trying
    assert [second.suspects(name) for name in ("bad", "good", "other")] == [True, False, False]
    assert second.lost({"bad": 3}, is_certain=False) == "bad"
