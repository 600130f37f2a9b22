"""Silence of a process, watched by another that may be paused."""

from unmask.engine.silence import Silence


def test_silence_adds_up_over_looks_until_a_sign_of_life() -> None:
    now_s = 0.0
    silence = Silence(lambda: now_s)
    for now_s in (0.5, 1.0):
        assert silence.look(1.0) == now_s
    silence.end()
    now_s = 1.25
    assert silence.look(1.0) == 0.25


def test_a_pause_of_the_watcher_is_no_silence() -> None:
    now_s = 0.0
    silence = Silence(lambda: now_s)
    now_s = 0.5
    silence.look(1.0)
    now_s = 3600.0
    assert silence.look(1.0) == 1.5
