"""Memory and accuracy of the embedded model in formats of weights: `python -m benchmarks.formats`.

Writes the embedded model in each format that people publish, loads it in a process of its own, and
runs `unmask eval` on it. Other arguments are passed to `unmask eval`, such as `--limit 20`. Numbers
are rounded to the nearest of a format, without any calibration.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.loading import measure
from benchmarks.machine import ROOT, describe
from benchmarks.quality import evaluate
from tests.support.compressing import compress
from tests.support.mlx import pack_with_mlx
from tests.support.packing import PACKINGS, Packing, gptq, gptq_config, pack_checkpoint
from unmask.models.registry import EMBEDDED
from unmask.models.weights import Weights

RESULT = ROOT / "benchmarks" / "results" / "embedded_formats.json"
FP8, INT8, ALL = torch.float8_e4m3fn, torch.int8, 10**9
Write = Callable[[Path], object]


@dataclass(frozen=True)
class Eight:
    """A format of 8 bits."""

    config: dict[str, Any]
    dtype: torch.dtype
    block: tuple[int, int]
    scale_name: str = "weight_scale"

    def write(self, target: Path) -> None:
        """Write the embedded model in this format."""
        compress(EMBEDDED, target, self.config, self.dtype, self.block, scale_name=self.scale_name)


def _channels(kind: str) -> dict[str, Any]:
    weights = {"num_bits": 8, "symmetric": True, "strategy": "channel", "type": kind}
    groups = {"group_0": {"targets": ["Linear"], "weights": weights}}
    return {"quant_method": "compressed-tensors", "config_groups": groups}


def _packed(packing: Packing) -> Write:
    return lambda target: pack_checkpoint(EMBEDDED, target, packing)


FORMATS: dict[str, Write | None] = {
    "bfloat16": None,
    "int8": Eight(_channels("int"), INT8, (1, ALL)).write,
    "fp8": Eight(_channels("float"), FP8, (1, ALL)).write,
    "fp8 blocks of 128": Eight({"quant_method": "fp8"}, FP8, (128, 128), "weight_scale_inv").write,
    "int4 groups of 128": _packed(PACKINGS["int4 group 128"]),
    "AWQ groups of 128": _packed(PACKINGS["awq 128"]),
    "GPTQ groups of 128": _packed(Packing(gptq_config(128), lambda w: gptq(w, 128))),
    "NVFP4": _packed(PACKINGS["nvfp4"]),
    "MXFP4": _packed(PACKINGS["mxfp4"]),
    "MLX groups of 64": lambda target: pack_with_mlx(EMBEDDED, target),
}
# With which 8-bit kinds a format is loaded, beside as it is stored.
KINDS = {"NVFP4": ("fp8",)}


def load(folder: Path, quantization: str) -> dict[str, Any]:
    """Memory of loading a folder, and of its linear weights by stored and held format."""
    held: dict[str, int] = {}
    close = Weights.close

    def noting(self: Weights) -> None:
        held.update({f"{a} in {b}": size for (a, b), size in self.held_bytes.items()})
        close(self)

    Weights.close = noting  # type: ignore[method-assign]
    result = measure(str(folder), "bfloat16", quantization)
    names = "checkpoint_bytes", "held_anonymous_bytes", "peak_anonymous_bytes"
    return {name: result[name] for name in names} | {"linear_bytes": held}


def run(name: str, folder: Path, quantization: str, arguments: list[str]) -> dict[str, Any]:
    """Memory and accuracy of one format, loaded as one kind."""
    command = [sys.executable, "-m", "benchmarks.formats", "--load", str(folder), quantization]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    memory = json.loads(output.splitlines()[-1])
    flags = ["--model", str(folder), "--dtype", "bfloat16", "--quantization", quantization]
    evaluation: dict[str, Any] = evaluate([*flags, *arguments])
    results = evaluation["results"]
    return {
        "format": name,
        "quantization": quantization,
        "problems": sum(task["num_prompts"] for task in results[0]["tasks"]),
        "settings": {
            result["setting"]: {
                "accuracy": result["accuracy"],
                "tokens_per_step": result["tokens_per_step"],
            }
            for result in results
        },
    } | memory


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--load", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--out", type=Path, default=RESULT, help="result file")
    options, arguments = parser.parse_known_args()
    if options.load is not None:
        print(json.dumps(load(Path(options.load[0]), options.load[1])))
        return
    runs = []
    for name in options.formats:
        with tempfile.TemporaryDirectory() as scratch:
            folder, write = Path(scratch), FORMATS[name]
            if write is not None:
                write(folder)
            source = EMBEDDED if write is None else folder
            for kind in ("auto", *KINDS.get(name, ())):
                runs.append(run(name, source, kind, arguments))
                print(json.dumps(runs[-1]))
    record = describe() | {"arguments": arguments, "runs": runs}
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
