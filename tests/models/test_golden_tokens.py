"""Answers equal the references' tokens, for any batch composition."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.support.engines import ROOMY, Answer, make_engine, run_all, run_alone
from tests.support.golden import BLOCK_LENGTHS, FOLDERS, Case, cases_of, company
from unmask.engine.engine import Engine
from unmask.engine.schedule.batch import StepBatch
from unmask.models.registry import LoadedModel
from unmask.types import Request

Load = Callable[[str], LoadedModel]
CASES = [(folder, case) for folder in FOLDERS for case in cases_of(folder)]
FULL = [folder for folder in FOLDERS if folder not in BLOCK_LENGTHS]
every_family = pytest.mark.parametrize("folder", FOLDERS)


def assert_golden(answers: dict[str, Answer], cases: list[Case]) -> None:
    assert {case.name: answers[case.name].token_ids for case in cases} == {
        case.name: case.tokens for case in cases
    }


@pytest.mark.usual_cases(10)
@pytest.mark.parametrize(
    ("folder", "case"), CASES, ids=[f"{folder}-{case.name}" for folder, case in CASES]
)
def test_a_request_alone_gets_the_tokens_of_the_reference_in_no_more_steps(
    golden_model: Load, folder: str, case: Case
) -> None:
    answers = run_all(make_engine(golden_model(folder)), [case.request])
    assert_golden(answers, [case])
    finish = answers[case.name].finish
    assert finish is not None
    # SDAR's code spends forwards on keys and values alone, and Fast-dLLM's counts its refreshes.
    assert finish.usage.denoising_steps <= case.forwards


@pytest.mark.usual_cases(3)
@every_family
def test_all_requests_together_get_the_tokens_of_the_reference(
    golden_model: Load, folder: str
) -> None:
    cases = cases_of(folder)
    engine = make_engine(golden_model(folder))
    assert_golden(run_all(engine, [case.request for case in cases]), cases)


@pytest.mark.usual_cases(1)
@every_family
def test_other_requests_change_nothing(golden_model: Load, folder: str) -> None:
    """Only some fit at a time: they come and go while others are running."""
    loaded, cases = golden_model(folder), cases_of(folder)
    others = company(loaded, len(cases), seed=3)
    mixed = [
        request
        for case, other in zip(cases, others, strict=True)
        for request in (case.request, other)
    ]
    engine = make_engine(loaded, overlap=True, steps_ahead=2, max_num_seqs=11)
    answers = run_all(engine, mixed)
    assert_golden(answers, cases)
    for other in others[:4]:
        assert answers[other.request_id].essence == run_alone(loaded, other).essence


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("folder", BLOCK_LENGTHS)
@pytest.mark.parametrize(("max_batch_tokens", "overlap"), [(40, False), (64, True)])
def test_prompts_read_in_chunks_change_nothing(
    golden_model: Load, folder: str, max_batch_tokens: int, overlap: bool
) -> None:
    cases = cases_of(folder)
    engine = make_engine(
        golden_model(folder), overlap=overlap, max_batch_tokens=max_batch_tokens, page_size=12
    )
    assert_golden(run_all(engine, [case.request for case in cases]), cases)


@pytest.mark.usual_cases(1)
@every_family
def test_few_pages_change_nothing(golden_model: Load, folder: str) -> None:
    cases = cases_of(folder)
    engine = make_engine(golden_model(folder), overlap=True, steps_ahead=3, num_pages=20)
    assert_golden(run_all(engine, [case.request for case in cases]), cases)
    # A sequence that attends to all of itself holds all of its pages from the start.
    assert (engine.scheduler.num_preempted > 0) == (folder in BLOCK_LENGTHS)


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("folder", BLOCK_LENGTHS)
def test_prompts_whose_keys_are_cached_change_nothing(golden_model: Load, folder: str) -> None:
    cases = cases_of(folder)
    engine = make_engine(golden_model(folder))
    run_all(engine, [case.request for case in cases])
    again = run_all(engine, [case.request for case in cases])
    assert_golden(again, cases)
    for case in cases:
        finish = again[case.name].finish
        block_len = case.request.sampling.block_length
        assert finish is not None
        block_len = block_len or 1  # token by token
        whole_blocks = len(case.request.prompt_token_ids) // block_len * block_len
        # Only whole pages are kept.
        assert finish.usage.cached_tokens == whole_blocks - whole_blocks % ROOMY.page_size


def kinds_of_each_step(engine: Engine) -> list[set[tuple[str, bool]]]:
    """Collects the cache and guidance of each request of each step."""
    kinds: list[set[tuple[str, bool]]] = []
    schedule = engine.scheduler.schedule

    def watched() -> StepBatch | None:
        batch = schedule()
        if batch is not None:
            params = [span.sequence.decoding for span in batch.spans]
            kinds.append({(p.cache, p.cfg_scale > 0) for p in params})
        return batch

    engine.scheduler.schedule = watched  # type: ignore[method-assign]
    return kinds


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FULL)
def test_every_cache_and_guidance_share_steps(golden_model: Load, folder: str) -> None:
    """Prompts of different lengths, so that blocks begin at different steps and positions."""
    loaded, cases = golden_model(folder), cases_of(folder)
    base = cases[0].request
    others = []
    for cache in ("none", "prefix", "dual"):
        for cfg_scale in (None, 0.8):
            sampling = replace(
                base.sampling, cache=cache, cfg_scale=cfg_scale, block_length=16, steps=None
            )
            prompt = base.prompt_token_ids[: 20 + 7 * len(others)]
            others.append(Request(f"{cache}-{cfg_scale}", prompt, sampling))
    engine = make_engine(loaded, overlap=True)
    kinds = kinds_of_each_step(engine)
    answers = run_all(engine, [case.request for case in cases] + others)
    assert max(len(kind) for kind in kinds) == 6
    assert_golden(answers, cases)
    for other in others:
        assert answers[other.request_id].essence == run_alone(loaded, other).essence
