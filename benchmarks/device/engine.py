"""The engine end to end on the shapes of real checkpoints, with random weights."""

import statistics
import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from benchmarks.device.timing import Ceilings
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel, find_family
from unmask.models.weights import Weights
from unmask.tokenizer import Tokenizer
from unmask.types import ModelInfo, Request, SamplingParams

BLOCK = 32
PAGE = 64
TOKENS_PER_FORWARD = 4
PROFILED_STEPS = 4
# What a kernel with this in its name belongs to; the first that fits.
KINDS = {
    "attention_kernel": "attention",
    "merge_kernel": "attention",
    "piece_kernel": "unmasking",
    "finish_kernel": "unmasking",
    "rms_norm_kernel": "layers",
    "heads_kernel": "layers",
    "swiglu_kernel": "layers",
    "gemm": "matmul",
    "nvjet": "matmul",
    "cutlass": "matmul",
    "Memcpy": "copies",
}


@dataclass(frozen=True)
class SdarConfig:
    """What decides the shapes of an SDAR checkpoint."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    head_dim: int
    rms_norm_eps: float
    rope_theta: float
    tied: bool

    def raw(self) -> dict[str, Any]:
        """As its `config.json` would have it."""
        return {
            "vocab_size": self.vocab_size,
            "hidden_size": self.hidden_size,
            "intermediate_size": self.intermediate_size,
            "num_hidden_layers": self.num_layers,
            "num_attention_heads": self.num_heads,
            "num_key_value_heads": self.num_kv_heads,
            "head_dim": self.head_dim,
            "rms_norm_eps": self.rms_norm_eps,
            "rope_theta": self.rope_theta,
            "tie_word_embeddings": self.tied,
        }


SHAPES = {
    "SDAR-1.7B": SdarConfig(151_936, 2048, 6144, 28, 16, 8, 128, 1e-6, 1e6, True),
    "SDAR-8B": SdarConfig(151_936, 4096, 12_288, 36, 32, 8, 128, 1e-6, 1e6, False),
}
TINY = SdarConfig(512, 64, 128, 2, 4, 2, 16, 1e-6, 1e4, True)


class RandomWeights(Weights):
    """Tensors of any shape that is asked for: small random numbers, norms near one."""

    def take(self, name: str, shape: tuple[int, ...]) -> Tensor:
        if len(shape) == 1:
            return torch.ones(shape, dtype=self.dtype, device=self.device)
        tensor = torch.empty(shape, dtype=self.dtype, device=self.device)
        return tensor.normal_(std=shape[-1] ** -0.5)

    def check_all_taken(self) -> None:
        """Whatever was asked for was there."""


class Words:
    """A tokenizer's inside, enough to spell answers out."""

    def decode(self, ids: list[int], **_: Any) -> str:
        return "".join(f" {i}" for i in ids)


@dataclass(frozen=True)
class Load:
    """Requests that all decode at once, after their prompts are in the cache."""

    concurrency: int
    context: int
    num_tokens: int


LOADS = [
    Load(concurrency, context, 96)
    for context, levels in ((1024, (1, 8, 32, 64, 128)), (8192, (1, 8, 32)))
    for concurrency in levels
]


def load(config: SdarConfig, device: torch.device, max_len: int) -> LoadedModel:
    """A model of a shape; the mask token is the last entry, and no token ends an answer."""
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    weights = RandomWeights({}, dtype, device)
    model = find_family("SDARForCausalLM").build(config.raw(), weights, max_len + 256)
    info = ModelInfo(
        name="random",
        max_model_len=max_len,
        vocab_size=config.vocab_size,
        mask_token_id=config.vocab_size - 1,
        eos_token_ids=(),
        default_sampling=SamplingParams(),
        created_s=0,
    )
    return LoadedModel(model, Tokenizer(Words()), info, dtype, device)


def size_bytes(config: SdarConfig) -> int:
    """Weights that every step reads, in bfloat16."""
    heads = (config.num_heads + 2 * config.num_kv_heads) * config.head_dim
    attention = config.hidden_size * (heads + config.num_heads * config.head_dim)
    layer = attention + 3 * config.hidden_size * config.intermediate_size
    return 2 * (config.num_layers * layer + config.vocab_size * config.hidden_size)


def measure(
    loaded: LoadedModel, config: SdarConfig, work: Load, ceilings: Ceilings
) -> dict[str, Any]:
    """Steady steps of `work`: tokens a second, time of a step, and the host's part of it."""
    engine = _started(loaded, config, work)
    for _ in range(PROFILED_STEPS):
        engine.step()
    shares = profile(engine) if loaded.device.type == "cuda" else {}
    steps: list[tuple[float, int]] = []
    _wait(loaded.device)
    while engine.has_work:
        started_s = time.perf_counter()
        events = engine.step()
        steps.append((time.perf_counter() - started_s, sum(len(e.token_ids) for e in events)))
    steps = steps[len(steps) // 4 :]  # the first ones still compile and warm up
    elapsed_s = sum(s for s, _ in steps)
    step_s = statistics.median(s for s, _ in steps)
    rows = work.concurrency * BLOCK
    kv = 2 * 2 * config.num_layers * config.num_kv_heads * config.head_dim * work.context
    weights = size_bytes(config)
    floor_s = ceilings.floor_s(weights + kv * work.concurrency, weights * rows)
    return {
        **work.__dict__,
        "tokens_per_s": sum(n for _, n in steps) / elapsed_s,
        "step_ms": 1000 * step_s,
        "floor_ms": 1000 * floor_s,
        "share_of_floor": floor_s / step_s,
        "peak_gib": _peak_gib(loaded.device),
        **shares,
    }


def _started(loaded: LoadedModel, config: SdarConfig, work: Load) -> Engine:
    """An engine with every prompt in its cache."""
    needed = work.concurrency * (-(-(work.context + work.num_tokens + BLOCK) // PAGE) + 1)
    engine = Engine(
        Config(
            engine=EngineConfig(
                max_num_seqs=work.concurrency,
                max_batch_tokens=max(8192, 2 * BLOCK * work.concurrency),
                page_size=PAGE,
                num_pages=needed,
                prefix_cache=False,
            )
        ),
        loaded,
        Metrics(),
    )
    params = SamplingParams(
        max_tokens=work.num_tokens,
        policy="low_confidence",
        steps=BLOCK // TOKENS_PER_FORWARD,
        block_length=BLOCK,
        ignore_eos=True,
    )
    generator = torch.Generator().manual_seed(0)
    for i in range(work.concurrency):
        ids = torch.randint(0, config.vocab_size - 1, (work.context,), generator=generator)
        engine.add(Request(str(i), tuple(ids.tolist()), params))
    while any(s.num_computed < work.context for s in engine.scheduler.sequences):
        engine.step()
    return engine


def profile(engine: Engine) -> dict[str, Any]:
    """Share of the time in which the device had nothing to do, and what the rest went to."""
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    started_s = time.perf_counter()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(PROFILED_STEPS):
            engine.step()
        torch.cuda.synchronize()
    wall_s = time.perf_counter() - started_s
    spent = dict.fromkeys(KINDS.values(), 0.0) | {"other": 0.0}
    for event in profiler.key_averages():
        kind = next((k for part, k in KINDS.items() if part in event.key), "other")
        spent[kind] += event.self_device_time_total / 1e6
    busy_s = sum(spent.values())
    return {
        "idle_share": max(0.0, 1 - busy_s / wall_s),
        "shares": {kind: taken / busy_s for kind, taken in spent.items()},
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def _peak_gib(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None


def fits(config: SdarConfig, work: Load, device: torch.device) -> bool:
    """Whether weights and cache leave a tenth of the memory for the rest."""
    if device.type != "cuda":
        return True
    tokens = work.concurrency * (work.context + work.num_tokens + BLOCK + PAGE)
    cache = 2 * 2 * config.num_layers * config.num_kv_heads * config.head_dim * tokens
    return (
        size_bytes(config) * 1.1 + cache
        < 0.9 * torch.cuda.get_device_properties(device).total_memory
    )
