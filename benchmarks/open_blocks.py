"""Accuracy with several open blocks: `python -m benchmarks.open_blocks`.

Answers the embedded model's held-out problems with one, two and four open blocks, and writes
accuracy, tokens per forward pass and rows per token of each. The model is trained for one, and
problems whose answers are held to a schema or a template are left out.
"""

from dataclasses import replace

from benchmarks.accuracy import main
from benchmarks.machine import ROOT
from unmask.evaluation.runner import Setting
from unmask.evaluation.suite import EvalProblem
from unmask.sampling_params import MAX_BLOCK_LENGTH
from unmask.types import SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "embedded_open_blocks.json"
THRESHOLDS = (0.9, 0.95)
# Open blocks, and the shares at which the next one opens and is filled at full pace.
SHARES = ((2, 0.1, 0.9), (4, 0.1, 0.9), (4, 0.9, 0.9))


def settings() -> list[Setting]:
    """One block at a time and several, at each threshold."""
    result: list[Setting] = []
    for threshold in THRESHOLDS:
        one = SamplingParams(temperature=0.0, policy="threshold", threshold=threshold)
        whole = replace(one, sub_block_length=MAX_BLOCK_LENGTH)  # as several open ones are
        result.append(Setting(f"threshold {threshold}, 1 open block", whole))
        for count, add, semi_complete in SHARES:
            several = replace(
                one,
                open_blocks=count,
                add_block_threshold=add,
                semi_complete_threshold=semi_complete,
            )
            name = f"threshold {threshold}, {count} open blocks, the next at {add}"
            result.append(Setting(name, several))
    return result


def is_free(problem: EvalProblem) -> bool:
    """True if no schema or template holds the answer, which excludes several open blocks."""
    return problem.schema is None and not problem.template


if __name__ == "__main__":
    main(__doc__, settings(), RESULT, takes=is_free)
