"""Decoding parameters of a request, and the columns in which the engine's table holds them."""

from dataclasses import dataclass
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from unmask.decoding.levenshtein import EditRules
from unmask.decoding.variable_length import LengthRules
from unmask.engine.schedule.penalties import Penalties
from unmask.types import CacheName, ModeName, PolicyName, SamplingParams
from unmask_kernels.policies.table import BY_NAME, CODES, MAX_NUMBERS
from unmask_kernels.scoring.request_constraint import Constraint

Columns = npt.NDArray[np.void]  # a structured array, `COLUMNS`


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding parameters with every default filled in.

    `sampling` has the request's parameters, defaults and neutral values for the rest. Parameters
    that need more, such as the model's word, are fields here and count instead. `threshold` is the
    policy's first number, `other_numbers` are the rest, `quotas` are the fewest positions that each
    step of a block fills, `others` are the same in shorter blocks or another mode, one of which a
    load may take. Numbers and flags are columns of the engine's table, so a step finds them by
    their field's name.
    """

    sampling: SamplingParams
    policy: PolicyName
    threshold: float
    quotas: tuple[int, ...]
    block_len: int
    max_tokens: int
    stop_ids: frozenset[int]
    seed: int
    top_k: int  # the size of the vocabulary for all tokens
    other_numbers: tuple[float, ...] = (0.0,) * (MAX_NUMBERS - 1)
    alg_temp: float = 0.0  # at which positions are drawn
    last_time: float = 0.0  # of the schedule of `ancestral`
    logprobs: int | None = None
    num_top: int = 0  # likeliest tokens that a result lists for each position
    mode: ModeName = "diffusion"
    drafts: bool = False  # True in self-speculation: a block is a draft, and then verified
    drafts_by_policy: bool = False  # in as many passes as the policy takes, instead of one
    cache: CacheName = "none"
    cfg_scale: float = 0.0
    editing_threshold: float | None = None
    max_post_steps: int = 0  # that may still edit a block without masked positions
    edit_rules: EditRules | None = None  # where edits delete and insert too
    length_rules: LengthRules | None = None  # where the answer grows and shrinks
    constraint: Constraint | None = None
    penalties: Penalties | None = None
    is_structured: bool = False  # True if a grammar says which tokens may stand where
    is_given: bool = False  # True if the answer is given, for its log-probabilities
    sub_block_length: int | None = None
    eos_last: bool = False
    open_blocks: int = 1
    fills_best: bool = False  # True if a pass fills the best position of all open blocks too
    stops_at_end: bool = False  # True if nothing behind an end of the answer is filled
    others: tuple["Decoding", ...] = ()

    @property
    def steps(self) -> int:
        """Denoising steps that a block may take."""
        return len(self.quotas)

    @property
    def has_constraint(self) -> bool:
        """True if logits are changed or tokens forbidden."""
        own = self.constraint, self.penalties, self.length_rules
        return any(part is not None for part in own)

    @property
    def first_len(self) -> int:
        """Tokens and masks of the answer before its first step."""
        return self.max_tokens if self.length_rules is None else self.length_rules.first_len

    @property
    def waits(self) -> bool:
        """True if a step depends on the result of the one before it, whatever the model is."""
        rules = self.edit_rules or self.length_rules or self.sub_block_length
        depends = self.is_structured or self.counts_tokens or self.keeps_trace or self.mixes
        return bool(rules) or depends or self.open_blocks > 1 or self.stops_at_end

    @property
    def counts_tokens(self) -> bool:
        """True if the logits of a step depend on the tokens that are committed before it."""
        return self.penalties is not None and self.penalties.counts_tokens

    @property
    def fills_by_quota(self) -> bool:
        """True if nothing but a step's quota may leave positions of a block to the next one."""
        others = self.has_constraint, self.eos_last, self.drafts, self.is_structured
        return not any(others)

    @property
    def is_rare(self) -> bool:
        """True if no CUDA graph samples the request, whatever its tokens."""
        return self.eos_last or self.alg_temp > 0 or BY_NAME[self.policy].is_rare

    @property
    def remasks(self) -> bool:
        """True if a step masks committed tokens again."""
        return BY_NAME[self.policy].remasks

    @property
    def revises_several(self) -> bool:
        """True if tokens of several open blocks may be replaced."""
        return self.open_blocks > 1 and self.editing_threshold is not None

    @property
    def mixes(self) -> bool:
        """True if embeddings of the open block's tokens are mixed with the mask token's."""
        return BY_NAME[self.policy].mixes

    @property
    def keeps_trace(self) -> bool:
        """True if a step depends on the steps of the block before it."""
        return BY_NAME[self.policy].keeps_trace

    def columns(self) -> tuple[Any, ...]:
        """The values of `COLUMNS`."""
        is_there = self.has_constraint, self.edit_rules is not None
        numbers = self.threshold, *self.other_numbers
        kinds = self.is_rare, self.mixes
        derived = CODES[self.policy], numbers, len(self.quotas), *kinds, *is_there
        values = [getattr(self, name) for name in _KINDS]
        values += [getattr(self.sampling, name) for name in _SAMPLED]
        missing = [NONE[kind] for kind in (*_KINDS.values(), *_SAMPLED.values())]
        return (*(m if v is None else v for v, m in zip(values, missing, strict=True)), *derived)


TYPES: dict[type, type[np.generic]] = {bool: np.bool_, int: np.int64, float: np.float32}
NONE: dict[type, float] = {bool: False, int: 0, float: np.nan}  # no number is above or below NaN


def _number(hint: Any) -> type | None:
    """The type of a field's column; None if it is no number or flag."""
    options = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    return next((kind for kind in TYPES if kind in options), None)


def _numbers(owner: type) -> dict[str, type]:
    """Types of the fields that are numbers or flags."""
    kinds = {name: _number(hint) for name, hint in get_type_hints(owner).items()}
    return {name: kind for name, kind in kinds.items() if kind is not None}


_KINDS = _numbers(Decoding)
_SAMPLED = {n: kind for n, kind in _numbers(SamplingParams).items() if n not in _KINDS}
COLUMNS = np.dtype(
    [
        *((name, TYPES[kind]) for name, kind in (_KINDS | _SAMPLED).items()),
        ("policy_code", np.int32),
        ("numbers", np.float32, (MAX_NUMBERS,)),
        ("num_steps", np.int64),
        ("is_rare", np.bool_),
        ("mixes", np.bool_),
        ("has_constraint", np.bool_),
        ("has_edit_rules", np.bool_),
    ],
    align=True,
)
