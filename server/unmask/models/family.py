"""What a family of checkpoints says of itself, and what the runner needs of its model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from unmask.models.config_fields import ConfigFields
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import LayerShape
from unmask.models.weights import Weights
from unmask.types import AttentionPattern, CanvasSchedule, ScheduleName
from unmask_kernels.linear.ops import Linear

RawConfig = dict[str, Any]


class Model(Protocol):
    """What the runner needs of an architecture."""

    lm_head: Linear
    row_unit: int  # numbers of rows are best multiples of it; see `unmask_kernels.linear.padding`

    @property
    def layers(self) -> Sequence[LayerShape]:
        """The shape of each layer's keys and values."""
        ...

    def forward(self, step: ForwardInputs) -> Tensor:
        """Hidden states of a step's wanted rows; its keys and values are written to the cache."""
        ...

    def final_norm(self, hidden: Tensor) -> Tensor:
        """What is left to do to hidden rows [M, C] before the LM head."""
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """How a checkpoint is decoded, as far as its files and its family say.

    Where `shift` is set, the logits of a position are about the token after it; `schedule` is how
    its authors spread positions over steps. `editing_threshold` is the confidence from which a
    token of the open block is replaced where a request does not say, if the model `can_edit`;
    blocks are filled `sub_block_length` positions at a time. `stated_positions` is the context that
    the authors state where `max_position_embeddings` is that of the model they began with.
    `vocab_size` counts the logits where they are more than the configuration's, and `end_tokens`
    end an answer where the tokenizer has them; `commands` are tokens that its authors' loop acts on
    and that are never generated here. `greedy` is set where the authors' code samples only
    if told to, whatever temperature the generation configuration names, `caps_steps` where it takes
    no more steps for a block than the answer may have tokens, unless tokens are edited.
    """

    attention: AttentionPattern
    shift: bool = False
    mask_token_id: int | None = None
    block_length: int | None = None
    max_positions: int | None = None
    stated_positions: int | None = None
    schedule: ScheduleName = "even"
    can_edit: bool = False
    editing_threshold: float | None = None
    sub_block_length: int | None = None
    vocab_size: int | None = None
    end_tokens: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    greedy: bool = False
    caps_steps: bool = False


# Decoding defaults by name, the first of which is taken; fields of `SamplingParams`.
Presets = Mapping[str, Mapping[str, Any]]


def _no_presets(_raw: RawConfig, _name: str) -> Presets:
    return {}


@dataclass(frozen=True, slots=True)
class Family:
    """An architecture by the names that `config.json` has for it.

    `model_types` are what `config.json` may say where it names no architecture. `build` takes the
    configuration, the weights and the number of positions; it and `traits` raise
    `InvalidCheckpoint` for what the family does not support. `fields` are those that it knows of
    `config.json`, any other is refused; `block_field` is the one with the block length. `presets`
    are its authors' settings for a configuration and a name. `canvas` reads the generation
    configuration of families that denoise canvases of noise. `verified` says what was compared with
    what, in a few words for `unmask models` and docs/reference/models.md.
    """

    name: str
    architectures: tuple[str, ...]
    traits: Callable[[RawConfig], Traits]
    build: Callable[[RawConfig, Weights, int], Model]
    fields: ConfigFields
    canvas: Callable[[RawConfig], CanvasSchedule] | None = None
    verified: str = ""
    model_types: tuple[str, ...] = ()
    block_field: str | None = None
    presets: Callable[[RawConfig, str], Presets] = _no_presets
