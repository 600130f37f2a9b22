"""The table of sampling parameters: fields of a request, each said once with bounds and meaning.

A new parameter is a field of `SamplingParams`. Its annotation gives the type and the choices, its
metadata, made by `parameter`, all else. From there follow the checks, the fields of request bodies
(`unmask.api.sampling_fields`), the flags of commands (`unmask.cli.flags`) and, if `is_setting`, the
option `decoding.<name>` (`unmask.options`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Literal, get_args, get_type_hints

from unmask.bad_words import check_words
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar
from unmask.parameter import Parameter, number, parameter
from unmask.value_types import ValueType
from unmask_kernels.policies.table import ALIASES, BY_NAME, POLICIES, PolicyName

POLICY_NAMES: tuple[PolicyName, ...] = tuple(policy.name for policy in POLICIES)
CacheName = Literal["none", "prefix", "dual", "block", "delayed"]
CACHE_NAMES: tuple[CacheName, ...] = get_args(CacheName)
ModeName = Literal["diffusion", "ar", "self_speculation", "auto"]
BlockLength = int | Literal["auto"]
AUTO: Literal["auto"] = "auto"

MAX_BLOCK_LENGTH = 1024
MAX_STEPS = 8192
LEAST_TEMPERATURE = 1e-6  # one below is 0: logits divided by it would have no finite numbers
MAX_LOGPROBS = 20
MAX_STOP_STRINGS = 16
MAX_LOGIT_BIAS = 100
MIN_SEED, MAX_SEED = -(2**63), 2**63 - 1
SEEDS_BELOW_ZERO = 2**62  # are counted back from it, so that seeds of choices are above


@dataclass(frozen=True, slots=True)
class SamplingParams:
    """Decoding parameters of one request; `None` means the checkpoint's or the server's default.

    `cfg_scale` and the caches `prefix`, `dual` and `delayed` are for models whose attention spans
    the whole sequence, `sub_block_length` and the cache `block` for the others. `logit_bias`
    pairs token ids with what is added to their logits; where `allowed_token_ids` are given, nothing
    else is generated, an end-of-sequence token no more than the rest. An answer with a `grammar`
    matches it as a whole; the grammar is no row of the table. A list may stand for a tuple, one
    text for a tuple of it, and a mapping for pairs. Raises `InvalidRequest`.
    """

    max_tokens: int | None = parameter(
        "Longest answer, in tokens; as long as context and KV cache allow if unset.", low=1
    )
    temperature: float | None = parameter(
        "Temperature of sampling; 0 is greedy.", low=0, high=100, neutral=0.0, is_setting=True
    )
    top_p: float | None = parameter(
        "Sample from the likeliest tokens of this total probability.",
        low=0,
        high=1,
        open_low=True,
        neutral=1.0,
    )
    top_k: int | None = parameter(
        "Sample from this many of the likeliest tokens; 0 takes all.",
        low=0,
        aliases={-1: 0},
        neutral=0,
    )
    min_p: float | None = parameter(
        "Sample from tokens of at least this share of the likeliest one's probability.",
        low=0,
        high=1,
        neutral=0.0,
    )
    presence_penalty: float | None = parameter(
        "Taken off the logits of tokens that the answer has already.",
        low=-2,
        high=2,
        neutral=0.0,
    )
    frequency_penalty: float | None = parameter(
        "Taken off the logits of the answer's tokens, as often as it has them.",
        low=-2,
        high=2,
        neutral=0.0,
    )
    repetition_penalty: float | None = parameter(
        "Divides positive logits of tokens of prompt and answer, multiplies negative ones.",
        low=0.001,
        high=100,
        neutral=1.0,
    )
    min_tokens: int | None = parameter("Fewest tokens before the answer may end.", low=0, neutral=0)
    seed: int | None = parameter(
        "Seed of the random numbers; -1 is random.", low=MIN_SEED, high=MAX_SEED, aliases={-1: None}
    )
    stop: tuple[str, ...] = parameter("Text to stop before; may be repeated.", default=())
    stop_token_ids: tuple[int, ...] = parameter("Token ids to stop at.", default=(), has_flag=False)
    bad_words: tuple[str, ...] = parameter(
        "Text that the answer may not have, as its tokens; may be repeated.", default=()
    )
    include_stop_str_in_output: bool = parameter(
        "Leave the stop string that matched in the text.", default=False
    )
    ignore_eos: bool = parameter("Go on after an end-of-sequence token.", default=False)
    logprobs: int | None = parameter(
        "Likeliest tokens to list at each position.", low=0, high=MAX_LOGPROBS, has_flag=False
    )
    prompt_logprobs: int | None = parameter(
        "Likeliest tokens to list at each position of the prompt.",
        low=0,
        high=MAX_LOGPROBS,
        has_flag=False,
    )
    mode: ModeName | None = parameter(
        "How a model that is causal too writes: blocks, tokens, verified drafts, or by load.",
        neutral="diffusion",
        is_setting=True,
    )
    policy: PolicyName | None = parameter(
        "Rule that picks the positions a step fills; the checkpoint's if unset.",
        aliases=ALIASES,
        is_setting=True,
    )
    threshold: float | None = number("threshold")
    factor: float | None = number("factor")
    entropy_bound: float | None = number("entropy_bound")
    entropy_threshold: float | None = number("entropy_threshold")
    low_threshold: float | None = number("low_threshold")
    relaxed_threshold: float | None = number("relaxed_threshold")
    radius: int | None = number("radius")
    kl_threshold: float | None = number("kl_threshold")
    eta: float | None = number("eta")
    alg_temp: float | None = parameter(
        "Temperature at which policies that rank draw positions; 0 takes the highest (Dream).",
        low=0,
        high=100,
        neutral=0.0,
        is_setting=True,
    )
    eps: float | None = parameter(
        "Last time of Dream's schedule, which runs down from 1; 0.001 if unset.",
        low=0,
        high=1,
        is_setting=True,
    )
    distance_penalty: float | None = parameter(
        "Nats that each position after a window's first masked one adds to its entropy.",
        low=0,
        neutral=0.0,
        is_setting=True,
    )
    steps: int | None = parameter(
        "Denoising steps that a block may take.", low=1, high=MAX_STEPS, is_setting=True
    )
    block_length: BlockLength | None = parameter(
        "Positions denoised together; auto takes fewer of them under load.",
        low=1,
        high=MAX_BLOCK_LENGTH,
        is_setting=True,
    )
    cache: CacheName | None = parameter(
        "KV cache within a block; none is exact.", neutral="none", is_setting=True
    )
    cfg_scale: float | None = parameter(
        "Classifier-free guidance, with full attention; 0 is off.", low=0, high=100, neutral=0.0
    )
    editing_threshold: float | None = parameter(
        "Confidence that replaces a token, in models trained for it.",
        low=0,
        high=1,
        is_setting=True,
    )
    sub_block_length: int | None = parameter(
        "Positions of a block that are filled before the next ones.",
        low=1,
        high=MAX_BLOCK_LENGTH,
        is_setting=True,
    )
    open_blocks: int | None = parameter(
        "Blocks denoised in the same passes, each seeing those before it; 1 is one at a time.",
        low=1,
        high=MAX_BLOCK_LENGTH,
        neutral=1,
        is_setting=True,
    )
    add_block_threshold: float | None = parameter(
        "Share of the last open block that is filled before the next one opens.",
        low=0,
        high=1,
        open_low=True,
        neutral=0.1,
        is_setting=True,
    )
    semi_complete_threshold: float | None = parameter(
        "Share of a block that is filled before each pass fills a position of the next one.",
        low=0,
        high=1,
        neutral=0.9,
        is_setting=True,
    )
    cache_delay_iter: int | None = parameter(
        "Passes until a full block's keys are kept.", low=0, high=10_000, neutral=2, is_setting=True
    )
    refresh_interval: int | None = parameter(
        "Passes between fresh keys.", low=1, high=10_000, neutral=10_000, is_setting=True
    )
    number_of_mask: int | None = parameter(
        "Masks that an answer begins with, in models that grow and shrink it; 0 keeps its length.",
        low=0,
        high=MAX_BLOCK_LENGTH,
    )
    pad_delete_to_right: bool | None = parameter(
        "A mask that is deleted takes all masks behind it along, in models that shrink an answer.",
        neutral=False,
        is_setting=True,
    )
    eos_last: bool | None = parameter(
        "Fill positions that would end the answer after all others.",
        neutral=False,
        is_setting=True,
    )
    max_thinking_tokens: int | None = parameter(
        "Tokens after which thoughts are ended, if they have not by then.", low=0
    )
    logit_bias: tuple[tuple[int, float], ...] = parameter(
        "Token ids and numbers added to their logits.", default=(), has_flag=False
    )
    allowed_token_ids: tuple[int, ...] | None = parameter(
        "The only token ids that may be generated.", has_flag=False
    )

    grammar: Grammar | None = field(default=None, metadata={"is_setting": False})

    def __post_init__(self) -> None:
        for value, default, row in zip(_VALUES(self), _DEFAULTS, _ROWS, strict=True):
            if value is default:
                continue
            taken = row.taken(value)
            if taken is not value:
                object.__setattr__(self, row.name, taken)
            row.check(taken)
        if self.seed is not None and self.seed < 0:
            object.__setattr__(self, "seed", self.seed % SEEDS_BELOW_ZERO)
        for name in ("temperature", "alg_temp"):
            if 0 < (getattr(self, name) or 0) < LEAST_TEMPERATURE:
                object.__setattr__(self, name, 0.0)
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
        check_words(self.bad_words)
        if self.grammar is not None and not isinstance(self.grammar, Grammar):
            raise InvalidRequest(
                f"grammar must be one of unmask.grammar, such as Regex, got {self.grammar!r:.60}",
                field="grammar",
            )
        if self.bad_words and self.grammar is not None:
            raise InvalidRequest(
                "bad_words and a grammar both say which text may be written", field="bad_words"
            )
        if self.allowed_token_ids is not None and not self.allowed_token_ids:
            raise InvalidRequest("allowed_token_ids must not be empty", field="allowed_token_ids")

    @property
    def mixes(self) -> bool:
        """True if its policy mixes embeddings with the mask token's (DMax)."""
        return self.policy is not None and BY_NAME[self.policy].mixes

    def asks_for(self, name: str) -> bool:
        """True if a parameter has a value that changes anything."""
        row = PARAMETERS[name]
        return getattr(self, name) not in (None, row.default, row.neutral)

    def resolved(self, default: "SamplingParams", block_length: int) -> "SamplingParams":
        """Each parameter as it is here, else by `default`, else neutral; all were checked before.

        The block length is given: it follows from more than the request.
        """
        filled = object.__new__(SamplingParams)
        for name, row in PARAMETERS.items():
            value = getattr(self, name)
            if value is None:
                value = getattr(default, name)
                value = row.neutral if value is None else value
            object.__setattr__(filled, name, value)
        object.__setattr__(filled, "block_length", block_length)
        object.__setattr__(filled, "grammar", self.grammar)
        return filled


def _rows() -> dict[str, Parameter]:
    hints = get_type_hints(SamplingParams)
    return {
        entry.name: Parameter(
            name=entry.name,
            type=ValueType.from_annotation(hints[entry.name]),
            default=entry.default,
            **entry.metadata,
        )
        for entry in fields(SamplingParams)
        if "meaning" in entry.metadata
    }


PARAMETERS: Mapping[str, Parameter] = _rows()
_ROWS = tuple(PARAMETERS.values())
_DEFAULTS = tuple(row.default for row in _ROWS)
_VALUES = attrgetter(*PARAMETERS)  # all of a request's, in one call
SETTINGS = tuple(row for row in PARAMETERS.values() if row.is_setting)
