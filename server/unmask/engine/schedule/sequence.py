"""One request while it is being decoded: its tokens, its open block and its pages."""

import time

import numpy as np

from unmask.decoding.variable_length import VariableLength
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.given import lay_out_draft, lay_out_given
from unmask.engine.schedule.open_blocks import USUAL_BLOCKS
from unmask.engine.schedule.pages import PageHash
from unmask.engine.schedule.pipelined_blocks import several_blocks
from unmask.engine.schedule.query_range import QueryRange
from unmask.engine.schedule.structure import Structure
from unmask.engine.schedule.thinking import ThinkingBudget
from unmask.types import MAX_BLOCK_LENGTH, ModelInfo, Request


class Sequence:
    """Mutable state; positions before `block_start` are final, [block_start, block_end) is open.

    With block-causal attention, blocks are counted from the first token of the prompt, and keys of
    final blocks are kept. With full attention they are counted from the prompt's end, and keys are
    those of the pass in which the block was opened, or none; such a sequence has all of its pages
    from the start, so it is never preempted. A canvas of noise begins after what is committed,
    whose keys are causal, and is final as a whole. With a causal prefix, blocks begin there too,
    and keys that are kept are causal: a final block is computed once more for them. A window is
    such a block, and begins anew with its first masked position. The first position of a block with
    a seed is filled by a pass of its own, which ends before it. In self-speculation the rest is a
    draft, of which a causal pass keeps what the model would have written token by token, and the
    next block begins with the last of these tokens. Several `blocks` may be open, the last of which
    ends at `block_end`; then `block_step` is of the first, and `masked` positions may have their
    token already. A prompt may be a block of its own, behind which the others begin. Positions
    before `last_end` are the answer's, those before `fill_end` are denoised, and those after it are
    the suffix.
    """

    def __init__(
        self,
        request: Request,
        decoding: Decoding,
        info: ModelInfo,
        structure: Structure | None = None,
    ) -> None:
        self.request, self.structure = request, structure
        self.choices = (decoding, *decoding.others)
        self.mask_token_id = info.mask_token_id or 0
        self.is_full = info.attention == "full"
        self.is_canvas = info.attention == "canvas"
        self.has_window = info.attention == "causal_window"
        self.has_causal_prefix = info.attention in ("causal_prefix", "causal", "causal_window")
        self.is_causal = info.attention == "causal"
        self.has_prompt_block = info.attention == "prompt_block"
        self.shift = info.shift
        self.end_id = next(iter(info.eos_token_ids), None)
        self.has_seed = info.has_seed and not self.is_full
        self.num_prompt = len(request.prompt_token_ids)
        self.num_cached = self.num_steps = 0  # positions; denoising steps applied, of all blocks
        self.num_forwards = self.num_rows = 0  # passes that it took part in, their query tokens
        self.arrival_s = time.monotonic()
        self.first_token_s: float | None = None
        self.was_admitted = False
        self.last_step = -1  # of the scheduler, in which it ran
        self.num_passed = 0  # sequences that were admitted before it for lack of pages
        self.speculates_for: Sequence | None = None  # of which this is a speculative state
        self.num_shared = 0  # pages of it that a speculative state reads
        self.keeps_scores = False  # of each result, to predict the next one
        self._budget = ThinkingBudget.of_request(request, info)
        self.decode_by(decoding)

    def decode_by(self, decoding: Decoding) -> None:
        """Lay the tokens out in blocks; nothing may have been computed yet."""
        if self.structure is not None:
            self.structure.close()
        self.decoding, self.last_end = decoding, self.num_prompt + decoding.first_len
        self.lengths = VariableLength.by_rules(decoding.length_rules)
        self.thinking = self._budget and self._budget.within(self.last_end)
        self.num_block_steps = decoding.steps
        self.num_branches = 2 if decoding.cfg_scale else 1  # the second one's prompt is masked
        # True if resolved positions of the open block are not computed again until it is full.
        self.keeps_block_keys = decoding.cache == "block"
        # True if a pass verifies guesses and makes new ones, false if it does one or the other.
        self.guesses_ahead = decoding.drafts and self.is_causal and not decoding.is_given
        self.num_guesses = 0  # of the open block, after its first token
        self._waits = self.has_window or decoding.waits
        self.blocks = several_blocks(decoding, self.num_prompt, self.end_id, is_full=self.is_full)
        # True if no result decides the next pass, unless its scores are kept.
        self._runs_ahead = not (
            self.is_canvas
            or self.shift
            or self.keeps_block_keys
            or decoding.editing_threshold is not None
            or self._waits
        )
        # True if one more pass may fill nothing and leave no keys.
        self._may_be_done = self.is_canvas or self.has_seed
        request, block_len = self.request, decoding.block_len
        # True if the device has slots for two blocks, and only quotas tell how much a step fills.
        self._may_open_next = 2 * block_len <= MAX_BLOCK_LENGTH and (
            self.is_canvas or (self._runs_ahead and not self.is_full and self.num_branches == 1)
        )
        self._may_open_next &= decoding.fills_by_quota
        self._may_open_usually = self._may_open_next
        begins_after = self.is_full, self.is_canvas, self.has_causal_prefix, self.has_prompt_block
        self.origin = self.num_prompt if any(begins_after) else 0
        self.fill_end = self.last_end
        if self.has_window:
            self.fill_end += block_len - 1  # the window of the last token is whole
        elif not self.is_full and not decoding.drafts:
            self.fill_end += -(self.last_end - self.origin) % block_len
        capacity = self.fill_end + (len(request.suffix_token_ids) if self.is_full else 0)
        self.longest = capacity + decoding.max_tokens - decoding.first_len
        self.tokens = np.full(capacity, self.mask_token_id, np.int64)
        self.tokens[: self.num_prompt] = request.prompt_token_ids
        self.masked = np.zeros(capacity, np.bool_)
        self.masked[self.num_prompt : self.fill_end] = True
        lay_out_given(self.tokens, self.masked, request, self.last_end, self.fill_end)
        self.confidence = np.zeros(capacity, np.float32)
        self.shares = np.ones(capacity * decoding.mixes, np.float32)  # of tokens in embeddings
        self.rows_per_pass = self._rows_per_pass()
        self.guess = self.tokens.copy()
        self.accepted = np.zeros(capacity, np.bool_)  # by the last step of a canvas of noise
        self._open_block(self.num_prompt - (self.num_prompt - self.origin) % block_len)
        self.block_step = self.post_steps = 0  # denoising steps of the open block, applied ones
        self.is_verified = False  # whether a draft was verified, so that the block is over
        self.is_settled = False  # whether edits are over, so that the block is final
        # True once all of the open block was computed, if its keys are kept until it is full.
        self.has_block_keys = False
        self.was_masked = self.masked[:0]  # in the open block, before the last result
        self.num_computed = self.num_published = 0
        self.in_flight = self.in_next = 0  # runs of the open block, and the next, without results
        self.table_row: int | None = None  # once admitted
        self.num_final = self.num_prompt
        self.pages: list[int] = []
        self.page_hashes: list[PageHash] = []
        self.last_pass: QueryRange | None = None  # over a whole open block, often the next one too
        self.open_more()

    def _rows_per_pass(self) -> int:
        """Rows that every denoising pass takes."""
        if self.guesses_ahead:
            return 2 * self.decoding.block_len - 1
        if not self.is_full:
            return self.decoding.block_len * min(self.decoding.open_blocks, USUAL_BLOCKS)
        if self.decoding.cache == "dual":
            return self.num_branches * self.decoding.block_len
        before = 0 if self.decoding.cache == "none" else self.num_prompt
        return self.num_branches * (len(self.tokens) - before)

    @property
    def usual_block_len(self) -> int:
        """Block length without any load."""
        return self.choices[0].block_len

    @property
    def next_step(self) -> int:
        """Number of the denoising step that is launched next, of the open or the next block."""
        if self.in_flight and self.opens_next:
            return 0
        return self.block_step + self.in_flight

    @property
    def is_out(self) -> bool:
        """True if the last step that the open block may take is launched."""
        return self.block_step + self.in_flight >= self.num_block_steps

    @property
    def opens_next(self) -> bool:
        """True if the next block can begin before the tokens of the open one are known.

        They are what its last step, the only one that is out, leaves on the device. That step fills
        every position for certain: a canvas of noise takes no more of them, and of a masked block
        no more are masked than it fills at least.
        """
        if not self._may_open_next or self.in_next or self.keeps_scores:
            return False
        if self.in_flight != 1 or not self.is_out or self.block_end >= self.fill_end:
            return False
        if self.is_canvas:
            return True
        num_masked = int(np.count_nonzero(self.masked[self.block_start : self.block_end]))
        quota: int = self.decoding.quotas[min(self.block_step, self.num_block_steps - 1)]
        return num_masked <= quota

    @property
    def block_index(self) -> int:
        """Number of the open block, counted from the one in which the answer begins."""
        block_len = self.decoding.block_len
        first = (self.num_prompt - self.origin) // block_len
        return (self.block_start - self.origin) // block_len - first

    @property
    def num_generated(self) -> int:
        """Final tokens after the prompt."""
        return self.num_final - self.num_prompt

    @property
    def is_reading(self) -> bool:
        """True if more than the last block before the open one still has no keys."""
        return not self.is_full and self.num_computed < self.block_start - self.decoding.block_len

    @property
    def num_unknown(self) -> int:
        """Tokens of the open block that only the device has, as runs of it are out."""
        if not self.in_flight:
            return 0
        return 1 if self._only_seed_is_out else self.open_len

    @property
    def is_seed_alone(self) -> bool:
        """True if the open block has no more positions than its seed."""
        return self.has_seed and self.open_len == 1

    @property
    def _only_seed_is_out(self) -> bool:
        runs = self.block_step, self.in_flight
        return self.has_seed and runs == (0, 1) and bool(self.masked[self.block_start])

    @property
    def must_wait(self) -> bool:
        """True if the next pass depends on the last result."""
        if not self.in_flight:
            return False
        if self.in_next:
            return True  # the next block has begun, and the last tokens of the open one are to come
        if self._may_be_done:
            if self.thinking is not None and self.thinking.replaces_next:
                return True
            if self.decoding.drafts and self.next_step > self.verification:
                return True
            if self.is_out and (self.is_canvas or self.has_causal_prefix or self.is_seed_alone):
                return not self.opens_next
        if self._runs_ahead and not self.keeps_scores:
            return False
        if self.decoding.editing_threshold is not None and self.in_flight > 1:
            return True  # a run after the last edit might edit once more, and leave other keys
        if self.keeps_scores and self.in_flight > 0:
            return True  # the last result predicts the next ones
        if self.keeps_block_keys and self.in_flight > 1:
            return True  # the result before the last one tells which positions are active
        return self._waits

    def will_repeat(self, query: QueryRange) -> bool:
        """True if `query`, which was just launched, is the next pass too, whatever its result is.

        It is as long as the block may take more steps, and nothing but its end stops it.
        """
        return (
            query is self.last_pass
            and query.start == self.block_start
            and self._runs_ahead
            and not (self.keeps_scores or self.in_next)
        )

    @property
    def next_horizon(self) -> int:
        """The number of positions that must have pages before the open block can be denoised."""
        return self.longest if self.is_full else self.block_end

    def num_pages(self, horizon: int, page_size: int) -> int:
        """Pages that `horizon` positions take."""
        return self.num_branches * -(-horizon // page_size)

    @property
    def lacks_seed(self) -> bool:
        """True if the block's first token is still to come of the row before it, or is alone."""
        is_alone_or_masked = self.is_seed_alone or bool(self.masked[self.block_start])
        return self.has_seed and self.next_step == 0 and is_alone_or_masked

    def computed(self, query: QueryRange) -> None:
        """Record that a pass was launched, and which keys are kept of it."""
        self.num_forwards += 1
        self.num_rows += self.num_branches * query.num_rows
        if query is self.last_pass and query.start == self.block_start:
            self.in_flight += 1  # the open block once more: no more keys are final
            self.has_block_keys = self.keeps_block_keys
            return
        if query.scored and query.scored.start == self.block_end:
            self.in_next += 1
            self.num_computed = self.block_end
            return
        if query.scored:
            self.in_flight += 1
            self.has_block_keys = self.keeps_block_keys and query.end == self.block_end
        if not self.is_full:
            self.num_computed = min(query.end, self.block_start)
        elif self.decoding.cache != "none":
            self.num_computed = self.block_start

    def computed_again(self) -> None:
        """Record that the last pass was launched once more; see `will_repeat`."""
        self.num_forwards += 1
        self.num_rows += self.open_len
        self.in_flight += 1
        self.repeats = self.block_step + self.in_flight < self.num_block_steps

    @property
    def most_rows(self) -> int:
        """Query tokens that the next pass takes at most, a chunk of the prompt apart."""
        block_len = self.decoding.block_len
        start = max(self.num_computed, self.block_start - block_len) - self.has_prompt_block
        return self.block_end - start + (block_len if self.is_out else 0)

    def resume(self) -> None:
        """Go on after a preemption; a canvas, or a block with kept keys, begins anew."""
        if self.is_canvas:
            self.block_step = 0
        elif self.has_block_keys:
            opened = slice(max(self.block_start, self.num_prompt), self.block_end)
            self.tokens[opened], self.masked[opened] = self.mask_token_id, True
            lay_out_given(self.tokens, self.masked, self.request, self.last_end, self.fill_end)
            self.block_step, self.has_block_keys = 0, False
            if self.thinking and self.thinking.is_given and self.thinking.position >= opened.start:
                self._limit_thinking(self.thinking.taken_back())
            if self.structure is not None:
                self.structure.begin(self)

    def open_next_block(self) -> None:
        """Begin the block after the open one, whose positions are all final."""
        if self.is_verified:
            self._open_verified()
            return
        if self.is_full:
            self.num_computed = 0
        elif self.in_flight and self.pages and self._leaves_keys:
            # The run that is still out has every token, so it leaves the block's final keys.
            self.num_computed = self.block_end
        self._open_block(self.num_final if self.has_window else self.closes_at)
        self.in_flight, self.in_next = self.in_next, 0
        self.block_step = self.post_steps = 0
        self.is_settled = self.has_block_keys = False

    def open_more(self) -> None:
        """Close blocks that are over and open one that is due, if several may be open."""
        if self.blocks is None:
            return
        start = self.block_start
        self.block_end = self.blocks.go_on(self.tokens, self.masked, start, self.fill_end)
        self.open_len, self.block_step = self.block_end - start, self.blocks.steps[0]
        self.final_end, self.last_pass = min(self.block_end, self.last_end), None

    @property
    def verification(self) -> int:
        """Step of a block that verifies its draft, or the first that may."""
        return 1 if self.guesses_ahead or self.decoding.drafts_by_policy else 2

    def _open_verified(self) -> None:
        """Begin the next block with the last verified token; keys before it are causal."""
        start = self.final_end - 1
        if self.pages:
            self.num_computed = start
        self._open_block(start)
        self.in_flight = self.in_next = 0
        self.block_step, self.is_verified = 1, False

    @property
    def _leaves_keys(self) -> bool:
        """True if a denoising pass over a full block leaves the keys that are kept."""
        return not (self.is_canvas or self.has_causal_prefix or self.has_block_keys)

    def _open_block(self, start: int) -> None:
        # A block that is given as a whole, or full already, takes no pass.
        if self.request.template is not None or (self.blocks and not self.decoding.revises_several):
            first = start + int(self.masked[start:].argmax())
            start = max(start, first - (first - self.origin) % self.decoding.block_len)
        self.block_start = start
        # With guesses, there are as many masks after them as without.
        self.block_end = min(start + self.decoding.block_len + self.num_guesses, self.fill_end)
        self.open_len = self.block_end - start
        self.closes_at = start + 1 if self.has_window else self.block_end  # once so much is final
        # Of a draft nothing is final yet.
        self.final_end = min(start + 1 if self.decoding.drafts else self.block_end, self.last_end)
        if self.decoding.drafts and self.decoding.is_given:
            lay_out_draft(self.tokens, self.masked, self.request, start + 1, self.block_end)
        self.repeats = False
        if self.thinking is not None:
            self._limit_thinking(self.thinking)
        if self.structure is not None and self.structure.is_open:
            self.structure.begin(self)

    def _limit_thinking(self, budget: ThinkingBudget) -> None:
        """Put the end of the thoughts into the open block if their budget ends in it.

        The next block is not begun ahead if it may be in there.
        """
        start, end = self.block_start, self.block_end
        if budget.ends_in(self.tokens, start, end):
            is_seed = self.has_seed and budget.position == start
            is_alone = np.count_nonzero(self.masked[start:end]) == 1
            if is_seed or (is_alone and not self.decoding.drafts):
                budget.replaces_next = self._may_be_done = True
                self._runs_ahead = False
            elif not self.decoding.drafts:
                self.end_thinking(budget)
        is_far = budget.is_over or end + self.decoding.block_len <= budget.position
        self._may_open_next = self._may_open_usually and is_far

    def end_thinking(self, budget: ThinkingBudget) -> None:
        """Put the token that ends thoughts where their budget runs out, in the open block."""
        self.tokens[budget.position], self.masked[budget.position] = budget.give(), False
