"""`adapter_config.json` of a LoRA adapter in PEFT's layout."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from unmask.errors import InvalidCheckpoint
from unmask.json_file import read_json
from unmask.models.checkpoint import elsewhere
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.family import RawConfig

Number = TypeVar("Number", int, float)
CONFIG = "adapter_config.json"
LORA = "LORA"
MAX_RANK = 2**13
FIELDS_APART = ConfigFields(  # of an adapter that is kept apart from the weights
    read=frozenset(("lora_alpha", "r", "target_modules", "use_rslora")),
    harmless=frozenset(
        (
            *("auto_mapping", "base_model_name_or_path", "corda_config", "ensure_weight_tying"),
            *("eva_config", "inference_mode", "init_lora_weights", "loftq_config", "lora_dropout"),
            *("megatron_config", "megatron_core", "peft_version", "qalora_group_size", "revision"),
            *("runtime_config", "task_type"),
        )
    ),
    accepted={
        "alora_invocation_tokens": ([],),
        "alpha_pattern": ({},),
        "arrow_config": (),
        "bias": ("none",),
        "exclude_modules": ([],),
        "fan_in_fan_out": (False,),
        "layer_replication": ([],),
        "layers_pattern": ([],),
        "layers_to_transform": ([],),
        "lora_bias": (False,),
        "modules_to_save": ([],),
        "peft_type": (LORA,),
        "rank_pattern": ({},),
        "target_parameters": ([],),
        "trainable_token_indices": ([], {}),
        "use_bdlora": (False,),
        "use_dora": (False,),
        "use_qalora": (False,),
    },
)
FIELDS = ConfigFields(  # of one that is merged
    read=FIELDS_APART.read | {"alpha_pattern", "modules_to_save", "rank_pattern"},
    # The file's tensors tell which layers are adapted.
    harmless=FIELDS_APART.harmless - {"corda_config", "init_lora_weights", "loftq_config"}
    | {"exclude_modules", "layers_pattern", "layers_to_transform"},
    accepted={
        **{
            name: values
            for name, values in FIELDS_APART.accepted.items()
            if name
            not in (
                *("alpha_pattern", "exclude_modules", "layers_pattern", "layers_to_transform"),
                *("modules_to_save", "rank_pattern"),
            )
        },
        # Others (PiSSA, OLoRA, CorDA, LoftQ) change the weights beneath the adapter, too.
        "init_lora_weights": (True, False, "gaussian", "eva", "orthogonal"),
        "corda_config": ({},),
        "loftq_config": ({},),
    },
)


@dataclass(frozen=True, slots=True)
class AdapterConfig:
    """Fields of an `adapter_config.json`."""

    rank: int
    alpha: float
    is_rank_stabilised: bool  # Kalajdzievski, 2023
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    targets: str | tuple[str, ...]
    saved: tuple[str, ...]  # modules whose own tensors are replaced
    is_everywhere: bool  # all modules that `targets` name are adapted

    @classmethod
    def read(cls, folder: Path, known: ConfigFields = FIELDS) -> "AdapterConfig":
        """Read the file of a folder, and check its fields; raises `InvalidCheckpoint`."""
        if not (folder / CONFIG).exists():
            hint = elsewhere(folder, CONFIG)
            raise InvalidCheckpoint(f"there is no {CONFIG} in {folder}{hint}")
        raw = read_json(folder / CONFIG)
        if (kind := raw.get("peft_type", LORA)) != LORA:
            raise InvalidCheckpoint(f"{CONFIG}: peft_type {kind!r:.40} is not supported, only LORA")
        check_fields(raw, known, CONFIG)
        return cls(
            rank=_rank("r", raw.get("r")),
            alpha=_alpha("lora_alpha", raw.get("lora_alpha")),
            is_rank_stabilised=bool(raw.get("use_rslora")),
            rank_pattern=_pattern(raw, "rank_pattern", _rank),
            alpha_pattern=_pattern(raw, "alpha_pattern", _alpha),
            targets=_targets(raw),
            saved=_names(raw, "modules_to_save"),
            is_everywhere=all(
                raw.get(name) in (None, []) for name in ("exclude_modules", "layers_to_transform")
            ),
        )

    def rank_of(self, module: str) -> int:
        """Rank of a module: its own, or that of all."""
        return _matching(self.rank_pattern, module, self.rank)

    def scale_of(self, module: str) -> float:
        """Factor of a module's addition: alpha / r, or alpha / sqrt(r) if rank-stabilised."""
        rank, alpha = self.rank_of(module), _matching(self.alpha_pattern, module, self.alpha)
        return alpha / (rank**0.5 if self.is_rank_stabilised else rank)

    def adapts(self, module: str) -> bool:
        """True if PEFT would adapt a linear layer of this name."""
        if self.targets == "all-linear":
            return True
        if isinstance(self.targets, str):
            return re.fullmatch(self.targets, module) is not None
        return any(module == name or module.endswith(f".{name}") for name in self.targets)

    def saves(self, module: str) -> bool:
        """True if a module's tensors are stored whole; PEFT compares the ends of names."""
        return any(module.endswith(name) or f".{name}." in f".{module}" for name in self.saved)


def _rank(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value <= MAX_RANK:
        raise InvalidCheckpoint(f"{CONFIG}: {name} must be from 1 to {MAX_RANK:,}, got {value!r}")
    return value


def _alpha(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 2**31:
        raise InvalidCheckpoint(f"{CONFIG}: {name} must be above 0, got {value!r:.40}")
    return float(value)


def _matching(patterns: Mapping[str, Number], module: str, default: Number) -> Number:
    """Value of the first pattern that a module's name ends with, as PEFT looks it up."""
    for pattern, value in patterns.items():
        if re.match(rf"(.*\.)?({pattern})$", module):
            return value
    return default


def _pattern(
    raw: RawConfig, name: str, check: Callable[[str, object], Number]
) -> dict[str, Number]:
    value = raw.get(name) or {}
    if not isinstance(value, dict):
        raise InvalidCheckpoint(f"{CONFIG}: {name} must be an object, got {value!r:.40}")
    return {key: check(f"{name}.{key}", number) for key, number in value.items()}


def _names(raw: RawConfig, name: str) -> tuple[str, ...]:
    value = raw.get(name) or []
    if not isinstance(value, list) or not all(isinstance(entry, str) for entry in value):
        raise InvalidCheckpoint(f"{CONFIG}: {name} must be a list of names, got {value!r:.60}")
    return tuple(value)


def _targets(raw: RawConfig) -> str | tuple[str, ...]:
    value = raw.get("target_modules")
    if isinstance(value, str) and value:
        return value
    return _names(raw, "target_modules")
