"""Checkpoints and answers of LLaDA2's relatives as files: tests/golden/dmax and llada22."""

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

GOLDEN = Path(__file__).parent.parent


def read_options(description: str | None, name: str) -> argparse.Namespace:
    """The command line: `code`, a folder of published files, and `out`, the golden folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("code", type=Path, help="folder of the published files")
    parser.add_argument("--out", type=Path, default=GOLDEN / name)
    options = parser.parse_args()
    torch.set_num_threads(1)
    return options


def write_folder(
    folder: Path,
    config: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    golden: Mapping[str, Any],
    forward: Mapping[str, Tensor] | None = None,
) -> None:
    """Write a checkpoint, its answers and a forward pass, and print the sizes of files."""
    folder.mkdir(exist_ok=True)
    contiguous = {name: tensor.contiguous() for name, tensor in weights.items()}
    save_file(contiguous, folder / "model.safetensors")
    if forward is not None:
        save_file(dict(forward), folder / "forward.safetensors")
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    (folder / "golden.json").write_text(json.dumps(golden) + "\n")
    for file in sorted(folder.iterdir()):
        sys.stdout.write(f"{file}: {file.stat().st_size:,} bytes\n")
