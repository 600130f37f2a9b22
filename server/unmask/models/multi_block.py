"""Checkpoints trained for several open blocks, told by their names, and their published settings.

MBD-LMs (SJTU-DENG-Lab, 2026) are SDAR and LLaDA2 with more training; no file of theirs says so.
"""

import logging
import re

from unmask.models.cdlm import NAME as CDLM
from unmask.models.d2f import NAME as D2F
from unmask.models.d3llm import is_d3llm
from unmask.models.family import Presets
from unmask.models.mixing import NAME as MIXES
from unmask.models.mixing import THRESHOLDS
from unmask.types import AttentionPattern, SamplingParams

logger = logging.getLogger(__name__)


def _part(text: str) -> re.Pattern[str]:
    """A part of a name, as in MBD-Math-SDAR-8B-Chat-b4."""
    return re.compile(rf"(?<![a-z0-9]){text}(?![a-z0-9])", re.I)


TRAINED = _part("mbd")
# Training that a name tells, and what it was for.
PLAIN = {
    CDLM: "CDLM: block-causal attention",
    D2F: "D2F: block-causal attention and several open blocks",
}
WRITES_CODE = re.compile(r"code", re.I)
SHORT = 4  # positions of a block, of which a quarter is filled by one
THRESHOLD = 0.95
EDITING_THRESHOLD = 0.0  # of those made of DMax, which are edited rather than mixed


def multi_block_presets(name: str, block_length: int, open_blocks: int) -> Presets:
    """Presets `math` and `code` of an MBD checkpoint, the first by its name; none of others.

    Those of the table in the README of SJTU-DENG-Lab/Diffulex (branch mbd-lms). Those made of DMax
    are decoded as in `llada2_mini_dmax.yml` there: tokens are edited, and embeddings not mixed.
    """
    if not TRAINED.search(name):
        return {}
    kinds = sorted(("math", "code"), reverse=not WRITES_CODE.search(name))
    if MIXES.search(name):
        return {
            kind: {
                "policy": "threshold",
                "threshold": THRESHOLDS[kind],
                "editing_threshold": EDITING_THRESHOLD,
                "open_blocks": open_blocks,
                "add_block_threshold": 0.1 if kind == "math" else 0.9,
            }
            for kind in kinds
        }
    is_short = block_length <= SHORT
    shares = {"math": (0.1, 0.25 if is_short else 0.9), "code": (0.75 if is_short else 0.9,) * 2}
    return {
        kind: {
            "policy": "threshold",
            "threshold": THRESHOLD,
            "open_blocks": open_blocks,
            "add_block_threshold": shares[kind][0],
            "semi_complete_threshold": shares[kind][1],
        }
        for kind in kinds
    }


def warn_of_training(name: str, sampling: SamplingParams, attention: AttentionPattern) -> None:
    """Log what a checkpoint was trained for and is not served with, or the other way round."""
    if attention == "prompt_block" or (attention == "full" and is_d3llm(name)):
        return  # D2F, with its own attention, or d3LLM
    if (reason := next((PLAIN[part] for part in PLAIN if part.search(name)), None)) is not None:
        logger.warning(
            "%s was trained for %s; it is served without, as the model that it was made from",
            name,
            reason,
        )
    elif (sampling.open_blocks or 1) > 1 and not TRAINED.search(name):
        logger.warning(
            "decoding.open_blocks is %d, but %s is not known to be trained for several open "
            "blocks: compare it with --open-blocks 1 by unmask eval",
            sampling.open_blocks,
            name,
        )
