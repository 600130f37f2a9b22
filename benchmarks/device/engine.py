"""End-to-end engine benchmark on the shapes of real checkpoints, with random weights."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

import torch

from benchmarks.device.acceptance import fixed
from benchmarks.device.families import Quantized, Shape, Sizes, build
from benchmarks.device.floors import StepWork, by_name, joint_s, serial_s, terms
from benchmarks.device.loads import Load, best_work
from benchmarks.device.loop import ClosedLoop, Window, check, phases, run_window, to_steady
from benchmarks.device.profiling import profile
from benchmarks.device.timing import Ceilings
from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.prefix_cache import hash_of_page
from unmask.engine.schedule.sequence import Sequence as Decoded
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel, find_family
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import ModelInfo, Request, SamplingParams

PAGE = 64
LEAST_ROWS = 2048  # most tokens of a step, the default
LEAST_S = 1.5  # of a window
_names = itertools.count()


def load(
    shape: Shape,
    device: torch.device,
    max_len: int,
    quantization: Quantized = "none",
    block_length: int = 32,
) -> LoadedModel:
    """Model of a shape; the mask token is the last id, and there is no EOS token."""
    model, weights = build(shape, device, max_len + 256, quantization)
    traits, family = shape.traits, find_family(shape.architecture)
    canvas = None if family.canvas is None else family.canvas(shape.generation)
    vocab_size = shape.text["vocab_size"]
    info = ModelInfo(
        name="random",
        max_model_len=max_len,
        vocab_size=vocab_size,
        mask_token_id=vocab_size - 1 if canvas is None else None,
        eos_token_ids=(),
        default_sampling=SamplingParams(block_length=block_length)
        if canvas is None
        else SamplingParams(block_length=traits.block_length, policy="entropy_bound"),
        created_s=0,
        attention=traits.attention,
        shift=traits.shift,
        schedule=traits.schedule,
        canvas=canvas,
    )
    return LoadedModel(model, Tokenizer(IdTokenizer()), info, weights.dtype, device)


def start(loaded: LoadedModel, loads: Sequence[Load]) -> Engine:
    """Engine for any of these loads, with a cache filled with values like real keys.

    Norms make keys of magnitude one; zeros would let a device run faster.
    """
    engine = Engine(Config(engine=_config(loaded, loads)), loaded, Metrics())
    cache = engine.runner.device.cache
    for pool in (*cache.keys, *cache.values):
        if pool.itemsize == 1:
            for part in pool.split(max(1, len(pool) // 8)):
                part.copy_(torch.randn(part.shape, device=part.device))
        else:
            pool.normal_()
    return engine


def _config(loaded: LoadedModel, loads: Sequence[Load]) -> EngineConfig:
    rows = max(2 * load.block * load.concurrency for load in loads)
    if loaded.info.attention == "full":  # a request that opens a block computes every position
        rows = max(load.concurrency * (load.context + load.num_tokens) for load in loads)
    return EngineConfig(
        max_num_seqs=max(load.concurrency for load in loads),
        max_batch_tokens=max(LEAST_ROWS, rows),
        page_size=PAGE,
        num_pages=max(load.concurrency * load.num_pages(PAGE) for load in loads),
        prefix_cache=True,
        kv_dtype=loads[0].kv_dtype,
        overlap=loads[0].overlap_rows is not None,
        overlap_rows=loads[0].overlap_rows or 0,
    )


def measure(
    engine: Engine, sizes: Sizes, load: Load, ceilings: Ceilings, *, least_s: float = LEAST_S
) -> dict[str, Any]:
    """Steady-state steps of a load: committed tokens, and time compared with the floors.

    `problems` lists contradictions, such as more tokens than the steps can commit.
    """
    prompts = _prompts(load, engine.loaded.info)
    params = _params(engine.loaded.info, load)
    seed_prompts(engine, prompts, params)
    cuda = engine.loaded.device.type == "cuda"
    ahead = _steps_after(engine, load)
    begin = phases(load.concurrency, load.steps + ahead)

    def new_request(place: int, request_id: str, is_first: bool) -> Request:
        request_params = params
        if is_first:  # so that requests end at different times
            num_cycles = 1 + place % (load.num_tokens // load.cycle_tokens)
            max_tokens = load.seed_tokens + load.cycle_tokens * num_cycles
            request_params = replace(params, max_tokens=max_tokens)
        return Request(request_id, prompts[place], request_params)

    name, waits = f"loop-{next(_names)}", _begins_behind(engine, load)
    # Each verification ends a cycle, however many tokens it keeps.
    cycle_len = load.block if load.accepted is None else 1
    loop = ClosedLoop(engine, new_request, begin, cycle_len, name, waits=waits)
    window, profiled = _window(loop, load, least_s, cuda=cuda)
    slack = _slack(load, window)
    share, problems = check(
        window,
        load.concurrency,
        load.cycle_tokens / load.steps * slack,
        share_of_steps=load.steps / (load.steps + max(ahead, int(waits))),
        shares_prompts=engine.loaded.info.attention != "full",
    )
    row = _described(load, window, sizes, ceilings) | {"phases": begin} | profiled
    row |= {"share_of_possible": share * slack, "problems": problems}
    row["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30 if cuda else None
    return row


def _window(
    loop: ClosedLoop, load: Load, least_s: float, *, cuda: bool
) -> tuple[Window, dict[str, Any]]:
    """A steady window and, on a GPU, profiled steps after it."""
    with fixed(load.accepted):
        try:
            to_steady(loop)
            if cuda:
                torch.cuda.reset_peak_memory_stats()
            window = run_window(loop, least_s)
            profiled = profile(loop.step) if cuda else {}
        finally:
            loop.stop()
    if load.accepted is not None:  # drafts are committed before they are verified
        final = replace(window.counts, tokens=window.counts.final)
        window = replace(window, counts=final)
    return window, profiled


def _slack(load: Load, window: Window) -> float:
    """Most cycles that end in a window, by how many its steps hold.

    A window may begin between a draft and its verification, so that one more may end in it.
    """
    return 1.0 if load.accepted is None else 1 + load.steps / window.counts.steps


def _steps_after(engine: Engine, load: Load) -> int:
    """Steps from the last of a block to the first of the next, while its result is pending."""
    overlaps = engine.loaded.info.attention != "canvas" and _overlaps(engine, load)
    return engine.config.steps_ahead if overlaps and not _begins_behind(engine, load) else 0


def _overlaps(engine: Engine, load: Load) -> bool:
    is_causal = engine.loaded.info.attention == "block_causal"
    few = load.concurrency * load.block < engine.config.overlap_rows
    return engine.limits.overlaps and not (is_causal and few)


def _begins_behind(engine: Engine, load: Load) -> bool:
    """True if a block begins after the last step of the one before by its quotas.

    Such an answer waits only for the result of its last step.
    """
    info = engine.loaded.info
    if info.attention != "block_causal":
        return info.attention == "canvas"
    is_known = load.cache != "block" and not info.shift and engine.config.steps_ahead == 1
    return is_known and _overlaps(engine, load)


def _described(load: Load, window: Window, sizes: Sizes, ceilings: Ceilings) -> dict[str, Any]:
    counts, step_s = window.counts, window.mean_step_s
    work = StepWork(
        counts.requests / counts.steps,
        counts.rows / counts.steps,
        counts.scored / counts.steps,
        load.mean_keys,
        load.kv_element_bytes,
    )
    parts = terms(sizes, work)
    floor_s, joint_floor_s = serial_s(parts, ceilings), joint_s(parts, ceilings)
    best = load.concurrency * load.cycle_tokens / load.steps
    best /= serial_s(terms(sizes, best_work(sizes, load)), ceilings)
    low, median, high = window.quantiles_ms()
    tokens = counts.tokens / counts.steps
    return {
        **asdict(load),
        "tokens_per_s": counts.tokens / window.elapsed_s,
        "rows_per_s": counts.rows / window.elapsed_s,
        "tokens_a_step": tokens,
        "rows_a_step": work.rows,
        "scored_a_step": work.scored,
        "steps": counts.steps,
        "step_ms": 1000 * step_s,
        "step_spread_ms": [low, median, high],
        "bytes": sum(part.num_bytes for part in parts),
        "flops": sum(part.flops for part in parts),
        "floor_ms": 1000 * floor_s,
        "floor_parts_ms": by_name(parts, ceilings),
        "share_of_floor": floor_s / step_s,
        "tokens_per_s_at_best": best,
        "share_of_best": counts.tokens / window.elapsed_s / best,
        "joint_floor_ms": 1000 * joint_floor_s,
        "share_of_joint_floor": joint_floor_s / step_s,
    }


def seed_prompts(
    engine: Engine, prompts: Sequence[tuple[int, ...]], params: SamplingParams
) -> None:
    """Register whole pages of these prompts in the prefix cache, with the values they have.

    Computing the prompts would take longer than the measurement, and keys do not affect its time.
    """
    info = engine.loaded.info
    if info.attention == "full":  # not shared with any other request
        return
    pool, held = engine.pool, []
    for ids in prompts:
        request = Request("seed", ids, params)
        sequence = Decoded(request, resolve(request, info, engine.limits), info)
        for index in range(len(ids) // pool.page_size):
            key = hash_of_page(sequence, index, pool.page_size)
            if key is None:
                break
            page = pool.acquire(key)
            if page is None:
                allocated = pool.allocate(1)
                assert allocated is not None, "there are pages for every prompt"
                [page] = allocated
                pool.publish(page, key)
            held.append(page)
    pool.release(held)


def same_tokens(loaded: LoadedModel, num_others: int, load: Load) -> dict[str, Any]:
    """True if requests get the same tokens alone and batched (batch-invariant mode).

    Half of them sample. Prompts have different lengths, and all begin at once.
    """
    count, block = num_others + 1, load.block
    random = torch.Generator().manual_seed(0)
    requests = []
    for i in range(count):
        ids = torch.randint(0, loaded.info.vocab_size - 1, (9 + 7 * i,), generator=random)
        params = replace(_params(loaded.info, load), max_tokens=block)
        sampled = replace(params, temperature=0.7, seed=i) if i % 2 else params
        requests.append(Request(str(i), tuple(ids.tolist()), sampled))
    pages = sum(-(-(len(r.prompt_token_ids) + 3 * block) // PAGE) + 1 for r in requests)
    config = EngineConfig(
        max_num_seqs=count,
        page_size=PAGE,
        num_pages=pages,
        max_batch_tokens=8192,
        prefix_cache=False,  # off: the second run must not reuse keys of the first
        kv_dtype=load.kv_dtype,
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
        "first_difference": differ,  # by request, if they differ
    }


def _answers(engine: Engine, requests: list[Request]) -> dict[str, list[int]]:
    for request in requests:
        engine.add(request)
    tokens: dict[str, list[int]] = {request.request_id: [] for request in requests}
    while engine.has_work:
        for event in engine.step():
            tokens[event.request_id] += event.token_ids
    return tokens


def _prompts(load: Load, info: ModelInfo) -> list[tuple[int, ...]]:
    """Random prompts, the same for a place in every load."""
    prompts = []
    for place in range(load.concurrency):
        random = torch.Generator().manual_seed(place)
        ids = torch.randint(info.vocab_size - 1, (load.context,), generator=random)
        prompts.append(tuple(ids.tolist()))
    return prompts


def _params(info: ModelInfo, load: Load) -> SamplingParams:
    """Fixed work: the load's number of steps a block, for canvases too."""
    if load.mode is not None and load.mode != "diffusion":
        return SamplingParams(
            max_tokens=load.num_tokens + load.seed_tokens,
            mode=load.mode,
            block_length=load.block if load.mode == "self_speculation" else None,
            ignore_eos=True,
        )
    common = SamplingParams(
        max_tokens=load.num_tokens,
        block_length=load.block,
        steps=load.steps,
        ignore_eos=True,
        mode=load.mode,
    )
    if info.canvas is not None:
        bound = info.canvas.entropy_bound
        return replace(common, temperature=1.0, policy="entropy_bound", entropy_bound=bound)
    cache = "dual" if info.attention == "full" else load.cache
    return replace(common, policy="low_confidence", cache=cache)


def fits(sizes: Sizes, load: Load, device: torch.device) -> bool:
    """True if weights and cache leave a tenth of the memory free."""
    if device.type != "cuda":
        return True
    tokens = load.concurrency * load.num_pages(PAGE) * PAGE
    cache = sizes.kv_stored(tokens, load.kv_element_bytes)
    return sizes.stored + cache < 0.9 * torch.cuda.get_device_properties(device).total_memory
