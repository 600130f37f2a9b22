"""LoRA adapters (Hu et al., 2022) in PEFT's layout, kept apart from the weights they adapt."""

from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from unmask.errors import InvalidCheckpoint
from unmask.models.adapter_config import CONFIG, FIELDS_APART, AdapterConfig
from unmask.models.shards import open_shards
from unmask.models.weights import Weights


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
    config = AdapterConfig.read(folder, FIELDS_APART)
    if config.targets not in (module, (module,)):
        raise InvalidCheckpoint(
            f"{folder / CONFIG}: only {module} can be adapted, not {config.targets}"
        )
    rank, scale = config.rank, config.scale_of(module)
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
