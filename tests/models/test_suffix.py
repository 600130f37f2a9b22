"""Infilling between prompt and suffix, for models with full attention."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.forward import full, logits_of
from unmask.errors import InvalidRequest
from unmask.models.registry import LoadedModel
from unmask.types import CacheName, RefinementOptions, Request, SamplingParams

Load = Callable[[str], LoadedModel]
PROMPT, SUFFIX = tuple(range(40, 63)), tuple(range(90, 107))
GAP, BLOCK = 24, 8
CACHES: tuple[CacheName, ...] = ("none", "prefix", "dual")
families = pytest.mark.parametrize("folder", ["llada", "llada_moe", "dream", "modernbert"])


def request(name: str = "r", suffix: tuple[int, ...] = SUFFIX, **params: object) -> Request:
    chosen = {"max_tokens": GAP, "block_length": BLOCK, "ignore_eos": True} | params
    return Request(name, PROMPT, SamplingParams(**chosen), suffix_token_ids=suffix)


@torch.inference_mode()
def filled(loaded: LoadedModel, guidance: float = 0.0) -> list[int]:
    """Gap filled one position a step, most confident first by blocks, with whole forward passes."""
    mask = loaded.info.mask_token_id
    tokens = torch.tensor((*PROMPT, *[mask] * GAP, *SUFFIX))
    canvas, start = tokens.clone(), len(PROMPT)

    def shifted_logits(ids: torch.Tensor) -> torch.Tensor:
        logits = logits_of(loaded, ids, full(len(ids))).double()
        return torch.cat((logits[:1], logits[:-1])) if loaded.info.shift else logits

    for first, last in pairwise(range(start, start + GAP + 1, BLOCK)):
        for _ in range(BLOCK):
            logits = shifted_logits(canvas)
            if guidance:
                without = shifted_logits(torch.where(tokens == mask, canvas, mask))
                logits = without + (guidance + 1) * (logits - without)
            best, token = logits.softmax(-1).index_fill(1, torch.tensor([mask]), 0.0).max(-1)
            best[(canvas != mask) | (torch.arange(len(canvas)) >= last)] = -1.0
            position = int(best[first:last].argmax()) + first
            canvas[position] = token[position]
    assert torch.equal(canvas[tokens != mask], tokens[tokens != mask])
    return canvas[start : start + GAP].tolist()


@pytest.mark.usual_cases(3)
@families
@pytest.mark.parametrize("guidance", [0.0, 0.7])
def test_a_gap_is_filled_as_by_whole_forward_passes(
    golden_model: Load, folder: str, guidance: float
) -> None:
    loaded = golden_model(folder)
    asked = request(policy="low_confidence", steps=BLOCK, cfg_scale=guidance)
    if loaded.info.schedule == "timed":  # would fill several positions at the end
        asked = replace(asked, sampling=replace(asked.sampling, policy="threshold", threshold=1.0))
    answer = run_alone(loaded, asked)
    assert answer.token_ids == filled(loaded, guidance)
    other = run_alone(loaded, replace(asked, suffix_token_ids=SUFFIX[::-1]))
    assert other.token_ids != answer.token_ids, "what follows is seen"
    assert answer.finish is not None
    assert answer.finish.usage.prompt_tokens == len(PROMPT) + len(SUFFIX)


@families
def test_a_cache_that_is_renewed_for_every_position_is_exact(
    golden_model: Load, folder: str
) -> None:
    loaded = golden_model(folder)
    answers = [run_alone(loaded, request(block_length=1, cache=cache)) for cache in CACHES]
    assert answers[0].token_ids == answers[1].token_ids == answers[2].token_ids


@families
def test_gaps_share_steps_with_any_other_requests(golden_model: Load, folder: str) -> None:
    loaded = golden_model(folder)
    requests = [
        replace(
            request(f"r{i}", SUFFIX[:i], cache=CACHES[i % 3], max_tokens=30 - i, seed=i),
            refinements=RefinementOptions(),
        )
        for i in (0, 1, 5, 16, 17)
    ]
    together = run_all(make_engine(loaded, page_size=12, overlap=True), requests)
    for gap in requests:
        answer, alone = together[gap.request_id], run_alone(loaded, gap)
        assert answer.essence == alone.essence
        assert len(answer.token_ids) == gap.sampling.max_tokens
        assert max(refinement.span[1] for refinement in answer.refinements) <= 30


def test_models_that_do_not_see_it_refuse_a_suffix(golden_model: Load) -> None:
    for folder in "idlm", "wedlm":
        with pytest.raises(InvalidRequest) as refused:
            make_engine(golden_model(folder)).check(request())
        assert refused.value.field == "suffix"


def test_a_suffix_is_part_of_the_context(golden_model: Load) -> None:
    loaded = golden_model("llada")
    engine = make_engine(loaded, num_pages=10_000)
    room = loaded.info.max_model_len - len(PROMPT)
    for suffix, params, field, said in (
        ((1,) * (room - GAP + 1), {}, "max_tokens", f"and the suffix {room - GAP + 1}"),
        ((1,) * room, {}, "suffix", "at least one must be left for the answer"),
        ((loaded.info.vocab_size,), {}, "suffix", "outside the vocabulary"),
    ):
        with pytest.raises(InvalidRequest, match=said) as refused:
            engine.check(request(suffix=suffix, **params))
        assert refused.value.field == field
    engine.check(request(suffix=(1,) * (room - GAP)))
