"""Other engines on this GPU: the same shapes, the same fixed work, and random weights.

    python -m benchmarks.device.peers lmdeploy --out FILE [--tiny]
    python -m benchmarks.device.peers transformers --out FILE [--tiny]

Each runs in a process of its own, which gives its memory back. A peer that does not start is a
result too: the file then has the last lines of the error.
"""

import argparse
import importlib.metadata
import json
import os
import traceback
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar

import torch

from benchmarks.device.apart import last_lines, run_apart
from benchmarks.device.report import Part
from benchmarks.device.timing import Ceilings
from benchmarks.machine import describe

Peer = Literal["lmdeploy", "transformers"]
NAMES: dict[Peer, str] = {"lmdeploy": "LMDeploy", "transformers": "transformers"}
SECONDS: dict[Peer, float] = {"lmdeploy": 150.0, "transformers": 75.0}
MODELS: dict[Peer, str] = {"lmdeploy": "SDAR-8B", "transformers": "DiffusionGemma-26B-A4B"}


class _Load(Protocol):
    @property
    def concurrency(self) -> int: ...


L = TypeVar("L", bound=_Load)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(MODELS))
    parser.add_argument("--out", type=Path, required=True, help="result file")
    parser.add_argument("--tiny", action="store_true", help="a small shape and little work")
    parser.add_argument("--only", type=int, nargs="*", help="these numbers of requests at a time")
    options = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # everything is made here; read at imports
    result = describe() | {"peer": options.peer, "packages": _packages(), "loads": []}

    def save() -> None:
        options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")

    try:
        run_peer(options.peer, result, save, tiny=options.tiny, only=options.only)
    except (Exception, SystemExit):  # whatever another engine ends with
        result["error"] = last_lines(traceback.format_exc())
    save()
    print("\n".join(table(result)), flush=True)
    # Another engine's threads may not end by themselves, and its memory goes with the process.
    os._exit(1 if "error" in result else 0)


def run_peer(
    peer: Peer,
    result: dict[str, Any],
    save: Callable[[], None],
    *,
    tiny: bool,
    only: Sequence[int] | None,
) -> None:
    """Measure it in this process; saves `result` at each new row."""
    from benchmarks.device import families, fixed_work, peer_lmdeploy, peer_transformers

    if peer == "lmdeploy":
        shape = peer_lmdeploy.TINY if tiny else families.SHAPES[MODELS[peer]]
        loads = _chosen(fixed_work.TINY if tiny else fixed_work.LOADS, only)
        peer_lmdeploy.measure(shape, loads, result, save)
    else:
        shape = families.TINY["tiny DiffusionGemma"] if tiny else families.SHAPES[MODELS[peer]]
        batches = peer_transformers.TINY if tiny else peer_transformers.BATCHES
        peer_transformers.measure(shape, _chosen(batches, only), result, save)


def _chosen(loads: Sequence[L], only: Sequence[int] | None) -> list[L]:
    return [load for load in loads if not only or load.concurrency in only]


def parts(device: torch.device, ceilings: Ceilings, *, small: bool) -> Iterator[Part]:
    """A part for each peer, for `gpu.py`."""
    del device, ceilings
    for peer, model in MODELS.items():
        measure = partial(measure_apart, peer, small=small)
        yield Part(f"peer {NAMES[peer]}: {model}", SECONDS[peer], measure, "peers")


def measure_apart(peer: Peer, *, small: bool) -> list[dict[str, Any]]:
    """A row for each load, and one with the error of a peer that failed."""
    options = [peer, *(["--tiny"] if small else [])]
    result = run_apart("peers", options, SECONDS[peer])
    common = {"peer": NAMES[peer], "version": result.get("version")}
    model = "tiny" if small else MODELS[peer]
    rows = [common | {"model": model} | row for row in result.get("loads", [])]
    if rows:
        rows[0] |= {
            key: result[key] for key in ("settings", "packages", "ready_s") if key in result
        }
    if "error" in result:
        rows.append(common | {"error": result["error"][-1], "said": result["error"]})
    return rows


def _packages() -> dict[str, str]:
    """Versions of the packages that another engine may use."""
    names = "lmdeploy", "xgrammar", "apache-tvm-ffi", "tokenizers", "safetensors", "accelerate"
    known = {d.metadata["Name"].lower(): d.version for d in importlib.metadata.distributions()}
    return {name: known[name] for name in names if name in known}


def table(result: dict[str, Any]) -> Iterator[str]:
    """Printable result."""
    name = f"{result['peer']} {result.get('version', '')}".strip()
    for row in result.get("loads", []):
        decoding = row["tokens_per_s"]
        yield (
            f"{name}, {row['concurrency']:3} requests: "
            + (f"{decoding:.0f} tokens/s, " if decoding else "")
            + f"{row['overall_tokens_per_s']:.0f} with prompts"
        )
    if error := result.get("error"):
        yield f"{name} did not get further:"
        yield from (f"    {line}" for line in error)


if __name__ == "__main__":
    main()
