"""Captured step over canvases on torch's meta device; a script that a test runs.

Prints a JSON object: launches of kernels and operations for each number of layers.
"""

import json
from collections import Counter
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.support.meta_engine import load
from unmask.engine.run.canvases import Canvases
from unmask.engine.run.graphs.forward_buffers import ForwardBuffers
from unmask.engine.run.graphs.noise import noise_step
from unmask.engine.run.graphs.noise_buffers import NoiseBuffers, noise_sizes, padded_arrays
from unmask.engine.run.graphs.noise_check import random_canvases
from unmask.engine.run.graphs.sizes import tile_configs
from unmask.engine.run.noise_inputs import NoiseModel
from unmask.engine.schedule.limits import EngineLimits
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.kv_cache import KVCache
from unmask_kernels.testing.launches import compiled_only

NAME, LAYERS = "DiffusionGemma-26B-A4B", (6, 12)
# Operations that launch nothing: views, and memory that is not written.
FREE = frozenset(
    (
        *("_unsafe_view", "alias", "as_strided", "detach", "expand", "flatten", "numpy_T"),
        *("permute", "select", "slice", "split", "split_with_sizes", "squeeze", "t", "transpose"),
        *("unbind", "unflatten", "unsqueeze", "view", "empty", "empty_like", "empty_strided"),
        *("new_empty", "lift_fresh"),
    )
)
LIMITS = EngineLimits(2048, num_pages=400, page_size=64, max_num_seqs=4)


class Operations(TorchDispatchMode):
    """Counter of torch's operations."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> object:
        name = func.name().split("::")[1].split(".")[0]
        if name not in FREE:
            self.counts[name] += 1
        return func(*args, **(kwargs or {}))


def run(num_layers: int, num_canvases: int) -> dict[str, int]:
    """Launches of the smallest step with so many canvases."""
    with compiled_only(90):
        loaded = load(NAME, num_layers)
    model, device = loaded.model, torch.device("meta")
    assert isinstance(model, CanvasDecoder)
    length, hidden_size = loaded.info.default_sampling.block_length, model.embedding.shape[1]
    assert length is not None
    assert loaded.info.canvas is not None
    cache = KVCache.empty(model.layers, 401, 64, torch.bfloat16, device)
    canvases = Canvases.empty(LIMITS.max_num_seqs, length, hidden_size, torch.bfloat16, device)
    size = next(s for s in noise_sizes(LIMITS, loaded) if s.num_canvases == num_canvases)
    kinds = tile_configs(loaded)
    plans = {shape: (kinds[shape], size.step.tiles[shape]) for shape in kinds}
    forward = ForwardBuffers.empty(model.layers, plans, size.num_rows, cache)
    random = np.random.default_rng(0)
    batch = random_canvases(loaded, cache, size, LIMITS.max_num_seqs, random)
    noise = NoiseModel(loaded.info.canvas, loaded.info.vocab_size, LIMITS.page_size, 0)
    arrays = padded_arrays(batch, canvases, noise, size)
    buffers = NoiseBuffers(size, forward, arrays)
    with compiled_only(90) as launches, Operations() as operations:
        noise_step(model, buffers, canvases, loaded.info.vocab_size)()
    return dict(launches.counts + operations.counts)


if __name__ == "__main__":
    print(json.dumps({f"{n} {c}": run(n, c) for n in LAYERS for c in (1, 4)}))
