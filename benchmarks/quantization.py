"""What the embedded model loses with weights of 8 bits: `python -m benchmarks.quantization`.

Runs `unmask eval` on the shipped suite as often as there are ways to hold the weights, and writes
accuracies beside each other. Other arguments are those of `unmask eval`, such as `--limit 20`.
"""

import argparse
import json
from typing import Any

from benchmarks.machine import ROOT, describe
from benchmarks.quality import evaluate

RESULT = ROOT / "benchmarks" / "results" / "embedded_quantization.json"
KINDS = ("none", "int8", "fp8")
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    _, arguments = parser.parse_known_args()
    runs = [summarise(k, evaluate(["--quantization", k, *arguments])) for k in KINDS]
    whole = runs[0]["settings"]
    losses = {
        run["quantization"]: {
            name: whole[name]["accuracy"] - found["accuracy"]
            for name, found in run["settings"].items()
        }
        for run in runs[1:]
    }
    record = describe() | {"arguments": arguments, "limit": LIMIT, "losses": losses, "runs": runs}
    RESULT.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for kind, loss in losses.items():
        print(kind, "loses", {name: f"{points:.2%}" for name, points in loss.items()})


if __name__ == "__main__":
    main()
