"""Write the measured figures of README.md from result files: `python -m benchmarks.readme`."""

import json
import textwrap
from typing import Any

from benchmarks.machine import ROOT

README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
GPU_FILE = "embedded_eval_h100.json"
GPU_SETTINGS = ("threshold 0.95", "threshold 0.9", "threshold 0.5")
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"
MAX_COLUMNS = 100


def measured() -> str:
    """Section between the markers, from result files of the embedded model."""
    quality = _load("embedded_eval.json")
    lines = [
        "| decoding | exact match | tokens per step | tokens/s |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {result['setting']} | {result['accuracy']:.1%} | {result['tokens_per_step']:.2f} "
        f"| {result['tokens_per_s']:,.0f} |"
        for result in quality["results"]
    ]
    counted = [task for task in quality["results"][0]["tasks"] if not task["memorised"]]
    num_prompts = sum(task["num_prompts"] for task in counted)
    paragraphs = [
        f"The embedded model on {num_prompts:,} held-out problems of its {len(counted)} tasks, 64 "
        "requests at a time, engine only "
        f"([embedded_eval.json](benchmarks/results/embedded_eval.json), {_where(quality)}). "
        "Speeds are of one run; this machine is a fifth slower or faster from minute to minute. "
        "By task, at one token per step: "
        + ", ".join(f"{task['task']} {task['accuracy']:.0%}" for task in counted)
        + "."
    ]
    if (RESULTS / "serve_cpu.json").exists():
        paragraphs.append(_served(_load("serve_cpu.json")))
    if (RESULTS / GPU_FILE).exists():
        paragraphs.append(_on_gpu(_load(GPU_FILE)))
    for paragraph in paragraphs:
        lines += ["", *_wrapped(paragraph)]
    return "\n".join(lines)


def _wrapped(paragraph: str) -> list[str]:
    return textwrap.wrap(paragraph, MAX_COLUMNS, break_long_words=False, break_on_hyphens=False)


def _on_gpu(quality: dict[str, Any]) -> str:
    speeds = ", ".join(
        f"{result['tokens_per_s']:,.0f} tokens/s at {result['setting']} "
        f"({result['accuracy']:.1%} right)"
        for result in quality["results"]
        if result["setting"] in GPU_SETTINGS
    )
    return (
        f"The same problems on one {quality['machine']['gpu']}, its first run, with tests beside "
        f"it: {speeds} ([{GPU_FILE}](benchmarks/results/{GPU_FILE}), commit "
        f"{quality['commit'][:7]}). What kernels and models of 8 billion parameters do there: "
        "[docs/kernels.md](docs/kernels.md#measured-on-an-h100)."
    )


def _served(serve: dict[str, Any]) -> str:
    speeds = ", ".join(
        f"{level['output_tokens_per_s']['median']:,.0f} with {name}"
        for name, level in serve["levels"].items()
    )
    return (
        f"The whole server, over HTTP, tokens/s at the default threshold of 0.9: {speeds} requests "
        f"at a time ([serve_cpu.json](benchmarks/results/serve_cpu.json), {_where(serve)})."
    )


def _where(result: dict[str, Any]) -> str:
    machine = result["machine"]
    return f"{machine['cores']} cores of {machine['cpu']}, commit {result['commit'][:7]}"


def _load(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return content


def replace_measured(text: str, section: str) -> str:
    """Text with the section between the markers replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def main() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(replace_measured(text, measured()), encoding="utf-8")


if __name__ == "__main__":
    main()
