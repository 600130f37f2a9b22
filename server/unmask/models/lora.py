"""LoRA adapters (Hu et al., 2022) in PEFT's layout, kept apart from the weights they adapt."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.checkpoint import read_json
from unmask.models.config_fields import ConfigFields, check_fields
from unmask.models.family import RawConfig
from unmask.models.shards import open_shards
from unmask.models.weights import Weights

CONFIG = "adapter_config.json"
MAX_RANK = 2**13
FIELDS = ConfigFields(
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
        "peft_type": ("LORA",),
        "rank_pattern": ({},),
        "target_parameters": ([],),
        "trainable_token_indices": ([], {}),
        "use_bdlora": (False,),
        "use_dora": (False,),
        "use_qalora": (False,),
    },
)


@dataclass(frozen=True, slots=True)
class LowRank:
    """Addition to a linear layer [N, K]: rows [M, K] give `scale` x A^T B^T."""

    a: Tensor  # [R, K]
    b: Tensor  # [N, R]
    scale: float

    def __call__(self, x: Tensor) -> Tensor:
        """Rows [M, N] that are added to the layer's own, in the dtype of `x`."""
        inner = F.linear(x.to(self.a.dtype), self.a)
        return (F.linear(inner, self.b) * self.scale).to(x.dtype)


def read_lora(
    folder: Path,
    module: str,
    names: list[str],
    shape: tuple[int, int],
    dtype: torch.dtype,
    device: torch.device,
) -> list[LowRank]:
    """Additions to the linear layers `names`, all of weight shape [N, K] and in `dtype`.

    `names` are those of the checkpoint without `.weight`; the adapter's only target is their last
    part, `module`. Raises `InvalidCheckpoint` for any other adapter.
    """
    raw = read_json(folder / CONFIG)
    check_fields(raw, FIELDS, CONFIG)
    targets = raw.get("target_modules")
    if targets != module and targets != [module]:
        raise InvalidCheckpoint(f"{folder / CONFIG}: only {module} can be adapted, not {targets}")
    rank, scale = _rank(raw), _scale(raw)
    weights = Weights(open_shards(folder), dtype, device, quantization="none")
    pairs = []
    for name in names:
        prefix = f"base_model.model.{name}."
        a = weights.take(f"{prefix}lora_A.weight", (rank, shape[1]))
        b = weights.take(f"{prefix}lora_B.weight", (shape[0], rank))
        pairs.append(LowRank(a, b, scale))
    try:
        weights.check_all_taken()
    except InvalidCheckpoint as error:
        raise InvalidCheckpoint(f"adapter {folder}: {error}") from None
    weights.close()
    return pairs


def _rank(raw: RawConfig) -> int:
    rank = raw.get("r")
    if isinstance(rank, bool) or not isinstance(rank, int) or not 0 < rank <= MAX_RANK:
        raise InvalidCheckpoint(f"{CONFIG}: r must be from 1 to {MAX_RANK:,}, got {rank!r:.40}")
    return rank


def _scale(raw: RawConfig) -> float:
    """Scale alpha / r, or alpha / sqrt(r) with `use_rslora` (Kalajdzievski, 2023)."""
    alpha, rank = raw.get("lora_alpha"), _rank(raw)
    if isinstance(alpha, bool) or not isinstance(alpha, int | float) or not alpha > 0:
        raise InvalidCheckpoint(f"{CONFIG}: lora_alpha must be above 0, got {alpha!r:.40}")
    return float(alpha) / (rank**0.5 if raw.get("use_rslora") else rank)
