"""Random steps and decisions, to try what was captured on before anything depends on it."""

import numpy as np

from unmask.engine.run.graphs.sampling_buffers import LONGEST, SamplingSize
from unmask.engine.run.graphs.sizes import GraphSize
from unmask.engine.run.staging import Array, on_host
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask_kernels.policies.table import POLICIES

NUM_STEPS = 8  # of a block, at least
SPARE_PART = 8  # one row of as many is left free


def random_step(
    loaded: LoadedModel, cache: KVCache, size: GraphSize, random: np.random.Generator
) -> ForwardInputs:
    """A step that fits a size, on the host: sequences of random lengths, each with rows at its end.

    Every row writes to a slot of its own, in any page but the last. The keys before are those of
    whatever pages, so no sequence may depend on what is in them.
    """
    page_size = cache.keys[0].shape[1]
    num_pages = cache.keys[0].shape[0] - 1
    free = random.permutation(num_pages).tolist()
    total = size.num_rows - size.num_rows // SPARE_PART
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
        query_starts,
        np.repeat([own[-1] + 1 for own in positions], counts),
        table,
        page_starts,
        page_size,
        device=loaded.device,
        dtype=loaded.dtype,
        anchors=at,
        to_device=on_host,
    )
    return ForwardInputs(token_ids, positions_, slots_, plans, cache)


def random_decision(
    size: SamplingSize, dummy_slot: int, random: np.random.Generator
) -> dict[str, Array]:
    """What decides about rows of all sorts, in the form of `decision_room.arrays_of`."""
    num_rows = size.num_rows - size.num_rows // SPARE_PART
    num_blocks = min(size.num_blocks, -(-num_rows // (LONGEST // 2)))
    spans = np.arange(num_rows) * num_blocks // num_rows
    rows: dict[str, Array] = {
        "hidden_rows": random.integers(0, size.num_rows, num_rows),
        "cells": random.permutation(dummy_slot)[:num_rows],
        "spans": spans,
    }
    if size.draws:
        heat = random.choice(np.array([0.0, 0.7, 1.0], np.float32), num_blocks)
        rows |= {
            "temperature": heat[spans],
            "seeds": random.integers(0, 2**62, num_blocks)[spans],
            "positions": np.arange(num_rows),
            "steps": random.integers(0, NUM_STEPS, num_blocks)[spans],
        }
    blocks: dict[str, Array] = {
        "codes": random.integers(0, len(POLICIES), num_blocks).astype(np.int32),
        "quota": random.integers(1, 5, num_blocks),
        "limit": random.random(num_blocks, np.float32),
        "editing": random.random(num_blocks, np.float32),
        "starts": np.searchsorted(spans, np.arange(num_blocks)),
    }
    return rows | blocks
