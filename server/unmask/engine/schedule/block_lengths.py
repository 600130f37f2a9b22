"""Load-adaptive block lengths: shorter blocks once a step has more rows than are free.

Up to some number of rows a step takes as long as its weights take from memory, and long blocks
fill more tokens in it. Beyond, its time grows with its rows, and short blocks need fewer of them
for a token.
"""

import math

from unmask.config import EngineConfig

# FLOPs a byte of the weights' memory: 240 rows in bfloat16 on an H100, some 20 on CPUs.
GPU_SATURATION_ROWS, CPU_SATURATION_ROWS = 256, 32
SHORTEST = 4  # no model is published for shorter blocks
# Largest load, in multiples of the saturation rows, at which blocks are cut into so many.
DIVISORS = ((1.0, 1), (2.0, 2), (4.0, 4), (math.inf, 8))


def saturation_rows_of(config: EngineConfig, device_type: str) -> int:
    """Rows of a step from which more take more time: as configured, or of such devices."""
    usual = GPU_SATURATION_ROWS if device_type == "cuda" else CPU_SATURATION_ROWS
    return usual if config.saturation_rows is None else config.saturation_rows


def block_lengths(usual_len: int) -> tuple[int, ...]:
    """Lengths that a load may choose from, the usual one first; each divides those before it."""
    lengths = [usual_len]
    for _, divisor in DIVISORS[1:]:
        if usual_len % divisor or usual_len // divisor < SHORTEST:
            break
        lengths.append(usual_len // divisor)
    return tuple(lengths)


def index_under_load(load: float) -> int:
    """Index of the length that suits a load, in lengths that go on as far."""
    return next(i for i, (limit, _) in enumerate(DIVISORS) if load <= limit)
