"""Peak memory of loading a checkpoint, relative to its size: `python -m benchmarks.loading`.

Writes a random bfloat16 SDAR checkpoint of several files with an index, and loads it in a separate
process; `--model` loads an existing one instead. Counts anonymous pages: the maximum `RssAnon` of
/proc, sampled every 2 ms, minus its value before. `peak_rss_ratio` includes the pages of mapped
files, which the system could reclaim: it is the kernel's high-water mark (`VmHWM`), minus its value
before.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.machine import ROOT, describe

RESULT = ROOT / "benchmarks" / "results" / "loading_cpu.json"
LIMIT = 1.2
SAMPLE_S = 0.002


@dataclass(frozen=True)
class Shape:
    """Sizes of an SDAR checkpoint."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    tied: bool = False


SHAPES = {
    "8b": Shape(151_936, 4096, 12_288, 36, 32, 8),
    "4b": Shape(151_936, 2560, 9728, 36, 32, 8, tied=True),
    "1.7b": Shape(151_936, 2048, 6144, 28, 16, 8, tied=True),
    # The shapes of the layers of 8b, fewer of them and fewer words, so that it is a small one.
    "8b-short": Shape(32_768, 4096, 12_288, 8, 32, 8),
    "small": Shape(4096, 2048, 6144, 8, 16, 8),
}
HEAD_DIM = 128


def write_checkpoint(folder: Path, shape: Shape, shard_bytes: int) -> None:
    """Random weights in files of at most `shard_bytes`, with index, config and tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["SDARForCausalLM"],
        "vocab_size": shape.vocab_size,
        "hidden_size": shape.hidden_size,
        "intermediate_size": shape.intermediate_size,
        "num_hidden_layers": shape.num_layers,
        "num_attention_heads": shape.num_heads,
        "num_key_value_heads": shape.num_kv_heads,
        "head_dim": HEAD_DIM,
        "rms_norm_eps": 1e-6,
        "rope_theta": 1e6,
        "tie_word_embeddings": shape.tied,
        "mask_token_id": shape.vocab_size - 1,
        "eos_token_id": shape.vocab_size - 2,
        "max_position_embeddings": 2048,
        "block_size": 4,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    files: list[list[str]] = [[]]
    held: dict[str, torch.Tensor] = {}
    noise = torch.randn(2**22).bfloat16()  # repeated: random numbers take longer than files

    def flush() -> None:
        name = f"model-{len(files):05}.safetensors"
        save_file(held, folder / name)
        files[-1] = list(held)
        held.clear()

    for name, size in tensor_shapes(shape).items():
        count = math.prod(size)
        fresh = noise.repeat(-(-count // len(noise)))[:count].view(size) * size[-1] ** -0.5
        if held and sum(t.nbytes for t in held.values()) + fresh.nbytes > shard_bytes:
            flush()
            files.append([])
        held[name] = fresh
    flush()
    index = {n: f"model-{i:05}.safetensors" for i, names in enumerate(files, 1) for n in names}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def tensor_shapes(shape: Shape) -> dict[str, tuple[int, ...]]:
    """Shapes of all tensors of an SDAR checkpoint, in file order."""
    hidden, inner = shape.hidden_size, shape.intermediate_size
    queries, keys = shape.num_heads * HEAD_DIM, shape.num_kv_heads * HEAD_DIM
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (shape.vocab_size, hidden)}
    for i in range(shape.num_layers):
        layer = {
            "self_attn.q_proj": (queries, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, queries),
            "self_attn.q_norm": (HEAD_DIM,),
            "self_attn.k_norm": (HEAD_DIM,),
            "mlp.gate_proj": (inner, hidden),
            "mlp.up_proj": (inner, hidden),
            "mlp.down_proj": (hidden, inner),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        shapes |= {f"model.layers.{i}.{name}.weight": size for name, size in layer.items()}
    shapes["model.norm.weight"] = (hidden,)
    if not shape.tied:
        shapes["lm_head.weight"] = (shape.vocab_size, hidden)
    return shapes


def measure(path: str, dtype: str, quantization: str) -> dict[str, Any]:
    """Load a checkpoint in this process; sizes are in bytes."""
    from unmask.config import DecodingConfig, ModelConfig
    from unmask.models.matrices import dtype_name
    from unmask.models.registry import load_model

    before, peak, done = _status(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, _status()["RssAnon"])
            time.sleep(SAMPLE_S)

    watcher = threading.Thread(target=watch, daemon=True)  # an error ends the process
    watcher.start()
    started_s = time.perf_counter()
    config = ModelConfig(path=path, dtype=dtype, device="cpu", quantization=quantization)
    loaded = load_model(config, DecodingConfig())
    elapsed_s = time.perf_counter() - started_s
    done.set()
    watcher.join()
    after = _status()
    size = sum(file.stat().st_size for file in Path(path).glob("*.safetensors"))
    assert loaded.device.type == "cpu"
    return {
        "checkpoint_bytes": size,
        "files": len(list(Path(path).glob("*.safetensors"))),
        "dtype": dtype_name(loaded.dtype),
        "quantization": quantization,
        "elapsed_s": elapsed_s,
        "peak_anonymous_bytes": peak - before["RssAnon"],
        "peak_rss_bytes": after["VmHWM"] - before["VmHWM"],
        "held_anonymous_bytes": after["RssAnon"] - before["RssAnon"],
        "peak_anonymous_ratio": (peak - before["RssAnon"]) / size,
        "peak_rss_ratio": (after["VmHWM"] - before["VmHWM"]) / size,
        "held_ratio": (after["RssAnon"] - before["RssAnon"]) / size,
    }


def _status() -> dict[str, int]:
    """Memory values of /proc/self/status, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    fields = [line.split() for line in lines if line.endswith(" kB")]
    return {name.rstrip(":"): int(number) * 1024 for name, number, _ in fields}


def run_apart(path: str, dtype: str, quantization: str) -> dict[str, Any]:
    """`measure` in a new process."""
    command = [sys.executable, "-m", "benchmarks.loading", "--measure", path]
    command += ["--dtype", dtype, "--quantization", quantization]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=SHAPES, default="8b-short")
    parser.add_argument("--model", type=Path, help="a checkpoint that is there already")
    parser.add_argument("--folder", type=Path, help="where to write (default: a temporary one)")
    parser.add_argument("--shard-gb", type=float, default=1.0)
    parser.add_argument("--dtype", default="bfloat16")
    parser.add_argument("--quantization", nargs="+", default=["none", "int8", "fp8"])
    parser.add_argument("--out", type=Path, default=RESULT)
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure, options.dtype, options.quantization[0])))
        return 0
    with tempfile.TemporaryDirectory(dir=options.folder) as temporary:
        folder = options.model or Path(temporary)
        if not options.model:
            write_checkpoint(folder, SHAPES[options.shape], int(options.shard_gb * 1e9))
        runs = [run_apart(str(folder), options.dtype, kind) for kind in options.quantization]
    for run in runs:
        print(
            f"{run['quantization']:5} {run['checkpoint_bytes'] / 1e9:.2f} GB in {run['files']} "
            f"files: peak {run['peak_anonymous_ratio']:.3f} anonymous, {run['peak_rss_ratio']:.3f} "
            f"with files, held {run['held_ratio']:.3f}, {run['elapsed_s']:.1f} s"
        )
    shape = str(options.model) if options.model else options.shape
    record = describe() | {"shape": shape, "limit": LIMIT, "runs": runs}
    options.out.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    return int(any(run["peak_anonymous_ratio"] > LIMIT for run in runs))


if __name__ == "__main__":
    sys.exit(main())
