"""LLaDA on a CPU beside llama.cpp's: `python -m benchmarks.llama_cpp PROGRAM`.

PROGRAM is a `llama-diffusion-cli`; the package `gguf` writes its file. Both get the same random
weights in LLaDA's architecture, prompt and schedule: blocks of 32 are filled from left to right,
greedily, as many tokens in every step. Ours runs as llama.cpp does, all rows in every step, and
with caches; one request, and several at a time, which llama.cpp's program cannot. It times
generation itself, without loading. Everything takes turns within a round. Writes
results/llama_cpp_cpu.json. The exit status is 1 if the tokens of float32 differ.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.llama_cpp_model import LETTERS, SHAPES, Shape, write_gguf
from benchmarks.machine import ROOT, describe
from benchmarks.rounds import ratios, spread
from unmask.config import Config, EngineConfig, ModelConfig
from unmask.llm import LLM
from unmask.types import CacheName, SamplingParams

OUT = ROOT / "benchmarks" / "results" / "llama_cpp_cpu.json"
TOTAL = re.compile(r"total time: ([\d.]+)ms.*sampling time per step: ([\d.]+)ms")
TOKEN = re.compile(r"(\d+),|([a-z])")
BLOCK = 32


@dataclass(frozen=True, slots=True)
class Format:
    """Weights of one kind, by both names."""

    gguf: str
    dtype: str
    quantization: str


FORMATS = {
    "float32": Format("F32", "float32", "none"),
    "bfloat16": Format("BF16", "bfloat16", "none"),
    "8 bits": Format("Q8_0", "bfloat16", "int8"),
}


@dataclass(frozen=True, slots=True)
class Work:
    """One measurement's load: lengths, and tokens a step."""

    prompt: int
    new: int
    tokens_per_step: int

    def __post_init__(self) -> None:
        assert (self.prompt + self.new) % BLOCK == self.new % BLOCK == 0, "whole blocks"

    @property
    def steps_per_block(self) -> int:
        return BLOCK // self.tokens_per_step


@dataclass(frozen=True, slots=True)
class Way:
    """A way of ours to run the work: a cache within blocks, and requests at a time."""

    name: str
    cache: CacheName
    num_requests: int


WAYS = (
    Way("all rows", "none", 1),
    Way("dual cache", "dual", 1),
    Way("all rows, 8 requests", "none", 8),
    Way("dual cache, 8 requests", "dual", 8),
)


@dataclass(frozen=True, slots=True)
class Run:
    """One answer, or several together."""

    tokens: tuple[int, ...]  # of the first
    elapsed_s: float
    num_tokens: int
    sampling_s: float | None = None  # of it, where it is told

    @property
    def tokens_per_s(self) -> float:
        return self.num_tokens / self.elapsed_s


def run_llama_cpp(program: Path, model: Path, prompt: str, work: Work, threads: int) -> Run:
    """The answer of llama.cpp's program, with the time that it tells."""
    length = work.prompt + work.new
    num_blocks = length // BLOCK  # it counts the prompt's, which take no steps or one
    steps = num_blocks * work.steps_per_block
    command = [program, "-m", model, "-p", prompt, "-t", threads, "--diffusion-steps", steps]
    command += ["-c", length, "-b", length, "-ub", length, "--diffusion-block-length", BLOCK]
    command += ["--top-k", 1, "--temp", 0, "--diffusion-algorithm", 4]
    output = said([*map(str, command)])
    told = TOTAL.search(output)
    if told is None:
        raise SystemExit(f"{program} told no time:\n{output}")
    text = output.strip().splitlines()[-1]
    found = [
        LETTERS.index(letter) if letter else int(number) for number, letter in TOKEN.findall(text)
    ]
    if len(found) != work.new:
        raise SystemExit(f"{program} wrote {len(found)} tokens:\n{output}")
    total_ms, sampling_ms = map(float, told.groups())
    return Run(tuple(found), total_ms / 1e3, work.new, sampling_ms * steps / 1e3)


def run_ours(llm: LLM, ids: list[int], way: Way, work: Work) -> Run:
    """Our answers to as many prompts as the way has, the first of which is the given one."""
    generator = torch.Generator().manual_seed(1)
    others = torch.randint(len(LETTERS), (way.num_requests - 1, len(ids)), generator=generator)
    params = SamplingParams(
        max_tokens=work.new,
        policy="sequential",
        temperature=0.0,
        steps=work.steps_per_block,
        block_length=BLOCK,
        cache=way.cache,
        ignore_eos=True,
    )
    started_s = time.perf_counter()
    answers = llm.generate([ids, *others.tolist()], params)
    elapsed_s = time.perf_counter() - started_s
    assert all(len(answer.token_ids) == work.new for answer in answers)
    return Run(answers[0].token_ids, elapsed_s, work.new * len(answers))


def open_ours(folder: Path, form: Format, threads: int) -> LLM:
    """Our engine with the weights of a folder in one format."""
    model = ModelConfig(
        path=str(folder),
        dtype=form.dtype,  # type: ignore[arg-type]
        quantization=form.quantization,  # type: ignore[arg-type]
    )
    engine = EngineConfig(
        max_num_seqs=8, max_batch_tokens=4096, threads=threads, prefix_cache=False
    )
    return LLM(config=Config(model=model, engine=engine))


class Bench:
    """Both engines with the same weights in each format, and their runs."""

    def __init__(self, program: Path, shape: Shape, work: Work, formats: list[str], folder: Path):
        self._program, self._work, self._formats = program, work, formats
        self._threads = len(os.sched_getaffinity(0))
        self._folder = folder
        weights = shape.weights()
        save_file(weights, folder / "model.safetensors")
        (folder / "config.json").write_text(json.dumps(shape.config()))
        for name in formats:
            write_gguf(self._gguf(name), shape, weights, FORMATS[name].gguf)
        self.num_parameters = sum(weight.numel() for weight in weights.values())
        self._ids = np.random.default_rng(2).integers(len(LETTERS), size=work.prompt).tolist()
        self.runs: dict[str, dict[str, list[Run]]] = {}

    def _gguf(self, name: str) -> Path:
        return self._folder / f"{FORMATS[name].gguf}.gguf"

    def round(self) -> None:
        """Run everything once; the first answers of an engine only warm it up."""
        prompt = "".join(LETTERS[i] for i in self._ids)
        for name in self._formats:
            theirs = run_llama_cpp(
                self._program, self._gguf(name), prompt, self._work, self._threads
            )
            self._note(name, "llama.cpp", theirs)
            llm = open_ours(self._folder, FORMATS[name], self._threads)
            for way in WAYS:
                run_ours(llm, self._ids, way, Work(self._work.prompt, BLOCK, BLOCK // 2))
                self._note(name, way.name, run_ours(llm, self._ids, way, self._work))
            llm.close()

    def _note(self, form: str, way: str, run: Run) -> None:
        self.runs.setdefault(form, {}).setdefault(way, []).append(run)
        print(f"{form:9} {way:24} {run.tokens_per_s:8.1f} tokens/s", flush=True)

    def report(self) -> dict[str, Any]:
        """Rates, ratios to llama.cpp's in the same round, and whether tokens are the same."""
        found: dict[str, Any] = {}
        for form, by_way in self.runs.items():
            rates = {way: [run.tokens_per_s for run in runs] for way, runs in by_way.items()}
            theirs = by_way["llama.cpp"]
            found[form] = {
                "tokens_per_s": {way: spread(values) for way, values in rates.items()},
                "ratio_to_llama_cpp": {
                    way: ratios(values, rates["llama.cpp"])
                    for way, values in rates.items()
                    if way != "llama.cpp"
                },
                "llama_cpp_sampling_share": statistics.median(
                    [(run.sampling_s or 0) / run.elapsed_s for run in theirs]
                ),
                "same_tokens": {
                    way: _num_same(by_way[way][0].tokens, theirs[0].tokens)
                    for way in rates
                    if way != "llama.cpp"
                },
            }
        return found


def _num_same(tokens: tuple[int, ...], others: tuple[int, ...]) -> int:
    """Tokens before the first that differs."""
    pairs = zip(tokens, others, strict=True)
    return next((i for i, (a, b) in enumerate(pairs) if a != b), len(tokens))


def version(program: Path) -> str:
    """The first line that the program says of its version."""
    return said([str(program), "--version"]).strip().splitlines()[0]


def said(command: list[str]) -> str:
    """All that a command printed."""
    run = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return run.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", type=Path, help="llama.cpp's llama-diffusion-cli")
    parser.add_argument("--shapes", nargs="+", default=[*SHAPES], choices=SHAPES)
    parser.add_argument("--formats", nargs="+", default=[*FORMATS], choices=FORMATS)
    parser.add_argument("--prompt", type=int, default=64)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--tokens-per-step", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--build", default="", help="words on the program: its release and flags")
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args()
    work = Work(args.prompt, args.new, args.tokens_per_step)
    result = describe() | {
        "llama_cpp": f"{version(args.program)} {args.build}".strip(),
        "threads": len(os.sched_getaffinity(0)),
        "work": asdict(work),
        "shapes": {},
    }
    for name in args.shapes:
        with tempfile.TemporaryDirectory() as folder:
            bench = Bench(args.program, SHAPES[name], work, args.formats, Path(folder))
            for _ in range(args.rounds):
                bench.round()
            shape = asdict(SHAPES[name]) | {"parameters": bench.num_parameters}
            result["shapes"][name] = shape | {"formats": bench.report()}
    args.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(result["shapes"], indent=1))
    exact = [shape["formats"].get("float32") for shape in result["shapes"].values()]
    return int(any(one and one["same_tokens"]["all rows"] < work.new for one in exact))


if __name__ == "__main__":
    sys.exit(main())
