"""Several open blocks of a sequence, denoised in the same passes (MultiBD, D2F).

A block opens when the last one is filled to a share. Until the block before it is nearly full, it
takes what its policy's own number lets through, and nothing else has to be filled. A block is
closed once it and all before it are full, and counts up to the pass that leaves its final keys.
`MultiBlockReqTemplate` of SJTU-DENG-Lab/Diffulex (branch mbd-lms); `block_add_threshold` and
`decoded_token_threshold` of zhijie-group/Discrete-Diffusion-Forcing.
"""

from dataclasses import dataclass, field

import numpy as np

from unmask.engine.schedule.block_run import BlockRun
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.query_range import BoolArray, IntArray
from unmask.errors import InvalidRequest
from unmask.types import (
    MAX_BLOCK_LENGTH,
    CacheName,
    ModelInfo,
    PolicyName,
    Request,
    SamplingParams,
)
from unmask_kernels.policies.table import BY_NAME

USUAL_BLOCKS = 4  # open ones at a time, of the more that may be
THRESHOLDS = "add_block_threshold", "semi_complete_threshold"
OF_DELAYED_KEYS = "cache_delay_iter", "refresh_interval"


@dataclass(slots=True)
class OpenBlocks(BlockRun):
    """Open blocks of which some need not be filled by their quota yet.

    `active_steps` are the steps in which a block was active: had to be.
    """

    semi_complete_threshold: float = field(kw_only=True)
    active_steps: list[int] = field(default_factory=list)
    is_active: list[bool] = field(default_factory=list)

    @classmethod
    def of(cls, decoding: Decoding, num_prompt: int) -> "OpenBlocks":
        """No blocks yet."""
        sampling = decoding.sampling
        add, complete = sampling.add_block_threshold, sampling.semi_complete_threshold
        assert add is not None, "every default is filled in"
        assert complete is not None, "every default is filled in"
        settings = decoding.open_blocks, decoding.block_len, add, decoding.stop_ids, num_prompt
        return cls(*settings, semi_complete_threshold=complete)

    def go_on(self, tokens: IntArray, masked: BoolArray, start: int, fill_end: int) -> int:
        """Count a step of each, close those before `start`, open at most one; returns their end."""
        pairs = zip(self.active_steps, self.is_active, strict=True)
        self.active_steps = [count + is_active for count, is_active in pairs]
        self.close(start)
        del self.active_steps[: self.num_closing]
        if not self.steps:
            self._open()
        shares = self._shares(masked[start : self.end])
        if self.has_room(tokens, shares[-1], fill_end):
            self._open()
        before = shares[: len(self.steps) - 1]
        self.is_active = [True, *(share >= self.semi_complete_threshold for share in before)]
        return self.end

    def _open(self) -> None:
        self.steps.append(0)
        self.active_steps.append(0)

    def quotas(self, of_steps: tuple[int, ...]) -> list[int]:
        """The fewest positions that each block fills next; `of_steps` are those of active steps."""
        last = len(of_steps) - 1
        pairs = zip(self.active_steps, self.is_active, strict=True)
        return [of_steps[min(step, last)] if is_active else 0 for step, is_active in pairs]

    def _shares(self, masked: BoolArray) -> list[float]:
        """Filled share of each block."""
        num_masked = np.count_nonzero(masked.reshape(-1, self.block_len), 1)
        shares: list[float] = ((self.block_len - num_masked) / self.block_len).tolist()
        return shares


def num_open_blocks(
    request: Request,
    model: ModelInfo,
    policy: PolicyName,
    block_len: int,
    limits: EngineLimits,
    *,
    is_exact: bool,
    revises: bool = False,
) -> int:
    """Blocks that a request may have open; a default holds where it applies, as far as it fits.

    All open ones have places on the device, and a step holds their rows. `is_exact` if a pass
    computes all of a block that is not full, `revises` if it may replace tokens. Raises
    `InvalidRequest`.
    """
    params, asked = request.sampling, request.sampling.open_blocks
    usual = model.default_sampling.open_blocks or 1
    is_full = model.attention == "full"
    most = MAX_BLOCK_LENGTH
    if not is_full:
        most = min(most, limits.max_batch_tokens - model.shift)
    count = asked or min(usual, max(1, most // block_len))
    if count > 1:
        reason = _reason_against(request, model, policy, is_exact=is_exact, revises=revises)
        if reason is None and count * block_len > MAX_BLOCK_LENGTH:
            reason = f"times block_length is at most {MAX_BLOCK_LENGTH}, got {count * block_len}"
        if reason is not None:
            if asked is not None:
                raise InvalidRequest(f"open_blocks {reason}", field="open_blocks")
            count = 1
    if count == 1:
        _refuse(THRESHOLDS, params, "is for several open_blocks")
    elif is_full:
        only = "is for models whose blocks see those before them: others fill the first one only"
        _refuse(("semi_complete_threshold",), params, only)
    else:
        _check_rows(count * block_len + model.shift, limits)
        if revises:
            only = "is for blocks that are not revised: others fill a position of each in any pass"
            _refuse(("semi_complete_threshold",), params, only)
    return count


def cache_beside(
    cache: CacheName, open_blocks: int, params: SamplingParams, model: ModelInfo
) -> CacheName:
    """The cache of a request; `delayed` is for several open blocks, and a default holds for them.

    Raises `InvalidRequest`.
    """
    if cache == "delayed" and open_blocks == 1:
        if params.cache == "delayed":
            raise InvalidRequest("cache delayed is for several open_blocks", field="cache")
        cache = "none"
    if cache != "delayed":
        _refuse(OF_DELAYED_KEYS, params, "is for the cache delayed")
    return cache


def _refuse(names: tuple[str, ...], params: SamplingParams, reason: str) -> None:
    for name in names:
        if params.asks_for(name):
            raise InvalidRequest(f"{name} {reason}", field=name)


def _reason_against(
    request: Request, model: ModelInfo, policy: PolicyName, *, is_exact: bool, revises: bool
) -> str | None:
    """Reason why a request's blocks are denoised one at a time, if there is one."""
    is_full = model.attention == "full"
    if not (is_full or model.has_blocks) or (model.has_seed and not is_full):
        return (
            "is for models whose blocks see those before them, and whose logits are in place, and "
            "for those whose attention spans the whole sequence"
        )
    if request.given_answer:
        return "has no meaning for an answer that is given"
    if request.is_structured:
        return "cannot be combined with structured output, holes and bad_words"
    if request.sampling.max_thinking_tokens is not None:
        return "cannot be combined with max_thinking_tokens"
    if request.sampling.cfg_scale:
        return "cannot be combined with cfg_scale"
    # With full attention, blocks after the first are filled by the policy's own number alone, and
    # with mixed embeddings none waits.
    may_wait = BY_NAME[policy].may_wait or (revises and BY_NAME[policy].mixes)
    if not may_wait or (is_full and not BY_NAME[policy].numbers):
        return f"is not for the policy {policy}"
    if not is_exact:
        if is_full:
            return "cannot be combined with editing_threshold, cache prefix and dual"
        return (
            "cannot be combined with edits that delete and insert, sub_block_length and cache block"
        )
    return None


def _check_rows(num_rows: int, limits: EngineLimits) -> None:
    """Raise `InvalidRequest` where no step holds the rows of all blocks that may be open."""
    if num_rows > limits.max_batch_tokens:
        raise InvalidRequest(
            f"open_blocks take {num_rows} tokens a pass, but a step holds "
            f"{limits.max_batch_tokens}",
            field="open_blocks",
        )
