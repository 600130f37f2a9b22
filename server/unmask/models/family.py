"""`Family`: an architecture's entry in the registry; `Model`: its interface to the runner."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from unmask.images import ImageTraits
from unmask.models.config_fields import ConfigFields
from unmask.models.inputs import ForwardInputs, Vision
from unmask.models.kv_cache import LayerShape
from unmask.models.weights import Weights
from unmask.types import (
    AttentionPattern,
    EditCommands,
    NoiseSchedule,
    PolicyName,
    ScheduleName,
)
from unmask_kernels.linear.ops import Linear
from unmask_kernels.noise.vocabulary import Vocabulary

RawConfig = dict[str, Any]
TokenId = Callable[[str], int | None]
"""The id of an added token with a text, if a tokenizer has one."""


class Model(Protocol):
    """Interface of a model to the runner."""

    lm_head: Linear
    row_unit: int  # unit that rows are padded to; see `unmask_kernels.linear.padding`
    vision: Vision | None  # None: prompts have no images
    state_sizes: Sequence[int]  # channels of each short convolution, whose inputs are cached

    @property
    def layers(self) -> Sequence[LayerShape]:
        """Key and value shape of each layer."""
        ...

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states [W, C] of the step's wanted rows; writes keys and values to the cache."""
        ...

    def final_norm(self, hidden: Tensor) -> Tensor:
        """Hidden rows [M, C] after the final norm, ready for the LM head."""
        ...


@runtime_checkable
class CanvasModel(Model, Protocol):
    """Interface of a model that denoises canvases of noise."""

    embedding: Tensor  # [V, C], tied to the LM head
    vocabulary: Vocabulary
    follows_posterior: bool  # True if steps draw from a posterior (DUO), instead of accepting
    num_earlier: int  # positions before a row that short convolutions read

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [M, V] float32 of normed rows [M, C]."""
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """Decoding facts and defaults of a checkpoint; None means that the family does not fix it."""

    attention: AttentionPattern
    shift: bool = False  # logits of position i predict the token at i + 1
    mask_token_id: int | None = None
    block_length: int | None = None
    policy: PolicyName | None = None
    threshold: float | None = None
    temperature: float | None = None
    distance_penalty: float | None = None
    max_positions: int | None = None
    stated_positions: int | None = None  # overrides a base model's max_position_embeddings
    schedule: ScheduleName = "even"  # spreads positions over steps
    can_edit: bool = False
    can_mix: bool = False  # embeddings with the mask token's (DMax)
    editing_threshold: float | None = None  # confidence that replaces a token of the open block
    edit_commands: EditCommands | None = None  # tokens that delete and insert
    routing_block_length: int | None = None  # positions that share their experts
    sub_block_length: int | None = None  # positions of a block that are filled at a time
    vocab_size: int | None = None  # number of logits, if not the configuration's
    end_tokens: tuple[str, ...] = ()  # end an answer, if the tokenizer has them
    end_text: str | None = None  # ends an answer, if the chat template has it
    banned_tokens: tuple[str, ...] = ()  # are in no answer, if the tokenizer has them
    stops_at_end: bool = False  # nothing behind an end of the answer is filled
    length_commands: tuple[str, str] | None = None  # texts of tokens that grow and shrink answers
    greedy: bool = False  # ignores the sampling values of generation_config.json
    caps_steps: bool = False  # at most max_tokens steps a block, unless tokens are edited
    is_pipelined: bool = True  # of blocks behind a prompt, several are open (D2F), else one (CDLM)
    fills_best: bool = False  # of several open blocks, the best position of all too (d3LLM)
    keeps_keys: bool = True  # False: full attention computes all of a sequence in every pass


# Fields of `SamplingParams` by preset name; the first preset is the default.
Presets = Mapping[str, Mapping[str, Any]]


def _no_presets(_raw: RawConfig, _name: str) -> Presets:
    return {}


@dataclass(frozen=True, slots=True)
class Family:
    """Registry entry of an architecture; `traits` and `build` raise `InvalidCheckpoint`."""

    name: str
    architectures: tuple[str, ...]  # class names in config.json
    traits: Callable[[RawConfig], Traits]
    build: Callable[[RawConfig, Weights, int], Model]  # of config, weights, number of positions
    fields: ConfigFields  # known fields of config.json; any other is refused
    canvas: Callable[[RawConfig], NoiseSchedule] | None = None  # of generation_config.json
    verified: str = ""  # comparison with a reference, for `unmask models` and the docs
    model_types: tuple[str, ...] = ()  # `model_type` of configs without an architecture
    block_field: str | None = None  # field of config.json with the block length
    presets: Callable[[RawConfig, str], Presets] = _no_presets  # of config and checkpoint name
    attentions: tuple[AttentionPattern, ...] = ()  # that only `model.attention` tells apart
    block_attention: AttentionPattern | None = None  # of D2F's weights, or of `--attention block`
    named: re.Pattern[str] | None = None  # names that tell it from another of its architecture
    is_own: Callable[[RawConfig], bool] | None = None  # False for another model of that name
    images: Callable[[RawConfig, Path, TokenId], ImageTraits | None] | None = None
    chat_template: str | None = None  # in place of the checkpoint's
    is_masked_lm: bool = False  # prompts have no [CLS]; a warning if it may not generate
    warn: Callable[[str], None] | None = None  # of a checkpoint by its name
    begins_chats: bool = False  # with the token that begins a sequence, if a template does not
