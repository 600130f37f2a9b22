"""Several open blocks whose tokens are revised: DMax's mixed embeddings, and LLaDA2.1's edits."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from tests.support.engines import (
    make_engine,
    refined_requests,
    run_all,
    run_alone,
    run_noting_ends,
)
from tests.support.golden import company
from tests.support.graphs import Recordings
from tests.support.revised_blocks import Settings, write_revised
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

Load = Callable[[str], LoadedModel]
# Whose answers do not depend on the last digits of float32.
PROMPTS = tuple(
    tuple((37 * i + k * (11 + i)) % 500 for k in range(length))
    for i, length in ((0, 35), (3, 21), (5, 5), (9, 5))
)
NUM_TOKENS = 60
ALL = (
    Settings(2, 8, 0.5, 0.1),
    Settings(2, 16, 0.65, 0.9),
    Settings(4, 8, 0.0, 0.1),
    Settings(3, 4, 0.8, 0.75),
    Settings(2, 8, 0.5, 0.1, edit=0.0),
    Settings(2, 16, 0.5, 0.9, edit=0.0),
    Settings(4, 4, 0.3, 0.5, edit=0.4),
    Settings(3, 8, 0.7, 0.1, edit=0.9),
)


@pytest.fixture(scope="module")
def loaded(golden_model: Load) -> LoadedModel:
    model = golden_model("dmax")
    return replace(model, info=replace(model.info, max_model_len=400))


def sampling_of(settings: Settings) -> SamplingParams:
    return SamplingParams(
        max_tokens=NUM_TOKENS,
        temperature=0.0,
        ignore_eos=True,
        policy="dmax" if settings.edit is None else "threshold",
        threshold=settings.accept,
        editing_threshold=settings.edit,
        block_length=settings.block_len,
        open_blocks=settings.size,
        add_block_threshold=settings.add,
    )


def requests_of(params: SamplingParams) -> list[Request]:
    return refined_requests(PROMPTS, params)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("settings", ALL, ids=str)
def test_tokens_and_passes_are_those_of_the_published_loop(
    loaded: LoadedModel, settings: Settings
) -> None:
    requests, others = requests_of(sampling_of(settings)), company(loaded, 5, seed=8)
    engine = make_engine(loaded, overlap=True, graphs=False, max_num_seqs=6, num_pages=60)
    together = run_all(engine, [*requests, *others])
    for request in requests:
        answer = together[request.request_id]
        written = write_revised(loaded, request.prompt_token_ids, NUM_TOKENS, settings)
        assert answer.finish is not None
        assert answer.token_ids == written.tokens
        assert answer.finish.usage.denoising_steps == written.forwards


# An engine's ways to run the same requests.
WAYS = {
    "overlap": {"overlap": True, "steps_ahead": 3},
    "prompts in chunks": {"max_batch_tokens": 70},
    "few pages": {"num_pages": 12, "overlap": True},
    "few at a time": {"max_num_seqs": 3, "page_size": 8},
    "speculation": {"speculation_rows": 200},
}


def expected(loaded: LoadedModel, requests: list[Request]) -> dict[str, object]:
    return {
        request.request_id: run_alone(loaded, replace(request, refinements=None)).essence
        for request in requests
    }


def drawn(requests: list[Request]) -> list[Request]:
    """The same requests at a temperature, with log-probabilities."""
    return [
        replace(
            request,
            request_id=f"drawn {request.request_id}",
            sampling=replace(request.sampling, temperature=0.7, seed=i, logprobs=2),
        )
        for i, request in enumerate(requests)
    ]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("way", WAYS)
def test_an_answer_depends_on_the_request_alone(loaded: LoadedModel, way: str) -> None:
    """Mixed, edited and drawn ones, among others that have one open block."""
    asked = [
        replace(request, request_id=f"{i} {request.request_id}")
        for i, settings in enumerate(ALL[1::2])
        for request in requests_of(sampling_of(settings))[i % 2 :: 2][:1]
    ]
    asked = [*asked, *drawn(asked[::3])]
    engine = make_engine(loaded, **WAYS[way])
    answers = run_all(engine, [*asked, *company(loaded, 3, seed=2)])
    assert {name: answers[name].essence for name in expected(loaded, asked)} == expected(
        loaded, asked
    )
    assert (engine.scheduler.num_preempted > 0) == (way == "few pages")


def test_captured_passes_change_nothing(loaded: LoadedModel) -> None:
    recordings = Recordings()
    engine = make_engine(
        loaded, graphs=True, max_batch_tokens=128, max_num_seqs=8, recorder=recordings
    )
    recordings.num_replays = 0
    asked = [
        replace(request, request_id=f"{i} {request.request_id}")
        for i in (0, 4)
        for request in requests_of(sampling_of(ALL[i]))
    ]
    answers = run_all(engine, asked)
    assert recordings.num_replays > 10
    assert {name: answers[name].essence for name in answers} == expected(loaded, asked)


@pytest.mark.parametrize("settings", [ALL[0], ALL[4]], ids=str)
def test_text_that_was_sent_stays(loaded: LoadedModel, settings: Settings) -> None:
    """Tokens are final in whole blocks, and drafts show all open ones."""
    request = requests_of(sampling_of(settings))[1]
    answer, ends = run_noting_ends(make_engine(loaded), request)
    assert answer.token_ids == run_alone(loaded, request).token_ids
    assert all(end % settings.block_len == 0 for end in ends[:-1])
    spans = [draft.span for draft in answer.refinements]
    assert max(end - start for start, end in spans) > settings.block_len


def test_an_end_counts_only_in_a_final_block(loaded: LoadedModel) -> None:
    request = requests_of(sampling_of(ALL[0]))[1]
    tokens = run_alone(loaded, request).token_ids
    end = tokens[25]
    sampling = replace(request.sampling, stop_token_ids=(end,))
    ended = run_alone(loaded, replace(request, sampling=sampling)).token_ids
    assert ended == tokens[: tokens.index(end) + 1]


@pytest.mark.parametrize(
    ("given_", "field"),
    [
        ({"semi_complete_threshold": 0.5}, "semi_complete_threshold"),
        ({"sub_block_length": 4}, "open_blocks"),
        ({"cache": "block"}, "cache"),
        ({"policy": "klass", "threshold": None}, "open_blocks"),
        ({"policy": "entropy_bound", "threshold": None}, "open_blocks"),
    ],
)
def test_a_combination_that_is_not_served_is_refused_by_name(
    loaded: LoadedModel, given_: dict[str, Any], field: str
) -> None:
    params = replace(sampling_of(ALL[4]), **given_)
    with pytest.raises(InvalidRequest) as refused:
        make_engine(loaded).check(Request("a", PROMPTS[0], params))
    assert refused.value.field == field


def test_edits_that_move_tokens_have_one_open_block(golden_model: Load) -> None:
    loaded = golden_model("llada22")
    params = SamplingParams(max_tokens=64, open_blocks=2, editing_threshold=0.0)
    request, engine = Request("a", (5, 6), params), make_engine(loaded, page_size=32)
    with pytest.raises(InvalidRequest) as refused:
        engine.check(request)
    assert refused.value.field == "open_blocks"
