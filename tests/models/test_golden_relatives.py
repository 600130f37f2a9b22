"""Relatives of other families: logits, and tokens of whole answers, against ports of their loops.

`tests/golden/make/relatives.py` made the folders, and `modern_bert.py` beside it ModernBERT's.
"""

from collections.abc import Callable
from functools import cache

import pytest
from safetensors.torch import load_file

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.forward import block_causal, full, logits_of
from tests.support.golden import Case, cases_of, company, load_golden
from tests.support.tiny import GOLDEN
from unmask.config import AttentionName
from unmask.models.registry import LoadedModel
from unmask_kernels.dispatch import backend

BLOCK_LENGTHS = {"dream_reasoner": 32, "stable_diffcoder": 4, "efficient_dlm": 32, "a2d_bd3lm": 32}
ATTENTIONS: dict[str, AttentionName] = {
    "a2d_bd3lm": "block",
    "a2d_llama": "full",
    "a2d_mdlm": "full",
}
FOLDERS = (*BLOCK_LENGTHS, "a2d_mdlm", "a2d_llama", "illada", "coda", "rnd1", "modernbert")
Load = Callable[[str], LoadedModel]
every_relative = pytest.mark.parametrize("folder", FOLDERS)


@pytest.fixture(scope="module")
def relative(tmp_path_factory: pytest.TempPathFactory) -> Load:
    @cache
    def load(folder: str) -> LoadedModel:
        return load_golden(folder, tmp_path_factory.mktemp(folder), ATTENTIONS.get(folder))

    return load


def assert_golden(answers: dict[str, Answer], cases: list[Case]) -> None:
    assert {case.name: answers[case.name].token_ids for case in cases} == {
        case.name: case.tokens for case in cases
    }


@every_relative
@pytest.mark.parametrize("implementation", ["native", "torch"])
def test_logits_of_one_forward_are_those_of_the_reference(
    relative: Load, folder: str, implementation: str
) -> None:
    golden = load_file(GOLDEN / folder / "forward.safetensors")
    ids, expected = golden["input_ids"], golden["logits"]
    block_len = BLOCK_LENGTHS.get(folder)
    horizons = full(len(ids)) if block_len is None else block_causal(len(ids), block_len)
    if implementation == "torch":
        with backend("torch"):
            logits = logits_of(relative(folder), ids, horizons)
    else:
        logits = logits_of(relative(folder), ids, horizons)
    assert (logits - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.usual_cases(4)
@every_relative
def test_requests_alone_get_the_tokens_of_the_reference_in_no_more_steps(
    relative: Load, folder: str
) -> None:
    for case in cases_of(folder):
        answers = run_all(make_engine(relative(folder)), [case.request])
        assert_golden(answers, [case])
        finish = answers[case.name].finish
        assert finish is not None
        assert finish.usage.denoising_steps <= case.forwards


@pytest.mark.usual_cases(9)
@every_relative
@pytest.mark.parametrize("num_pages", [20, None])
def test_requests_together_get_them_too(relative: Load, folder: str, num_pages: int | None) -> None:
    cases = cases_of(folder)
    pages = {} if num_pages is None else {"num_pages": num_pages}
    engine = make_engine(relative(folder), overlap=True, steps_ahead=2, **pages)
    assert_golden(run_all(engine, [case.request for case in cases]), cases)


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("folder", BLOCK_LENGTHS)
def test_prompts_in_chunks_and_cached_prompts_change_nothing(relative: Load, folder: str) -> None:
    cases = cases_of(folder)
    engine = make_engine(relative(folder), max_batch_tokens=40, page_size=12)
    for _ in range(2):
        assert_golden(run_all(engine, [case.request for case in cases]), cases)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", ["a2d_bd3lm", "a2d_mdlm", "rnd1", "modernbert"])
def test_requests_of_every_kind_change_nothing(relative: Load, folder: str) -> None:
    """Caches, guidance, policies and samplers of the others; their answers do not change either."""
    loaded, cases = relative(folder), cases_of(folder)
    others = company(loaded, 6, seed=5)
    engine = make_engine(loaded, overlap=True, steps_ahead=2, max_num_seqs=5)
    answers = run_all(engine, [*others, *(case.request for case in cases)])
    assert_golden(answers, cases)
    for other in others:
        assert answers[other.request_id].essence == run_alone(loaded, other).essence
