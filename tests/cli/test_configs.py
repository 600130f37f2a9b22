"""Every file of `configs` that names a checkpoint, with a tiny copy of the published files."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.sse import events, joined
from tests.support.published import CHECKPOINTS, write_published
from unmask.api import create_app
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.metrics import Metrics
from unmask.settings import resolve
from unmask.types import CanvasSchedule

FOLDER = Path(__file__).parent.parent.parent / "configs"
# A machine without a GPU needs these.
HERE = {
    "model.device": "cpu",
    "model.dtype": "float32",
    "engine.kv_memory_mib": "64",
}


@dataclass(frozen=True, slots=True)
class Expected:
    """Values from the published files and from the file of `configs`."""

    mask_token_id: int | None
    eos_token_ids: set[int]
    sampling: dict[str, Any]
    max_model_len: int
    canvas: CanvasSchedule | None = None


EXPECTED = {
    # Mask and end are config.json's, <|im_end|> is the template's; steps and temperature are
    # generation_config.json's.
    "dream-7b": Expected(
        151666,
        {151643, 151645},
        {
            "policy": "threshold",
            "threshold": 0.9,
            "block_length": 32,
            "steps": None,  # the file has 512, which Dream's classes write for any model
            "temperature": 0.0,
        },
        2048,
    ),
    # <|eot_id|> is the template's; no file but that of `configs` says how to decode.
    "llada-8b": Expected(
        126336,
        {126081, 126348},
        {"policy": "low_confidence", "block_length": 32, "steps": 32, "temperature": 0.0},
        4096,
    ),
    # The mask is in the tokenizer alone.
    "llada2-mini": Expected(
        156895,
        {156892},
        {
            "policy": "threshold",
            "threshold": 0.95,
            "block_length": 32,
            "steps": 32,
            "temperature": 0.0,
            "editing_threshold": None,
        },
        32768,
    ),
    # Both ends are generation_config.json's; a preset of the family says how to edit.
    "llada22-mini": Expected(
        156895,
        {156892, 156900},
        {
            "policy": None,
            "threshold": 0.5,
            "block_length": 32,
            "steps": 32,
            "temperature": 0.0,
            "editing_threshold": 0.0,
        },
        131072,
    ),
    # The mask and one more than the length of a block are config.json's, <|im_end|> is both files';
    # the temperature is that of `configs`.
    "idlm-8b": Expected(
        151669,
        {151643, 151645},
        {
            "mode": "self_speculation",
            "block_length": 4,
            "temperature": 1.0,
        },
        40960,
    ),
    # All of it is config.json's, but for how to decode.
    "nemotron-8b": Expected(
        100,
        {11},
        {"policy": "threshold", "threshold": 0.9, "block_length": 32, "mode": "diffusion"},
        262144,
    ),
    # The temperature of generation_config.json is Qwen2.5's, and its authors decode greedily.
    "fast-dllm-v2-7b": Expected(
        151665,
        {151643, 151645},
        {
            "policy": "threshold",
            "threshold": 0.9,
            "block_length": 32,
            "sub_block_length": 8,
            "temperature": 0.0,
            "top_k": None,
        },
        32768,
    ),
    # No file but that of `configs` says how to decode, and none names the mask: both are of the
    # authors' engine, as is <|im_end|>.
    "wedlm-8b": Expected(
        151665,
        {151643, 151645},
        {
            "policy": "entropy_threshold",
            "entropy_threshold": 0.4,
            "distance_penalty": 0.02,
            "block_length": 16,
            "temperature": 0.0,
        },
        16384,
    ),
    # The mask is the tokenizer's, the temperature generation_config.json's.
    "sdar-8b": Expected(
        151669,
        {151643, 151645},
        {
            "policy": "threshold",
            "threshold": 0.9,
            "block_length": 4,
            "temperature": 0.6,
            "top_k": 20,
            "top_p": 0.95,
        },
        32768,
    ),
    # All of it is generation_config.json's, but for the length of a canvas.
    "diffusion-gemma-26b": Expected(
        None,
        {1, 50, 106},
        {"policy": "entropy_bound", "entropy_bound": 0.1, "block_length": 256, "steps": 48},
        32768,
        CanvasSchedule(48, 0.1, t_max=0.8, t_min=0.4, stability=1, confidence=0.005),
    ),
}


def named_path(file: Path) -> str | None:
    return resolve(file=file, environment={}).config.model.path


FILES = sorted(file for file in FOLDER.glob("*.toml") if named_path(file) is not None)
every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def written(file: Path, folder: Path) -> Path:
    """Tiny checkpoint of a file of `configs`, in a folder of the published name."""
    assert file.stem in CHECKPOINTS, f"tests/support/published.py has no checkpoint {file.stem}"
    path = named_path(file)
    assert path is not None
    folder /= path.rpartition("/")[2]
    folder.mkdir()
    write_published(file.stem, folder)
    return folder


@contextmanager
def started(config: Config) -> Iterator[AsyncEngine]:
    engine = AsyncEngine.start(config)
    try:
        yield engine
    finally:
        engine.shutdown()


def ask(engine: AsyncEngine, config: Config, *bodies: dict[str, Any]) -> list[httpx.Response]:
    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(create_app(engine, Metrics(), config.server))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return [await http.post("/v1/chat/completions", json=body) for body in bodies]

    return asyncio.run(send())


@pytest.mark.usual_cases(1)
@every_file
def test_a_file_starts_its_checkpoint_with_the_published_defaults_and_answers(
    file: Path, tmp_path: Path
) -> None:
    flags = HERE | {"model.path": str(written(file, tmp_path))}
    config = resolve(flags, file=file, environment={}).config
    question = {"messages": [{"role": "user", "content": "What is 12 + 31?"}]}
    question |= {"max_tokens": 36, "seed": 1}
    with started(config) as engine:
        info, expected = engine.model, EXPECTED[file.stem]
        assert info.mask_token_id == expected.mask_token_id
        assert set(info.eos_token_ids) == expected.eos_token_ids
        sampling = {name: getattr(info.default_sampling, name) for name in expected.sampling}
        assert sampling == expected.sampling
        assert (info.canvas, info.max_model_len) == (expected.canvas, expected.max_model_len)
        whole, streamed = ask(engine, config, question, question | {"stream": True})
    assert whole.status_code == 200, whole.text
    assert streamed.status_code == 200, streamed.text
    (choice,) = whole.json()["choices"]
    assert choice["message"]["content"]
    assert joined(events(streamed.text)) == choice["message"]["content"]
