"""Export to Hugging Face's layout: `python -m training.export RUN/last.pt FOLDER`."""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from training.model import Shape
from training.tokenizer import END_ID, FOLDER

DEFAULT_BLOCK_LENGTH = 16
# Chosen on validation: the policy by `unmask eval --policies`
# (benchmarks/results/policies_cpu.json), the parts by `--sub-block-length` with it.
DECODING = {
    "policy": "hierarchical",
    "threshold": 0.95,
    "low_threshold": 0.8,
    "sub_block_length": 4,
}


def export(checkpoint: Path, out: Path) -> Path:
    """Save weights in bfloat16 with configuration and tokenizer; returns the folder."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    shape = Shape(**state["preset"]["shape"])
    out.mkdir(parents=True, exist_ok=True)
    best = state.get("mean") or state["master"]
    weights = {name: value.to(torch.bfloat16) for name, value in best.items()}
    save_file(weights, out / "model.safetensors", metadata={"format": "pt"})
    (out / "model.safetensors").chmod(0o644)
    _write_json(out / "config.json", shape.config(DEFAULT_BLOCK_LENGTH))
    _write_json(
        out / "generation_config.json",
        {
            "block_length": DEFAULT_BLOCK_LENGTH,
            "do_sample": False,
            "eos_token_id": END_ID,
            **DECODING,
        },
    )
    for file in FOLDER.iterdir():
        shutil.copy(file, out / file.name)
    return out


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    print(export(options.checkpoint, options.out))


if __name__ == "__main__":
    main()
