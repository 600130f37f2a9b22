"""A model with its KV cache on one device."""

from dataclasses import dataclass

import torch

from unmask.engine.run.class_tables import ClassTables
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.limits import EngineLimits
from unmask.models.inputs import plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.tiles import ToDevice


@dataclass(frozen=True, slots=True)
class DeviceModel:
    """Everything that steps of one model share.

    With CUDA graphs the cache has one page more than the pool: padding rows write to it.
    """

    loaded: LoadedModel
    limits: EngineLimits
    cache: KVCache
    staging: Staging
    tables: ClassTables

    @classmethod
    def create(cls, limits: EngineLimits, loaded: LoadedModel) -> "DeviceModel":
        """Allocate the KV cache."""
        num_pages = limits.num_pages + 1 if limits.has_graphs else limits.num_pages
        dtype: torch.dtype = getattr(torch, limits.kv_dtype)
        cache = KVCache.empty(
            loaded.model.layers,
            num_pages,
            limits.page_size,
            dtype,
            loaded.device,
            loaded.model.state_sizes,
            loaded.dtype,
        )
        staging = Staging(loaded.device)
        return cls(loaded, limits, cache, staging, ClassTables(staging))

    def plans(self, batch: StepBatch, to_device: ToDevice) -> tuple[AttentionPlan, ...]:
        """Attention plans of every layer, whose arrays are passed through `to_device`."""
        return plan_layers(
            self.loaded.model.layers,
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.limits.page_size,
            device=self.loaded.device,
            dtype=self.loaded.dtype,
            anchors=batch.positions if batch.anchors is None else batch.anchors,
            first_keys=None if batch.images is None else batch.images.first_keys,
            to_device=to_device,
        )
