"""Runs a step on the device: forward, score the masked rows, let each block's policy choose."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from unmask.config import EngineConfig
from unmask.engine.run.graphs.forward import ForwardGraphs, capture_forward, wants_graphs
from unmask.engine.run.graphs.forward_buffers import host_step
from unmask.engine.run.graphs.noise import NoiseGraphs, capture_noise
from unmask.engine.run.graphs.sampling import SamplingGraphs, capture_sampling
from unmask.engine.run.inputs import StepTensors
from unmask.engine.run.noise import (
    Canvases,
    CanvasStep,
    UnknownTokens,
    begin,
    canvas_arrays,
    denoise_canvases,
)
from unmask.engine.run.pending import Outputs, PendingStep
from unmask.engine.run.sampling import SamplingInputs, decide
from unmask.engine.run.staging import Staging, on_host
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.pages import page_size_of
from unmask.engine.schedule.speculation import num_table_rows
from unmask.errors import InvalidConfig
from unmask.models.canvas_decoder import CanvasDecoder
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask.models.weights import Progress
from unmask.types import MAX_BLOCK_LENGTH
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.tiles import ToDevice
from unmask_kernels.dispatch import capability
from unmask_kernels.scoring.constraints import make_constraints
from unmask_kernels.scoring.types import GuidedRows, LastTokens

FP8_CAPABILITY = 89
CPU_KV_BYTES = 256 * 2**20
KV_SHARE = 0.85  # of what weights leave of a GPU; activations, graphs and logits have the rest


def count_pages(config: EngineConfig, loaded: LoadedModel) -> int:
    """Pages of the KV cache: as configured, or as many as fit its memory."""
    if config.num_pages is not None:
        return config.num_pages
    numbers = sum(shape.slot_numbers for shape in loaded.model.layers)
    slot_bytes = numbers * kv_dtype(config, loaded).itemsize
    page_size = page_size_of(config, loaded.device.type)
    return max(1, kv_bytes(config, loaded.device) // (slot_bytes * page_size))


def kv_dtype(config: EngineConfig, loaded: LoadedModel) -> torch.dtype:
    """The type that keys and values are held in; raises `InvalidConfig`."""
    if config.kv_dtype == "auto":
        return loaded.dtype
    if loaded.device.type == "cuda" and capability(loaded.device) < FP8_CAPABILITY:
        raise InvalidConfig("kv_dtype fp8 needs a GPU of compute capability 8.9 or more")
    return torch.float8_e4m3fn


def kv_bytes(config: EngineConfig, device: torch.device) -> int:
    """Memory of the KV cache, to be asked once the weights are where they stay."""
    if config.kv_memory_mib is not None:
        return config.kv_memory_mib * 2**20
    if device.type != "cuda":
        return CPU_KV_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    return int(KV_SHARE * free)


@dataclass(frozen=True, slots=True)
class Runner:
    """A model with its KV cache, and what stays on the device of open blocks between steps.

    That is their tokens, where steps overlap, or canvases of noise.
    """

    loaded: LoadedModel
    cache: KVCache
    page_size: int
    overlaps: bool
    canvas: Tensor | None  # [sequences + 1, MAX_BLOCK_LENGTH] int64, the last for rows to spare
    canvases: Canvases | None
    staging: Staging
    graphs: ForwardGraphs | None
    decisions: SamplingGraphs | None
    canvas_graphs: NoiseGraphs | None

    @classmethod
    def create(
        cls,
        config: EngineConfig,
        loaded: LoadedModel,
        num_pages: int,
        progress: Progress | None = None,
    ) -> "Runner":
        """Allocate the KV cache of `num_pages` pages, and capture the model's forward pass.

        Graphs have one page more, for padding rows. `progress` is told of each that is captured.
        """
        model, dtype, device = loaded.model, loaded.dtype, loaded.device
        has_graphs, staging = wants_graphs(config, loaded), Staging(device)
        pages = num_pages + 1 if has_graphs else num_pages
        held, page_size = kv_dtype(config, loaded), page_size_of(config, device.type)
        cache = KVCache.empty(model.layers, pages, page_size, held, device)
        canvas = canvases = graphs = decisions = canvas_graphs = None
        if isinstance(model, CanvasDecoder):
            length = loaded.info.block_length
            assert length is not None, "a canvas has a length"
            size = model.embedding.shape[1]
            num_rows = num_table_rows(config)
            canvases = Canvases.empty(num_rows, length, size, dtype, device)
            if has_graphs:
                canvas_graphs = capture_noise(config, loaded, cache, canvases, staging, progress)
        elif overlaps(config, loaded) or has_graphs:
            rows = (num_table_rows(config) + 1, MAX_BLOCK_LENGTH)
            canvas = torch.zeros(rows, dtype=torch.int64, device=device)
        if has_graphs and canvas is not None:
            graphs = capture_forward(config, loaded, cache, canvas, staging, progress)
            if graphs is not None:
                decisions = capture_sampling(config, loaded, graphs, canvas, staging, progress)
        return cls(
            loaded,
            cache,
            page_size,
            overlaps(config, loaded),
            canvas,
            canvases,
            staging,
            graphs,
            decisions,
            canvas_graphs,
        )

    @torch.inference_mode()
    def launch(self, batch: StepBatch) -> PendingStep:
        """One forward pass over the batch, and the tokens that it decides."""
        if self.canvas_graphs is not None and self.canvas_graphs.takes(batch):
            launched = self.canvas_graphs.launch(batch, self.plans(batch, on_host))
            if launched is not None:
                return launched
        has_scored = len(batch.scored_rows) > 0
        is_replayed = self.graphs is not None and self._replay(self.graphs, batch)
        if is_replayed and not has_scored:
            return PendingStep.send(None)
        if is_replayed and self.decisions is not None:
            launched = self.decisions.decide(batch)
            if launched is not None:
                return launched
        put = StepTensors.of(batch, self.loaded.info.vocab_size, self.staging.put)
        if self.canvases is not None:
            return PendingStep.send(self._denoise_noise(batch, put, self.canvases))
        if is_replayed and self.graphs is not None:
            hidden = self.graphs.hidden[put.wanted_rows]
        else:
            self._renew(put)
            step = self._step_input(batch, put, wanted=put.wanted_rows)
            hidden = self.loaded.model.forward(step)
        return PendingStep.send(self._decide(batch, put, hidden) if has_scored else None)

    def _replay(self, graphs: ForwardGraphs, batch: StepBatch) -> bool:
        assert self.canvas is not None, "where there are graphs there is a canvas"
        return graphs.replay(host_step(batch, self.canvas, self.plans(batch, on_host), self.cache))

    def _decide(self, batch: StepBatch, put: StepTensors, hidden: Tensor) -> Outputs:
        """Tokens of the scored rows, those that are taken also on the canvas.

        `hidden` are the rows that are wanted: those M whose logits are read, and then those G of
        the same without the prompt.
        """
        own, guiding = torch.tensor_split(hidden, (len(batch.scored_rows),))
        if self.canvas is None:
            current = put.token_ids[put.scored_rows]
        else:
            current = self.canvas.view(-1)[put.scored_cells]
        given = self._decisive(batch, put, guiding)
        scores, selected = decide(
            self.loaded.model,
            own,
            current,
            given,
            is_known=self.canvas is None,
        )
        if self.canvas is not None:
            self.canvas.view(-1)[put.scored_cells] = torch.where(selected, scores.token, current)
        return Outputs(
            scores.token,
            scores.confidence.float(),
            selected,
            top_ids=scores.top_ids,
            top_logprobs=scores.top_logprobs,
        )

    def plans(self, batch: StepBatch, to_device: ToDevice) -> tuple[AttentionPlan, ...]:
        """Attention plans of each layer; `to_device` copies their arrays to where they are read."""
        return plan_layers(
            self.loaded.model.layers,
            batch.query_starts,
            batch.horizons,
            batch.pages,
            batch.page_starts,
            self.page_size,
            device=self.loaded.device,
            dtype=self.loaded.dtype,
            anchors=batch.anchors,
            to_device=to_device,
        )

    def _step_input(
        self,
        batch: StepBatch,
        put: StepTensors,
        wanted: Tensor | None = None,
    ) -> ForwardInputs:
        return ForwardInputs(
            token_ids=put.token_ids,
            positions=put.positions,
            slots=put.slots,
            plans=self.plans(batch, self.staging.put),
            cache=self.cache,
            wanted=wanted,
        )

    def _decisive(self, batch: StepBatch, put: StepTensors, guiding: Tensor) -> SamplingInputs:
        decoding, vocab_size = batch.decoding, self.loaded.info.vocab_size
        guided = None
        if len(batch.guided):  # moved away from what is likely without the prompt
            guided = GuidedRows(put.guided, self.loaded.model.final_norm(guiding), put.guidance)
        constraints = None
        if decoding.constraints is not None:
            constraints = make_constraints(
                decoding.constraints, batch.scored_spans, vocab_size, guiding.device
            )
        last = None
        if decoding.eos_last.any():
            rows = np.flatnonzero(decoding.eos_last[batch.scored_spans])
            last = LastTokens(*self.staging.put([rows, np.array(self.loaded.info.eos_token_ids)]))
        return SamplingInputs(
            _mask_token(self.loaded),
            put.scored_spans,
            put.rules,
            put.editing,
            put.sampled,
            guided,
            constraints,
            last,
            decoding.num_logprobs,
        )

    def _denoise_noise(
        self, batch: StepBatch, put: StepTensors, canvases: Canvases
    ) -> Outputs | None:
        """A step over canvases of noise; what is selected are the drafts of finished ones."""
        model, info = self.loaded.model, self.loaded.info
        assert isinstance(model, CanvasDecoder)
        if not len(batch.scored_rows):
            model.forward(self._step_input(batch, put, wanted=put.wanted_rows))
            return None
        assert info.canvas is not None, "the family says how canvases are denoised"
        unknown, arrays = (
            UnknownTokens.of(batch, canvases),
            canvas_arrays(batch, canvases, info.canvas),
        )
        [rows, cells, *tensors] = self.staging.put([unknown.rows, unknown.cells, *arrays])
        step = CanvasStep.of(tensors)
        begin(canvases, step, info.vocab_size)
        put.token_ids.index_copy_(0, rows, canvases.cells.view(-1)[cells])
        given = self._step_input(batch, put)
        return denoise_canvases(model, canvases, step, given, info.vocab_size, batch.decoding)

    def _renew(self, put: StepTensors) -> None:
        """Put the tokens of open blocks as the step before left them, where that is not known."""
        if self.canvas is None:
            return
        canvas, cells, rows = self.canvas.view(-1), put.open_cells, put.open_rows
        canvas[cells] = torch.where(put.open_is_known, put.token_ids[rows], canvas[cells])
        put.token_ids[rows] = canvas[cells]


def _mask_token(loaded: LoadedModel) -> int:
    assert loaded.info.mask_token_id is not None, "masked positions are filled with a mask token"
    return loaded.info.mask_token_id


def overlaps(config: EngineConfig, loaded: LoadedModel) -> bool:
    """Whether a step is prepared before the result of the last one is known."""
    return loaded.device.type == "cuda" if config.overlap is None else config.overlap
