"""Runs a step on the device: forward, score the masked rows, let each block's policy choose."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.decoding.policies import Scores, select
from unmask.engine.step import StepBatch, StepResult
from unmask.models.layers import KVCache, StepInput
from unmask.models.registry import LoadedModel
from unmask_kernels.attention import make_plan
from unmask_kernels.unmasking import RowScores, SampledRows, score_rows


def count_pages(config: EngineConfig, loaded: LoadedModel) -> int:
    """Pages of the KV cache: as configured, or as many as fit `kv_memory_mib`."""
    if config.num_pages is not None:
        return config.num_pages
    layers, heads, dim = loaded.model.kv_shape
    slot_bytes = 2 * layers * heads * dim * loaded.dtype.itemsize
    return max(1, config.kv_memory_mib * 2**20 // (slot_bytes * config.page_size))


@dataclass(frozen=True, slots=True)
class Runner:
    """A model with its KV cache."""

    loaded: LoadedModel
    cache: KVCache
    page_size: int

    @classmethod
    def create(cls, config: EngineConfig, loaded: LoadedModel, num_pages: int) -> "Runner":
        """Allocate the KV cache of `num_pages` pages."""
        layers, heads, dim = loaded.model.kv_shape
        shape = (num_pages, config.page_size, heads, dim)
        cache = KVCache.empty(layers, shape, loaded.dtype, loaded.device)
        return cls(loaded, cache, config.page_size)

    @torch.inference_mode()
    def run(self, batch: StepBatch) -> StepResult:
        """One forward pass over the batch, and the tokens that it decides."""
        model, device = self.loaded.model, self.loaded.device
        plan = make_plan(
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.page_size,
            group_size=model.group_size,
            head_dim=model.kv_shape[2],
            device=device,
            dtype=self.loaded.dtype,
        )
        step = StepInput(
            token_ids=self._to_device(batch.token_ids),
            positions=self._to_device(batch.positions),
            slots=self._to_device(batch.slots),
            plan=plan,
            cache=self.cache,
        )
        hidden = model.forward(step)
        if not len(batch.masked_rows):
            return _nothing()
        rows = model.finish(hidden[self._to_device(batch.masked_rows)])
        decoding = batch.decoding
        scores = score_rows(
            rows,
            model.lm_head,
            mask_token_id=self.loaded.info.mask_token_id,
            sampled=self._sampled_rows(batch),
            with_entropy="entropy_bound" in decoding.policies,
            num_top=decoding.num_logprobs,
        )
        block = self._to_device(batch.masked_spans)
        selected = select(
            Scores(block, scores.confidence, scores.entropy),
            decoding.policies,
            self._to_device(decoding.quota),
            self._to_device(decoding.limit),
        )
        return _to_host(scores, selected)

    def _to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.loaded.device)

    def _sampled_rows(self, batch: StepBatch) -> SampledRows | None:
        """The masked rows whose temperature is above zero, each with its own parameters."""
        decoding, spans = batch.decoding, batch.masked_spans
        if not decoding.temperature.any():
            return None
        rows = np.flatnonzero(decoding.temperature[spans] > 0)
        spans = spans[rows]
        top_k, top_p = decoding.top_k[spans], decoding.top_p[spans]
        cuts_k = bool((top_k < self.loaded.info.vocab_size).any())
        cuts_p = bool((top_p < 1.0).any())
        return SampledRows(
            rows=self._to_device(rows),
            temperature=self._to_device(decoding.temperature[spans]),
            seeds=self._to_device(decoding.seeds[spans]),
            positions=self._to_device(batch.positions[batch.masked_rows[rows]]),
            steps=self._to_device(decoding.steps[spans]),
            top_k=self._to_device(top_k) if cuts_k else None,
            top_p=self._to_device(top_p) if cuts_p else None,
        )


def _nothing() -> StepResult:
    return StepResult(
        np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_), None, None
    )


def _to_host(scores: RowScores, selected: Tensor) -> StepResult:
    top_ids, top_logprobs = scores.top_ids, scores.top_logprobs
    return StepResult(
        tokens=scores.token.cpu().numpy(),
        confidence=scores.confidence.cpu().numpy(),
        selected=selected.cpu().numpy(),
        top_ids=None if top_ids is None else top_ids.cpu().numpy(),
        top_logprobs=None if top_logprobs is None else top_logprobs.cpu().numpy(),
    )
