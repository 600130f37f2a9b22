"""DreamOn through the engine against a port of its authors' loop, in any company."""

import random
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.dreamon import EXPAND_ID, Filled, fill, load_dreamon
from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.graphs import Recordings
from tests.support.tiny import EOS_ID, MASK_ID
from unmask.config import DecodingConfig
from unmask.models.registry import LoadedModel
from unmask.types import FinishReason, RefinementOptions, Request, SamplingParams

ALGS = ("entropy", "maskgit_plus", "topk_margin")
COMMANDS = {EXPAND_ID, EOS_ID}
# An engine's ways to run the same requests.
WAYS = {
    "together": {},
    "overlap": {"overlap": True, "steps_ahead": 3},
    "few rows": {"max_batch_tokens": 120, "overlap": True},
    "few pages": {"num_pages": 16, "overlap": True},
    "few at a time": {"max_num_seqs": 3},
    "odd pages": {"page_size": 7},
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_dreamon(tmp_path_factory.mktemp("dreamon"))


def gap(number: int, **params: object) -> Request:
    """A gap of any length between two texts."""
    draw = random.Random(number)
    prefix, suffix = (tuple(draw.choices(range(400), k=draw.randint(1, 30))) for _ in range(2))
    first_len = draw.choice((1, 2, 4, 8))
    chosen = {
        "number_of_mask": first_len,
        "max_tokens": max(first_len, draw.choice((4, 8, 16, 32))),
        "policy": ALGS[number % 3],
        "temperature": 0.0,
    }
    sampling = SamplingParams(**(chosen | params))
    return Request(f"gap-{number}", prefix, sampling, suffix_token_ids=suffix)


def drawn(number: int) -> Request:
    """A gap of the checkpoint's own defaults, or with more options."""
    kinds = (
        {"policy": None, "temperature": None},
        {"temperature": 0.8, "top_k": 20, "policy": "random"},
        {"logprobs": 3},
        {"policy": "sequential", "logprobs": 0},
        {"alg_temp": 0.5, "policy": "entropy"},
        {"presence_penalty": 1.0, "repetition_penalty": 1.3},
        {"logit_bias": ((EXPAND_ID, -1.0), (7, 2.0))},
        {"stop_token_ids": tuple(range(100))},
    )
    return gap(100 + number, seed=number, **kinds[number % len(kinds)])


def plain(number: int) -> Request:
    """A request of fixed length, with a suffix or without one."""
    draw = random.Random(number)
    sampling = SamplingParams(
        max_tokens=draw.randint(1, 30),
        seed=number,
        number_of_mask=0,
        block_length=draw.choice((None, 8)),
        cache=draw.choice(("none", "prefix", "dual")),
    )
    prompt = tuple(draw.choices(range(400), k=draw.randint(1, 40)))
    return Request(f"plain-{number}", prompt, sampling, suffix_token_ids=prompt[: number % 3])


def reference(loaded: LoadedModel, request: Request) -> Filled:
    params = request.sampling
    prefix, suffix = request.prompt_token_ids, request.suffix_token_ids
    first_len, max_tokens = params.number_of_mask, params.max_tokens
    assert first_len
    assert max_tokens
    alg = ALGS[int(request.request_id.partition("-")[2]) % 3]
    return fill(loaded, prefix, suffix, first_len, max_tokens, alg)


GAPS = [gap(number) for number in range(9)]


@pytest.fixture(scope="module")
def expected(loaded: LoadedModel) -> dict[str, Filled]:
    return {request.request_id: reference(loaded, request) for request in GAPS}


OTHERS = [drawn(number) for number in range(8)] + [plain(number) for number in range(4)]


@pytest.fixture(scope="module")
def others_alone(loaded: LoadedModel) -> dict[str, Answer]:
    return {request.request_id: run_alone(loaded, request) for request in OTHERS}


def finish_of(filled: Filled, request: Request) -> FinishReason:
    is_longest = len(filled.tokens) == request.sampling.max_tokens
    return FinishReason.LENGTH if is_longest else FinishReason.STOP


def check(answer: Answer, filled: Filled, request: Request) -> None:
    assert answer.token_ids == filled.tokens
    assert answer.finish is not None
    assert answer.finish.reason is finish_of(filled, request)
    assert answer.finish.stop_reason is None
    usage = answer.finish.usage
    assert usage.completion_tokens == len(filled.tokens)
    assert usage.denoising_steps == usage.forward_passes == filled.passes
    assert usage.prompt_tokens == request.num_given


@pytest.mark.parametrize("request_", GAPS, ids=lambda request: request.request_id)
def test_a_gap_alone_gets_the_tokens_of_the_loop_in_as_many_passes(
    loaded: LoadedModel, expected: dict[str, Filled], request_: Request
) -> None:
    check(run_alone(loaded, request_), expected[request_.request_id], request_)


def test_these_gaps_grow_and_shrink_to_their_limits(expected: dict[str, Filled]) -> None:
    assert sum(filled.expansions > 3 for filled in expected.values()) >= 3
    assert sum(filled.deletions > 3 for filled in expected.values()) >= 3
    limits = {request.request_id: request.sampling.max_tokens for request in GAPS}
    assert sum(expected[name].longest == limit for name, limit in limits.items()) >= 3
    assert any(expected[name].longest < limit for name, limit in limits.items() if limit)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("way", WAYS)
def test_gaps_and_other_requests_change_nothing_of_each_other(
    loaded: LoadedModel, expected: dict[str, Filled], others_alone: dict[str, Answer], way: str
) -> None:
    mixed = [request for pair in zip(GAPS, OTHERS, strict=False) for request in pair]
    mixed += OTHERS[len(GAPS) :]
    engine = make_engine(loaded, **WAYS[way])
    answers = run_all(engine, mixed)
    assert engine.scheduler.num_preempted == 0, "all pages are held from the start"
    for request in GAPS:
        check(answers[request.request_id], expected[request.request_id], request)
    for other in OTHERS:
        answer, alone = answers[other.request_id], others_alone[other.request_id]
        assert answer.essence == alone.essence
        assert [entry.token_id for entry in answer.logprobs] == [
            entry.token_id for entry in alone.logprobs
        ]
        assert len(answer.token_ids) <= (other.sampling.max_tokens or 0)
        is_plain = other.request_id.startswith("plain")
        assert not set(answer.token_ids) & (COMMANDS - ({EOS_ID} if is_plain else set()))


def test_captured_passes_change_nothing(
    loaded: LoadedModel, expected: dict[str, Filled], others_alone: dict[str, Answer]
) -> None:
    recordings = Recordings()
    model = replace(loaded, info=replace(loaded.info, max_model_len=256))
    engine = make_engine(
        model, graphs=True, overlap=True, max_batch_tokens=256, max_num_seqs=8, recorder=recordings
    )
    recordings.num_replays = 0
    answers = run_all(engine, [*GAPS, *OTHERS[-2:]])
    assert recordings.num_replays > 0
    for request in GAPS:
        check(answers[request.request_id], expected[request.request_id], request)
    for other in OTHERS[-2:]:
        assert answers[other.request_id].essence == others_alone[other.request_id].essence


@pytest.mark.parametrize("tokens", [True, False])
def test_a_stream_has_the_same_text_and_no_draft_has_a_command(
    loaded: LoadedModel, expected: dict[str, Filled], tokens: bool
) -> None:
    options = RefinementOptions(tokens=tokens)
    streamed = [replace(request, refinements=options) for request in GAPS]
    answers = run_all(make_engine(loaded), streamed)
    for request in GAPS:
        answer, filled = answers[request.request_id], expected[request.request_id]
        check(answer, filled, request)
        assert len(answer.refinements) == filled.passes - 1
        for refinement in answer.refinements:
            start, end = refinement.span
            assert (start, refinement.block) == (0, 0)
            assert end <= filled.longest
            assert refinement.step <= refinement.max_steps
            assert refinement.unresolved > 0
            if refinement.tokens is not None:
                assert len(refinement.tokens) == end
                assert not {token.token_id for token in refinement.tokens} & COMMANDS


def test_an_answer_without_masks_that_were_deleted_is_empty(loaded: LoadedModel) -> None:
    request = gap(3, logit_bias=((EOS_ID, 100.0),), number_of_mask=7, max_tokens=20)
    for refinements in (None, RefinementOptions()):
        answer = run_alone(loaded, replace(request, refinements=refinements))
        assert (answer.token_ids, answer.text) == ([], "")
        assert answer.finish is not None
        assert answer.finish.reason is FinishReason.STOP
        assert answer.finish.usage.denoising_steps == 7


def test_an_answer_that_would_always_grow_has_its_limit(loaded: LoadedModel) -> None:
    biases = ((EXPAND_ID, 100.0), (EOS_ID, -100.0))
    request = gap(3, logit_bias=biases, number_of_mask=2, max_tokens=33)
    answer = run_alone(loaded, request)
    assert len(answer.token_ids) == 33
    assert answer.finish is not None
    assert answer.finish.reason is FinishReason.LENGTH
    assert answer.finish.usage.denoising_steps == 33 + 31


def test_an_answer_that_grows_and_shrinks_in_turn_ends(loaded: LoadedModel) -> None:
    """Nothing but commands is allowed, so expansions are used up."""
    request = gap(3, allowed_token_ids=(EXPAND_ID, EOS_ID), number_of_mask=1, max_tokens=6)
    request = replace(request, suffix_token_ids=(1, 2))
    endings = set()
    for seed in range(5):
        sampling = replace(request.sampling, temperature=20.0, seed=seed)
        answer = run_alone(loaded, replace(request, sampling=sampling))
        assert answer.finish is not None
        assert answer.token_ids == []
        assert answer.finish.usage.denoising_steps <= 1 + 2 * 2 * 8
        endings.add(answer.finish.usage.denoising_steps)
    assert len(endings) > 1


def test_log_probabilities_move_with_their_tokens(loaded: LoadedModel) -> None:
    """They are those of the passes that filled the tokens, and commands are no alternatives."""
    for request in GAPS:
        sampling = replace(request.sampling, logprobs=2)
        answer = run_alone(loaded, replace(request, sampling=sampling))
        assert answer.token_ids == run_alone(loaded, request).token_ids
        assert [entry.token_id for entry in answer.logprobs] == answer.token_ids
        for entry in answer.logprobs:
            assert entry.top[0] == pytest.approx((entry.token_id, entry.logprob), abs=1e-4)
            assert len(entry.top) == 2
            assert not {token_id for token_id, _ in entry.top} & COMMANDS


def test_a_stop_ends_the_answer_where_it_is_final(loaded: LoadedModel) -> None:
    request = gap(10)
    whole = run_alone(loaded, request).token_ids
    assert len(whole) > 3
    stopping = replace(request.sampling, stop_token_ids=(whole[3],))
    answer = run_alone(loaded, replace(request, sampling=stopping))
    at = whole.index(whole[3])
    assert answer.token_ids == whole[: at + 1]
    assert answer.finish is not None
    assert answer.finish.stop_reason == whole[3]


def test_deletions_take_all_masks_behind_them_where_they_are_asked_to(loaded: LoadedModel) -> None:
    others = 0
    for plain_request in GAPS[:6]:
        params = replace(plain_request.sampling, pad_delete_to_right=True, logprobs=1)
        request = replace(plain_request, sampling=params, refinements=RefinementOptions())
        texts = request.prompt_token_ids, request.suffix_token_ids
        numbers = params.number_of_mask or 0, params.max_tokens or 0
        alg = ALGS[GAPS.index(plain_request) % 3]
        filled = fill(loaded, *texts, *numbers, alg, pad_delete_to_right=True)
        answer = run_alone(loaded, request)
        check(answer, filled, request)
        assert [entry.token_id for entry in answer.logprobs] == filled.tokens
        others += filled.passes != run_alone(loaded, plain_request).finish.usage.denoising_steps
    assert others > 1


def test_a_suffix_is_enough_and_begins_with_four_masks(loaded: LoadedModel) -> None:
    request = gap(4, number_of_mask=None, max_tokens=32, policy=None)
    answer = run_alone(loaded, request)
    filled = fill(loaded, request.prompt_token_ids, request.suffix_token_ids, 4, 32)
    check(answer, filled, request)
    short = replace(request, sampling=replace(request.sampling, max_tokens=2))
    assert len(run_alone(loaded, short).token_ids) <= 2


def test_masks_without_a_suffix_grow_too(loaded: LoadedModel) -> None:
    request = replace(gap(5, policy=None, number_of_mask=4), suffix_token_ids=())
    max_tokens = request.sampling.max_tokens or 0
    filled = fill(loaded, request.prompt_token_ids, (), 4, max_tokens)
    check(run_alone(loaded, request), filled, request)


def test_no_masks_or_no_suffix_leave_the_length_to_max_tokens(loaded: LoadedModel) -> None:
    request = gap(6, number_of_mask=0, max_tokens=20, ignore_eos=True, policy="entropy")
    for suffix in (request.suffix_token_ids, ()):
        answer = run_alone(loaded, replace(request, suffix_token_ids=suffix))
        assert len(answer.token_ids) == 20
        assert EXPAND_ID not in answer.token_ids


def test_a_server_decides_on_policies_that_rank_and_temperatures(
    loaded: LoadedModel, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Its caches and blocks are for answers that keep their length."""
    asked = gap(7, policy=None)
    for config, policy in (
        (DecodingConfig(policy="margin", temperature=0.0, cache="dual"), "margin"),
        (DecodingConfig(policy="threshold", block_length=4, steps=2, eos_last=True), "entropy"),
    ):
        served = load_dreamon(tmp_path_factory.mktemp("served"), config)
        named = replace(asked, sampling=replace(asked.sampling, policy=policy))
        assert run_alone(served, asked).essence == run_alone(loaded, named).essence


def test_a_deletion_with_a_token_of_its_own_leaves_ends_to_text(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """The answer ends at an end of sequence then."""
    own = load_dreamon(tmp_path_factory.mktemp("own"), likely=(EXPAND_ID, 501), delete_token_id=501)
    endings = 0
    for number in range(6):
        request = gap(number, ignore_eos=number < 3)
        params = request.sampling
        filled = fill(
            *(own, request.prompt_token_ids, request.suffix_token_ids),
            *(params.number_of_mask or 0, params.max_tokens or 0, ALGS[number % 3]),
            delete=501,
        )
        answer = run_alone(own, request)
        if params.ignore_eos or EOS_ID not in filled.tokens:
            check(answer, filled, request)
        else:
            assert answer.token_ids == filled.tokens[: filled.tokens.index(EOS_ID) + 1]
        endings += filled.deletions
        assert not set(run_alone(own, plain(number)).token_ids) & {EXPAND_ID, 501, MASK_ID}
    assert endings > 5


@given(st.lists(st.integers(0, 20), min_size=2, max_size=4, unique=True), st.integers(0, 3))
@settings(
    max_examples=examples(3, 6),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_company_leaves_an_answer_as_it_is_alone(
    loaded: LoadedModel, numbers: list[int], few: int
) -> None:
    requests = [(gap, drawn, plain)[number % 3](number) for number in numbers]
    engine = make_engine(
        loaded, overlap=bool(few % 2), num_pages=12 + 4 * few, max_num_seqs=2 + few
    )
    answers = run_all(engine, requests)
    for request in requests:
        answer = answers[request.request_id]
        assert answer.essence == run_alone(loaded, request).essence
        assert len(answer.token_ids) <= (request.sampling.max_tokens or 0)
