"""Checks of answers to prompts with images that golden checkpoints share."""

from collections.abc import Sequence
from typing import Any

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.golden_images import ImageCase
from tests.support.graphs import Recordings
from unmask.models.registry import LoadedModel
from unmask.types import Finish, Request


def company_options(chunk: int) -> list[dict[str, Any]]:
    """Settings of engines whose steps have other rows; chunks are less than images have."""
    return [
        {},
        {"prefix_cache": False},
        {"overlap": True, "steps_ahead": 2},
        {"max_batch_tokens": chunk},
        {"max_batch_tokens": 64, "page_size": 12, "overlap": True},
        {"num_pages": 20},
        {"speculation_rows": 64},
    ]


def assert_golden(answers: dict[str, Answer], cases: Sequence[ImageCase]) -> None:
    assert {case.name: answers[case.name].token_ids for case in cases} == {
        case.name: case.tokens for case in cases
    }


def finish_alone(loaded: LoadedModel, case: ImageCase) -> Finish:
    """The end of the answer to a request alone, which is as recorded."""
    answers = run_all(make_engine(loaded), [case.request])
    assert_golden(answers, [case])
    finish = answers[case.name].finish
    assert finish is not None
    return finish


def assert_golden_in_company(
    loaded: LoadedModel, cases: Sequence[ImageCase], changes: dict[str, Any]
) -> None:
    others = company(loaded, 3, seed=4)
    engine = make_engine(loaded, **changes)
    assert_golden(run_all(engine, [*(case.request for case in cases), *others]), cases)


def cached_again(loaded: LoadedModel, cases: Sequence[ImageCase]) -> list[tuple[ImageCase, int]]:
    """Cached tokens of prompts that were read before; answers are as recorded."""
    engine = make_engine(loaded)
    requests = [case.request for case in cases]
    run_all(engine, requests)
    again = run_all(engine, requests)
    assert_golden(again, cases)
    found = list[tuple[ImageCase, int]]()
    for case in cases:
        finish = again[case.name].finish
        assert finish is not None
        found.append((case, finish.usage.cached_tokens))
    return found


def assert_pages_are_of_one_image(
    loaded: LoadedModel, one: Request, other: Request, num_cached: int
) -> None:
    """Prompts of the same tokens share pages only where their images are the same."""
    assert one.prompt_token_ids == other.prompt_token_ids
    engine = make_engine(loaded)
    first, different, again = (
        run_all(engine, [request])[request.request_id] for request in (one, other, one)
    )
    assert first.token_ids == again.token_ids
    assert different.token_ids == run_alone(loaded, other).token_ids != first.token_ids
    used = [
        answer.finish.usage.cached_tokens for answer in (first, different, again) if answer.finish
    ]
    assert used == [0, 0, num_cached]


def assert_images_replay_no_graph(
    loaded: LoadedModel, cases: Sequence[ImageCase], *, overlap: bool
) -> None:
    recordings = Recordings()
    engine = make_engine(
        loaded, graphs=True, overlap=overlap, max_batch_tokens=70, recorder=recordings
    )
    recordings.num_replays = 0
    assert_golden(run_all(engine, [case.request for case in cases]), cases)
    assert recordings.num_replays > 0


def assert_company_changes_nothing(loaded: LoadedModel, requests: Sequence[Request]) -> None:
    """Answers together, with graphs and overlap, are those alone."""
    engine = make_engine(
        loaded, graphs=True, overlap=True, max_batch_tokens=100, recorder=Recordings()
    )
    together = run_all(engine, list(requests))
    for request in requests:
        alone = run_alone(loaded, request)
        assert together[request.request_id].essence == alone.essence
