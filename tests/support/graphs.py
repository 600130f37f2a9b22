"""Recorded calls in place of CUDA graphs, for machines without a GPU."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from unmask.config import EngineConfig
from unmask.engine.run.class_tables import ClassTables
from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.check import closed_rows, random_step
from unmask.engine.run.graphs.forward import ForwardGraphs, capture_forward
from unmask.engine.run.graphs.recorder import Recorder
from unmask.engine.run.graphs.sizes import GraphSize
from unmask.engine.run.inputs import dummy_slot
from unmask.engine.run.limits import derive_limits
from unmask.engine.run.staging import Staging
from unmask.models.inputs import ForwardInputs
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask.models.weights import Progress


@dataclass
class Recordings:
    """A recorder whose graphs call their function again; counts the replays."""

    num_replays: int = field(default=0)

    def __call__(self, device: torch.device) -> Callable[[Callable[[], None]], "Recording"]:
        return lambda run: Recording(run, self)


def in_turn(*recorders: Recorder) -> Recorder:
    """A recorder that is one after another: of the forward pass first, then of sampling."""
    remaining = iter(recorders)
    return lambda device: next(remaining)(device)


@dataclass
class Recording:
    """One graph."""

    run: Callable[[], None]
    all: Recordings

    def replay(self) -> None:
        self.all.num_replays += 1
        self.run()


class Captured:
    """Graphs of a model on the CPU; steps that fit no graph run its forward pass."""

    def __init__(
        self, loaded: LoadedModel, graphs: ForwardGraphs, open_tokens: torch.Tensor
    ) -> None:
        self.loaded, self.graphs, self.open_tokens = loaded, graphs, open_tokens

    @classmethod
    def from_config(
        cls,
        config: EngineConfig,
        loaded: LoadedModel,
        cache: KVCache,
        recorder: Recorder,
        progress: Progress | None = None,
    ) -> "Captured | None":
        open_tokens = torch.zeros(config.max_num_seqs + 1, 64, dtype=torch.int64)
        limits = derive_limits(config, loaded)
        staging = Staging(open_tokens.device)
        device = DeviceModel(loaded, limits, cache, staging, ClassTables(staging))
        graphs = capture_forward(device, open_tokens, progress, recorder)
        return None if graphs is None else cls(loaded, graphs, open_tokens)

    def forward(self, step: ForwardInputs) -> torch.Tensor:
        """Hidden states of a step without open blocks."""
        rows = closed_rows(step, dummy_slot(self.open_tokens))
        if self.graphs.replay(rows, step.plans):
            return self.graphs.hidden[: len(step.token_ids)]
        return self.loaded.model.forward(step)


def some_step(
    loaded: LoadedModel, cache: KVCache, num_rows: int, num_sequences: int, reach: int, seed: int
) -> ForwardInputs:
    """About `num_rows` random rows of sequences that reach to `reach` at most."""
    size = GraphSize(num_rows, num_sequences, reach, {})
    return random_step(loaded, cache, size, np.random.default_rng(seed))


def noisy_cache(loaded: LoadedModel, num_pages: int, page_size: int) -> KVCache:
    """Cache with random values in all pages, except NaN in the last."""
    cache = KVCache.empty(
        loaded.model.layers, num_pages + 1, page_size, loaded.dtype, loaded.device
    )
    generator = torch.Generator(loaded.device).manual_seed(0)
    for pages in (*cache.keys, *cache.values):
        pages.normal_(generator=generator)
        pages[-1] = torch.nan
    return cache


def assert_padded_is_the_same(
    forward: Callable[[ForwardInputs], torch.Tensor], loaded: LoadedModel, step: ForwardInputs
) -> None:
    """Assert that padding changes no bit and writes only to the step's slots and the last page."""
    cache = step.cache
    before = [pages.clone() for pages in (*cache.keys, *cache.values)]
    hidden = forward(step).clone()
    after = [pages.clone() for pages in (*cache.keys, *cache.values)]
    assert torch.equal(hidden, loaded.model.forward(step))
    for pages, old, new in zip((*cache.keys, *cache.values), before, after, strict=True):
        assert torch.equal(pages[:-1], new[:-1]), "the same keys and values"
        untouched = torch.ones(old.shape[0] * old.shape[1], dtype=torch.bool)
        untouched[step.slots] = False
        untouched[-old.shape[1] :] = False
        same = (old == new).flatten(2).all(-1).flatten()
        assert same[untouched].all(), "padding rows write to the dummy page"
