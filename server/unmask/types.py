"""The frozen values that cross boundaries: what is asked for, and what comes back."""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from unmask.errors import InvalidRequest
from unmask_kernels.policies.table import ALIASES, POLICIES
from unmask_kernels.policies.table import PolicyName as PolicyName

POLICY_NAMES: tuple[PolicyName, ...] = tuple(policy.name for policy in POLICIES)
POLICY_ALIASES = ALIASES
CacheName = Literal["none", "prefix", "dual", "block"]
CACHE_NAMES: tuple[CacheName, ...] = get_args(CacheName)
ScheduleName = Literal["even", "timed"]
AttentionPattern = Literal["block_causal", "full", "canvas"]
BlockLength = int | Literal["auto"]
AUTO: Literal["auto"] = "auto"
CACHES: Mapping[AttentionPattern, tuple[CacheName, ...]] = {
    "block_causal": ("none", "block"),
    "full": ("none", "prefix", "dual"),
    "canvas": ("none",),
}
"""Ways to keep keys within a block; those of final blocks that see no further are always kept."""

MAX_BLOCK_LENGTH = 1024
MAX_STEPS = 8192
MAX_LOGPROBS = 20
MAX_STOP_STRINGS = 16
MAX_LOGIT_BIAS = 100
MAX_SEED = 2**63 - 1
MAX_INT = 2**63 - 1


class FinishReason(enum.StrEnum):
    """Why a request ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """How one request is decoded; `None` means the checkpoint's or the server's default.

    `steps` is the number of denoising steps a block may take; `threshold`, `factor` and
    `entropy_bound` belong to the policies of those names; `cfg_scale` and the caches `prefix` and
    `dual` are for models whose attention spans the whole sequence, `sub_block_length` and the cache
    `block` for the others. A token of the open block is replaced by one of at least
    `editing_threshold`, by models that were trained to edit. A `block_length` of "auto" follows the
    load at admission. With `eos_last` positions that would end the answer are filled after all
    others of a block. `logit_bias` pairs token ids with what is added to their logits; where
    `allowed_token_ids` are given, nothing else is generated, an end-of-sequence token no more than
    the rest. A `top_k` of 0 takes all tokens.
    Raises `InvalidRequest`.
    """

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    logprobs: int | None = None
    policy: PolicyName | None = None
    threshold: float | None = None
    factor: float | None = None
    entropy_bound: float | None = None
    steps: int | None = None
    block_length: BlockLength | None = None
    cache: CacheName | None = None
    cfg_scale: float | None = None
    editing_threshold: float | None = None
    sub_block_length: int | None = None
    eos_last: bool | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    allowed_token_ids: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.policy is not None and self.policy in POLICY_ALIASES:
            object.__setattr__(self, "policy", POLICY_ALIASES[self.policy])
        _check_range("max_tokens", self.max_tokens, 1, None)
        _check_range("temperature", self.temperature, 0.0, 100.0)
        _check_range("top_p", self.top_p, 0.0, 1.0, open_low=True)
        _check_range("top_k", self.top_k, 0, None)
        _check_range("seed", self.seed, 0, MAX_SEED)
        _check_range("logprobs", self.logprobs, 0, MAX_LOGPROBS)
        _check_range("threshold", self.threshold, 0.0, 1.0)
        _check_range("factor", self.factor, 0.0, None, open_low=True)
        _check_range("entropy_bound", self.entropy_bound, 0.0, None)
        _check_range("steps", self.steps, 1, MAX_STEPS)
        _check_range("cfg_scale", self.cfg_scale, 0.0, 100.0)
        _check_range("editing_threshold", self.editing_threshold, 0.0, 1.0)
        _check_range("sub_block_length", self.sub_block_length, 1, MAX_BLOCK_LENGTH)
        _check_block_length(self.block_length)
        if self.policy is not None and self.policy not in POLICY_NAMES:
            raise InvalidRequest(
                f"policy must be one of {', '.join(POLICY_NAMES)}, got {self.policy!r}",
                field="policy",
            )
        if self.cache is not None and self.cache not in CACHE_NAMES:
            raise InvalidRequest(
                f"cache must be one of {', '.join(CACHE_NAMES)}, got {self.cache!r}", field="cache"
            )
        if len(self.stop) > MAX_STOP_STRINGS:
            raise InvalidRequest(
                f"stop takes at most {MAX_STOP_STRINGS} strings, got {len(self.stop)}", field="stop"
            )
        if any(not text for text in self.stop):
            raise InvalidRequest("stop strings must not be empty", field="stop")
        for token_id, bias in self.logit_bias:
            if not abs(bias) <= MAX_LOGIT_BIAS:
                raise InvalidRequest(
                    f"logit_bias must be at least -{MAX_LOGIT_BIAS} and at most {MAX_LOGIT_BIAS}, "
                    f"got {bias} for token {token_id}",
                    field="logit_bias",
                )
        if self.allowed_token_ids is not None and not self.allowed_token_ids:
            raise InvalidRequest("allowed_token_ids must not be empty", field="allowed_token_ids")


def _check_block_length(value: BlockLength | None) -> None:
    if value == AUTO:
        return
    if isinstance(value, str):
        raise InvalidRequest(
            f"block_length must be a number or auto, got {value!r}", field="block_length"
        )
    _check_range("block_length", value, 1, MAX_BLOCK_LENGTH)


def _check_range(
    name: str,
    value: float | None,
    low: float,
    high: float | None,
    *,
    open_low: bool = False,
) -> None:
    if value is None:
        return
    too_low = value <= low if open_low else value < low
    # An integer may be too large for a float, and is finite.
    is_finite = isinstance(value, int) or math.isfinite(value)
    highest = high if high is not None else MAX_INT if isinstance(value, int) else value
    if is_finite and not too_low and value <= highest:
        return
    high = high if high is not None or not is_finite or too_low else highest
    bound = f"greater than {low}" if open_low else f"at least {low}"
    if high is not None:
        bound += f" and at most {high}"
    raise InvalidRequest(f"{name} must be {bound}, got {shown(value)}", field=name)


def shown(value: float) -> str:
    """A number for a message, cut short."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an integer of {value.bit_length()} bits"
    return str(value)


@dataclass(frozen=True, slots=True)
class RefinementOptions:
    """Which refinements of the open block a stream carries: each `every`-th step, capped in rate.

    With `tokens`, each refinement lists id, text, confidence and state of every position.
    """

    every: int = 1
    max_fps: float | None = None
    tokens: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to generate: a tokenized prompt and how to decode after it.

    Models whose attention spans the whole sequence also see the text that is to follow the answer.
    """

    request_id: str
    prompt_token_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    refinements: RefinementOptions | None = None
    suffix_token_ids: tuple[int, ...] = ()

    @property
    def num_given(self) -> int:
        """Tokens of the prompt and the suffix."""
        return len(self.prompt_token_ids) + len(self.suffix_token_ids)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log-probability (nats, untempered) of a token in the step that committed it."""

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a request cost: tokens, denoising steps and forward passes it took part in.

    `completion_tokens` counts the tokens of every `Delta`, the end-of-sequence token included.
    `forward_passes` adds prompt-only passes to `denoising_steps`, and `query_tokens` are those that
    went through the model in them. `block_length` is the one asked for, or that of the load.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    denoising_steps: int
    forward_passes: int
    query_tokens: int
    block_length: int


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a request; `stop_reason` is the stop string or token id that matched."""

    reason: FinishReason
    usage: Usage
    stop_reason: str | int | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """Final tokens and final text of a request, never taken back; the last one has `finish`.

    `text` may lag behind `token_ids` while a character or a possible stop string is incomplete.
    """

    request_id: str
    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None


@dataclass(frozen=True, slots=True)
class RefinedToken:
    """One position of an open block; an unresolved one shows the current best guess."""

    token_id: int
    text: str
    confidence: float
    resolved: bool


@dataclass(frozen=True, slots=True)
class Refinement:
    """The open block after a step: `span` is [start, end) in answer tokens, `text` its draft."""

    request_id: str
    block: int
    step: int
    max_steps: int
    span: tuple[int, int]
    unresolved: int
    text: str
    tokens: tuple[RefinedToken, ...] | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was accepted could not be completed; nothing follows."""

    request_id: str
    message: str


Event = Delta | Refinement | Failure


@dataclass(frozen=True, slots=True)
class CanvasSchedule:
    """How a checkpoint denoises canvases of noise, where a request does not say otherwise.

    Temperatures fall from `t_max` towards `t_min` over at most `steps` steps, which end early once
    the draft was the same for `stability` steps and its mean entropy is below `confidence` (nats).
    """

    steps: int = 48
    entropy_bound: float = 0.1
    t_max: float = 0.8
    t_min: float = 0.4
    stability: int = 1
    confidence: float = 0.005


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a front end needs to know of the model being served.

    With `canvas`, it denoises canvases of noise, and there is no mask token. With `adapts_blocks`,
    block lengths follow the load unless a request names one.
    """

    name: str
    max_model_len: int
    vocab_size: int
    mask_token_id: int | None
    eos_token_ids: tuple[int, ...]
    default_sampling: SamplingParams
    created_s: int
    attention: AttentionPattern = "block_causal"
    shift: bool = False
    schedule: ScheduleName = "even"
    canvas: CanvasSchedule | None = None
    can_edit: bool = False
    caps_steps: bool = False
    adapts_blocks: bool = False

    @property
    def block_length(self) -> int | None:
        """Positions denoised together where a request does not say, if anything says."""
        length = self.default_sampling.block_length
        assert length != AUTO, "the model's own length is known beside"
        return length

    def check_ids(self, token_ids: Sequence[int], field: str) -> None:
        """Raise `InvalidRequest` for ids that the model does not have."""
        if not token_ids or (min(token_ids) >= 0 and max(token_ids) < self.vocab_size):
            return
        wrong = next(token_id for token_id in token_ids if not 0 <= token_id < self.vocab_size)
        raise InvalidRequest(
            f"{field}: token id {shown(wrong)} is outside the vocabulary of {self.vocab_size}",
            field=field,
        )


EngineState = Literal["starting", "ready", "stopping", "failed"]


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """A snapshot for health checks: state, requests running and waiting, pages in use."""

    state: EngineState
    num_running: int
    num_waiting: int
    num_pages_used: int
    num_pages: int
    detail: str = ""
