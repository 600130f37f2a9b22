"""Runs a step on the device: forward, score the masked rows, let each block's policy choose."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.decoding.policies import BY_ENTROPY, Scores, select
from unmask.engine.step import StepBatch, StepResult
from unmask.models.layers import KVCache, StepInput, plan_layers
from unmask.models.registry import LoadedModel
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.unmasking import GuidedRows, RowScores, SampledRows, score_rows


def count_pages(config: EngineConfig, loaded: LoadedModel) -> int:
    """Pages of the KV cache: as configured, or as many as fit `kv_memory_mib`."""
    if config.num_pages is not None:
        return config.num_pages
    numbers = sum(shape.slot_numbers for shape in loaded.model.layers)
    slot_bytes = numbers * loaded.dtype.itemsize
    return max(1, config.kv_memory_mib * 2**20 // (slot_bytes * config.page_size))


@dataclass(frozen=True, slots=True)
class Launched:
    """A step that was handed to the device; its result may still be on the way."""

    scores: RowScores | None
    selected: Tensor | None
    arrived: torch.cuda.Event | None

    def wait(self) -> StepResult:
        """Block until the result is on the host."""
        if self.arrived is not None:
            self.arrived.synchronize()
        if self.scores is None or self.selected is None:
            return _nothing()
        scores = self.scores
        return StepResult(
            tokens=scores.token.numpy(),
            confidence=scores.confidence.numpy(),
            selected=self.selected.numpy(),
            top_ids=None if scores.top_ids is None else scores.top_ids.numpy(),
            top_logprobs=None if scores.top_logprobs is None else scores.top_logprobs.numpy(),
        )


@dataclass(frozen=True, slots=True)
class Runner:
    """A model with its KV cache, and the canvas of open blocks where steps overlap."""

    loaded: LoadedModel
    cache: KVCache
    page_size: int
    canvas: Tensor | None  # [sequences, MAX_BLOCK_LENGTH] int64

    @classmethod
    def create(cls, config: EngineConfig, loaded: LoadedModel, num_pages: int) -> "Runner":
        """Allocate the KV cache of `num_pages` pages."""
        cache = KVCache.empty(
            loaded.model.layers, num_pages, config.page_size, loaded.dtype, loaded.device
        )
        canvas = None
        if overlaps(config, loaded):
            rows = (config.max_num_seqs, MAX_BLOCK_LENGTH)
            canvas = torch.zeros(rows, dtype=torch.int64, device=loaded.device)
        return cls(loaded, cache, config.page_size, canvas)

    @torch.inference_mode()
    def launch(self, batch: StepBatch) -> Launched:
        """One forward pass over the batch, and the tokens that it decides."""
        model, device = self.loaded.model, self.loaded.device
        plans = plan_layers(
            model.layers,
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.page_size,
            device=device,
            dtype=self.loaded.dtype,
        )
        step = StepInput(
            token_ids=self._token_ids(batch),
            positions=self._to_device(batch.positions),
            slots=self._to_device(batch.slots),
            plans=plans,
            cache=self.cache,
        )
        hidden = model.forward(step)
        if not len(batch.scored_rows):
            return _to_host(None, None)
        scored_rows = self._to_device(batch.scored_rows)
        decoding = batch.decoding
        scores = score_rows(
            model.finish(hidden[self._to_device(batch.hidden_rows)]),
            model.lm_head,
            mask_token_id=self.loaded.info.mask_token_id,
            sampled=self._sampled_rows(batch),
            guided=self._guided_rows(batch, hidden),
            with_entropy=not BY_ENTROPY.isdisjoint(decoding.policies),
            with_margin="margin" in decoding.policies,
            num_top=decoding.num_logprobs,
        )
        current = step.token_ids[scored_rows]
        is_masked = None
        if self.canvas is not None or decoding.editing is not None:
            # What the step before resolved, which the host may not know, comes last and is kept.
            is_masked = current == self.loaded.info.mask_token_id
        blocks = self._to_device(batch.scored_spans)
        selected = select(
            _considered(scores, blocks, is_masked),
            decoding.policies,
            self._to_device(decoding.quota),
            self._to_device(decoding.limit),
            longest=decoding.longest,
        )
        if is_masked is not None:
            selected &= is_masked
            if decoding.editing is not None:
                limits = self._to_device(decoding.editing)[blocks]
                selected |= edits(scores, current, limits) & ~is_masked
        if self.canvas is not None:
            cells = self._to_device(batch.open_cells[batch.scored_open])
            self.canvas.view(-1)[cells] = torch.where(selected, scores.token, current)
        return _to_host(scores, selected)

    def _token_ids(self, batch: StepBatch) -> Tensor:
        """The batch's tokens; those of open blocks as the step before left them."""
        token_ids = self._to_device(batch.token_ids)
        if self.canvas is None:
            return token_ids
        canvas = self.canvas.view(-1)
        rows, cells = self._to_device(batch.open_rows), self._to_device(batch.open_cells)
        known = self._to_device(batch.open_is_known)
        canvas[cells] = torch.where(known, token_ids[rows], canvas[cells])
        token_ids[rows] = canvas[cells]
        return token_ids

    def _to_device(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(self.loaded.device)

    def _guided_rows(self, batch: StepBatch, hidden: Tensor) -> GuidedRows | None:
        """The scored rows that are moved away from what is likely without the prompt."""
        if not len(batch.guided):
            return None
        guiding = hidden[self._to_device(batch.guiding_rows)]
        scale = batch.decoding.guidance[batch.scored_spans[batch.guided]]
        return GuidedRows(
            rows=self._to_device(batch.guided),
            hidden=self.loaded.model.finish(guiding),
            scale=self._to_device(scale),
        )

    def _sampled_rows(self, batch: StepBatch) -> SampledRows | None:
        """The scored rows whose temperature is above zero, each with its own parameters."""
        decoding, spans = batch.decoding, batch.scored_spans
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
            positions=self._to_device(batch.scored_positions[rows]),
            steps=self._to_device(decoding.steps[spans]),
            top_k=self._to_device(top_k) if cuts_k else None,
            top_p=self._to_device(top_p) if cuts_p else None,
        )


def _nothing() -> StepResult:
    return StepResult(
        np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.bool_), None, None
    )


def edits(scores: RowScores, current: Tensor, limits: Tensor) -> Tensor:
    """Committed tokens [M] that another one replaces, being surer than `limits` (LLaDA2.1)."""
    return (scores.token != current) & (scores.confidence > limits)


def _considered(scores: RowScores, block: Tensor, is_masked: Tensor | None) -> Scores:
    """What a policy sees: rows that are masked no more have no confidence and no certainty."""
    confidence, entropy, margin = scores.confidence, scores.entropy, scores.margin
    if is_masked is not None:
        confidence = torch.where(is_masked, confidence, -1.0)
        entropy = None if entropy is None else torch.where(is_masked, entropy, torch.inf)
        margin = None if margin is None else torch.where(is_masked, margin, -1.0)
    return Scores(block, confidence, entropy, margin)


def _to_host(scores: RowScores | None, selected: Tensor | None) -> Launched:
    """Begin to copy what the host needs; on a CPU it is there already."""
    if scores is None or selected is None:
        return Launched(None, None, None)
    if selected.device.type == "cpu":
        return Launched(scores, selected, None)

    def copy(tensor: Tensor) -> Tensor:
        pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return pinned.copy_(tensor, non_blocking=True)

    copied = RowScores(
        token=copy(scores.token),
        confidence=copy(scores.confidence),
        entropy=None,
        margin=None,
        top_ids=None if scores.top_ids is None else copy(scores.top_ids),
        top_logprobs=None if scores.top_logprobs is None else copy(scores.top_logprobs),
    )
    chosen = copy(selected)
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
    arrived.record()
    return Launched(copied, chosen, arrived)


def overlaps(config: EngineConfig, loaded: LoadedModel) -> bool:
    """Whether a step is prepared before the result of the last one is known."""
    return loaded.device.type == "cuda" if config.overlap is None else config.overlap
