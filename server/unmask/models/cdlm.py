"""CDLM: LLaDA and Dream distilled to fill a block in few passes (Kim et al., 2025).

An adapter, or weights that it is merged into. Attention is D2F's, but one block is open at a time:
a position sees the prompt, the blocks before and its own. The names alone tell. Settings are those
of the paper (arXiv:2511.19269): greedy, in blocks of 32, by confidence above 0.9.
"""

import re
from collections.abc import Iterable

from unmask.models.family import Presets

# Other models are called CDLM too, with full attention, so the name of the base belongs to it.
NAME = re.compile(r"(?<![a-z0-9])cdlm[-_](dream|llada)(?![a-z0-9])", re.I)
PRESETS: Presets = {
    "cdlm": {"policy": "threshold", "threshold": 0.9, "block_length": 32, "temperature": 0.0}
}


def is_cdlm(names: Iterable[str]) -> bool:
    """True if a name, of a checkpoint or an adapter, is one of CDLM's."""
    return any(NAME.search(name) for name in names)
