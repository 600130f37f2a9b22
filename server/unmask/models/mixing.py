"""DMax: LLaDA2 trained to read its own drafts, as embeddings mixed with the mask token's.

No file of a checkpoint says so (Chen et al., 2026): the names do. Thresholds are those of the
authors' scripts for mathematics and code, and of their model card, which is the fastest.
"""

import logging
import re

from unmask.models.family import Presets
from unmask.types import SamplingParams

logger = logging.getLogger(__name__)

NAME = re.compile(r"(?<![a-z0-9])dmax(?![a-z0-9])", re.I)  # as in DMax-Coder-16B
WRITES_CODE = re.compile(r"code", re.I)
THRESHOLDS = {"math": 0.5, "code": 0.65, "speed": 0.0}


def mixing_presets(name: str) -> Presets:
    """Presets of a DMax checkpoint, the first by its name; none of others."""
    if not NAME.search(name):
        return {}
    kinds = sorted(THRESHOLDS, key=lambda kind: kind != "code") if WRITES_CODE.search(name) else []
    return {
        kind: {"policy": "dmax", "threshold": THRESHOLDS[kind], "temperature": 0.0}
        for kind in kinds or THRESHOLDS
    }


def warn_of_mixing(name: str, sampling: SamplingParams) -> None:
    """Log that a checkpoint's embeddings are mixed though it is not known to be trained for it."""
    if sampling.mixes and not NAME.search(name):
        logger.warning(
            "decoding.policy is %s, but %s is not known to be trained for it: compare it with "
            "--policy threshold by unmask eval",
            sampling.policy,
            name,
        )
