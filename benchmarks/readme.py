"""Write the measured figures of README.md from the result files: `python -m benchmarks.readme`."""

import json
import textwrap
from typing import Any

from benchmarks.machine import ROOT

README = ROOT / "README.md"
RESULTS = ROOT / "benchmarks" / "results"
MAX_COLUMNS = 100
MISSING = "\N{EN DASH}"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


def measured() -> str:
    """The section between the markers, from result files of the embedded model."""
    quality = _load("embedded_eval.json")
    lines = [
        "| decoding | words of training | held-out words | tokens per step | tokens/s |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {result['setting']} | {result['by_phrasing']['seen']:.1%} "
        f"| {result['by_phrasing']['held out']:.1%} | {result['tokens_per_step']:.2f} "
        f"| {result['tokens_per_s']:,.0f} |"
        for result in quality["results"]
    ]
    tasks = quality["results"][0]["tasks"]
    counted = [task for task in tasks if not task["memorised"]]
    num_prompts = sum(task["num_prompts"] for task in counted)
    paragraphs = [
        f"The embedded model on {num_prompts:,} held-out problems of its tasks, 64 requests at a "
        "time, engine only "
        f"([embedded_eval.json](benchmarks/results/embedded_eval.json), {_where(quality)}). "
        "Held-out words are templates and slot words that were in no training. "
        "Speeds are of one run; this machine is a fifth slower or faster from minute to minute.",
        "By task, at one token per step, in words of training / in held-out words, in percent: "
        + ", ".join(_by_task(tasks))
        + ". A dash stands for closed sets, whose problems were all in training.",
    ]
    if (RESULTS / "serve_cpu.json").exists():
        paragraphs.append(_served(_load("serve_cpu.json")))
    lines += ["\n" + _wrapped(text) for text in paragraphs]
    return "\n".join(lines)


def _by_task(tasks: list[dict[str, Any]]) -> list[str]:
    """Each task with its accuracies, as `sort 98/95`."""
    accuracies: dict[str, dict[str, str]] = {}
    for task in tasks:
        counts = not task["memorised"]
        shown = f"{100 * task['accuracy']:.0f}" if counts else MISSING
        accuracies.setdefault(task["task"], {})[task["phrasing"]] = shown
    return [
        f"{name} {found.get('seen', MISSING)}/{found.get('held out', MISSING)}"
        for name, found in accuracies.items()
    ]


def _wrapped(text: str) -> str:
    return textwrap.fill(text, MAX_COLUMNS, break_long_words=False, break_on_hyphens=False)


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
    """The text with what is between the markers replaced."""
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}\n{section}\n{END}{after}"


def main() -> None:
    text = README.read_text(encoding="utf-8")
    README.write_text(replace_measured(text, measured()), encoding="utf-8")


if __name__ == "__main__":
    main()
