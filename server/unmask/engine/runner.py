"""Runs a step on the device: forward, score the masked rows, let each block's policy choose."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.decoding.policies import BY_ENTROPY, Scores, select
from unmask.engine.canvases import Canvases, CanvasStep, denoise_canvases
from unmask.engine.launched import Launched, Outputs
from unmask.engine.step import StepBatch
from unmask.models.canvas_decoder import CanvasDecoder
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
class Runner:
    """A model with its KV cache, and what stays on the device of open blocks between steps.

    That is their tokens, where steps overlap, or canvases of noise.
    """

    loaded: LoadedModel
    cache: KVCache
    page_size: int
    overlaps: bool
    canvas: Tensor | None  # [sequences, MAX_BLOCK_LENGTH] int64
    canvases: Canvases | None

    @classmethod
    def create(cls, config: EngineConfig, loaded: LoadedModel, num_pages: int) -> "Runner":
        """Allocate the KV cache of `num_pages` pages."""
        model, dtype, device = loaded.model, loaded.dtype, loaded.device
        cache = KVCache.empty(model.layers, num_pages, config.page_size, dtype, device)
        does_overlap = overlaps(config, loaded)
        canvas = canvases = None
        if isinstance(model, CanvasDecoder):
            length = loaded.info.default_sampling.block_length
            assert length is not None, "a canvas has a length"
            size = model.embedding.shape[1]
            canvases = Canvases.empty(config.max_num_seqs, length, size, dtype, device)
        elif does_overlap:
            rows = (config.max_num_seqs, MAX_BLOCK_LENGTH)
            canvas = torch.zeros(rows, dtype=torch.int64, device=device)
        return cls(loaded, cache, config.page_size, does_overlap, canvas, canvases)

    @torch.inference_mode()
    def launch(self, batch: StepBatch) -> Launched:
        """One forward pass over the batch, and the tokens that it decides."""
        if self.canvases is not None:
            return Launched.send(self._denoise_noise(batch, self.canvases))
        step = self._step_input(batch, self._token_ids(batch))
        hidden = self.loaded.model.forward(step)
        if not len(batch.scored_rows):
            return Launched.send(None)
        scores = self._score(batch, hidden)
        current = step.token_ids[self._to_device(batch.scored_rows)]
        selected = self._select(batch, scores, current)
        if self.canvas is not None:
            cells = self._to_device(batch.open_cells[batch.scored_open])
            self.canvas.view(-1)[cells] = torch.where(selected, scores.token, current)
        return Launched.send(
            Outputs(
                scores.token,
                scores.confidence,
                selected,
                top_ids=scores.top_ids,
                top_logprobs=scores.top_logprobs,
            )
        )

    def _step_input(
        self,
        batch: StepBatch,
        token_ids: Tensor,
        canvas_rows: Tensor | None = None,
        soft: Tensor | None = None,
    ) -> StepInput:
        plans = plan_layers(
            self.loaded.model.layers,
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.page_size,
            device=self.loaded.device,
            dtype=self.loaded.dtype,
            anchors=batch.anchors,
        )
        return StepInput(
            token_ids=token_ids,
            positions=self._to_device(batch.positions),
            slots=self._to_device(batch.slots),
            plans=plans,
            cache=self.cache,
            canvas_rows=canvas_rows,
            soft=soft,
        )

    def _score(self, batch: StepBatch, hidden: Tensor) -> RowScores:
        model, decoding = self.loaded.model, batch.decoding
        return score_rows(
            model.finish(hidden[self._to_device(batch.hidden_rows)]),
            model.lm_head,
            mask_token_id=_mask_token(self.loaded),
            sampled=self._sampled_rows(batch),
            guided=self._guided_rows(batch, hidden),
            with_entropy=not BY_ENTROPY.isdisjoint(decoding.policies),
            with_margin="margin" in decoding.policies,
            num_top=decoding.num_logprobs,
        )

    def _select(self, batch: StepBatch, scores: RowScores, current: Tensor) -> Tensor:
        """Which scored positions [M], that hold `current` [M], take their token."""
        decoding = batch.decoding
        is_masked = None
        if self.canvas is not None or decoding.editing is not None:
            # What the step before resolved, which the host may not know, comes last and is kept.
            is_masked = current.eq(_mask_token(self.loaded))
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
        return selected

    def _denoise_noise(self, batch: StepBatch, canvases: Canvases) -> Outputs | None:
        """A step over canvases of noise; what is selected are the drafts of finished ones."""
        model, info = self.loaded.model, self.loaded.info
        assert isinstance(model, CanvasDecoder)
        token_ids = self._to_device(batch.token_ids)
        if not len(batch.scored_rows):
            model.forward(self._step_input(batch, token_ids))
            return None
        assert info.canvas is not None, "the family says how canvases are denoised"
        length = canvases.tokens.shape[1]
        step = CanvasStep.of(batch, length, info.canvas, self.loaded.device)
        fresh = self._to_device(np.flatnonzero(batch.decoding.steps == 0))
        noise = step.noise(torch.zeros_like(step.steps), info.vocab_size)
        canvases.begin(step.rows[fresh], noise[fresh])
        rows = self._to_device(batch.open_rows)
        token_ids[rows] = canvases.tokens[step.rows].flatten()
        soft = canvases.soft[step.rows].flatten(0, 1)
        hidden = model.forward(self._step_input(batch, token_ids, rows, soft))
        scores, moved = denoise_canvases(
            model, canvases, step, hidden[rows], batch.decoding, info.vocab_size
        )
        return Outputs(
            scores.best,
            scores.confidence,
            step.per_row(moved.finished),
            accepted=moved.accepted.flatten(),
            top_ids=scores.top_ids,
            top_logprobs=scores.top_logprobs,
        )

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


def _mask_token(loaded: LoadedModel) -> int:
    assert loaded.info.mask_token_id is not None, "masked positions are filled with a mask token"
    return loaded.info.mask_token_id


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


def overlaps(config: EngineConfig, loaded: LoadedModel) -> bool:
    """Whether a step is prepared before the result of the last one is known."""
    return loaded.device.type == "cuda" if config.overlap is None else config.overlap
