"""Random steps, to check CUDA graphs on before anything depends on them."""

import numpy as np
import torch

from unmask.engine.run.graphs.sampling_buffers import LONGEST, USUAL, SamplingSize
from unmask.engine.run.graphs.sizes import GraphSize
from unmask.engine.run.inputs import RowInputs
from unmask.engine.run.staging import Array, Staging, on_host
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask_kernels.attention.ops import AttentionPlan
from unmask_kernels.attention.static_tiles import plan_tensors, with_tensors
from unmask_kernels.attention.tiles import TilePlan
from unmask_kernels.policies.table import MAX_NUMBERS

NUM_STEPS = 8  # of a block, at least
PADDING_PART = 8  # one row of as many is padding


def random_step(
    loaded: LoadedModel, cache: KVCache, size: GraphSize, random: np.random.Generator
) -> ForwardInputs:
    """A step that fits a size, on the host: sequences of random lengths, each with rows at its end.

    Every row writes to a slot of its own, in any page but the last. Earlier keys are in random
    pages, so no sequence may depend on their contents.
    """
    page_size = cache.keys[0].shape[1]
    num_pages = cache.keys[0].shape[0] - 1
    free = random.permutation(num_pages).tolist()
    total = size.num_rows - size.num_rows // PADDING_PART
    longest = -(-total // size.num_sequences)
    query_starts, page_starts = [0], [0]
    positions: list[np.ndarray] = []
    pages: list[int] = []
    for _ in range(size.num_sequences):
        length = min(total - query_starts[-1], longest, len(free) * page_size, size.max_horizon)
        if length == 0:
            break
        start = int(random.integers(0, size.max_horizon - length + 1)) // page_size * page_size
        own = [free.pop() for _ in range(-(-length // page_size))]
        pages += random.integers(0, num_pages, start // page_size).tolist() + own
        positions.append(np.arange(start, start + length))
        query_starts.append(query_starts[-1] + length)
        page_starts.append(len(pages))
    at, table = np.concatenate(positions), np.array(pages)
    counts = np.diff(query_starts)
    slots = table[np.repeat(page_starts[:-1], counts) + at // page_size] * page_size
    ids = random.integers(0, loaded.info.vocab_size, len(at))
    token_ids, positions_, slots_ = on_host([ids, at, slots + at % page_size])
    plans = plan_layers(
        loaded.model.layers,
        np.array(query_starts),
        np.repeat([own[-1] + 1 for own in positions], counts),
        table,
        np.array(page_starts),
        page_size,
        device=loaded.device,
        dtype=loaded.dtype,
        anchors=at,
        to_device=on_host,
    )
    return ForwardInputs(token_ids, positions_, slots_, plans, cache)


def closed_rows(step: ForwardInputs, dummy_slot: int) -> RowInputs:
    """Rows of a step, none of which is of an open block."""
    slots = torch.full_like(step.token_ids, dummy_slot)
    is_known = torch.ones_like(slots, dtype=torch.bool)
    flags = is_known, torch.zeros_like(is_known)
    return RowInputs(step.token_ids, step.positions, step.slots, slots, *flags)


def on_device(step: ForwardInputs, staging: Staging) -> ForwardInputs:
    """A step whose tensors are on the host, brought to the device in one copy."""
    if staging.device.type == "cpu":
        return step
    tensors = [step.token_ids, step.positions, step.slots]
    plans = {id(plan): plan for plan in step.plans if isinstance(plan, TilePlan)}
    for plan in plans.values():
        tensors += plan_tensors(plan)
    copies = iter(staging.to_device([tensor.numpy() for tensor in tensors]))
    token_ids, positions, slots = (next(copies) for _ in range(3))
    moved: dict[int, AttentionPlan] = {
        name: with_tensors(plan, [next(copies) for _ in plan_tensors(plan)])
        for name, plan in plans.items()
    }
    copied = tuple(moved.get(id(plan), plan) for plan in step.plans)
    return ForwardInputs(token_ids, positions, slots, copied, step.cache)


def random_sampling(
    size: SamplingSize, dummy_slot: int, random: np.random.Generator
) -> dict[str, Array]:
    """Random `SamplingInputs.arrays` of all sorts."""
    num_rows = size.num_rows - size.num_rows // PADDING_PART
    num_blocks = min(size.num_blocks, -(-num_rows // (LONGEST // 2)))
    spans = np.arange(num_rows) * num_blocks // num_rows
    arrays: dict[str, Array] = {
        "hidden_rows": random.integers(0, size.num_rows, num_rows),
        "token_slots": random.permutation(dummy_slot)[:num_rows],
        "has_no_row": random.random(num_rows) < 0.25,
        "spans": spans,
    }
    drawn = np.arange(num_rows if size.draws else 0)
    temperature = random.choice(np.array([0.0, 0.7, 1.0], np.float32), num_blocks)
    owner, codes = spans[drawn], sorted(policy.code for policy in USUAL)
    if size.penalizes:
        arrays["penalties"] = random.random(num_rows, np.float32)
    return arrays | {
        "drawn_rows": drawn,
        "temperature": temperature[owner],
        "seeds": random.integers(0, 2**62, num_blocks)[owner],
        "positions": np.arange(num_rows),
        "steps": random.integers(0, NUM_STEPS, num_blocks)[owner],
        "policies": random.choice(np.array(codes, np.int32), num_blocks),
        "quota": random.integers(1, 5, num_blocks),
        "numbers": random.random((num_blocks, MAX_NUMBERS), np.float32),
        "editing_threshold": random.random(num_blocks, np.float32),
        "starts": np.append(np.searchsorted(spans, np.arange(num_blocks)), num_rows),
    }
