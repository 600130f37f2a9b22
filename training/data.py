"""Training rows from problems: clean blocks, then two noisy copies of the answer."""

import re
import signal
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info
from transformers import PreTrainedTokenizerFast

from training.tasks.catalog import RAW_SHARE, draw_problem, vary
from training.tasks.problem import Problem, Split
from training.tokenizer import END, END_ID, MASK_ID, load
from training.tool_prompt import turns_with_tools

RAW_FORMS = (("Question: ", "Answer:\n"), ("Q: ", "A: "), ("", ""), ("User: ", "Assistant: "))
BLOCK_LENGTHS = (4, 8, 16, 32)
BLOCK_WEIGHTS = (0.2, 0.25, 0.4, 0.15)
FILL_WEIGHT = 0.1  # of the loss on the end tokens after the first
# A token of an answer weighs less the longer it is, or short answers would hardly count.
USUAL_ANSWER, LENGTH_POWER = 24, 0.6
DRAWN_AT_ONCE = 256  # samples; a worker that draws many keeps a GPU waiting for them
AGAIN_AFTER = 4096  # samples, when one is laid out once more, with other holes
PREFETCHED = 3  # batches of each worker
IGNORED = -1
NOT_CLEAN = 32_000  # above every block number
ROW_LENGTHS = (256, 384, 576)
SMALLEST_SEGMENT = 16
NUM_OPEN_ROWS = 24
HOLES_SHARE = 0.2  # of the samples, with one hole a block that has text on both sides
WHOLE_SHARE = 0.04  # of the samples, whose prompt is hidden as their answer is
ROOMY_SHARE = 0.12  # of the samples, whose answer is given but for one hole with room to spare
MOST_WORDS, MOST_SPARE = 6, 8  # pieces of text in such a hole; end tokens behind them
SPARE_WEIGHT = 0.3  # of the loss on those after the first
PIECE = re.compile(r"\s+|\w+|[^\w\s]")
ASKED_UNIT = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """Prompt and answer as token ids; the answer includes its end token.

    `hole` is the part [start, end) of the answer that is asked for, its end tokens included.
    """

    prompt: list[int]
    answer: list[int]
    hole: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """R rows of length L, of which A positions are asked for.

    A query sees the keys of its segment that `mask` says. A is a multiple of ASKED_UNIT, so that
    shapes are few; what fills it up weighs nothing.
    """

    ids: Tensor  # [R, L] int16, as all up to the targets: shared memory may be small
    positions: Tensor  # [R, L]
    blocks: Tensor  # [R, L], as in `Segment`
    limits: Tensor  # [R, L]
    groups: Tensor  # [R, L]
    segments: Tensor  # [R, L], from 1; 0 in the padding, which only sees itself
    targets: Tensor  # [R, L], IGNORED where nothing is asked
    asked: Tensor  # [A] places of targets in the flattened rows
    weights: Tensor  # [A]
    weight: float  # their sum
    num_samples: int

    def to(self, device: torch.device) -> "Batch":
        """The same batch on a device; from pinned memory the host does not wait for it."""
        return self._map(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in memory that a GPU reads by itself, as a data loader asks for it."""
        return self._map(Tensor.pin_memory)

    def _map(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        changed = {k: change(v) for k, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **(values | changed))

    @property
    def mask(self) -> Tensor:
        """Bool [R, 1, L, L], True where a query may look."""
        groups, segments = self.groups[:, :, None], self.segments[:, :, None]
        visible = self.blocks[:, None, :] < self.limits[:, :, None]
        visible |= (self.groups[:, None, :] == groups) & (groups > 0)
        visible &= self.segments[:, None, :] == segments
        visible |= (self.segments[:, None, :] == 0) & (segments == 0)
        return visible[:, None]


@dataclass(frozen=True, slots=True)
class Segment:
    """Sample laid out as [clean blocks but the last | noisy copy | complementary noisy copy].

    A query sees clean keys of blocks below its `limit`, and all keys of its `group`.
    """

    ids: npt.NDArray[np.int16]  # [L]
    positions: npt.NDArray[np.int16]  # [L]
    blocks: npt.NDArray[np.int16]  # [L] of clean keys; NOT_CLEAN in the copies
    limits: npt.NDArray[np.int16]  # [L]
    groups: npt.NDArray[np.int16]  # [L] one number a copy and block; 0 in the clean part
    targets: npt.NDArray[np.int16]  # [L] IGNORED where nothing is asked
    weights: npt.NDArray[np.float32]  # [L]


def render(problem: Problem) -> tuple[str, str]:
    """Prompt and answer with chat tokens."""
    turns = "".join(
        f"<|{turn.role}|>{turn.content}{END}"
        for turn in turns_with_tools(problem.turns, problem.tools)
    )
    return f"{turns}<|assistant|>", problem.answer + END


def draw_samples(rng: Random, tokenizer: PreTrainedTokenizerFast, count: int) -> list[Sample]:
    """Training samples; some of them are plain completions, or text that is hidden anywhere."""
    texts: list[tuple[str, str]] = []
    while len(texts) < count:
        problem = draw_problem(rng, "train", rewords=True)
        if problem.tools or rng.random() >= RAW_SHARE + WHOLE_SHARE:
            texts.append(render(vary(rng, problem)))
            continue
        prompt, continuation = render_raw(rng, problem)
        is_whole = rng.random() < WHOLE_SHARE / (RAW_SHARE + WHOLE_SHARE)
        texts.append(("", prompt + continuation) if is_whole else (prompt, continuation))
    num_roomy = sum(rng.random() < ROOMY_SHARE for _ in texts)
    roomy = [with_hole(rng, tokenizer, *text) for text in texts[:num_roomy]]
    return encode(tokenizer, texts[num_roomy:]) + roomy


def with_hole(rng: Random, tokenizer: PreTrainedTokenizerFast, prompt: str, answer: str) -> Sample:
    """A sample that asks for a few words of an answer, in a hole that may be longer than they are.

    Texts before and behind a hole are tokenized by themselves, as in a server; what is left of a
    hole is end tokens.
    """
    pieces = PIECE.findall(answer.removesuffix(END))
    first = rng.randrange(max(len(pieces), 1))
    last = min(first + rng.randint(1, MOST_WORDS), len(pieces))
    ends = "".join(pieces[last:]) + (END if answer.endswith(END) else "")
    texts = (prompt, "".join(pieces[:first]), "".join(pieces[first:last]), ends)
    fast = tokenizer.backend_tokenizer
    ids = [part.ids for part in fast.encode_batch_fast(list(texts), add_special_tokens=False)]
    start, hole = len(ids[1]), [*ids[2], *[END_ID] * rng.randint(0, MOST_SPARE)]
    return Sample(ids[0], [*ids[1], *hole, *ids[3]], (start, start + len(hole)))


def render_raw(rng: Random, problem: Problem) -> tuple[str, str]:
    """Prompt and continuation without chat tokens: its own, or a question and its answer."""
    if problem.raw is not None and rng.random() < 0.5:
        return problem.raw[0], problem.raw[1] + END
    asked = "\n".join(turn.content for turn in problem.turns)
    opening, answer = rng.choice(RAW_FORMS)
    return f"{opening}{asked}\n{answer}", problem.answer + END


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> list[Sample]:
    """Token ids of prompts and answers, tokenized separately as in a server."""
    fast = tokenizer.backend_tokenizer
    prompts = fast.encode_batch_fast([prompt for prompt, _ in texts], add_special_tokens=False)
    answers = fast.encode_batch_fast([answer for _, answer in texts], add_special_tokens=False)
    return [Sample(p.ids, a.ids) for p, a in zip(prompts, answers, strict=True)]


def validation_samples(
    tokenizer: PreTrainedTokenizerFast, count: int, split: Split = "validation"
) -> list[Sample]:
    """Samples of the validation split."""
    rng = Random(99)
    return encode(tokenizer, [render(draw_problem(rng, split)) for _ in range(count)])


class Batches(IterableDataset[Batch]):
    """Endless batches of random samples in few fixed shapes, each of `part_tokens` positions.

    A batch must sample all tasks fairly: samples grouped by length are often of one task. The
    number of shapes is small because oneDNN and the compiler spend milliseconds on each new one.
    Each worker of a data loader draws samples of its own.
    """

    def __init__(self, seed: int, part_tokens: int) -> None:
        self.seed, self.part_tokens = seed, part_tokens

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        seed = self.seed if worker is None else worker.seed % 2**32
        waiting: dict[int, list[list[Segment]]] = {length: [] for length in ROW_LENGTHS}
        for row in pack(draw_segments(seed), ROW_LENGTHS):
            length = fitting_length(row)
            waiting[length].append(row)
            if len(waiting[length]) == self.part_tokens // length:
                yield collate(waiting[length], length)
                waiting[length] = []


def draw_segments(seed: int) -> Iterator[Segment]:
    """Endless random samples, each laid out twice with random holes and block lengths.

    The second time is much later. To draw and to encode samples costs far more than to lay them
    out, and other holes make other lessons.
    """
    tokenizer, rng, noise = load(), Random(seed), np.random.default_rng(seed)
    before: list[Sample] = []
    while True:
        samples = draw_samples(rng, tokenizer, DRAWN_AT_ONCE)
        before += samples
        if len(before) > AGAIN_AFTER:
            samples = [*samples, *before[:DRAWN_AT_ONCE]]
            del before[:DRAWN_AT_ONCE]
            rng.shuffle(samples)
        block_lens = rng.choices(BLOCK_LENGTHS, BLOCK_WEIGHTS, k=len(samples))
        for sample, block_len in zip(samples, block_lens, strict=True):
            yield lay_out(sample, block_len, noise)


def batches(
    seed: int, part_tokens: int, parts_per_step: int, workers: int = 0
) -> Iterator[list[Batch]]:
    """The parts of each step, drawn in this process or by `workers` others.

    The others draw on when a signal tells all processes of a group to stop: the last step needs
    them, and they end with this process.
    """
    torch.manual_seed(seed)  # from which a loader seeds its workers
    source = iter(
        DataLoader(
            Batches(seed, part_tokens),
            batch_size=None,
            num_workers=workers,
            prefetch_factor=PREFETCHED if workers else None,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=_ignore_stops,
        )
    )
    while True:
        yield [next(source) for _ in range(parts_per_step)]


def _ignore_stops(_: int) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def fitting_length(row: list[Segment]) -> int:
    """Smallest row length that holds all segments."""
    total = sum(len(segment.ids) for segment in row)
    return next(length for length in ROW_LENGTHS if length >= total)


def pack(segments: Iterable[Segment], lengths: tuple[int, ...]) -> Iterator[list[Segment]]:
    """First-fit packing of segments into rows of the smallest length.

    A segment that is too long starts a longer row, which other segments then fill.
    """
    open_rows: list[list[Segment]] = []
    room: list[int] = []
    for segment in segments:
        size = len(segment.ids)
        if size > lengths[-1]:
            continue  # one in many thousands
        at = next((i for i, free in enumerate(room) if free >= size), None)
        if at is None:
            open_rows.append([])
            room.append(next(length for length in lengths if length >= size))
            at = len(room) - 1
        open_rows[at].append(segment)
        room[at] -= size
        if room[at] < SMALLEST_SEGMENT or len(room) > NUM_OPEN_ROWS:
            fullest = room.index(min(room))
            room.pop(fullest)
            yield open_rows.pop(fullest)
    yield from open_rows


def lay_out(sample: Sample, block_len: int, rng: np.random.Generator) -> Segment:
    """Hide complementary parts of the answer in two copies."""
    num_prompt, end = len(sample.prompt), len(sample.prompt) + len(sample.answer)
    total = -(-end // block_len) * block_len
    num_clean, first = total - block_len, num_prompt // block_len * block_len
    full = np.array([*sample.prompt, *sample.answer] + [END_ID] * (total - end), np.int16)
    where = np.arange(total, dtype=np.int16)
    block = where // np.int16(block_len)
    answered = where[first:] >= num_prompt
    twice = np.concatenate((full[first:], full[first:]))
    draw_mask = _draw_holes if rng.random() < HOLES_SHARE else _draw_mask
    masked = draw_mask(total - first, block_len, rng)
    hidden = np.concatenate((masked & answered, ~masked & answered))
    spare = np.zeros_like(hidden)
    if sample.hole is not None:
        in_hole = np.zeros_like(answered)
        in_hole[num_prompt - first + sample.hole[0] : num_prompt - first + sample.hole[1]] = True
        hidden = np.concatenate((in_hole, in_hole & masked))
        spare = np.concatenate(
            (np.zeros(1, np.bool_), (twice[1:] == END_ID) & (twice[:-1] == END_ID))
        )
    clean = np.zeros(num_clean, np.int16)
    copies = np.concatenate((block[first:] * 2 + 1, block[first:] * 2 + 2))
    answer_blocks = np.concatenate((block[first:], block[first:]))
    fill = np.concatenate((where[first:], where[first:])) >= end
    asked_start, asked_end = sample.hole or (0, len(sample.answer))
    weight = (USUAL_ANSWER / (asked_end - asked_start)) ** LENGTH_POWER
    return Segment(
        ids=np.concatenate((full[:num_clean], np.where(hidden, np.int16(MASK_ID), twice))),
        positions=np.concatenate((where[:num_clean], where[first:], where[first:])),
        blocks=np.concatenate((block[:num_clean], np.full_like(answer_blocks, NOT_CLEAN))),
        limits=np.concatenate((block[:num_clean] + np.int16(1), answer_blocks)),
        groups=np.concatenate((clean, copies)),
        targets=np.concatenate((clean + np.int16(IGNORED), np.where(hidden, twice, IGNORED))),
        weights=np.concatenate(
            (clean, weight * np.where(fill, FILL_WEIGHT, np.where(spare, SPARE_WEIGHT, 1.0))),
            dtype=np.float32,
        ),
    )


def collate(rows: list[list[Segment]], length: int) -> Batch:
    """Segments side by side in rows of `length`; segments of a row do not attend to each other."""
    shape = (len(rows), length)
    ids, targets = np.full(shape, END_ID, np.int16), np.full(shape, IGNORED, np.int16)
    positions, segment_of, blocks, limits, groups = (np.zeros(shape, np.int16) for _ in range(5))
    weights = np.zeros(shape, np.float32)
    for row, segments in enumerate(rows):
        start = 0
        for index, segment in enumerate(segments):
            at = row, slice(start, start := start + len(segment.ids))
            ids[at], positions[at] = segment.ids, segment.positions
            blocks[at], limits[at], groups[at] = segment.blocks, segment.limits, segment.groups
            targets[at], weights[at] = segment.targets, segment.weights
            segment_of[at] = index + 1
    asked = np.flatnonzero(targets != IGNORED)
    asked_weights = weights.reshape(-1)[asked]
    fill = -len(asked) % ASKED_UNIT
    asked, asked_weights = np.pad(asked, (0, fill)), np.pad(asked_weights, (0, fill))
    return Batch(
        ids=torch.from_numpy(ids),
        positions=torch.from_numpy(positions),
        blocks=torch.from_numpy(blocks),
        limits=torch.from_numpy(limits),
        groups=torch.from_numpy(groups),
        segments=torch.from_numpy(segment_of),
        targets=torch.from_numpy(targets),
        asked=torch.from_numpy(asked),
        weights=torch.from_numpy(asked_weights),
        weight=float(asked_weights.sum()),
        num_samples=sum(map(len, rows)),
    )


def _draw_mask(count: int, block_len: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Random mask with a masking probability for each block."""
    share = rng.random((count // block_len, 1), np.float32)
    return (rng.random((count // block_len, block_len), np.float32) < share).reshape(-1)


def _draw_holes(count: int, block_len: int, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """Random mask with one hole in each block."""
    num_blocks = count // block_len
    size = rng.integers(1, block_len + 1, (num_blocks, 1))
    start = (rng.random((num_blocks, 1)) * (block_len + 1 - size)).astype(np.int64)
    where = np.arange(block_len)
    return ((where >= start) & (where < start + size)).reshape(-1)
