"""DiffusionGemma's sampler against transformers', with its draws and in distribution."""

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers.models.diffusion_gemma")

from transformers.models.diffusion_gemma import (
    DiffusionGemmaForBlockDiffusion,
    EntropyBoundSamplerConfig,
)

from tests.support.canvas_loop import Job, PhiloxDraws, run
from tests.support.canvases import Forward, load
from tests.support.gemma import make_reference, save
from unmask.types import CanvasSchedule


@pytest.fixture(autouse=True)
def _no_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables the reference's CUDA graph marks, which would load a compiler."""
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)


def generate(
    reference: DiffusionGemmaForBlockDiffusion,
    prompts: Tensor,
    schedule: CanvasSchedule,
    num_canvases: int,
) -> tuple[Tensor, Tensor]:
    """Answers [N, n] of transformers to prompts [N, m], and their tokens per forward [N]."""
    out = reference.generate(
        prompts,
        max_new_tokens=num_canvases * reference.config.canvas_length,
        max_denoising_steps=schedule.steps,
        sampler_config=EntropyBoundSamplerConfig(schedule.entropy_bound),
        t_min=schedule.t_min,
        t_max=schedule.t_max,
        stability_threshold=schedule.stability,
        confidence_threshold=schedule.confidence,
    )
    return out.sequences[:, prompts.shape[1] :], out.tokens_per_forward


class Recorded:
    """Draws of transformers for one request, in order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, width: int) -> None:
        self.width = width
        self._gumbel: list[Tensor] = []
        self._tokens: list[Tensor] = []
        self._keys: dict[str, list[tuple[int, int]]] = {"gumbel": [], "tokens": []}
        multinomial, randint = torch.multinomial, torch.randint

        def drawing(probs: Tensor, num_samples: int) -> Tensor:
            state = torch.get_rng_state()
            drawn = multinomial(probs, num_samples)
            torch.set_rng_state(state)
            # One sample is drawn as the largest of probabilities over exponential numbers.
            waits = torch.empty_like(probs).exponential_(1)
            assert torch.equal((probs / waits).argmax(-1), drawn[:, 0])
            self._gumbel.append(-waits.log())
            return drawn

        def renoising(**kwargs: object) -> Tensor:
            self._tokens.append(randint(**kwargs)[0])
            return self._tokens[-1][None]

        monkeypatch.setattr(torch, "multinomial", drawing)
        monkeypatch.setattr(torch, "randint", renoising)

    def _next(self, kind: str, start: int, step: int) -> int:
        """Numbers calls by canvas and step: a repeated call gets the same draws."""
        keys = self._keys[kind]
        if (start, step) not in keys:
            keys.append((start, step))
        return keys.index((start, step))

    def gumbel(self, start: int, step: int, first: int, count: int) -> Tensor:
        return self._gumbel[self._next("gumbel", start, step)][:, first : first + count]

    def tokens(self, start: int, step: int) -> Tensor:
        index = self._next("tokens", start, step)
        # The canvas after the last one is begun, and never read.
        return self._tokens[index] if index < len(self._tokens) else torch.zeros(self.width).long()


WIDTH = 16
SCHEDULES = (
    CanvasSchedule(steps=10, entropy_bound=0.4, confidence=0.3),
    CanvasSchedule(steps=6, entropy_bound=1.0, confidence=0.05, t_max=1.2, t_min=0.1),
    CanvasSchedule(steps=12, entropy_bound=0.1, confidence=0.5, stability=2),
    CanvasSchedule(steps=3, entropy_bound=3.0, confidence=5.0, stability=0),
)


def test_with_the_draws_of_the_reference_requests_in_one_step_get_its_tokens(
    tmp_path: Path,
) -> None:
    reference = make_reference(WIDTH, peak=4.0)
    forward = Forward(load(save(reference, tmp_path)))
    generator = torch.Generator().manual_seed(0)
    jobs, expected = [], []
    for i, (schedule, num_prompt) in enumerate(zip(SCHEDULES, (5, 30, 17, 64), strict=True)):
        prompt = torch.randint(2, 96, (num_prompt,), generator=generator)
        torch.manual_seed(i)
        with pytest.MonkeyPatch.context() as patch:
            draws = Recorded(patch, WIDTH)
            expected.append(generate(reference, prompt[None], schedule, 3))
        jobs.append(Job(prompt, draws, schedule, num_canvases=3, waits=2 * i))
    run(forward, jobs, WIDTH)
    for job, (answer, per_forward) in zip(jobs, expected, strict=True):
        assert job.tokens[-3 * WIDTH :].tolist() == answer[0].tolist()
        assert 3 * WIDTH / job.num_steps == pytest.approx(per_forward.item())
    # Some canvases end early and some do not, or the test would not tell.
    steps = [job.num_steps / (3 * job.schedule.steps) for job in jobs]
    assert min(steps) < 0.5 < max(steps)


NUM_SAMPLES = 2000
TINY = {"vocab_size": 6, "hidden_size": 32, "intermediate_size": 32, "moe_intermediate_size": 16}


def chi_squared_excess(one: Counter, other: Counter) -> float:
    """Standard deviations above chance by which two samples of one size differ.

    Outcomes with counts under 16 are merged; uses Wilson and Hilferty's transformation.
    """
    common = [key for key in one.keys() | other.keys() if one[key] + other[key] >= 16]
    pairs = [(one[key], other[key]) for key in common]
    pairs.append((one.total() - sum(a for a, _ in pairs), other.total() - sum(b for _, b in pairs)))
    statistic = sum((a - b) ** 2 / (a + b) for a, b in pairs if a + b)
    freedom = len(pairs) - 1
    spread = 2 / (9 * freedom)
    return ((statistic / freedom) ** (1 / 3) - (1 - spread)) / spread**0.5


@pytest.mark.exhaustive
def test_answers_are_distributed_as_those_of_the_reference(tmp_path: Path) -> None:
    """Answers and their steps for 2,000 seeds and 2,000 draws of transformers."""
    width = 2
    schedule = CanvasSchedule(steps=4, entropy_bound=0.3, confidence=0.9)
    reference = make_reference(width, peak=2.0, seed=1, **TINY)
    prompt = torch.tensor([3, 5, 2, 4, 1])
    torch.manual_seed(0)
    answers, per_forward = generate(
        reference, prompt.expand(NUM_SAMPLES, -1).contiguous(), schedule, 1
    )
    steps = (width / per_forward).round().int()
    expected = Counter(zip(map(tuple, answers.tolist()), steps.tolist(), strict=True))
    model = load(save(reference, tmp_path))

    def sample(temperature: float) -> Counter:
        jobs = [
            Job(prompt, PhiloxDraws(s, width, 6), schedule, 1, temperature=temperature)
            for s in range(NUM_SAMPLES)
        ]
        run(Forward(model, NUM_SAMPLES), jobs, width)
        return Counter((tuple(job.tokens[-width:].tolist()), job.num_steps) for job in jobs)

    sampled = sample(1.0)
    assert len(sampled) > 20
    assert chi_squared_excess(sampled, expected) < 3.0
    # The comparison would notice draws that are less random.
    assert chi_squared_excess(sample(0.3), expected) > 5.0
