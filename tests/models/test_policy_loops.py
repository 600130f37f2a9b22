"""Policies fill positions in the order of their authors' loops, in any company."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import company
from tests.support.policy_loops import (
    Credit,
    Klass,
    chance,
    hierarchy,
    local_leap,
    ranked,
    write,
)
from unmask.models.registry import LoadedModel
from unmask.types import PolicyName, RefinementOptions, Request, SamplingParams
from unmask_kernels.philox import position_noise

Load = Callable[[str], LoadedModel]
PROMPTS = ((9, 41, 77, 5, 300), (12, 32, 510, 57, 23, 12, 32, 8), (7,))
NUM_TOKENS, BLOCK_LEN, SEED = 48, 16, 2**40 + 3


def even(steps: int) -> tuple[int, ...]:
    """Quotas of a block's steps as in LLaDA's `get_num_transfer_tokens`."""
    return tuple(BLOCK_LEN // steps + (i < BLOCK_LEN % steps) for i in range(steps))


def timed(num_masked: int, steps: int, eps: float) -> tuple[int, ...]:
    """Quotas of the steps that fill something, as in Dream's loop."""
    times, quotas = torch.linspace(1, eps, steps + 1), []
    for i in range(steps):
        share = int(num_masked * (1 - times[i + 1] / times[i])) if i < steps - 1 else num_masked
        quotas.append(share)
        num_masked -= share
    return tuple(quota for quota in quotas if quota)


def noise_of_block(first: int) -> Callable[[Tensor, int], Tensor]:
    """Noise of the positions of a block in a step."""

    def noise(sure: Tensor, step: int) -> Tensor:
        positions = torch.arange(first, first + len(sure))
        seeds, steps = (torch.full_like(positions, number) for number in (SEED, step))
        return position_noise(seeds, positions, steps).double()

    return noise


def answers_of(
    loaded: LoadedModel, params: SamplingParams, prompts: tuple[tuple[int, ...], ...]
) -> list[tuple[list[int], int]]:
    """Tokens and denoising steps of requests that run among others, and of each alone."""
    requests = [
        Request(f"r{i}", prompt, params, RefinementOptions(tokens=True) if i == 1 else None)
        for i, prompt in enumerate(prompts)
    ]
    others = company(loaded, 5, seed=8)
    engine = make_engine(loaded, overlap=True, graphs=False, max_num_seqs=6, num_pages=60)
    together = run_all(engine, [*requests, *others])
    found = []
    for request in requests:
        answer, alone = together[request.request_id], run_alone(loaded, request)
        assert answer.essence == alone.essence
        assert answer.finish is not None
        found.append((answer.token_ids, answer.finish.usage.denoising_steps))
    return found


# A confidence that many of a family's tokens have, and one that few have.
SURE = {"llada": (0.35, 0.6), "dream": (0.25, 0.6), "sdar": (0.55, 0.75)}


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("policy", "names", "loop"),
    [
        ("hierarchical", ("low_threshold", "threshold"), hierarchy),
        ("local_leap", ("relaxed_threshold", "threshold", "radius"), local_leap),
    ],
)
@pytest.mark.parametrize("folder", SURE)
def test_tokens_are_those_of_the_published_loop(
    golden_model: Load, folder: str, policy: PolicyName, names: tuple[str, ...], loop: Any
) -> None:
    loaded = golden_model(folder)
    numbers = dict(zip(names, (*SURE[folder], 2), strict=False))
    usual = SamplingParams(max_tokens=NUM_TOKENS, block_length=BLOCK_LEN, ignore_eos=True)
    sampling = replace(usual, policy=policy, **numbers)
    found = answers_of(loaded, sampling, PROMPTS)
    plain = answers_of(loaded, replace(usual, threshold=numbers["threshold"]), PROMPTS)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        written = write(loaded, prompt, NUM_TOKENS, BLOCK_LEN, loop(**numbers))
        assert answer == (written.tokens, written.forwards)
        assert written.forwards > NUM_TOKENS // BLOCK_LEN
    # The second number has let something through that the first alone would not.
    assert sum(steps for _, steps in found) < sum(steps for _, steps in plain)


def klass_of(folder: str) -> tuple[dict[str, Any], Klass]:
    numbers = {"threshold": SURE[folder][0], "kl_threshold": 0.3}
    return {"policy": "klass", **numbers}, Klass(**numbers)


def credit_of(folder: str) -> tuple[dict[str, Any], Credit]:
    return {"policy": "credit", "threshold": SURE[folder][1]}, Credit(SURE[folder][1])


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("kind", [klass_of, credit_of])
@pytest.mark.parametrize("folder", SURE)
def test_policies_that_remember_steps_write_as_the_published_loop(
    golden_model: Load, folder: str, kind: Callable[[str], tuple[dict[str, Any], Klass | Credit]]
) -> None:
    loaded = golden_model(folder)
    params, loop = kind(folder)
    usual = SamplingParams(max_tokens=NUM_TOKENS, block_length=BLOCK_LEN, ignore_eos=True)
    found = answers_of(loaded, replace(usual, temperature=0.0, **params), PROMPTS)
    for prompt, answer in zip(PROMPTS, found, strict=True):
        written = write(loaded, prompt, NUM_TOKENS, BLOCK_LEN, loop.pick, loop.change)
        assert answer == (written.tokens, written.forwards)
        assert NUM_TOKENS > written.forwards > NUM_TOKENS // BLOCK_LEN
    # Credits and stability have let something through, or kept something back.
    plain = answers_of(loaded, replace(usual, threshold=params["threshold"]), PROMPTS)
    assert [steps for _, steps in found] != [steps for _, steps in plain]


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    ("folder", "params", "quotas", "weight"),
    [
        ("llada", {"policy": "random", "steps": 5}, even(5), None),
        ("llada", {"policy": "low_confidence", "alg_temp": 0.01, "steps": 16}, even(16), 0.01),
        ("dream", {"policy": "random", "steps": 7}, timed(BLOCK_LEN, 7, 1e-3), None),
        ("dream", {"policy": "low_confidence", "eps": 0.3}, timed(BLOCK_LEN, BLOCK_LEN, 0.3), 0.0),
        (
            "dream",
            {"policy": "low_confidence", "steps": 6, "alg_temp": 0.02, "eps": 0.1},
            timed(BLOCK_LEN, 6, 0.1),
            0.02,
        ),
    ],
)
def test_tokens_are_those_of_a_loop_with_the_same_random_numbers(
    golden_model: Load,
    folder: str,
    params: dict[str, Any],
    quotas: tuple[int, ...],
    weight: float | None,
) -> None:
    """A block at a time, as the noise depends on positions."""
    loaded, prompt = golden_model(folder), PROMPTS[0]
    sampling = SamplingParams(
        max_tokens=BLOCK_LEN, block_length=BLOCK_LEN, ignore_eos=True, seed=SEED, **params
    )
    noise = noise_of_block(len(prompt))

    def key(sure: Tensor, step: int) -> Tensor:
        return noise(sure, step) if weight is None else sure + weight * noise(sure, step)

    written = write(loaded, prompt, BLOCK_LEN, BLOCK_LEN, ranked(quotas, key))
    [(tokens, steps)] = answers_of(loaded, sampling, (prompt,))
    assert (tokens, steps) == (written.tokens, len(quotas))
    other = answers_of(loaded, replace(sampling, seed=SEED + 1), (prompt,))
    assert (other[0][0] == tokens) == (weight == 0.0)


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize(
    ("folder", "params", "eps"),
    [
        ("dream", {"steps": 7}, 1e-3),
        ("dream", {"steps": 24, "eps": 0.2}, 0.2),
        ("llada", {"steps": 5}, 0.0),
        ("sdar", {"steps": 6}, 0.0),
        ("sdar", {}, 0.0),
    ],
)
def test_positions_are_filled_by_chance_as_times_fall(
    golden_model: Load, folder: str, params: dict[str, Any], eps: float
) -> None:
    """A block at a time, as the noise depends on positions."""
    loaded, prompt = golden_model(folder), PROMPTS[0] * 16
    sampling = SamplingParams(
        max_tokens=BLOCK_LEN,
        block_length=BLOCK_LEN,
        ignore_eos=True,
        seed=SEED,
        policy="ancestral",
        **params,
    )
    noise = noise_of_block(len(prompt))
    times = torch.linspace(1, eps, params.get("steps", BLOCK_LEN) + 1).double()
    pick = chance(times, lambda sure, step: (-(-noise(sure, step)).exp()).exp())
    written = write(loaded, prompt, BLOCK_LEN, BLOCK_LEN, pick)
    [(tokens, steps)] = answers_of(loaded, sampling, (prompt,))
    assert (tokens, steps) == (written.tokens, written.forwards)
    assert steps > 2
