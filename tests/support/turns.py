"""Turns of pytest-xdist's workers while nothing is compiled."""

import fcntl
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@contextmanager
def one_before_the_others(config: pytest.Config) -> Iterator[None]:
    """Hold up all workers but one until it has collected, in a checkout that is not compiled.

    It compiles all modules and rewrites all assertions for the others, half a minute of work each.
    """
    is_compiled = (TESTS / "engine" / "__pycache__").exists() or sys.dont_write_bytecode
    if is_compiled or not hasattr(config, "workerinput"):
        yield
        return
    with (TESTS / "conftest.py").open() as file:  # any file that all of them see
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(file, fcntl.LOCK_SH)
        yield
