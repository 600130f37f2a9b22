"""One request while it is being decoded: its canvas, its open block and its pages."""

import time
from dataclasses import dataclass

import numpy as np

from unmask.engine.pages import PageKey, page_key, root_key
from unmask.types import PolicyName, Request


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding parameters with every default filled in; `limit` is the policy's own number."""

    policy: PolicyName
    limit: float
    steps: int
    block_len: int
    max_tokens: int
    temperature: float
    top_p: float
    top_k: int
    seed: int
    num_logprobs: int | None
    stop_ids: frozenset[int]


class Sequence:
    """Mutable state; positions before `block_start` are final, [block_start, block_end) is open."""

    def __init__(self, request: Request, decoding: Decoding, mask_token_id: int) -> None:
        self.request = request
        self.decoding = decoding
        self.num_prompt = len(request.prompt_token_ids)
        self.last_end = self.num_prompt + decoding.max_tokens
        block_len = decoding.block_len
        capacity = -(-self.last_end // block_len) * block_len
        self.canvas = np.full(capacity, mask_token_id, np.int64)
        self.canvas[: self.num_prompt] = request.prompt_token_ids
        self.masked = np.zeros(capacity, np.bool_)
        self.masked[self.num_prompt :] = True
        self.confidence = np.zeros(capacity, np.float32)
        self.guess = self.canvas.copy()
        self.block_start = self.num_prompt // block_len * block_len
        self.block_step = 0
        self.num_computed = 0
        self.in_flight = 0  # runs of the open block whose results are not known yet
        self.canvas_row: int | None = None  # of the device's canvas, while it holds pages
        self.num_final = self.num_prompt
        self.pages: list[int] = []
        self.keys: list[PageKey] = []
        self.num_published = 0
        self.num_cached = 0
        self.num_steps = 0
        self.num_forwards = 0
        self.arrival_s = time.monotonic()
        self.first_token_s: float | None = None
        self.was_admitted = False

    @property
    def block_end(self) -> int:
        """End of the open block, exclusive."""
        return self.block_start + self.decoding.block_len

    @property
    def next_step(self) -> int:
        """Number of the denoising step of the open block that is launched next."""
        return self.block_step + self.in_flight

    @property
    def block_index(self) -> int:
        """Number of the open block, counted from the one in which the answer begins."""
        block_len = self.decoding.block_len
        return self.block_start // block_len - self.num_prompt // block_len

    @property
    def num_generated(self) -> int:
        """Final tokens after the prompt."""
        return self.num_final - self.num_prompt

    def next_end(self, budget: int) -> int | None:
        """End of the positions to compute next within `budget` tokens, None if not one block fits.

        Whatever has no keys yet and the open block go together if they fit; otherwise as many
        whole blocks as fit, because a block's queries need all of its keys.
        """
        if self.block_end - self.num_computed <= budget:
            return self.block_end
        block_len = self.decoding.block_len
        end = (self.num_computed + budget) // block_len * block_len
        return end if end > self.num_computed else None

    def key_of_page(self, index: int, page_size: int) -> PageKey | None:
        """Key of page `index`, None while a token that it depends on is not final."""
        block_len = self.decoding.block_len
        while len(self.keys) <= index:
            i = len(self.keys)
            end = -(-(i + 1) * page_size // block_len) * block_len
            if end > self.block_start:
                return None
            previous = self.keys[-1] if self.keys else root_key(block_len)
            self.keys.append(page_key(previous, self.canvas[i * page_size : end]))
        return self.keys[index]

    def open_next_block(self) -> None:
        """Begin the block after the open one, whose positions are all final."""
        if self.in_flight and self.pages:
            # The run that is still out has every token, so it leaves the block's final keys.
            self.num_computed = self.block_end
        self.block_start = self.block_end
        self.block_step = self.in_flight = 0
