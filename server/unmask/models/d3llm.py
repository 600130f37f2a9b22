"""d3LLM: LLaDA, Dream and Dream-Coder distilled to open blocks early (hao-ai-lab, 2026).

Layers, attention and files are the base models', so the names alone tell them. Settings are those
of `chat` and `eval_scripts` of hao-ai-lab/d3LLM, without kept keys where both are published.
"""

import re
from typing import NamedTuple

from unmask.models.family import Presets
from unmask.types import MAX_BLOCK_LENGTH

NAME = re.compile(r"(?<![a-z0-9])d3llm(?![a-z0-9])", re.I)
CODER = re.compile(r"coder", re.I)
BLOCK_LENGTH = 32
OPEN_BLOCKS = MAX_BLOCK_LENGTH // BLOCK_LENGTH  # the authors' code has as many as the answer
NEVER = 10_000


class Task(NamedTuple):
    """Entropy and share of a block before the next one opens; delay and interval of kept keys."""

    entropy: float
    add: float = 0.1
    delay: int = 2
    interval: int = NEVER


# The first is the default.
OF_LLADA = {
    "chat": Task(0.5),
    "gsm8k": Task(0.5, interval=3),
    "long_gsm8k": Task(0.4),
    "math": Task(0.5, delay=1),
    "mbpp": Task(0.4, delay=1),
    "humaneval": Task(0.5, add=1.0, interval=4),
}
OF_DREAM = {
    "chat": Task(0.5),
    "gsm8k": Task(0.4, delay=1),
    "long_gsm8k": Task(0.4, delay=1),
    "math": Task(0.4),
    "mbpp": Task(0.4),
    "humaneval": Task(0.5),
}
OF_CODER = {"code": Task(0.5, delay=32)}


def is_d3llm(name: str) -> bool:
    """True if a checkpoint's name is one of d3LLM's."""
    return NAME.search(name) is not None


def d3llm_presets(name: str, *, shift: bool) -> Presets:
    """Presets of d3LLM-Dream, whose logits are shifted, or -LLaDA; none of other names."""
    if not is_d3llm(name):
        return {}
    tasks = OF_CODER if CODER.search(name) else OF_DREAM if shift else OF_LLADA
    return {
        task: {
            "policy": "entropy_threshold",
            "entropy_threshold": values.entropy,
            "block_length": BLOCK_LENGTH,
            "open_blocks": OPEN_BLOCKS,
            "add_block_threshold": values.add,
            "cache_delay_iter": values.delay,
            "refresh_interval": values.interval,
        }
        for task, values in tasks.items()
    }
