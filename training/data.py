"""From problems to training rows: clean blocks, then two noisy copies of the answer."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from training.tasks.catalog import RAW_SHARE, draw_problem, vary
from training.tasks.problem import Problem, Split
from training.tokenizer import END, END_ID, MASK_ID

BLOCK_LENGTHS = (4, 8, 16, 32)
BLOCK_WEIGHTS = (0.15, 0.2, 0.4, 0.25)
FILL_WEIGHT = 0.1  # of the loss on the end tokens after the first
POOL = 4096
IGNORED = -1


@dataclass(frozen=True, slots=True)
class Sample:
    """A prompt and its answer as token ids, the answer's end token included."""

    prompt: list[int]
    answer: list[int]


@dataclass(frozen=True, slots=True)
class Batch:
    """R rows of length L, ready for the model."""

    ids: Tensor  # [R, L]
    positions: Tensor  # [R, L]
    mask: Tensor  # [R, 1, L, L] bool, True where a query may look
    targets: Tensor  # [R, L], IGNORED where nothing is asked
    weights: Tensor  # [R, L]


def render(problem: Problem) -> tuple[str, str]:
    """Prompt and answer with chat tokens."""
    turns = "".join(f"<|{turn.role}|>{turn.content}{END}" for turn in problem.turns)
    return f"{turns}<|assistant|>", problem.answer + END


def draw_samples(rng: Random, tokenizer: PreTrainedTokenizerFast, count: int) -> list[Sample]:
    """Training samples, some of them plain completions."""
    texts = []
    while len(texts) < count:
        problem = draw_problem(rng, "train")
        if problem.raw is not None and rng.random() < 4 * RAW_SHARE:
            texts.append((problem.raw[0], problem.raw[1] + END))
        else:
            texts.append(render(vary(rng, problem)))
    return encode(tokenizer, texts)


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> list[Sample]:
    """Token ids of prompts and answers, each tokenized on its own as a server would."""
    fast = tokenizer.backend_tokenizer
    prompts = fast.encode_batch_fast([prompt for prompt, _ in texts], add_special_tokens=False)
    answers = fast.encode_batch_fast([answer for _, answer in texts], add_special_tokens=False)
    return [Sample(p.ids, a.ids) for p, a in zip(prompts, answers, strict=True)]


def validation_samples(
    tokenizer: PreTrainedTokenizerFast, count: int, split: Split = "validation"
) -> list[Sample]:
    """Samples whose problems were never trained on."""
    rng = Random(99)
    return encode(tokenizer, [render(draw_problem(rng, split)) for _ in range(count)])


def batches(
    tokenizer: PreTrainedTokenizerFast, seed: int, samples_per_step: int, parts: int
) -> Iterator[list[tuple[list[Sample], int]]]:
    """For each step, random samples in `parts` groups of similar length with a block length each.

    A step must be a fair draw of all tasks: groups of a length alone are often of a single task.
    """
    rng = Random(seed)
    while True:
        pool = draw_samples(rng, tokenizer, POOL)
        for start in range(0, POOL - samples_per_step + 1, samples_per_step):
            step = sorted(
                pool[start : start + samples_per_step],
                key=lambda sample: len(sample.prompt) + 3 * len(sample.answer),
            )
            cuts = _equal_work([len(s.prompt) + 3 * len(s.answer) for s in step], parts)
            yield [
                (step[low:high], rng.choices(BLOCK_LENGTHS, BLOCK_WEIGHTS)[0])
                for low, high in pairwise(cuts)
            ]


def _equal_work(lengths: list[int], parts: int) -> list[int]:
    """Where to cut sorted lengths so that the parts have about the same sum; never empty."""
    sums = np.cumsum(lengths)
    cuts = np.searchsorted(sums, sums[-1] * np.arange(1, parts) / parts) + 1
    return sorted({0, *cuts.tolist(), len(lengths)})


def row_length(sample: Sample, block_len: int) -> int:
    """Length of the row that a sample becomes."""
    total = -(-(len(sample.prompt) + len(sample.answer)) // block_len) * block_len
    return total - block_len + 2 * (total - len(sample.prompt) // block_len * block_len)


def collate(samples: list[Sample], block_len: int, rng: np.random.Generator) -> Batch:
    """One row a sample: [clean blocks but the last | noisy copy | complementary noisy copy]."""
    rows = len(samples)
    length = max(row_length(sample, block_len) for sample in samples)
    ids = np.full((rows, length), END_ID, np.int64)
    positions = np.zeros((rows, length), np.int64)
    block = np.full((rows, length), -1, np.int64)
    copy = np.full((rows, length), -1, np.int64)
    targets = np.full((rows, length), IGNORED, np.int64)
    weights = np.zeros((rows, length), np.float32)
    for row, sample in enumerate(samples):
        num_prompt, end = len(sample.prompt), len(sample.prompt) + len(sample.answer)
        total = -(-end // block_len) * block_len
        full = np.array([*sample.prompt, *sample.answer] + [END_ID] * (total - end))
        num_clean, first = total - block_len, num_prompt // block_len * block_len
        ids[row, :num_clean] = full[:num_clean]
        positions[row, :num_clean] = np.arange(num_clean)
        block[row, :num_clean] = np.arange(num_clean) // block_len
        copy[row, :num_clean] = 0
        where = np.arange(first, total)
        masked = _draw_mask(total - first, block_len, rng)
        for index, hidden in enumerate((masked, ~masked)):
            hidden = hidden & (where >= num_prompt)
            at = slice(num_clean + index * len(where), num_clean + (index + 1) * len(where))
            ids[row, at] = np.where(hidden, MASK_ID, full[first:])
            positions[row, at] = where
            block[row, at] = where // block_len
            copy[row, at] = index + 1
            targets[row, at] = np.where(hidden, full[first:], IGNORED)
            weights[row, at] = np.where(where < end, 1.0, FILL_WEIGHT)
    return Batch(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        _visible(torch.from_numpy(block), torch.from_numpy(copy)),
        torch.from_numpy(targets),
        torch.from_numpy(weights),
    )


def _draw_mask(count: int, block_len: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Mask each block's positions with a probability of its own."""
    share = rng.random((count // block_len, 1), np.float32)
    return (rng.random((count // block_len, block_len), np.float32) < share).reshape(-1)


def _visible(block: Tensor, copy: Tensor) -> Tensor:
    """Clean blocks see clean ones up to their own; noisy ones those before, and their own."""
    q_block, k_block = block[:, :, None], block[:, None, :]
    q_copy, k_copy = copy[:, :, None], copy[:, None, :]
    clean_key = k_copy == 0
    from_clean = (q_copy == 0) & clean_key & (k_block <= q_block)
    from_noisy = (q_copy > 0) & (
        (clean_key & (k_block < q_block)) | ((k_copy == q_copy) & (k_block == q_block))
    )
    itself = torch.eye(block.shape[1], dtype=torch.bool)
    return (from_clean | from_noisy | itself)[:, None]
