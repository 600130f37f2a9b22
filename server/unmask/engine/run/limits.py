"""Derives the engine's sizes from the configuration, the model and the device, and logs them."""

import logging
import os

import torch

from unmask.config import EngineConfig
from unmask.engine.schedule.block_lengths import saturation_rows_of
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.pages import page_size_of
from unmask.errors import InvalidConfig
from unmask.models.kv_cache import slot_bytes
from unmask.models.matrices import dtype_name
from unmask.models.registry import LoadedModel
from unmask.types import ModelInfo
from unmask_kernels.dispatch import capability

logger = logging.getLogger(__name__)

FP8_CAPABILITY = 89
CPU_KV_BYTES = 256 * 2**20
KV_SHARE = (
    0.85  # of the memory beside a GPU's weights; activations, graphs and logits take the rest
)


def derive_limits(config: EngineConfig, loaded: LoadedModel) -> EngineLimits:
    """The engine's sizes; raises `InvalidConfig`. Weights must be where they stay."""
    device_type = loaded.device.type
    is_gpu = device_type == "cuda"
    page_size, routing_length = page_size_of(config, device_type), loaded.info.routing_block_length
    if routing_length is not None and page_size % routing_length:
        raise InvalidConfig(
            f"engine.page_size must be a multiple of {routing_length}, the block in which this "
            f"model chooses experts, got {page_size}"
        )
    return EngineLimits(
        max_batch_tokens=max(config.max_batch_tokens, fewest_batch_tokens(loaded.info)),
        num_pages=count_pages(config, loaded),
        page_size=page_size,
        max_num_seqs=config.max_num_seqs,
        speculation_rows=config.speculation_rows,
        saturation_rows=saturation_rows_of(config, device_type),
        rows_per_client=config.rows_per_client or saturation_rows_of(config, device_type),
        kv_dtype=dtype_name(kv_dtype(config, loaded)),
        overlaps=_overlaps(loaded.info, is_gpu) if config.overlap is None else config.overlap,
        has_graphs=is_gpu if config.graphs is None else config.graphs,
    )


def _overlaps(model: ModelInfo, is_gpu: bool) -> bool:
    """True if steps overlap where nothing says; passes over windows wait for the last result.

    Half of the sequences would run in one step and half in the next.
    """
    return is_gpu and model.attention != "causal_window"


def log_limits(config: EngineConfig, limits: EngineLimits, loaded: LoadedModel) -> None:
    """Log each size on a line of its own, and every setting that was raised."""
    logger.info(
        "KV cache: %s pages of %d tokens, %s, %.2f GiB",
        f"{limits.num_pages:,}",
        limits.page_size,
        limits.kv_dtype,
        cache_bytes(limits, loaded) / 2**30,
    )
    logger.info(
        "batch: at most %s tokens of %d sequences a step, context %s tokens",
        f"{limits.max_batch_tokens:,}",
        limits.max_num_seqs,
        f"{loaded.info.max_model_len:,}",
    )
    if limits.max_batch_tokens > config.max_batch_tokens:
        logger.info(
            "max_batch_tokens: raised from %d to %d, the tokens that this model denoises together",
            config.max_batch_tokens,
            limits.max_batch_tokens,
        )
    if limits.overlaps:
        logger.info("overlap: up to %d steps are launched ahead", config.steps_ahead)


def fewest_batch_tokens(model: ModelInfo) -> int:
    """Tokens that go together: all of a sequence, or a prompt, a canvas, or any block."""
    if model.attention in ("full", "prompt_block"):
        return model.max_model_len
    if model.canvas is not None:
        return model.block_length or 1
    return 1


def count_pages(config: EngineConfig, loaded: LoadedModel) -> int:
    """Pages of the KV cache: as configured, or as many as fit its memory."""
    if config.num_pages is not None:
        return config.num_pages
    model = loaded.model
    of_slot = slot_bytes(model.layers, model.state_sizes, kv_dtype(config, loaded), loaded.dtype)
    page_size = page_size_of(config, loaded.device.type)
    return max(1, kv_bytes(config, loaded.device) // (of_slot * page_size))


def kv_dtype(config: EngineConfig, loaded: LoadedModel) -> torch.dtype:
    """Type of keys and values in the cache; raises `InvalidConfig`."""
    if config.kv_dtype == "auto":
        return loaded.dtype
    if loaded.device.type == "cuda" and capability(loaded.device) < FP8_CAPABILITY:
        raise InvalidConfig("kv_dtype fp8 needs a GPU of compute capability 8.9 or more")
    return torch.float8_e4m3fn


def kv_bytes(config: EngineConfig, device: torch.device) -> int:
    """Memory of the KV cache; on a GPU a share of what is free after the weights are loaded."""
    if config.kv_memory_mib is not None:
        return config.kv_memory_mib * 2**20
    if device.type != "cuda":
        return CPU_KV_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(KV_SHARE * free)


def cache_bytes(limits: EngineLimits, loaded: LoadedModel) -> int:
    """Memory that all pages of the KV cache take."""
    model, dtype = loaded.model, getattr(torch, limits.kv_dtype)
    of_slot = slot_bytes(model.layers, model.state_sizes, dtype, loaded.dtype)
    return limits.num_pages * limits.page_size * of_slot


def check_cache(limits: EngineLimits, loaded: LoadedModel) -> None:
    """Raise `InvalidConfig` for a KV cache that is larger than the memory of the device."""
    check_memory(cache_bytes(limits, loaded), memory_of(loaded.device))


def memory_of(device: torch.device) -> int:
    """All memory of a GPU, or of this machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def check_memory(num_bytes: int, total_bytes: int) -> None:
    """Raise `InvalidConfig` for a KV cache that can never fit: a CPU would end without a word."""
    if num_bytes > total_bytes:
        raise InvalidConfig(
            f"the KV cache of {num_bytes / 2**30:,.1f} GiB is larger than the memory, "
            f"{total_bytes / 2**30:,.1f} GiB; lower engine.kv_memory_mib or engine.num_pages"
        )
