"""Ends thoughts at a budget: a token is put where it runs out, as Nemotron's own loops do.

The token is given when the block opens that the budget ends in, so that the block is denoised
around it. The seed of a block, or its last masked position, is filled as ever and then replaced. A
verified draft is cut there.
"""

from dataclasses import dataclass, replace

from unmask.engine.schedule.query_range import IntArray
from unmask.types import ModelInfo, Request

NEAR = 4  # tokens at the end of a prompt, or the beginning of an answer, that have a tag


@dataclass(slots=True)
class ThinkingBudget:
    """Budget of one answer, whose thoughts end before `position` or at it.

    An answer thinks if `begin_id` is among its first tokens, or the last of the prompt; without
    that token every answer does. While `replaces_next`, the end is to replace the token of the next
    result; `is_given` once it was put at `position`.
    """

    begin_id: int | None
    end_id: int
    num_prompt: int
    position: int
    is_over: bool = False
    is_given: bool = False
    replaces_next: bool = False

    @classmethod
    def of_request(cls, request: Request, info: ModelInfo) -> "ThinkingBudget | None":
        """The budget; None for a request without one, or whose prompt has ended the thoughts."""
        prompt, num_tokens = request.prompt_token_ids, request.sampling.max_thinking_tokens
        end_id = info.end_think_token_id
        if num_tokens is None or end_id is None or end_id in prompt[-NEAR:]:
            return None
        begins_in_answer = info.begin_think_token_id not in prompt[-NEAR:]
        begin_id = info.begin_think_token_id if begins_in_answer else None
        return cls(begin_id, end_id, len(prompt), len(prompt) + num_tokens)

    def within(self, last_end: int) -> "ThinkingBudget | None":
        """The budget anew; None for an answer that ends at `last_end`, before it is used up."""
        return replace(self) if self.position < last_end else None

    def ends_in(self, tokens: IntArray, start: int, end: int) -> bool:
        """True if the end is to be put into [start, end), the tokens before `start` being final."""
        if self.is_over or end <= self.position:
            return False
        answer = tokens[self.num_prompt : start]
        thinks = self.begin_id is None or not len(answer) or self.begin_id in answer[:NEAR]
        self.is_over = not thinks or self.end_id in answer
        return not self.is_over

    def taken_back(self) -> "ThinkingBudget":
        """The budget as it was before its end was put there."""
        self.is_given = self.is_over = False
        return self

    def give(self) -> int:
        """The end, which is at `position` from now on."""
        self.is_given, self.is_over, self.replaces_next = True, True, False
        return self.end_id
