"""Runs steps of models that fill mask tokens: forward pass, then sampling."""

import time
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.forward import ForwardGraphs, capture_forward
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.engine.run.graphs.sampling import SamplingGraphs, capture_sampling
from unmask.engine.run.images import ImageEncoder
from unmask.engine.run.inputs import RowInputs, SamplingInputs, SamplingOptions
from unmask.engine.run.pending import PendingStep, SampledTokens
from unmask.engine.run.sampling import sample
from unmask.engine.run.staging import on_host
from unmask.engine.run.traces import Traces
from unmask.engine.schedule.batch import StepBatch
from unmask.models.inputs import ForwardInputs, Mixture
from unmask.models.weights import Progress
from unmask.types import MAX_BLOCK_LENGTH


class Runner(Protocol):
    """Runs steps of one model on one device."""

    @property
    def device(self) -> DeviceModel:
        """The model and its KV cache."""
        ...

    def launch(self, batch: StepBatch) -> PendingStep:
        """Hand a step to the device."""
        ...


@dataclass(frozen=True, slots=True)
class MaskRunner:
    """Fills mask tokens.

    The device keeps the tokens of open blocks, where a step is launched before the last one's
    result is known or CUDA graphs are replayed.
    """

    device: DeviceModel
    mask_token_id: int
    open_tokens: Tensor  # [rows of the table + 1, MAX_BLOCK_LENGTH] int64; the last is a dummy
    forward_graphs: ForwardGraphs | None
    sampling_graphs: SamplingGraphs | None
    images: ImageEncoder
    traces: Traces = field(default_factory=Traces)

    @classmethod
    def create(
        cls,
        device: DeviceModel,
        progress: Progress | None = None,
        recorder: Recorder = cuda_recorder,
    ) -> "MaskRunner":
        """Capture the CUDA graphs, if there shall be any; `progress` counts them."""
        limits, info = device.limits, device.loaded.info
        assert info.mask_token_id is not None, "masked positions hold a mask token"
        rows = limits.num_table_rows + 1
        open_tokens = torch.zeros(
            rows, MAX_BLOCK_LENGTH, dtype=torch.int64, device=device.loaded.device
        )
        forward = sampling = None
        if limits.has_graphs:
            forward = capture_forward(device, open_tokens, progress, recorder)
        if forward is not None:
            sampling = capture_sampling(
                device, info.mask_token_id, forward, open_tokens, progress, recorder
            )
        images = ImageEncoder(device.loaded.model.vision, device.staging)
        return cls(device, info.mask_token_id, open_tokens, forward, sampling, images)

    @property
    def keeps_open_tokens(self) -> bool:
        """True if the device keeps the tokens of open blocks."""
        return self.device.limits.overlaps or self.device.limits.has_graphs

    @torch.inference_mode()
    def launch(self, batch: StepBatch) -> PendingStep:
        """One forward pass over a batch, and the tokens that it samples."""
        started_s = time.monotonic()
        rows = RowInputs.from_batch(batch)
        is_replayed = self._replay_forward(batch, rows)
        if is_replayed:
            pending = self._replay_sampling(batch, started_s)
            if pending is not None:
                return pending
        wanted_rows = np.concatenate((batch.hidden_rows, batch.guiding_rows))
        [wanted] = self.device.staging.to_device([wanted_rows])
        if is_replayed and self.forward_graphs is not None:
            hidden = self.forward_graphs.hidden[wanted]
        else:
            hidden = self._forward(batch, rows, wanted)
        sampled = self._sample(batch.sampled, hidden) if len(batch.hidden_rows) else None
        return PendingStep.send(batch, started_s, sampled)

    def _replay_forward(self, batch: StepBatch, rows: RowInputs) -> bool:
        if self.forward_graphs is None or batch.images is not None:
            return False
        return self.forward_graphs.replay(rows, self.device.plans(batch, on_host))

    def _replay_sampling(self, batch: StepBatch, started_s: float) -> PendingStep | None:
        """The result of a replayed forward pass; None if no graph samples it."""
        if not len(batch.hidden_rows):
            return PendingStep.send(batch, started_s, None)
        if self.sampling_graphs is None:
            return None
        return self.sampling_graphs.launch(batch, started_s)

    def _forward(self, batch: StepBatch, rows: RowInputs, wanted: Tensor) -> Tensor:
        """Hidden states of the `wanted` rows, eagerly."""
        device = self.device
        rows = rows.to_device(device.staging)
        if self.keeps_open_tokens:
            rows.sync_open_tokens(self.open_tokens)
        plans = device.plans(batch, device.staging.to_device)
        inputs = ForwardInputs(
            rows.token_ids,
            rows.positions,
            rows.slots,
            plans,
            device.cache,
            adapted=rows.adapted if batch.adapted.any() else None,
            mixture=None if rows.shares is None else Mixture(rows.shares, self.mask_token_id),
            wanted=wanted,
        )
        inputs = self.images.with_images(inputs, batch.images, batch.rotary)
        return device.loaded.model.forward(inputs)

    def _sample(self, batch: StepBatch, hidden: Tensor) -> SampledTokens:
        """Sample the scored rows eagerly.

        `hidden` are the states of the M scored rows, then of the G rows without the prompt.
        """
        model, info, staging = (
            self.device.loaded.model,
            self.device.loaded.info,
            self.device.staging,
        )
        scored, guiding = torch.tensor_split(hidden, (len(batch.hidden_rows),))
        arrays = SamplingInputs.arrays(batch)
        tensors = staging.to_device(list(arrays.values()))
        inputs = SamplingInputs.from_tensors(dict(zip(arrays, tensors, strict=True)))
        options = SamplingOptions.from_batch(
            batch,
            model.final_norm(guiding) if len(guiding) else guiding,
            vocab_size=info.vocab_size,
            eos_token_ids=info.eos_token_ids,
            staging=staging,
            tables=self.device.tables,
        )
        if options.order is not None:  # some request is rare
            options = replace(options, traces=self.traces.of_batch(batch, staging))
        open_tokens = self.open_tokens.view(-1)
        if self.keeps_open_tokens:
            current = inputs.current(open_tokens, self.mask_token_id)
        else:
            [held] = staging.to_device([batch.scored_tokens])
            current = held.masked_fill(inputs.has_no_row, self.mask_token_id)
        scores, selected = sample(
            model,
            scored,
            current,
            inputs,
            options,
            mask_token_id=self.mask_token_id,
            is_known=not self.keeps_open_tokens,
        )
        if self.keeps_open_tokens:
            open_tokens[inputs.token_slots] = torch.where(selected, scores.token, current)
        return SampledTokens(
            scores.token,
            scores.confidence.float(),
            selected,
            top_ids=scores.top_ids,
            top_logprobs=scores.top_logprobs,
            given_logprobs=scores.given_logprobs,
            given_ranks=scores.given_ranks,
        )
