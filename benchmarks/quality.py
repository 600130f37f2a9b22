"""Accuracy of the embedded model at each setting: `python -m benchmarks.quality`.

Runs `unmask eval` on the shipped suite. With `--training RUN/last.pt` the history of the training
run is written too.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.machine import ROOT, describe

RESULTS = ROOT / "benchmarks" / "results"


def evaluate(arguments: list[str], module: str = "unmask") -> dict[str, object]:
    """JSON of `unmask eval`, run as `module`; its table is printed."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "eval.json"
        command = [sys.executable, "-m", module, "eval", "--json", str(path), *arguments]
        subprocess.run(command, check=True)
        result: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
        return result


def training_record(checkpoint: Path) -> dict[str, object]:
    """Size, steps and losses of a training run."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    return {
        "parameters": sum(tensor.numel() for tensor in state["master"].values()),
        "preset": state["preset"],
        "steps": state["step"],
        "samples": state["num_samples"],
        "tokens": state["num_tokens"],
        "seconds": round(state["seconds"]),
        "history": state["history"],
    }


def _write(name: str, content: dict[str, object]) -> None:
    path = RESULTS / name
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    print(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--training", type=Path, help="checkpoint of the run to describe")
    options, arguments = parser.parse_known_args()
    if options.training is not None:
        _write("embedded_training.json", describe() | training_record(options.training))
    _write("embedded_eval.json", evaluate(arguments))


if __name__ == "__main__":
    main()
