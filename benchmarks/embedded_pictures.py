"""Draw the embedded model's training and calibration: `python -m benchmarks.embedded_pictures`."""

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.machine import ROOT

RESULTS = ROOT / "benchmarks" / "results"
FOLDER = ROOT / "docs" / "pictures"


def training_curve(record: dict[str, Any]) -> Figure:
    """Losses over the tokens that were trained on."""
    figure, axes = _figure()
    history = record["history"]
    millions = [entry["tokens"] / 1e6 for entry in history]
    axes.plot(millions, [entry["train_loss"] for entry in history], label="training", lw=1)
    axes.plot(millions, [entry["validation_loss"] for entry in history], label="validation", lw=1)
    axes.set(xlabel="million row tokens", ylabel="loss at hidden tokens", yscale="log")
    axes.legend(frameon=False)
    return figure


def calibration(record: dict[str, Any]) -> Figure:
    """Accuracy by confidence for each block length, in both phrasings."""
    figure, axes = _figure()
    axes.plot([0, 1], [0, 1], color="#c8d1da", lw=1)
    for entry in record["results"]:
        style = "-" if entry["phrasing"] == "seen" else ":"
        label = f"blocks of {entry['block_length']}, {entry['phrasing']} words"
        bins = [part for part in entry["bins"] if part["tokens"] >= 30]
        axes.plot(
            [part["confidence"] for part in bins],
            [part["accuracy"] for part in bins],
            style,
            marker=".",
            lw=1,
            label=label,
        )
    axes.set(xlabel="confidence", ylabel="right", xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=7)
    return figure


def _figure() -> tuple[Figure, Any]:
    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    print(path)


def main() -> None:
    mpl.rcParams |= {"svg.fonttype": "none", "svg.hashsalt": "unmask", "font.size": 9}
    FOLDER.mkdir(exist_ok=True)
    _save(training_curve(_load("embedded_training.json")), FOLDER / "training.svg")
    _save(calibration(_load("embedded_calibration.json")), FOLDER / "calibration.svg")


if __name__ == "__main__":
    main()
