"""Choice of an engine: known prefixes first, unless the engine is much fuller than another."""

import pytest

from unmask.engine.process.routing import SLACK, PrefixTable, choose
from unmask.images import ImageRows, Pixels

PAGE = 4


def test_the_engine_with_the_fewest_rows_is_chosen() -> None:
    assert choose([3, 1, 2], [0, 0, 0]) == 1


def test_an_engine_that_takes_none_is_never_chosen() -> None:
    assert choose([None, 9, None], [5, 0, 5]) == 1
    assert choose([None, None], [1, 1]) is None


@pytest.mark.parametrize(("rows", "chosen"), [(SLACK, 0), (SLACK + 1, 1)])
def test_a_known_prefix_wins_until_its_engine_is_much_fuller(rows: int, chosen: int) -> None:
    assert choose([rows, 0], [2, 0]) == chosen


def test_of_engines_that_know_the_prefix_alike_the_emptier_is_chosen() -> None:
    assert choose([2, 1], [3, 3]) == 1
    assert choose([2, 1], [4, 3]) == 0


def test_the_longest_prefix_that_an_engine_read_is_found_in_whole_pages() -> None:
    table, prompt = PrefixTable(2, PAGE), list(range(4 * PAGE))
    table.note(prompt, 0)
    table.note(prompt[: 2 * PAGE], 1)
    assert table.pages(prompt) == [4, 2]
    assert table.pages([*prompt[:PAGE], *range(100, 120)]) == [1, 1]
    assert table.pages(prompt[: PAGE - 1]) == [0, 0]
    assert table.pages([1, *prompt]) == [0, 0]


def test_prefixes_are_told_apart_by_their_images() -> None:
    table, prompt = PrefixTable(2, PAGE), [1, 2, 3, 4, 5, *[9] * 6, 6]
    first, second = (
        ImageRows(5, 11, Pixels(b"", 2, 3, digest, 6, (2, 3)), True) for digest in (b"a", b"b")
    )
    table.note(prompt, 0, [first])
    assert table.pages(prompt, [first]) == [2, 0]
    assert table.pages(prompt, [second]) == table.pages(prompt) == [1, 0], "text comes first"


def test_an_engine_that_begins_anew_has_read_nothing() -> None:
    table, prompt = PrefixTable(2, PAGE), list(range(PAGE))
    table.note(prompt, 0)
    table.note(prompt, 1)
    table.forget(0)
    assert table.pages(prompt) == [0, 1]


def test_only_the_latest_prefixes_are_kept() -> None:
    table = PrefixTable(1, PAGE, capacity=2)
    prompts = [[i] * PAGE for i in range(3)]
    for prompt in [prompts[0], prompts[1], prompts[0], prompts[2]]:
        table.note(prompt, 0)
    assert [table.pages(prompt) for prompt in prompts] == [[1], [0], [1]]


def test_requests_that_begin_alike_are_spread_once_one_engine_is_full() -> None:
    table, rows, prompt = PrefixTable(2, PAGE), [0, 0], list(range(3 * PAGE))
    for _ in range(64):
        chosen = choose(rows, table.pages(prompt))
        assert chosen is not None
        table.note(prompt, chosen)
        rows[chosen] += 1
    assert max(rows) - min(rows) <= SLACK
