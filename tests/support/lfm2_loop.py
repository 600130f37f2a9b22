"""Reference loop of DUO's block sampler, after Liquid AI's `lfm_diffusion`, on `Reference`.

Everything is over the whole vocabulary and in float64; the random numbers are the server's, so that
tokens can be compared one by one.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.lfm2 import BLOCK_LENGTH, Reference
from unmask_kernels.philox import gumbel_noise, noise_tokens, noise_uniform

EPS, SIGMA_FLOOR = 1e-3, 0.7


@dataclass(frozen=True)
class Settings:
    """Settings of a request; `t_max`, `t_min` and `rho` are those of the published presets."""

    seed: int = 0
    steps: int = 8
    temperature: float = 1.0
    top_k: int | None = None
    t_max: float = 0.8
    t_min: float = 0.4
    rho: float = 0.3


def alpha(time: Tensor) -> Tensor:
    """Share of signal."""
    return 1.0 - (1.0 - EPS) * time


def posterior(p: Tensor, held: Tensor, before: Tensor, after: Tensor) -> Tensor:
    """Chances [L, V] of the next token, of p [L, V] and the tokens `held` [L], as published."""
    vocab_size = p.shape[1]
    ratio, one_hot = before / after, F.one_hot(held, vocab_size).double()
    numerator = (
        before * vocab_size * p * one_hot
        + (ratio - before) * one_hot
        + (after - before) * p
        + (1 - ratio) * (1 - after) / vocab_size
    )
    return numerator / (before * vocab_size * p.gather(1, held[:, None]) + 1 - before)


def answer(
    reference: Reference, prompt: tuple[int, ...], num_tokens: int, settings: Settings
) -> tuple[list[int], list[Tensor]]:
    """Tokens after a prompt, and log-probabilities [L, V] of the last pass over each block."""
    tokens, logprobs = torch.tensor(prompt), []
    while len(tokens) < len(prompt) + num_tokens:
        block, last = _block(reference, tokens, settings)
        tokens = torch.cat((tokens, block))
        logprobs.append(last)
    return tokens[len(prompt) :][:num_tokens].tolist(), logprobs


def _block(reference: Reference, tokens: Tensor, s: Settings) -> tuple[Tensor, Tensor]:
    start, vocab_size = len(tokens), len(reference.embedding)
    positions = torch.arange(start, start + BLOCK_LENGTH)

    def keys(step: int) -> tuple[Tensor, Tensor, Tensor]:
        return torch.full_like(positions, s.seed), positions, torch.full_like(positions, step)

    times = EPS + (1 - EPS) * torch.linspace(1, 0, s.steps, dtype=torch.float64) ** s.rho
    held, soft = noise_tokens(*keys(0), vocab_size), None
    for step in range(s.steps):
        is_last = step == s.steps - 1
        before = alpha(times[step])
        after = torch.tensor(1.0) if is_last else alpha(times[step + 1])
        if is_last:
            before = before.clamp_max(math.exp(-SIGMA_FLOOR))
        share = 1.0 if is_last else step / max(s.steps - 2, 1)
        temperature = s.t_max + share * (s.t_min - s.t_max)
        logits = reference.logits(torch.cat((tokens, held)), start, -math.log(before), soft)
        scaled = logits / temperature
        soft = scaled.softmax(-1) @ reference.embedding
        if s.top_k is not None:
            least = logits.topk(s.top_k).values[:, -1:]
            scaled = scaled.masked_fill(logits < least, -torch.inf)
        noise = s.temperature * gumbel_noise(*keys(step), vocab_size)
        drawn = (scaled + noise).argmax(-1)
        if not s.temperature:
            held = drawn
            continue
        p = scaled.double().softmax(-1)
        # The first cut of the unit line is the token itself, the next a draw, the rest is noise.
        chances = before * vocab_size * p.gather(1, held[:, None])[:, 0] + before / after - before
        total = chances + after - before + (1 - before / after) * (1 - after)
        mark = noise_uniform(*keys(step + 1)) * total
        random = noise_tokens(*keys(step + 1), vocab_size)
        fresh = torch.where(mark < chances + after - before, drawn, random)
        held = torch.where(mark < chances, held, fresh)
    return held, logits.log_softmax(-1)
