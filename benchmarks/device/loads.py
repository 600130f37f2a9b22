"""Loads of the engine benchmark, by model and by importance."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.device.families import SHAPES, TINY, Quantized, Shape, Sizes
from benchmarks.device.floors import StepWork, serial_s, terms
from benchmarks.device.timing import Ceilings
from unmask.config import EngineConfig
from unmask.types import ModeName

OVERLAP_ROWS = EngineConfig().overlap_rows
FEW_APART = 512
OVERLAPS = {OVERLAP_ROWS: "", FEW_APART: ", few apart", None: ", no overlap"}
GEMMA = "DiffusionGemma-26B-A4B"
NEMOTRON = "Nemotron-Labs-Diffusion-8B"
# An H100's values, for estimates only; a run measures its device.
USUAL = Ceilings(3.0e12, 7.2e14, 1.2e15)
USUAL_SHARE = 0.75  # of the floor
LOADING_BYTES_PER_S = 25e9
# Seconds in which an engine starts: kernels are compiled, and all graphs captured, which takes
# longer with experts, and with canvases.
START_S, GRAPHS_S, EXPERTS_S, CANVASES_S = 5.0, 8.0, 8.0, 10.0
MOST_GRAPH_ROWS = 5120
PROFILE_S = 0.5


@dataclass(frozen=True)
class Load:
    """Requests that always run, as soon as one ends another, with their prompts in the cache.

    A block of `block` tokens is denoised in as many steps as fill `tokens_per_forward` of them. In
    the mode `self_speculation` it is a draft, of whose verification `accepted` tokens are kept: an
    assumption, as random weights have no such number.
    """

    concurrency: int
    context: int = 1024
    num_tokens: int = 128
    block: int = 32
    tokens_per_forward: float = 4.0
    quantization: Quantized = "none"
    kv_dtype: Literal["auto", "fp8"] = "auto"
    overlap_rows: int | None = OVERLAP_ROWS  # rows from which steps overlap; None: never
    cache: Literal["none", "block"] = "none"  # "block" computes the active rows of a block alone
    mode: ModeName | None = None  # of models with several
    accepted: int | None = None

    @property
    def steps(self) -> int:
        """Steps of a cycle: those of a block, or a draft and its verification."""
        if self.accepted is not None:
            return 2
        return max(1, round(self.block / self.tokens_per_forward))

    @property
    def cycle_tokens(self) -> int:
        """Tokens of a cycle: a block's, or those that are kept of a draft."""
        return self.accepted or self.block

    @property
    def seed_tokens(self) -> int:
        """Tokens of an answer before its first cycle."""
        return 0 if self.accepted is None else 1

    @property
    def longest(self) -> int:
        """Tokens of a request."""
        return self.context + self.num_tokens + self.block

    @property
    def mean_keys(self) -> float:
        """Mean number of keys a row sees: half of an answer, and a whole block."""
        return self.context + (self.num_tokens + self.block) / 2

    @property
    def kv_element_bytes(self) -> int:
        """Bytes of an element of a key or a value."""
        return 1 if self.kv_dtype == "fp8" else 2

    def num_pages(self, page_size: int) -> int:
        """Pages of a request."""
        return -(-self.longest // page_size) + 1


@dataclass(frozen=True)
class Case:
    """Model in one format with the loads of one engine, most important first."""

    model: str
    shape: Shape
    loads: tuple[Load, ...]

    @property
    def name(self) -> str:
        """Model and format, such as `SDAR-8B fp8`."""
        load = self.loads[0]
        held = "bf16" if load.quantization == "none" else load.quantization
        held += ", fp8 keys" if load.kv_dtype == "fp8" else ""
        held += OVERLAPS[load.overlap_rows]
        return f"{self.model} {held}"

    def part(self, load: Load) -> str:
        """Name of a load's part, such as `SDAR-8B fp8, 32 by 4: 8 at 1024`."""
        work = f"{load.block} by {load.tokens_per_forward:g}"
        if load.mode is not None and load.mode != "diffusion":
            work = load.mode
        if load.accepted is not None:
            work += f", {load.accepted} of {load.block}"
        work += ", active rows" if load.cache == "block" else ""
        return f"{self.name}, {work}: {load.concurrency} at {load.context}"


def _loads(*concurrencies: int, **fields: Any) -> tuple[Load, ...]:
    """Loads that differ in the number of requests; `fields` are those of `Load`."""
    return tuple(Load(count, **fields) for count in concurrencies)


def _case(model: str, *loads: Load) -> Case:
    return Case(model, SHAPES.get(model) or TINY[model], loads)


_FP8: dict[str, Any] = {"quantization": "fp8"}
_INT4: dict[str, Any] = {"quantization": "int4"}
# Fewer rows a token. Tokens a forward as published for LLaDA2.0 (16) and assumed for the others.
_BY_16: dict[str, Any] = {"block": 16, "tokens_per_forward": 2.44}
_BY_8: dict[str, Any] = {"block": 8, "tokens_per_forward": 2.0}
_BY_4: dict[str, Any] = {"block": 4, "tokens_per_forward": 2.0}
_ONE: dict[str, Any] = {"block": 1, "tokens_per_forward": 1.0}
_ACTIVE: dict[str, Any] = {"cache": "block"}
_MODES: tuple[dict[str, Any], ...] = (
    {"mode": "ar", "block": 1, "tokens_per_forward": 1.0},
    {"mode": "diffusion"},
    {"mode": "self_speculation", "accepted": 4, "tokens_per_forward": 2.0},
    {"mode": "self_speculation", "accepted": 8, "tokens_per_forward": 4.0},
)
_CANVAS: dict[str, Any] = {"num_tokens": 1024, "block": 256, "tokens_per_forward": 16.0}

CASES = (
    _case(
        "SDAR-8B",
        *_loads(8, 32, 128, 1),
        *_loads(32, 128, 8, **_BY_8),
        *_loads(32, 128, 8, **_ACTIVE),
        *_loads(32, 128, 8, **_BY_16),
        *_loads(32, 128, **_BY_16, **_ACTIVE),
        *_loads(128, 32, **_BY_4),
        *_loads(64, 256, 2, 4, 16),
    ),
    _case(
        "SDAR-8B",
        *_loads(8, 32, 128, 1, **_FP8),
        *_loads(32, 128, 8, **_FP8, **_BY_8),
        *_loads(32, 128, 8, **_FP8, **_ACTIVE),
        *_loads(128, 32, **_FP8, **_BY_4),
        *_loads(32, 128, **_FP8, **_BY_8, **_ACTIVE),
        *_loads(32, 128, 8, **_FP8, **_BY_16),
        *_loads(64, **_FP8),
    ),
    _case("SDAR-8B", *_loads(1, 4, 8, 32, **_INT4)),
    _case("LLaDA2.0-mini", *_loads(8, 32, 128, 1, 64)),
    _case("LLaDA2.0-mini", *_loads(8, 32, 128, 1, 64, **_FP8)),
    _case(GEMMA, *_loads(1, 4, 8, 16, **_CANVAS, **_FP8)),
    _case(GEMMA, *_loads(1, 4, 8, 16, **_CANVAS)),
    _case("SDAR-4B", *_loads(128, 32, 8, 1, **_BY_4)),  # JetEngine's case
    # Keys are read in two steps a block instead of three, and the host is waited for.
    _case("SDAR-4B", *_loads(128, **_BY_4, overlap_rows=None)),
    # An autoregressive model on the same kernels.
    _case("SDAR-8B", *_loads(128, 32, 8, 256, **_ONE)),
    _case("SDAR-8B", *_loads(1, 8, overlap_rows=FEW_APART)),
    _case("SDAR-8B", *_loads(8, 32, 1, context=8192)),
    _case("SDAR-8B", *_loads(32, 8, context=8192, kv_dtype="fp8")),
    _case("LLaDA-8B", *_loads(8)),
    _case("SDAR-1.7B", *_loads(8, 64)),
    # The crossover of modes on the same weights.
    _case(NEMOTRON, *(Load(n, **mode) for n in (32, 8, 128, 1, 64, 256) for mode in _MODES)),
)
COMPANY = CASES[0], CASES[1], CASES[2], CASES[4]  # cases checked for batch invariance
_SMALL: dict[str, Any] = {
    "context": 64,
    "num_tokens": 16,
    "block": 8,
    "tokens_per_forward": 4.0,
    "overlap_rows": 0,
}
DRY_CASES = (
    _case(
        "tiny SDAR",
        *_loads(3, **_SMALL),
        *_loads(2, **_SMALL | _BY_4),
        *_loads(2, **_SMALL, **_ACTIVE),
    ),
    _case("tiny SDAR", *_loads(2, **_SMALL, **_FP8, kv_dtype="fp8")),
    _case("tiny SDAR", *_loads(2, **_SMALL, **_INT4)),
    _case("tiny LLaDA", *_loads(2, **_SMALL)),
    _case("tiny LLaDA2", *_loads(2, **_SMALL, **_FP8)),
    _case("tiny DiffusionGemma", *_loads(2, **_SMALL)),
    _case(
        "tiny Nemotron",
        *(Load(2, **_SMALL | mode) for mode in _MODES[:2]),
        *_loads(3, **_SMALL | _MODES[2]),
    ),
)


def best_work(sizes: Sizes, load: Load) -> StepWork:
    """Work of the mean step without waits between blocks.

    Every row of a canvas is scored; of a block, those that are still masked. Active rows are these,
    and the rows that the previous step resolved. In a model with modes a pass has its block alone.
    """
    if load.mode is not None:
        return _work_of_mode(load)
    block, steps, count = load.block, load.steps, load.concurrency
    masked = (block + block / steps) / 2
    rows: float = block
    if load.cache == "block":
        rows = masked + block / steps * (1 - 1 / steps)
    return StepWork(
        count,
        count * (rows + block / steps),
        count * (block if sizes.head_products > 1 else masked),
        load.mean_keys,
        load.kv_element_bytes,
    )


def _work_of_mode(load: Load) -> StepWork:
    """Work of the mean step of a mode: a block in every pass, or a row where it is one token.

    The pass that gives a block's first token scores one row, a draft all but its first, and its
    verification all.
    """
    scored = 1.0
    if load.accepted is not None:
        scored = load.block - 0.5
    elif load.block > 1:
        others = load.block - 1
        steps = max(1, load.steps - 1)
        scored = (1 + steps * (others + others / steps) / 2) / (1 + steps)
    return StepWork(
        load.concurrency,
        load.concurrency * load.block,
        load.concurrency * scored,
        load.mean_keys,
        load.kv_element_bytes,
    )


def weights_seconds(sizes: Sizes) -> float:
    """Estimated seconds to draw a model's random weights."""
    one_by_one_s = 3.0 if sizes.experts else 0.0
    return 1.5 + one_by_one_s + sizes.stored / LOADING_BYTES_PER_S


def start_seconds(loads: Sequence[Load], sizes: Sizes) -> float:
    """Estimated seconds to start an engine for these loads."""
    rows = max(2 * load.block * load.concurrency for load in loads)
    graphs_s = GRAPHS_S + (EXPERTS_S if sizes.experts else 0.0)
    graphs_s += CANVASES_S if sizes.head_products > 1 else 0.0
    return START_S + graphs_s * min(1.0, rows / MOST_GRAPH_ROWS)


def seconds(load: Load, sizes: Sizes, least_s: float) -> float:
    """Estimated seconds of a load: joining, profiled steps, measured steps."""
    num_steps = load.steps + 1
    if sizes.head_products > 1:  # canvases are counted by whole requests
        num_steps = load.num_tokens // load.block * load.steps + 1
    cycle_s = num_steps * serial_s(terms(sizes, best_work(sizes, load)), USUAL) / USUAL_SHARE
    num_cycles = max(1, math.ceil(least_s / cycle_s))
    return PROFILE_S + (1.5 + num_cycles) * cycle_s
