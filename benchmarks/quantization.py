"""Accuracy loss of the embedded model with 8-bit weights: `python -m benchmarks.quantization`.

Runs `unmask eval` on the shipped suite for each weight format and writes the accuracies side by
side. `fp8-w8a8` quantizes activations too, as on GPUs with e4m3 products; on a CPU that is
emulated. Other arguments are passed to `unmask eval`, such as `--limit 20`.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe
from benchmarks.quality import evaluate

RESULT = ROOT / "benchmarks" / "results" / "embedded_quantization.json"
W8A8 = "fp8-w8a8"
KINDS = ("none", "int8", "fp8", W8A8)
LIMIT = 0.01


def summarise(kind: str, evaluation: dict[str, Any]) -> dict[str, Any]:
    """Accuracy and speed at each setting, and the accuracy of each task."""
    return {
        "quantization": kind,
        "problems": sum(task["num_prompts"] for task in evaluation["results"][0]["tasks"]),
        "settings": {
            result["setting"]: {
                "accuracy": result["accuracy"],
                "tokens_per_step": result["tokens_per_step"],
                "tokens_per_s": result["tokens_per_s"],
                "tasks": {task["task"]: task["accuracy"] for task in result["tasks"]},
            }
            for result in evaluation["results"]
        },
    }


def run(kind: str, arguments: list[str]) -> dict[str, Any]:
    """Evaluation with weights in one of the formats of `KINDS`."""
    if kind == W8A8:
        return evaluate(["--quantization", "fp8", *arguments], "benchmarks.emulated")
    return evaluate(["--quantization", kind, *arguments])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="whole ones first")
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options, arguments = parser.parse_known_args()
    runs = [summarise(kind, run(kind, arguments)) for kind in options.kinds]
    whole = runs[0]["settings"]
    losses = {
        run["quantization"]: {
            name: whole[name]["accuracy"] - result["accuracy"]
            for name, result in run["settings"].items()
        }
        for run in runs[1:]
    }
    record = describe() | {"arguments": arguments, "limit": LIMIT, "losses": losses, "runs": runs}
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for kind, loss in losses.items():
        print(kind, "loses", {name: f"{points:.2%}" for name, points in loss.items()})


if __name__ == "__main__":
    main()
