"""Runs steps of models that denoise canvases of uniform noise, such as DiffusionGemma."""

import time
from dataclasses import dataclass, replace

import numpy as np
import torch

from unmask.engine.run.canvases import Canvases
from unmask.engine.run.device import DeviceModel
from unmask.engine.run.graphs.noise import NoiseGraphs, capture_noise
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.engine.run.images import ImageEncoder
from unmask.engine.run.noise import begin, denoise_canvases
from unmask.engine.run.noise_inputs import NoiseModel, earlier_slots, noise_inputs, row_inputs
from unmask.engine.run.noise_paths import GrammarPaths
from unmask.engine.run.pending import PendingStep, SampledTokens
from unmask.engine.schedule.batch import StepBatch
from unmask.models.family import CanvasModel
from unmask.models.inputs import ForwardInputs
from unmask.models.weights import Progress


@dataclass(frozen=True, slots=True)
class NoiseRunner:
    """Denoises canvases, whose tokens stay on the device until they are final."""

    device: DeviceModel
    model: CanvasModel
    noise: NoiseModel
    canvases: Canvases
    graphs: NoiseGraphs | None
    paths: GrammarPaths
    images: ImageEncoder

    @classmethod
    def create(
        cls,
        device: DeviceModel,
        progress: Progress | None = None,
        recorder: Recorder = cuda_recorder,
    ) -> "NoiseRunner":
        """Capture the CUDA graphs, if there shall be any; `progress` counts them."""
        loaded, limits = device.loaded, device.limits
        model, info = loaded.model, loaded.info
        assert isinstance(model, CanvasModel)
        assert info.canvas is not None, "the family has a schedule of canvases"
        assert info.block_length is not None, "a canvas has a length"
        canvases = Canvases.empty(
            limits.num_table_rows,
            info.block_length,
            model.embedding.shape[1],
            loaded.dtype,
            loaded.device,
        )
        noise = NoiseModel(info.canvas, info.vocab_size, limits.page_size, model.num_earlier)
        graphs = None
        if limits.has_graphs:
            graphs = capture_noise(device, canvases, noise, progress, recorder)
        paths = GrammarPaths(model, device.staging, info.vocab_size)
        images = ImageEncoder(model.vision, device.staging)
        return cls(device, model, noise, canvases, graphs, paths, images)

    @torch.inference_mode()
    def launch(self, batch: StepBatch) -> PendingStep:
        """One forward pass over a batch, and its canvases one denoising step on."""
        started_s = time.monotonic()
        if self.graphs is not None:
            pending = self.graphs.launch(batch, started_s)
            if pending is not None:
                return pending
        return PendingStep.send(batch, started_s, self._denoise(batch))

    def _denoise(self, batch: StepBatch) -> SampledTokens | None:
        """An eager step; the drafts of finished canvases are selected."""
        device, canvases, staging = self.device, self.canvases, self.device.staging
        rows = row_inputs(batch, canvases).to_device(staging)
        plans = device.plans(batch, staging.to_device)
        inputs = ForwardInputs(rows.token_ids, rows.positions, rows.slots, plans, device.cache)
        inputs = self.images.with_images(inputs, batch.images)
        vocab_size = self.noise.vocab_size
        if not len(batch.hidden_rows):
            earlier = earlier_slots(batch, self.noise)
            wanted, earlier_rows = staging.to_device([np.empty(0, np.int64), earlier])
            self.model.forward(replace(inputs, earlier=earlier_rows, wanted=wanted))
            return None
        step = noise_inputs(batch, canvases, self.noise, staging)
        begin(canvases, step, vocab_size)
        rows.sync_open_tokens(canvases.open_tokens)
        given = self.model, canvases, step, inputs, vocab_size, batch.decoding
        return denoise_canvases(*given, self.paths.follow(batch))
