"""From a checkpoint folder to a model that is ready to run."""

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidCheckpoint
from unmask.models.layers import StepInput
from unmask.models.sdar import Sdar, SdarConfig
from unmask.models.weights import Progress, Weights
from unmask.tokenizer import Tokenizer
from unmask.types import MAX_BLOCK_LENGTH, ModelInfo, SamplingParams
from unmask_kernels.linear import Linear

EMBEDDED = Path(__file__).parent.parent / "embedded"
DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16, "float32": torch.float32}


class Model(Protocol):
    """What the runner needs of an architecture."""

    lm_head: Linear

    @property
    def kv_shape(self) -> tuple[int, int, int]:
        """Layers, KV heads and head size."""
        ...

    @property
    def group_size(self) -> int:
        """Query heads that share a key head."""
        ...

    def forward(self, step: StepInput) -> Tensor:
        """Hidden states [T, C] of a step."""
        ...

    def finish(self, hidden: Tensor) -> Tensor:
        """What is left to do to hidden rows [M, C] before the LM head."""
        ...


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model with its tokenizer and what a front end is told of it."""

    model: Model
    tokenizer: Tokenizer
    info: ModelInfo
    dtype: torch.dtype
    device: torch.device


def load_model(
    config: ModelConfig, decoding: DecodingConfig, progress: Progress | None = None
) -> LoadedModel:
    """Load the checkpoint that `config` names, or the embedded one; raises `InvalidCheckpoint`."""
    folder = EMBEDDED if config.path is None else Path(config.path)
    raw = _read_json(folder / "config.json")
    generation = _read_json(folder / "generation_config.json", optional=True)
    architectures = raw.get("architectures") or ["none"]
    if architectures[0] != "SDARForCausalLM":
        raise InvalidCheckpoint(f"architecture {architectures[0]}; known is SDARForCausalLM")
    device = _device(config)
    dtype = _dtype(config, raw, device)
    tokenizer = Tokenizer.from_folder(folder)
    info = _model_info(config, decoding, raw, generation, tokenizer, folder)
    weights = Weights.from_folder(folder, dtype, device, progress)
    num_positions = info.max_model_len + MAX_BLOCK_LENGTH
    model = Sdar(SdarConfig.from_dict(raw), weights, num_positions)
    return LoadedModel(model, tokenizer, info, dtype, device)


def _read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        if optional:
            return {}
        raise InvalidCheckpoint(f"there is no {path.name} in {path.parent}") from error
    except ValueError as error:
        raise InvalidCheckpoint(f"{path} is not JSON: {error}") from error
    return content


def _device(config: ModelConfig) -> torch.device:
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(config.device)


def _dtype(config: ModelConfig, raw: dict[str, Any], device: torch.device) -> torch.dtype:
    """The dtype asked for; else bfloat16 wherever the device has it, float32 elsewhere."""
    if config.dtype != "auto":
        return DTYPES[config.dtype]
    stored = DTYPES.get(raw.get("torch_dtype") or raw.get("dtype") or "float32", torch.float32)
    if device.type == "cpu" and not torch.cpu._is_avx512_bf16_supported():
        return torch.float32
    return stored


def _model_info(
    config: ModelConfig,
    decoding: DecodingConfig,
    raw: dict[str, Any],
    generation: dict[str, Any],
    tokenizer: Tokenizer,
    folder: Path,
) -> ModelInfo:
    mask = config.mask_token_id if config.mask_token_id is not None else raw.get("mask_token_id")
    if mask is None:
        raise InvalidCheckpoint("config.json has no mask_token_id; give it with --mask-token-id")
    eos = generation.get("eos_token_id", raw.get("eos_token_id"))
    if eos is None:
        eos = tokenizer.eos_token_id
    eos_ids = tuple(eos) if isinstance(eos, list) else () if eos is None else (eos,)
    trained_len = int(raw.get("max_position_embeddings") or 2048)
    name = config.served_name or ("unmask-embedded" if config.path is None else folder.name)
    return ModelInfo(
        name=name,
        max_model_len=min(config.max_model_len or trained_len, trained_len),
        vocab_size=int(raw["vocab_size"]),
        mask_token_id=int(mask),
        eos_token_ids=eos_ids,
        default_sampling=_default_sampling(decoding, raw, generation),
        created_s=int(time.time()),
    )


def _default_sampling(
    decoding: DecodingConfig, raw: dict[str, Any], generation: dict[str, Any]
) -> SamplingParams:
    """Defaults of the server's configuration over those of the checkpoint; greedy otherwise."""
    temperature = generation.get("temperature") if generation.get("do_sample") else None
    params = SamplingParams(
        temperature=temperature or 0.0,
        policy=generation.get("policy"),
        threshold=generation.get("threshold"),
        factor=generation.get("factor"),
        entropy_bound=generation.get("entropy_bound"),
        steps=generation.get("steps"),
        block_length=generation.get("block_length") or raw.get("block_size"),
    )
    given = {
        name: value
        for name in decoding.__dataclass_fields__
        if (value := getattr(decoding, name)) is not None
    }
    return replace(params, **given)
