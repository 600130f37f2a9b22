"""One forward pass of a model over token ids, without an engine."""

import numpy as np
import torch

from unmask.models.inputs import ForwardInputs, Mixture, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel

PAGE_SIZE = 16


def logits_of(
    loaded: LoadedModel,
    token_ids: torch.Tensor,
    horizons: np.ndarray,
    wanted: torch.Tensor | None = None,
    positions: torch.Tensor | None = None,
    mixture: Mixture | None = None,
    **of_images: torch.Tensor,
) -> torch.Tensor:
    """Logits of a sequence [T] whose queries reach to `horizons` [T]: all of them, or `wanted`.

    Positions are by default those of the rows; `of_images` are inputs of images. Inputs and results
    are on the CPU; the model may be on another device.
    """
    num_tokens, device = len(token_ids), loaded.device
    num_pages = -(-num_tokens // PAGE_SIZE)
    plans = plan_layers(
        loaded.model.layers,
        [0, num_tokens],
        horizons,
        np.arange(num_pages),
        [0, num_pages],
        PAGE_SIZE,
        device=device,
        dtype=loaded.dtype,
        anchors=np.arange(num_tokens),
    )
    cache = KVCache.empty(loaded.model.layers, num_pages, PAGE_SIZE, loaded.dtype, device)
    slots = torch.arange(num_tokens, device=device)
    positions = slots if positions is None else positions.to(device)
    wanted = None if wanted is None else wanted.to(device)
    step = ForwardInputs(
        *(token_ids.to(device), positions, slots, plans, cache),
        mixture=mixture,
        wanted=wanted,
        **{name: tensor.to(device) for name, tensor in of_images.items()},
    )
    hidden = loaded.model.forward(step)
    return loaded.model.lm_head(loaded.model.final_norm(hidden)).cpu()


def block_causal(num_tokens: int, block_len: int) -> np.ndarray:
    """Horizons [T]: each query reaches to the end of its block."""
    return np.minimum((np.arange(num_tokens) // block_len + 1) * block_len, num_tokens)


def causal(num_tokens: int) -> np.ndarray:
    """Horizons [T]: each query reaches to itself."""
    return np.arange(1, num_tokens + 1)


def full(num_tokens: int) -> np.ndarray:
    """Horizons [T]: each query reaches to the end."""
    return np.full(num_tokens, num_tokens)
