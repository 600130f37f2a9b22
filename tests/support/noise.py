"""Tiny model that denoises canvases of noise, and requests for it."""

import json
from pathlib import Path

from hypothesis import strategies as st

from tests.support.gemma import make_reference, save
from tests.support.tiny import EOS_ID, VOCAB_SIZE, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import CanvasSchedule, RefinementOptions, Request, SamplingParams

WIDTH = 16
SCHEDULE = CanvasSchedule(steps=8, entropy_bound=0.4, confidence=0.3)
KINDS = (
    {},
    {"temperature": 0.0},
    {"temperature": 0.6, "entropy_bound": 2.0},
    {"steps": 3},
    {"steps": 1},
    {"steps": 5, "entropy_bound": 0.0},
)
UNUSUAL = ({"logprobs": 2}, {"top_k": 5}, {"top_p": 0.7, "logprobs": 1})


def load_noise(folder: Path) -> LoadedModel:
    """Model with distributions so sharp that canvases end before their last step."""
    save(make_reference(WIDTH, peak=4.0, vocab_size=VOCAB_SIZE), folder)
    generation = {
        "max_denoising_steps": SCHEDULE.steps,
        "sampler_config": {
            "_cls_name": "EntropyBoundSamplerConfig",
            "entropy_bound": SCHEDULE.entropy_bound,
        },
        "confidence_threshold": SCHEDULE.confidence,
        "stability_threshold": None,
    }
    (folder / "generation_config.json").write_text(json.dumps(generation))
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(path=str(folder), device="cpu", dtype="float32")
    return load_model(config, DecodingConfig())


@st.composite
def canvas_requests(
    draw: st.DrawFn, max_size: int = 6, kinds: tuple[dict[str, object], ...] = KINDS
) -> list[Request]:
    """Requests whose prompts often share a prefix, and whose answers take several canvases."""
    shared = draw(st.lists(st.integers(0, EOS_ID - 1), min_size=40, max_size=60))
    drawn = []
    for i in range(draw(st.integers(1, max_size))):
        tail = draw(st.lists(st.integers(0, EOS_ID - 1), min_size=1, max_size=30))
        prompt = (*shared[: draw(st.sampled_from([0, 17, 33, 60]))], *tail)
        params = SamplingParams(
            max_tokens=draw(st.integers(1, 50)),
            seed=draw(st.integers(0, 2**63 - 1)),
            stop=draw(st.sampled_from([(), ("e",), ("\n", "0")])),
            ignore_eos=draw(st.booleans()),
            **draw(st.sampled_from(kinds)),
        )
        refinements = draw(st.sampled_from([None, RefinementOptions(tokens=True)]))
        drawn.append(Request(f"r{i}", prompt, params, refinements))
    return drawn
