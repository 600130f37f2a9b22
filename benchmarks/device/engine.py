"""The engine end to end on the shapes of real checkpoints, with random weights."""

import time
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.device.families import Shape, Sizes, build, sizes
from benchmarks.device.timing import Ceilings
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.step import StepBatch
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel, find_family
from unmask.tokenizer import Numbers, Tokenizer
from unmask.types import ModelInfo, Request, SamplingParams

BLOCK = 32
PAGE = 64
TOKENS_PER_FORWARD = 4
PROFILED_STEPS = 4
NUM_KERNELS = 16  # that a result names, those that take longest
# What a kernel with this in its name belongs to; the first that fits.
KINDS = {
    "attention_kernel": "attention",
    "merge_kernel": "attention",
    "piece_kernel": "unmasking",
    "finish_kernel": "unmasking",
    "rms_norm_kernel": "layers",
    "heads_kernel": "layers",
    "swiglu_kernel": "layers",
    "expert": "experts",
    "grouped_product": "experts",
    "combine_kernel": "experts",
    "score_kernel": "experts",
    "route_": "experts",
    "pairs_kernel": "experts",
    "gemm": "matmul",
    "nvjet": "matmul",
    "cutlass": "matmul",
    "Memcpy": "copies",
}


@dataclass(frozen=True)
class Load:
    """Requests that all decode at once, after their prompts are in the cache."""

    concurrency: int
    context: int
    num_tokens: int
    block: int = BLOCK


# By importance. Those for all are measured of every shape, the rest of the one that has a target.
FOR_ALL = [Load(8, 1024, 128), Load(64, 1024, 128)]
ROUNDS = [
    FOR_ALL,
    [Load(n, 1024, 128) for n in (32, 128, 1)] + [Load(n, 8192, 128) for n in (8, 32, 1)],
]


def load(shape: Shape, device: torch.device, max_len: int) -> LoadedModel:
    """A model of a shape; the mask token is the last entry, and no token ends an answer."""
    model, weights = build(shape, device, max_len + 256)
    traits, family = shape.traits, find_family(shape.architecture)
    canvas = None if family.canvas is None else family.canvas(shape.generation)
    vocab_size = shape.text["vocab_size"]
    info = ModelInfo(
        name="random",
        max_model_len=max_len,
        vocab_size=vocab_size,
        mask_token_id=vocab_size - 1 if canvas is None else None,
        eos_token_ids=(),
        default_sampling=SamplingParams(block_length=_block(shape)),
        created_s=0,
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
        canvas=canvas,
    )
    return LoadedModel(model, Tokenizer(Numbers()), info, weights.dtype, device)


def measure(loaded: LoadedModel, shape: Shape, work: Load, ceilings: Ceilings) -> dict[str, Any]:
    """Steady steps of `work`: tokens a second, time of a step, and the host's part of it."""
    engine = _started(loaded, shape, work)
    for _ in range(PROFILED_STEPS):
        engine.step()
    shares = profile(engine) if loaded.device.type == "cuda" else {}
    launched = _watch(engine)
    times_s: list[float] = []
    tokens: list[int] = []
    _wait(loaded.device)
    while engine.has_work:
        started_s = time.perf_counter()
        events = engine.step()
        times_s.append(time.perf_counter() - started_s)
        tokens.append(sum(len(e.token_ids) for e in events))
    num_steps = PROFILED_STEPS * (2 if shares else 1) + len(times_s)
    steady = slice(len(times_s) // 4, len(launched))  # the first ones still compile and warm up
    elapsed_s = sum(times_s[steady])
    step_s = elapsed_s / len(launched[steady])
    tokens_per_s = sum(tokens[steady]) / elapsed_s
    if loaded.info.canvas is not None:  # tokens come all at once, after all steps of a canvas
        tokens_per_s = work.concurrency * _block(shape, work.block) / (num_steps * step_s)
    own = sizes(shape)
    floors = [_floor(own, work, batch) for batch in launched[steady]]
    floor_s = sum(ceilings.floor_s(*floor) for floor in floors) / len(floors)
    moved, flops = (sum(values) / len(floors) for values in zip(*floors, strict=True))
    return {
        **work.__dict__,
        "bytes": moved,
        "flops": flops,
        "tokens_per_s": tokens_per_s,
        "step_ms": 1000 * step_s,
        "floor_ms": 1000 * floor_s,
        "share_of_floor": floor_s / step_s,
        "peak_gib": _peak_gib(loaded.device),
        **shares,
    }


def _watch(engine: Engine) -> list[StepBatch]:
    """Every batch that an engine launches from now on."""
    schedule, seen = engine.scheduler.schedule, []

    def watched() -> StepBatch | None:
        batch = schedule()
        if batch is not None:
            seen.append(batch)
        return batch

    engine.scheduler.schedule = watched  # type: ignore[method-assign]
    return seen


def _floor(own: Sizes, work: Load, batch: StepBatch) -> tuple[float, float]:
    """Bytes and operations that a step cannot do without.

    Once in a block its rows are those of the block before as well, whose keys are then final.
    """
    moved = own.weights_read(batch.num_tokens) + len(batch.spans) * own.kv_read(work.context)
    return moved, own.flops(batch.num_tokens, len(batch.scored_rows))


def same_tokens(
    loaded: LoadedModel, shape: Shape, num_others: int, usual_block: int
) -> dict[str, Any]:
    """Whether a request has the same tokens alone and among others, as an engine is by default.

    Half of them draw their tokens. All have prompts of different lengths and begin at once.
    """
    count, block = num_others + 1, _block(shape, usual_block)
    random = torch.Generator().manual_seed(0)
    requests = []
    for i in range(count):
        ids = torch.randint(0, loaded.info.vocab_size - 1, (9 + 7 * i,), generator=random)
        params = _params(loaded.info, block, block)
        heat = replace(params, temperature=0.7, seed=i) if i % 2 else params
        requests.append(Request(str(i), tuple(ids.tolist()), heat))
    pages = sum(-(-(len(r.prompt_token_ids) + 3 * block) // PAGE) + 1 for r in requests)
    config = EngineConfig(
        max_num_seqs=count, page_size=PAGE, num_pages=pages, max_batch_tokens=8192
    )
    engine = Engine(Config(engine=config), loaded, Metrics())
    together = _answers(engine, requests)
    picked = {0, 1, count // 2, count - 1}
    alone = {str(i): _answers(engine, [requests[i]])[str(i)] for i in picked}
    differ = {
        name: next(i for i, (a, b) in enumerate(zip(tokens, together[name], strict=True)) if a != b)
        for name, tokens in alone.items()
        if tokens != together[name]
    }
    return {
        "others": num_others,
        "compared": len(alone),
        "same": not differ,
        "first_difference": differ,  # by request, of those that differ
    }


def _answers(engine: Engine, requests: list[Request]) -> dict[str, list[int]]:
    for request in requests:
        engine.add(request)
    found: dict[str, list[int]] = {request.request_id: [] for request in requests}
    while engine.has_work:
        for event in engine.step():
            found[event.request_id] += event.token_ids
    return found


def _started(loaded: LoadedModel, shape: Shape, work: Load) -> Engine:
    """An engine whose requests decode their first block, all with their prompts in its cache.

    Each prompt is read once before, by a request that is answered in a step: otherwise those whose
    prompts were read first would be done before the last begin.
    """
    block = _block(shape, work.block)
    num_tokens = max(work.num_tokens, block)
    needed = work.concurrency * (-(-(work.context + num_tokens + block) // PAGE) + 1)
    engine = Engine(
        Config(
            engine=EngineConfig(
                max_num_seqs=work.concurrency,
                max_batch_tokens=max(8192, 2 * block * work.concurrency),
                page_size=PAGE,
                num_pages=needed,
                prefix_cache=True,
            )
        ),
        loaded,
        Metrics(),
    )
    params = _params(loaded.info, num_tokens, block)
    generator = torch.Generator().manual_seed(0)
    prompts = [
        tuple(
            torch.randint(loaded.info.vocab_size - 1, (work.context,), generator=generator).tolist()
        )
        for _ in range(work.concurrency)
    ]
    if loaded.info.attention != "full":  # whose keys no other request can use
        short = replace(params, max_tokens=block, steps=1)
        _answers(engine, [Request(f"first-{i}", ids, short) for i, ids in enumerate(prompts)])
    for i, ids in enumerate(prompts):
        engine.add(Request(str(i), ids, params))
    if loaded.info.attention == "full":  # the first pass of each fills its cache
        return engine
    while any(s.num_computed < work.context for s in engine.scheduler.sequences):
        engine.step()
    return engine


def _block(shape: Shape, usual: int = BLOCK) -> int:
    """Positions that are denoised together: a canvas's own number, or what is usual."""
    return (shape.traits.block_length or usual) if shape.traits.attention == "canvas" else usual


def _params(info: ModelInfo, num_tokens: int, block: int) -> SamplingParams:
    """Four tokens a forward pass; canvases as their authors denoise them."""
    common = SamplingParams(max_tokens=num_tokens, block_length=block, ignore_eos=True)
    if info.canvas is not None:
        bound, steps = info.canvas.entropy_bound, info.canvas.steps
        return replace(
            common, temperature=1.0, policy="entropy_bound", entropy_bound=bound, steps=steps
        )
    return replace(
        common,
        policy="low_confidence",
        steps=block // TOKENS_PER_FORWARD,
        cache="dual" if info.attention == "full" else None,
    )


def profile(engine: Engine) -> dict[str, Any]:
    """Share of the time in which the device had nothing to do, and what the rest went to."""
    from torch.autograd import DeviceType
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as profiler:
        for _ in range(PROFILED_STEPS):
            engine.step()
        torch.cuda.synchronize()
    times = [e.time_range for e in profiler.events() if e.device_type == DeviceType.CUDA]
    wall_s = (max(t.end for t in times) - min(t.start for t in times)) / 1e6
    spent = dict.fromkeys(KINDS.values(), 0.0) | {"other": 0.0}
    events = sorted(profiler.key_averages(), key=lambda e: -e.self_device_time_total)
    for event in events:
        kind = next((k for part, k in KINDS.items() if part in event.key), "other")
        spent[kind] += event.self_device_time_total / 1e6
    busy_s = sum(spent.values())
    return {
        "idle_share": max(0.0, 1 - busy_s / wall_s),
        "shares": {kind: taken / busy_s for kind, taken in spent.items()},
        "kernels": {
            event.key[:80]: {
                "calls_a_step": event.count / PROFILED_STEPS,
                "us_a_step": event.self_device_time_total / PROFILED_STEPS,
            }
            for event in events[:NUM_KERNELS]
        },
    }


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()


def _peak_gib(device: torch.device) -> float | None:
    return torch.cuda.max_memory_allocated() / 2**30 if device.type == "cuda" else None


def fits(shape: Shape, work: Load, device: torch.device) -> bool:
    """Whether weights and cache leave a tenth of the memory for the rest."""
    if device.type != "cuda":
        return True
    tokens = work.concurrency * (
        work.context + max(work.num_tokens, _block(shape, work.block)) + 2 * PAGE
    )
    own = sizes(shape)
    all_bytes = torch.cuda.get_device_properties(device).total_memory
    return own.stored + own.kv_stored(tokens) < 0.9 * all_bytes
