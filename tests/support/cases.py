"""Cases and examples of tests that every run tries, and those that `make test-all` adds."""

import os
from collections import defaultdict
from zlib import crc32

import pytest

ALL_EXAMPLES = "TRY_ALL_EXAMPLES"  # set for workers too, before tests are imported


def choose_examples(config: pytest.Config) -> None:
    """Have `examples` give all of them if exhaustive tests are run."""
    if config.option.markexpr == "not exhaustive":
        os.environ.pop(ALL_EXAMPLES, None)
    else:
        os.environ[ALL_EXAMPLES] = "1"


def examples(usual: int, every: int) -> int:
    """Number of examples that hypothesis draws: `usual`, or `every` one with exhaustive tests."""
    return every if ALL_EXAMPLES in os.environ else usual


def mark_rare_cases(items: list[pytest.Item]) -> None:
    """Mark all but N cases of each test with `usual_cases(N)` as exhaustive.

    The N are spread over all cases. Where they begin depends on the test's name, so that tests with
    the same cases do not all keep the same ones.
    """
    tests: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("usual_cases"):
            tests[item.nodeid.partition("[")[0]].append(item)
    for name, cases in tests.items():
        marker = cases[0].get_closest_marker("usual_cases")
        assert marker is not None, "the test was chosen by it"
        (count,) = marker.args
        first = crc32(name.encode()) % len(cases)
        kept = {(first + i * len(cases) // count) % len(cases) for i in range(count)}
        for i, case in enumerate(cases):
            if i not in kept:
                case.add_marker(pytest.mark.exhaustive)
