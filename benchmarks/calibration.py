"""Accuracy of the embedded model at each confidence: `python -m benchmarks.calibration`.

Parts of the answers of held-out problems are hidden at random, as in training, and the most
probable token of each hidden position is compared with the answer. Results are listed by block
length, and by whether the words of the request are those of training.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file

from benchmarks.machine import ROOT, describe
from training.data import (
    BLOCK_LENGTHS,
    IGNORED,
    ROW_LENGTHS,
    Batch,
    collate,
    encode,
    lay_out,
    pack,
    render,
)
from training.model import Model, Shape
from training.suite import PHRASINGS, Phrasing
from training.tasks.catalog import draw_problem
from training.tokenizer import END_ID, load

EMBEDDED = ROOT / "server" / "unmask" / "embedded"
OUT = ROOT / "benchmarks" / "results" / "embedded_calibration.json"
EDGES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 1.0)
ROWS = 4  # of a forward pass


def load_model(folder: Path) -> Model:
    """The exported model in float32."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    shape = Shape(
        hidden=config["hidden_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        kv_heads=config["num_key_value_heads"],
        head_dim=config["head_dim"],
        intermediate=config["intermediate_size"],
        vocab=config["vocab_size"],
        theta=config["rope_theta"],
    )
    model = Model(shape)
    weights = load_file(folder / "model.safetensors")
    model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model


def held_out_rows(count: int, block_len: int, phrasing: Phrasing) -> Iterator[Batch]:
    """Rows of `count` test problems."""
    rng, noise = Random(f"{block_len}:{phrasing}"), np.random.default_rng(block_len)
    words = "train" if phrasing == "seen" else "test"
    texts = [render(draw_problem(rng, "test", words=words)) for _ in range(count)]
    segments = [lay_out(sample, block_len, noise) for sample in encode(load(), texts)]
    length = ROW_LENGTHS[-1]
    rows = list(pack(segments, (length,)))
    for start in range(0, len(rows), ROWS):
        yield collate(rows[start : start + ROWS], length)


@torch.no_grad()
def confidences(
    model: Model, batches: Iterator[Batch]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """Probability of the best token of each hidden position, and whether it is the right one.

    End tokens are left out: most of them only fill a block up.
    """
    values, right = [], []
    for batch in batches:
        asked = (batch.targets != IGNORED) & (batch.targets != END_ID)
        hidden = model.hidden(batch.ids, batch.positions, batch.mask)
        best = model.logits(hidden[asked]).softmax(-1).max(-1)
        values.append(best.values.numpy())
        right.append((best.indices == batch.targets[asked]).numpy())
    return np.concatenate(values), np.concatenate(right)


def binned(confidence: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> dict[str, object]:
    """Accuracy by confidence, and the expected calibration error (Guo et al., 2017)."""
    which = np.digitize(confidence, EDGES[1:-1])
    bins = []
    for index, (low, high) in enumerate(pairwise(EDGES)):
        inside = which == index
        if inside.any():
            entry = {
                "from": low,
                "to": high,
                "tokens": int(inside.sum()),
                "confidence": round(float(confidence[inside].mean()), 5),
                "accuracy": round(float(right[inside].mean()), 5),
            }
            bins.append(entry)
    gaps = [abs(b["confidence"] - b["accuracy"]) * b["tokens"] for b in bins]
    return {
        "tokens": len(right),
        "accuracy": round(float(right.mean()), 5),
        "calibration_error": round(sum(gaps) / len(right), 5),
        "bins": bins,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--count", type=int, default=600, help="problems a block length")
    options = parser.parse_args()
    model = load_model(options.model)
    results = []
    for phrasing in PHRASINGS:
        for block_len in BLOCK_LENGTHS:
            rows = held_out_rows(options.count, block_len, phrasing)
            entry = binned(*confidences(model, rows))
            results.append({"phrasing": phrasing, "block_length": block_len, **entry})
            print(phrasing, block_len, entry["accuracy"], entry["calibration_error"], flush=True)
    content = describe() | {"problems": options.count, "results": results}
    options.out.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
