"""LLaDA2.2's loop over a block as a plain loop over positions, from the logits of each step.

A port of the rules in FLX-OSS/FluxServe (python/fluxserve/backend/execution/decoders/llada/
levenshtein.py at 0485806), which its authors compared with those of LLaDA2.2's own file: the mask
token is never a candidate, and a repeated state is changed where it is least confident.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

BLOCK = 32
Rows = list[list[float]]  # logits of each position


@dataclass
class Loop:
    """Block, what the authors' loop keeps of it, and the loop's parameters."""

    tokens: list[int]
    prompt: int
    mask: int
    delete: int
    split: int
    threshold: float = 0.5
    editing_threshold: float = 0.0
    steps: int = 32
    max_post_steps: int = 16
    max_steps: int = 1000
    original: list[bool] = field(init=False)
    initial: int = field(init=False)
    step: int = 0
    post: int = 0
    last: bool = False
    seen: list[list[int]] = field(default_factory=list)
    logprobs: list[float] = field(init=False)  # of each token when it was written

    def __post_init__(self) -> None:
        pairs = enumerate(self.tokens)
        self.original = [token == self.mask and i >= self.prompt for i, token in pairs]
        self.initial = sum(self.original)
        self.logprobs = [0.0] * len(self.tokens)

    def run(self, model: Callable[[list[int]], Rows]) -> int:
        """Steps until the block is final."""
        if self.initial == 0:
            return 0
        while True:
            before = list(self.tokens)
            self.one_step(model(before))
            if self.last or (self.mask not in before[self.prompt :] and self.tokens == before):
                return self.step

    def one_step(self, logits: Rows) -> None:
        before, length = list(self.tokens), len(self.tokens)
        best = [self.best(row, {self.mask}) for row in logits]
        sure = [self.probability(row, token) for row, token in zip(logits, best, strict=True)]
        masks = [i for i in range(self.prompt, length) if before[i] == self.mask]
        firsts = [i for i in masks if self.original[i]]
        self.post = 0 if firsts else self.post + 1
        fill = self.to_fill(masks, len(masks) - len(firsts), sure)
        edit = [
            i
            for i in range(self.prompt, length)
            if i not in masks and best[i] != before[i] and sure[i] > self.editing_threshold
        ]
        if self.max_post_steps == 0:
            self.last = set(firsts) <= set(fill)
        else:
            self.last = self.post >= self.max_post_steps
        if self.step + 1 >= self.max_steps:
            self.last = True
        if self.last:
            fill = masks
            commands = {self.mask, self.delete, self.split}
            best = [self.best(row, commands) for row in logits]
        written = list(before)
        for i in fill + edit:
            written[i] = best[i]
        if not self.last:
            self.escape(before, written, best, sure, logits)
        self.seen.append(list(written))
        for i in range(self.prompt, length):
            if written[i] not in (before[i], self.delete, self.split):
                self.logprobs[i] = math.log(self.probability(logits[i], written[i]))
        self.carry_out(before, written)
        self.step += 1

    def to_fill(self, masks: list[int], num_new: int, sure: list[float]) -> list[int]:
        if self.step >= self.steps:
            return masks
        need = self.initial // self.steps + num_new
        if self.step < self.initial % self.steps:
            need += 1
        high = [i for i in masks if sure[i] > self.threshold]
        if len(high) >= need:
            return high
        return sorted(masks, key=lambda i: (-sure[i], i))[:need]

    def escape(
        self,
        before: list[int],
        written: list[int],
        best: list[int],
        sure: list[float],
        logits: Rows,
    ) -> None:
        for _ in range(5):
            changed = [i for i in range(len(before)) if written[i] != before[i]]
            if written not in self.seen or not changed:
                return
            at = min(changed, key=lambda i: (sure[i], i))
            banned = {self.mask, written[at]}
            written[at] = self.best(logits[at], banned)
            assert written[at] in (best[at], self.best(logits[at], {self.mask, best[at]}))

    def carry_out(self, before: list[int], written: list[int]) -> None:
        tokens: list[int] = []
        original: list[bool] = []
        logprobs: list[float] = []
        for i, token in enumerate(written):
            if i >= self.prompt and token == self.delete:
                continue
            if i >= self.prompt and token == self.split:
                tokens += [self.mask, before[i]]
                original += [False, self.original[i]]
                logprobs += [0.0, self.logprobs[i]]
                continue
            tokens.append(token)
            logprobs.append(self.logprobs[i])
            original.append(self.original[i])
        missing = len(written) - len(tokens)
        self.tokens = (tokens + [self.mask] * missing)[: len(written)]
        self.original = (original + [False] * missing)[: len(written)]
        self.logprobs = (logprobs + [0.0] * missing)[: len(written)]

    @staticmethod
    def best(row: list[float], banned: set[int]) -> int:
        return max((t for t in range(len(row)) if t not in banned), key=lambda t: (row[t], -t))

    def probability(self, row: list[float], token: int) -> float:
        highest = max(row)
        weights = [math.exp(x - highest) for t, x in enumerate(row) if t != self.mask]
        return math.exp(row[token] - highest) / sum(weights)


@dataclass
class Answer:
    """Tokens after the prompt, the forward passes they took, and the commands among candidates.

    `logprobs` are those of each token in the pass that wrote it.
    """

    tokens: list[int]
    forwards: int = 0
    commands: int = 0
    logprobs: list[float] = field(default_factory=list)


def decode(
    model: Callable[[list[int]], Rows],
    prompt: list[int],
    length: int,
    ids: tuple[int, int, int],
    **settings: Any,
) -> Answer:
    """Answer block by block; `model` gives the logits of all tokens so far.

    `ids` are the mask token, DELETE and SPLIT, `settings` the fields of `Loop`.
    """
    mask, delete, split = ids
    end = -(-(len(prompt) + length) // BLOCK) * BLOCK
    tokens = prompt + [mask] * (end - len(prompt))
    answer = Answer([])
    for start in range(len(prompt) // BLOCK * BLOCK, end, BLOCK):
        before, block = tokens[:start], tokens[start : start + BLOCK]
        loop = Loop(block, max(0, len(prompt) - start), mask, delete, split, **settings)

        def model_of_block(block: list[int], before: list[int] = before) -> Rows:
            return model(before + block)[-BLOCK:]

        answer.forwards += loop.run(model_of_block)
        answer.commands += sum(token in (delete, split) for state in loop.seen for token in state)
        tokens[start : start + BLOCK] = loop.tokens
        answer.logprobs += loop.logprobs[loop.prompt :]
    answer.logprobs = answer.logprobs[:length]
    answer.tokens = tokens[len(prompt) : len(prompt) + length]
    return answer
