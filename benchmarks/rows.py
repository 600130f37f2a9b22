"""Rows per token and accuracy of each setting: `python -m benchmarks.rows`.

Answers the embedded model's held-out problems with several block lengths and with the cache
`block`, and writes accuracy, tokens per step and rows per token of each.
"""

from dataclasses import replace

from benchmarks.accuracy import main
from benchmarks.machine import ROOT
from unmask.evaluation.runner import Setting
from unmask.types import AUTO, SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "embedded_rows.json"
LENGTHS = (32, 16, 8, 4, AUTO)
THRESHOLDS = (0.9, 0.95)


def settings() -> list[Setting]:
    """All block lengths, then active rows in blocks of 16 and 32.

    Each at two thresholds and with one token a step.
    """
    greedy = SamplingParams(temperature=0.0)
    result: list[Setting] = []
    for threshold in THRESHOLDS:
        base = replace(greedy, policy="threshold", threshold=threshold)
        for length in LENGTHS:
            name = f"block {length}, threshold {threshold}"
            result.append(Setting(name, replace(base, block_length=length)))
        for length in (32, 16):
            name = f"block {length}, threshold {threshold}, cache block"
            result.append(Setting(name, replace(base, block_length=length, cache="block")))
    single = replace(greedy, policy="low_confidence", block_length=16)
    result.append(Setting("block 16, 1 token a step", single))
    result.append(Setting("block 16, 1 token a step, cache block", replace(single, cache="block")))
    return result


if __name__ == "__main__":
    main(__doc__, settings(), RESULT)
