"""LMDeploy's PyTorch engine on SDAR's shape with random weights, on the same work as ours.

Driven like its own throughput benchmark: token ids in, tokens out, without tokenizer and HTTP.
Tokens count once its engine has them. Two things are replaced: the configuration class, which
checkpoints bring as code, and reading 16 GB of weights, which are drawn in place.
"""

import asyncio
import itertools
import json
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.device.families import SDAR, SHAPES, Shape
from benchmarks.device.fixed_work import Arrival, Work, summarise
from benchmarks.device.random_tokenizer import random_tokenizer

# LMDeploy's kernels take no heads of 16, and its mask is one of many tokens.
TINY = Shape(
    SDAR,
    SHAPES["SDAR-8B"].raw
    | {"hidden_size": 256, "intermediate_size": 256, "num_hidden_layers": 2}
    | {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64},
)
MASK_ID = 151_669  # SDAR's; LMDeploy supports no other
PAGE = 64
PREFILL_TOKENS = 8192  # in one forward pass, LMDeploy's default


def measure(
    shape: Shape, loads: Sequence[Work], result: dict[str, Any], save: Callable[[], None]
) -> None:
    """Run all loads on one engine; saves each row of `result`."""
    os.environ.setdefault("LMDEPLOY_ENABLE_CHECK_ENV", "0")  # checks run without our configuration
    import lmdeploy
    from lmdeploy.messages import PytorchEngineConfig
    from lmdeploy.pytorch.engine import Engine
    from lmdeploy.utils import get_logger

    get_logger("lmdeploy").setLevel("WARNING")
    register_config()
    draw_weights_in_place()
    settings = engine_settings(loads)
    result |= {"version": lmdeploy.__version__, "settings": settings}
    began_s = time.monotonic()
    with TemporaryDirectory() as folder:
        write_files(shape, Path(folder))
        engine = Engine.from_pretrained(folder, engine_config=PytorchEngineConfig(**settings))
        result["ready_s"] = time.monotonic() - began_s
        asyncio.run(run_loads(engine, loads, MASK_ID, result["loads"], save))


def engine_settings(loads: Sequence[Work]) -> dict[str, Any]:
    """Arguments of `PytorchEngineConfig`: graphs for these loads, and enough pages."""
    most = max(work.concurrency for work in loads)
    longest = max(work.context + work.num_tokens + work.block for work in loads)
    return {
        "dtype": "bfloat16",
        "max_batch_size": most,
        "cudagraph_capture_batch_sizes": sorted({work.concurrency for work in loads}),
        "max_prefill_token_num": PREFILL_TOKENS,
        "session_len": longest + PAGE,
        "block_size": PAGE,
        "num_gpu_blocks": 16 + most * (-(-longest // PAGE) + 1),
        "dllm_block_length": loads[0].block,
        "dllm_unmasking_strategy": "low_confidence_static",
        "dllm_denoising_steps": loads[0].steps,
    }


def register_config() -> None:
    """Register `sdar` in transformers, which has no class for it."""
    from transformers import AutoConfig, Qwen3Config

    class SdarConfig(Qwen3Config):  # type: ignore[misc]
        model_type = "sdar"

    AutoConfig.register("sdar", SdarConfig, exist_ok=True)


def write_files(shape: Shape, folder: Path) -> None:
    """Write a configuration, and a tokenizer for the grammars that LMDeploy prepares."""
    raw = {
        "architectures": [SDAR],
        "model_type": "sdar",
        "attention_bias": False,
        "hidden_act": "silu",
        "max_position_embeddings": 32_768,
        "dtype": "bfloat16",
        "bos_token_id": 151_643,
        "eos_token_id": 151_643,
        "pad_token_id": 151_643,
        "use_sliding_window": False,
        **shape.raw,
    }
    (folder / "config.json").write_text(json.dumps(raw), encoding="utf-8")
    random_tokenizer(shape.raw["vocab_size"]).save_pretrained(folder)


def draw_weights_in_place() -> None:
    """Replace LMDeploy's reading of safetensors files, with its post-processing."""
    from lmdeploy.pytorch.engine.model_agent import agent

    def draw(model: torch.nn.Module, *_: Any, **__: Any) -> None:
        with torch.inference_mode():
            for weight in model.parameters():
                if weight.dim() > 1:
                    weight.normal_(std=weight.shape[-1] ** -0.5)
                else:
                    weight.fill_(1)
            model.eval()
            for module in model.modules():
                if hasattr(module, "update_weights"):
                    module.update_weights()

    agent.load_model_weights = draw


async def run_loads(
    engine: Any,
    loads: Sequence[Work],
    vocab_size: int,
    rows: list[dict[str, Any]],
    save: Callable[[], None],
) -> None:
    """Warm up with all requests, then run each load; adds its row when it ends."""
    sessions = itertools.count(1)
    most = max(loads, key=lambda work: work.concurrency)
    warm = Work(
        most.concurrency, most.concurrency, most.context, most.block, most.block, most.steps
    )
    engine.start()
    try:
        for work in (warm, *loads):
            seed = -1 if work is warm else 0
            row = await run_load(engine, work, work.prompts(vocab_size, seed), sessions)
            if work is not warm:
                rows.append(row)
                save()
    finally:
        engine.stop()


async def run_load(
    engine: Any, work: Work, prompts: Sequence[tuple[int, ...]], sessions: "itertools.count[int]"
) -> dict[str, Any]:
    """Closed loop of streamed requests, each in its own session."""
    from lmdeploy.messages import GenerationConfig, ResponseType

    config = GenerationConfig(
        max_new_tokens=work.num_tokens, top_k=1, temperature=1.0, ignore_eos=True
    )
    began_s = time.time()  # wall clock, like LMDeploy's token times
    started_s = [0.0] * work.num_requests
    arrivals: list[Arrival] = []
    queue = iter(enumerate(prompts))
    going = (ResponseType.SUCCESS, ResponseType.FINISH)
    num_forwards = _count_forwards(engine)

    async def client() -> None:
        instance = engine.create_instance()
        for number, prompt in queue:
            session = next(sessions)
            started_s[number] = time.time() - began_s
            async for output in instance.async_stream_infer(session, list(prompt), config):
                if output.status not in going:
                    raise RuntimeError(f"LMDeploy answered with {output.status}")
                final = output.status == ResponseType.FINISH
                at_s = output.req_metrics.token_timestamp - began_s
                arrivals.append(Arrival(at_s, number, len(output.token_ids), final))
            await instance.async_end(session)

    async with asyncio.TaskGroup() as tasks:
        for _ in range(work.concurrency):
            tasks.create_task(client())
    return summarise(work, started_s, arrivals) | {"num_forwards": num_forwards()}


def _count_forwards(engine: Any) -> Any:
    """Function that returns the number of forward passes begun since this call."""
    forward, count = engine.executor.forward_async, itertools.count()

    async def counted(inputs: Any) -> Any:
        next(count)
        return await forward(inputs)

    engine.executor.forward_async = counted

    def ended() -> int:
        engine.executor.forward_async = forward
        return next(count)

    return ended
