"""D2F: LLaDA and Dream trained to denoise several blocks at once (Wang et al., 2025).

An adapter, or weights that it is merged into. The prompt sees all of itself, and each block behind
it sees it, the blocks before and itself. No file says so: the names do, or `--attention block`.
Thresholds are those of `D2F-eval` of SJTU-DENG-Lab/Discrete-Diffusion-Forcing, task by task.
"""

import re
from collections.abc import Iterable

from unmask.models.family import Presets
from unmask.types import MAX_BLOCK_LENGTH

NAME = re.compile(r"(?<![a-z0-9])d2f(?![a-z0-9])", re.I)
OPEN_BLOCKS = MAX_BLOCK_LENGTH // 32  # the authors' code has as many as the answer
DECODED = 0.95  # share of a block before the next one is at full pace, in all tasks
# Block length, share before the next block opens, confidence; the first is the default.
OF_LLADA = {
    "math": (32, 0.1, 0.9),
    "humaneval": (32, 0.1, 0.9),
    "mbpp": (32, 0.9, 0.9),
    "gsm8k": (64, 0.7, 0.9),
}
OF_DREAM = {
    "gsm8k": (32, 0.1, 0.9),
    "math": (64, 0.1, 0.9),
    "mbpp": (48, 0.1, 0.9),
    "humaneval": (32, 0.9, 0.95),
}


def is_d2f(names: Iterable[str]) -> bool:
    """True if a name, of a checkpoint or an adapter, is one of D2F's."""
    return any(NAME.search(name) for name in names)


def d2f_presets(*, shift: bool) -> Presets:
    """Presets of D2F-Dream, whose logits are shifted, or of D2F-LLaDA."""
    return {
        task: {
            "policy": "threshold",
            "threshold": confidence,
            "block_length": block_len,
            "open_blocks": OPEN_BLOCKS,
            "add_block_threshold": add,
            "semi_complete_threshold": DECODED,
        }
        for task, (block_len, add, confidence) in (OF_DREAM if shift else OF_LLADA).items()
    }
