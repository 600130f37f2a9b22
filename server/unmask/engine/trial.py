"""Random steps, to try a captured forward on before anything depends on it."""

import numpy as np

from unmask.engine.graph_sizes import GraphSize
from unmask.engine.staging import Staging
from unmask.models.layers import KVCache, StepInput, plan_layers
from unmask.models.registry import LoadedModel

SPARE_PART = 8  # one row of as many is left free


def random_step(
    loaded: LoadedModel, cache: KVCache, size: GraphSize, random: np.random.Generator
) -> StepInput:
    """A step that fits a size: sequences of random lengths, each with rows at its end.

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
    staging = Staging(loaded.device)
    ids = random.integers(0, loaded.info.vocab_size, len(at))
    token_ids, positions_, slots_ = staging.put([ids, at, slots + at % page_size])
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
        put=staging.put,
    )
    return StepInput(token_ids, positions_, slots_, plans, cache)
