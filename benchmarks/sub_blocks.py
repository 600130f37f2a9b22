"""Accuracy with blocks filled in parts: `python -m benchmarks.sub_blocks`.

Answers the embedded model's held-out problems by its own policy with whole blocks and with parts of
them, and from left to right, and writes accuracy, tokens per step and rows per token of each.
"""

from benchmarks.accuracy import main
from benchmarks.machine import ROOT
from unmask.evaluation.runner import Setting
from unmask.types import SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "embedded_sub_blocks.json"
LENGTHS = (16, 8, 4, 2)


def settings() -> list[Setting]:
    """All lengths of parts, the first of which is a whole block, and a token a step in order."""
    parts = [Setting(f"parts of {n}", SamplingParams(sub_block_length=n)) for n in LENGTHS]
    return [*parts, Setting("sequential", SamplingParams(policy="sequential"))]


if __name__ == "__main__":
    main(__doc__, settings(), RESULT)
