"""Random steps over canvases, to check CUDA graphs on before anything depends on them."""

import numpy as np

from unmask.engine.run.graphs.noise_buffers import NoiseSize
from unmask.engine.schedule.batch import StepBatch, build_batch
from unmask.engine.schedule.decoding import Decoding
from unmask.engine.schedule.query_range import QueryRange
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.table import SequenceTable
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel
from unmask.types import Request, SamplingParams

NUM_STEPS = 8
OTHERS_PART = 2  # rows beside the canvases are about one in as many of those that there may be


def random_canvases(
    loaded: LoadedModel,
    cache: KVCache,
    size: NoiseSize,
    num_sequences: int,
    random: np.random.Generator,
) -> StepBatch:
    """A batch that fits a size: canvases after prompts of random lengths, some rows of which join.

    Every row writes to a slot of its own, in any page but the last. Earlier keys are in random
    pages, so no sequence may depend on their contents.
    """
    length = loaded.info.block_length
    assert length is not None, "a canvas has a length"
    page_size, num_pages = cache.keys[0].shape[1], cache.keys[0].shape[0] - 1
    free = random.permutation(num_pages).tolist()
    others = (size.num_rows - size.num_canvases * length) // OTHERS_PART
    longest = max(1, min(size.step.max_horizon, loaded.info.max_model_len) - length)
    num_positions = longest + length
    table = SequenceTable(num_sequences, num_positions, -(-num_positions // page_size))
    parts: list[tuple[Sequence, QueryRange]] = []
    for i in range(size.num_canvases):
        num_prompt = int(random.integers(1, longest + 1))
        num_others = min(num_prompt, int(random.integers(0, others + 1)))
        start = num_prompt - num_others
        first = start // page_size
        end = -(-(num_prompt + length) // page_size)
        if end - first > len(free):
            break
        sequence = _sequence(loaded, num_prompt, length, i, random)
        own = [free.pop() for _ in range(end - first)]
        sequence.pages = random.integers(0, num_pages, first).tolist() + own
        sequence.num_computed = start
        sequence.block_step = int(random.integers(0, NUM_STEPS))
        scored = range(num_prompt, num_prompt + length)
        parts.append((sequence, QueryRange(start, scored.stop, scored.stop, scored)))
        others -= num_others
    if not parts:
        raise RuntimeError("there are too few pages for a canvas")
    for i in random.permutation(len(parts)).tolist():  # rows are not in the order of canvases
        table.enter(parts[i][0])
    return build_batch(
        [Span.from_pass(*part) for part in parts], table, page_size, attention="canvas"
    )


def _sequence(
    loaded: LoadedModel, num_prompt: int, length: int, index: int, random: np.random.Generator
) -> Sequence:
    temperature = float(random.choice([0.0, 0.7, 1.0]))
    decoding = Decoding(
        sampling=SamplingParams(temperature=temperature, top_p=1.0),
        policy="entropy_bound",
        threshold=float(random.random()),
        quotas=(1,) * NUM_STEPS,
        block_len=length,
        max_tokens=length,
        top_k=loaded.info.vocab_size,
        seed=int(random.integers(0, 2**62)),
        stop_ids=frozenset(),
    )
    prompt = random.integers(0, loaded.info.vocab_size, num_prompt)
    return Sequence(Request(str(index), tuple(prompt.tolist())), decoding, loaded.info)
