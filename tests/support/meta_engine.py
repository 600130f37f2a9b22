"""Steps of real shapes on the meta device with compiled kernels; a script that a test runs.

Prints a JSON object: reports of the launched kernels for each family.
"""

import argparse
import json
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.device import engine as device_engine
from benchmarks.device.families import LLADA, SHAPES, Quantized, Shape
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run.pending import PendingStep
from unmask.engine.run.staging import Array, Staging
from unmask.engine.schedule.batch import StepBatch
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams
from unmask_kernels.testing.launches import compiled_only

NUM_STEPS = 4
IN_8_BITS = ", fp8"  # suffix of a name: 8-bit weights
EIGHT_BITS = frozenset(("LLaDA2.0-mini",))  # families with an 8-bit KV cache
MULTIPLYING = frozenset(
    ("attention_kernel", "grouped_gate_kernel", "grouped_down_kernel", "product_kernel"),
)
ANY = SamplingParams(max_tokens=256)
MASKED = (
    ANY,
    replace(ANY, temperature=0.7, seed=1, policy="entropy_bound"),
    replace(ANY, temperature=0.7, seed=2, top_k=40, top_p=0.9, policy="margin", logprobs=3),
    replace(ANY, logit_bias=((5, 1.0),), policy="factor", temperature=0.5, seed=3),
    replace(ANY, allowed_token_ids=(1, 2, 3), policy="low_confidence", steps=8),
)
GUIDED = (*MASKED, replace(ANY, cfg_scale=1.5), replace(ANY, cache="dual"))
NOISE = tuple(
    replace(ANY, policy="entropy_bound", temperature=1.0, seed=i, top_p=p, logprobs=2 * i)
    for i, p in enumerate((1.0, 0.9))
)


def on_meta(self: Staging, arrays: list[Array]) -> list[torch.Tensor]:
    return [torch.from_numpy(array.copy()).to("meta") for array in arrays]


def stay(batch: StepBatch, started_s: float, sampled: Any) -> PendingStep:
    return PendingStep(batch, started_s, sampled, None)


def requests(shape: Shape) -> list[Request]:
    """Prompts of one chunk of keys, of several, and of none before the open block."""
    canvas = "text_config" in shape.raw
    params = NOISE if canvas else GUIDED if shape.architecture == LLADA else MASKED
    more = 2000 if canvas else 600 if shape.architecture == LLADA else 1200
    return [Request(str(i), tuple(range(3 + more * i)), each) for i, each in enumerate(params)]


def load(name: str, num_layers: int) -> LoadedModel:
    whole_name = name.removesuffix(IN_8_BITS)
    shape = SHAPES[whole_name]
    fewer = {"num_hidden_layers": num_layers, "n_layers": num_layers}
    if "text_config" in shape.raw:
        fewer = {"text_config": shape.raw["text_config"] | fewer}
    shape = replace(shape, raw=shape.raw | fewer)
    held: Quantized = "none" if name == whole_name else "fp8"
    loaded = device_engine.load(shape, torch.device("meta"), 8192, held)
    edits = {"can_edit": True} if name.startswith("LLaDA2") else {}
    return replace(loaded, dtype=torch.bfloat16, info=replace(loaded.info, **edits))


def run(name: str, num_layers: int) -> None:
    """Launch steps of every kind that requests can make."""
    config = EngineConfig(
        num_pages=1000,
        page_size=64,
        max_batch_tokens=8192,
        kv_dtype="fp8" if name in EIGHT_BITS else "auto",
        overlap=True,
        graphs=False,
    )
    engine = Engine(Config(engine=config), load(name, num_layers), Metrics())
    for request in requests(SHAPES[name.removesuffix(IN_8_BITS)]):
        engine.add(request)
    for _ in range(NUM_STEPS):
        batch = engine.scheduler.schedule()
        assert batch is not None
        engine.runner.launch(batch)
        engine.scheduler.advance(batch)
    # Passes that do not fit together take turns; those that wait hold no pages yet.
    running = [sequence for sequence in engine.scheduler.sequences if sequence.pages]
    assert running
    assert all(sequence.num_forwards for sequence in running), "all of them have been met"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--chip", type=int, default=90)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("names", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    Staging.to_device = on_meta
    PendingStep.send = staticmethod(stay)
    reports = {}
    for name in options.names:
        with compiled_only(options.chip) as launches:
            run(name, options.layers)
        reports[name] = [asdict(report) for report in launches.reports(MULTIPLYING)]
    print(json.dumps(reports))


if __name__ == "__main__":
    main()
