"""Frozen values that cross boundaries: requests, their events, and the model that is served."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal, NamedTuple, Self

from unmask.canvas_schedules import CanvasSchedule as CanvasSchedule
from unmask.canvas_schedules import NoiseSchedule as NoiseSchedule
from unmask.canvas_schedules import PosteriorSchedule as PosteriorSchedule
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar
from unmask.images import ImageRows, ImageTraits
from unmask.parameter import shown as shown
from unmask.refinement_options import RefinementOptions as RefinementOptions
from unmask.sampling_params import AUTO as AUTO
from unmask.sampling_params import CACHE_NAMES as CACHE_NAMES
from unmask.sampling_params import MAX_BLOCK_LENGTH as MAX_BLOCK_LENGTH
from unmask.sampling_params import MAX_SEED as MAX_SEED
from unmask.sampling_params import MAX_STOP_STRINGS as MAX_STOP_STRINGS
from unmask.sampling_params import POLICY_NAMES as POLICY_NAMES
from unmask.sampling_params import BlockLength as BlockLength
from unmask.sampling_params import CacheName as CacheName
from unmask.sampling_params import ModeName as ModeName
from unmask.sampling_params import SamplingParams as SamplingParams
from unmask_kernels.policies.table import PolicyName as PolicyName

ScheduleName = Literal["even", "timed", "rounded", "remaining"]
# "causal_prefix": causal before the open block, which begins at the prompt's end, and again in the
# pass that commits it; bidirectional inside the open block. "causal": no position sees a later one,
# masks included. "causal_window" is causal in the order of a pass's rows, whatever their positions.
# "prompt_block": a prompt sees all of itself, and blocks begin behind it, each of which sees it,
# those before it and itself (D2F).
AttentionPattern = Literal[
    "block_causal", "full", "canvas", "causal_prefix", "causal", "causal_window", "prompt_block"
]
# Modes beside diffusion.
CAUSAL_MODES: Mapping[AttentionPattern, tuple[ModeName, ...]] = {
    "causal_prefix": ("ar", "self_speculation", "auto"),
    "causal": ("ar", "self_speculation", "auto"),
    "causal_window": ("ar",),
}
CACHES: Mapping[AttentionPattern, tuple[CacheName, ...]] = {
    "block_causal": ("none", "block"),
    "full": ("none", "prefix", "dual", "delayed"),
    "canvas": ("none",),
    "causal_prefix": ("none",),
    "causal": ("none",),
    "causal_window": ("none",),
    "prompt_block": ("none",),
}
"""Ways to keep keys within a block; those of final blocks that see no further are always kept."""


class FinishReason(enum.StrEnum):
    """Why a request ended, in OpenAI's words."""

    STOP = "stop"
    LENGTH = "length"
    ABORT = "abort"


@dataclass(frozen=True, slots=True)
class Hole:
    """Tokens [start, end) of a template that are to be filled, as a grammar says if there is one.

    An answer that is shorter ends with end-of-sequence tokens.
    """

    start: int
    end: int
    grammar: Grammar | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """Answer with holes, the last of which ends it; the tokens between them are given."""

    token_ids: tuple[int | None, ...]  # None in holes
    holes: tuple[Hole, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One sequence to generate: a tokenized prompt and how to decode after it.

    Models whose attention spans the whole sequence also see the text that is to follow the answer,
    others as much of it as is in the answer's last block. With a `template` the answer has holes. A
    `given_answer` is not generated: its tokens are read from left to right, each with its
    log-probability (see `unmask.likelihood`). Requests of one `client` share its part of the
    engine, those of lower `priority` first. One that has not ended at `deadline_s`, of
    `time.monotonic`, is aborted. `compiled` is all that `EngineClient.compile` returned for it, so
    that no cache forgets it. Unless it `streams`, tokens but the first may come at its end. Rows of
    `images` are in its prompt, from left to right.
    """

    request_id: str
    prompt_token_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    refinements: RefinementOptions | None = None
    suffix_token_ids: tuple[int, ...] = ()
    template: Template | None = None
    given_answer: tuple[int, ...] = ()
    client: str = ""
    priority: int = 0
    deadline_s: float | None = None
    streams: bool = True
    compiled: object = field(default=None, compare=False, repr=False)
    images: tuple[ImageRows, ...] = ()

    @property
    def is_structured(self) -> bool:
        """True if something says which tokens may stand where."""
        has_grammar = self.sampling.grammar is not None or bool(self.sampling.bad_words)
        return has_grammar or self.template is not None

    @property
    def num_given(self) -> int:
        """Tokens of the prompt and the suffix."""
        return len(self.prompt_token_ids) + len(self.suffix_token_ids)


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """Log-probability (nats, untempered) of a token in the step that committed it.

    Tokens of a given answer have a `rank`, 1 for the likeliest.
    """

    token_id: int
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    rank: int | None = None


@dataclass(frozen=True, slots=True)
class Usage:
    """Cost of a request: tokens, denoising steps and forward passes it took part in.

    `completion_tokens` counts the tokens of every `Delta`, the end-of-sequence token included.
    `forward_passes` adds prompt-only passes to `denoising_steps`, and `query_tokens` are those that
    went through the model in them. `block_length` is the one asked for, or that of the load, and so
    is the `mode` of a model that has several.
    """

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    denoising_steps: int
    forward_passes: int
    query_tokens: int
    block_length: int
    mode: ModeName | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The end of a request; `stop_reason` is the stop string or token id that matched.

    `queue_s` is the time from its arrival to its first step, None if it had none.
    """

    reason: FinishReason
    usage: Usage
    stop_reason: str | int | None = None
    queue_s: float | None = field(default=None, compare=False)


class Delta(NamedTuple):
    """Final tokens and final text of a request, never taken back; the last one has `finish`.

    `text` may lag behind `token_ids` while a character or a possible stop string is incomplete. A
    step makes one for each request, and named tuples take half the time of frozen dataclasses.
    """

    request_id: str
    token_ids: tuple[int, ...]
    text: str
    logprobs: tuple[TokenLogprob, ...] = ()
    finish: Finish | None = None

    @classmethod
    def joined(cls, deltas: Sequence[Self]) -> Self:
        """Consecutive deltas of a request as a single one."""
        if len(deltas) == 1:
            return deltas[0]
        token_ids = tuple(chain.from_iterable([delta.token_ids for delta in deltas]))
        logprobs = tuple(chain.from_iterable([delta.logprobs for delta in deltas]))
        text = "".join([delta.text for delta in deltas])
        return cls(deltas[-1].request_id, token_ids, text, logprobs, deltas[-1].finish)


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


FailureCode = Literal["engine_failure", "engine_stopped"]


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that was accepted could not be completed; nothing follows.

    The code is `engine_stopped` if the server had to stop before its end.
    """

    request_id: str
    message: str
    code: FailureCode = "engine_failure"


Event = Delta | Refinement | Failure


def is_last(event: Event) -> bool:
    """True if no event follows in its stream."""
    if isinstance(event, Delta):
        return event.finish is not None
    return isinstance(event, Failure)


class EditCommands(NamedTuple):
    """Tokens that delete their position, or insert a mask before it, where tokens are edited."""

    delete_token_id: int
    split_token_id: int


class LengthCommands(NamedTuple):
    """Tokens that a mask may become to make the answer longer or shorter (DreamOn).

    An expansion leaves two masks, a deletion none. `begin` and `end` are the tokens that the
    authors put around a text with a gap.
    """

    expand_token_id: int
    delete_token_ids: tuple[int, ...]
    begin: tuple[int, ...] = ()
    end: tuple[int, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """All commands."""
        return self.expand_token_id, *self.delete_token_ids


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """Facts about the served model that front ends and admission need.

    With `canvas`, it denoises canvases of noise, and there is no mask token. With `adapts_blocks`,
    block lengths follow the load unless a request names one. With `routing_block_length`, experts
    depend on all rows of a block of so many positions, which every step must have. With full
    attention, one that `fills_best` fills the best position of all open blocks in every pass.
    """

    name: str
    max_model_len: int
    vocab_size: int
    mask_token_id: int | None
    eos_token_ids: tuple[int, ...]
    default_sampling: SamplingParams
    created_s: int
    plain_sampling: SamplingParams | None = None  # if by default tokens are revised: without that
    own_sampling: SamplingParams | None = None  # the checkpoint's, if the server may change them
    attention: AttentionPattern = "block_causal"
    shift: bool = False
    schedule: ScheduleName = "even"
    canvas: NoiseSchedule | None = None
    can_edit: bool = False
    can_mix: bool = False  # embeddings with the mask token's (DMax)
    caps_steps: bool = False
    fills_best: bool = False
    keeps_keys: bool = True  # False: a pass computes all of a sequence
    end_text: str | None = None  # ends an answer as a stop string does
    banned_ids: tuple[int, ...] = ()  # tokens that are in no answer
    stops_at_end: bool = False  # nothing behind an end of the answer is filled
    edit_commands: EditCommands | None = None
    length_commands: LengthCommands | None = None
    routing_block_length: int | None = None
    max_post_steps: int = 16  # of a block without masked positions, which may still be edited
    adapts_blocks: bool = False
    begin_think_token_id: int | None = None
    end_think_token_id: int | None = None
    images: ImageTraits | None = None  # None: it takes none

    @property
    def modes(self) -> tuple[ModeName, ...]:
        """The modes that a request may ask for."""
        return ("diffusion", *CAUSAL_MODES.get(self.attention, ()))

    @property
    def caches(self) -> tuple[CacheName, ...]:
        """The caches that a request may ask for."""
        return CACHES[self.attention] if self.keeps_keys else ("none",)

    @property
    def has_seed(self) -> bool:
        """True if a pass of its own fills the first position of each block, from the row before."""
        if self.attention == "prompt_block":
            return False  # every pass computes that row once more
        return self.shift or self.attention in ("causal_prefix", "causal")

    @property
    def has_blocks(self) -> bool:
        """True if a block sees those before it and itself, whose keys are final once it is full."""
        return self.attention in ("block_causal", "prompt_block")

    @property
    def block_length(self) -> int | None:
        """Positions denoised together by default; None without a default of server or model."""
        length = self.default_sampling.block_length
        assert length != AUTO, "the length of a model is a number"
        return length

    @property
    def command_ids(self) -> tuple[int, ...]:
        """Commands that are in no text; an end of sequence is, whatever else it commands."""
        of_lengths = () if self.length_commands is None else self.length_commands.ids
        return *(self.edit_commands or ()), *(i for i in of_lengths if i not in self.eos_token_ids)

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
class EngineLoad:
    """One engine of several: whether it takes requests, and what it has of them and of pages."""

    is_up: bool
    num_running: int
    num_waiting: int
    num_pages_used: int
    num_pages: int


@dataclass(frozen=True, slots=True)
class EngineStatus:
    """A snapshot for health checks: state, requests running and waiting, pages in use.

    Where several engines serve, numbers are their sums, and `engines` has each. `max_queue`
    requests may wait; None while that is not known.
    """

    state: EngineState
    num_running: int
    num_waiting: int
    num_pages_used: int
    num_pages: int
    detail: str = ""
    engines: tuple[EngineLoad, ...] = ()
    max_queue: int | None = None

    @property
    def loads(self) -> tuple[EngineLoad, ...]:
        """Load of each engine, also of one alone."""
        counts = self.num_running, self.num_waiting, self.num_pages_used, self.num_pages
        return self.engines or (EngineLoad(self.state == "ready", *counts),)
