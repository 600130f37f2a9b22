"""Measures `unmask serve` on this machine: readiness, throughput, latency, memory.

make bench                          concurrency 1, 4, 16, 64; writes results/serve_cpu.json
make bench ARGS="--soak 10000"      memory over many short requests
make bench ARGS="--memory"          peak memory of 64 requests of 512 tokens
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.machine import ROOT, describe
from benchmarks.rounds import spread
from benchmarks.server import Server, serving
from unmask.bench.exchange import Target, first_model
from unmask.bench.load import Load, Run, connect, run_async, run_load
from unmask.bench.summary import Slo, Summary, summarise
from unmask.bench.workload import BUILT_IN, Prompt, pick, read_prompts

HELD_OUT = ROOT / "server" / "unmask" / "embedded" / "eval.jsonl.gz"
# Enough requests for each level to take some seconds, and a few of its length to warm up.
LEVELS = {1: 64, 4: 128, 16: 384, 64: 768}
MAX_TOKENS = 128
SOAK_CONCURRENCY, SOAK_MAX_TOKENS, SOAK_SAMPLES = 32, 16, 20
SOAK_GROWTH = 0.05
MEMORY_LIMIT_MIB = 1024.0


def main() -> int:
    args = _arguments()
    server_args = ([args.model] if args.model else []) + args.server_args
    prompts, source = _prompts(args.prompts)
    result: dict[str, Any] = describe() | {"prompts": source}
    kind = "soak" if args.soak else "memory" if args.memory else "serve"
    if args.soak:
        measured = measure_soak(server_args, prompts, args.soak)
    elif args.memory:
        measured = measure_memory(server_args, prompts)
    else:
        measured = measure_load(server_args, prompts, args.rounds, args.scale)
    result |= measured
    name = f"serve_{args.name}.json" if kind == "serve" else f"serve_{kind}_{args.name}.json"
    file = args.output or ROOT / "benchmarks" / "results" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {file}")
    failed = [check for check, passed in result.get("checks", {}).items() if not passed]
    for check in failed:
        print(f"FAILED: {check}", file=sys.stderr)
    return 1 if failed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="checkpoint folder; the embedded model if not given")
    parser.add_argument("--name", default="cpu", help="part of the result's file name")
    parser.add_argument("--output", type=Path, help="result file")
    parser.add_argument("--prompts", type=Path, help="prompts, as for unmask bench")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each level, interleaved")
    parser.add_argument("--scale", type=float, default=1.0, help="more or fewer requests")
    parser.add_argument("--soak", type=int, metavar="N", help="N short requests instead")
    parser.add_argument("--memory", action="store_true", help="64 long requests instead")
    parser.add_argument("server_args", nargs="*", help="after --: flags of unmask serve")
    return parser.parse_args()


def _prompts(file: Path | None) -> tuple[Sequence[Prompt], str]:
    if file is not None:
        return read_prompts(file), str(file)
    if HELD_OUT.exists():
        return read_prompts(HELD_OUT), str(HELD_OUT.relative_to(ROOT))
    return BUILT_IN, "built-in"


def measure_load(
    server_args: Sequence[str], prompts: Sequence[Prompt], rounds: int, scale: float
) -> dict[str, Any]:
    """Throughput and latency at each level.

    Levels alternate for `rounds` rounds, so that drift affects all.
    """
    ready_s = []
    for _ in range(2):
        with serving(server_args) as server:
            ready_s.append(server.ready_s)
    summaries: dict[int, list[Summary]] = {level: [] for level in LEVELS}
    with serving(server_args) as server:
        ready_s.append(server.ready_s)
        rss_mib = [server.rss_mib()]
        for number in range(rounds):
            for level, num_requests in LEVELS.items():
                num_requests = max(level, round(num_requests * scale))
                load = Load(num_requests, level, warmup=level, seed=number)
                fields = {"max_tokens": MAX_TOKENS, "temperature": 0}
                summary = summarise(run(server, prompts, load, fields), Slo())
                summaries[level].append(summary)
                rss_mib.append(server.rss_mib())
                _print(number, level, summary)
        peak_mib = server.peak_rss_mib()
    levels = {level: _median_of(several) for level, several in summaries.items()}
    speed = {level: levels[level]["output_tokens_per_s"]["median"] for level in levels}
    return {
        "settings": server.settings,
        "load": {"levels": LEVELS, "scale": scale, "rounds": rounds, "max_tokens": MAX_TOKENS},
        "ready_s": _spread(ready_s),
        "rss_mib": rss_mib,
        "peak_rss_mib": peak_mib,
        "levels": levels,
        "ratio_4_to_1": speed[4] / speed[1],
        "ratio_16_to_1": speed[16] / speed[1],
        "ratio_64_to_16": speed[64] / speed[16],
        "checks": {
            "every request completed": all(not s.num_failed for r in summaries.values() for s in r)
        },
        "runs": {level: [s.to_dict() for s in several] for level, several in summaries.items()},
    }


def measure_soak(
    server_args: Sequence[str], prompts: Sequence[Prompt], num_requests: int
) -> dict[str, Any]:
    """Memory after each part of many short requests, and after the last one has ended."""
    part = -(-num_requests // SOAK_SAMPLES)
    curve_mib: list[float] = []
    summaries: list[Summary] = []
    with serving(server_args) as server:
        for number in range(SOAK_SAMPLES):
            load = Load(part, SOAK_CONCURRENCY, seed=number)
            fields = {"max_tokens": SOAK_MAX_TOKENS, "temperature": 1.0}
            summaries.append(summarise(run(server, prompts, load, fields), Slo()))
            curve_mib.append(server.rss_mib())
            print(f"{(number + 1) * part} requests: {curve_mib[-1]:.1f} MiB")
        metrics = server.metrics()
        peak_mib = server.peak_rss_mib()
    errors = total_errors(summaries)
    settled_mib = curve_mib[SOAK_SAMPLES // 4 - 1]
    growth = max(curve_mib[SOAK_SAMPLES // 4 :]) / settled_mib - 1
    return {
        "settings": server.settings,
        "load": {
            "num_requests": part * SOAK_SAMPLES,
            "concurrency": SOAK_CONCURRENCY,
            "max_tokens": SOAK_MAX_TOKENS,
        },
        "rss_mib": curve_mib,
        "peak_rss_mib": peak_mib,
        "growth_after_first_quarter": growth,
        "num_failed": sum(errors.values()),
        "errors": dict(errors),
        "kv_pages_used_at_end": metrics["unmask_kv_pages_used"],
        "checks": {
            f"memory grows less than {SOAK_GROWTH:.0%}": growth < SOAK_GROWTH,
            "no page is held at the end": metrics["unmask_kv_pages_used"] == 0,
            "every request completed": not errors,
        },
    }


def total_errors(summaries: Sequence[Summary]) -> Counter[str]:
    """Failures of all loads, by their kinds."""
    return sum((Counter(summary.errors) for summary in summaries), Counter[str]())


def measure_memory(server_args: Sequence[str], prompts: Sequence[Prompt]) -> dict[str, Any]:
    """Peak memory of 64 requests of 512 tokens at the same time."""
    with serving(server_args) as server:
        idle_mib = server.rss_mib()
        fields = {"max_tokens": 512, "temperature": 0, "ignore_eos": True}
        summary = summarise(run(server, prompts, Load(64, 64), fields), Slo())
        peak_mib = server.peak_rss_mib()
    return {
        "settings": server.settings,
        "load": {"num_requests": 64, "concurrency": 64, "max_tokens": 512, "ignore_eos": True},
        "idle_rss_mib": idle_mib,
        "peak_rss_mib": peak_mib,
        "summary": summary.to_dict(),
        "checks": {
            f"peak memory is below {MEMORY_LIMIT_MIB:g} MiB": peak_mib < MEMORY_LIMIT_MIB,
            "every request completed": summary.num_failed == 0,
        },
    }


def run(server: Server, prompts: Sequence[Prompt], load: Load, fields: dict[str, Any]) -> Run:
    chosen = pick(prompts, load.warmup + load.num_requests, load.seed)

    async def send() -> Run:
        async with connect() as client:
            model = await first_model(client, server.url)
            return await run_load(client, Target(server.url, model, "chat", fields), chosen, load)

    return run_async(send())


def _median_of(summaries: Sequence[Summary]) -> dict[str, Any]:
    """Median and spread of the main numbers over runs."""
    plain = [asdict(summary) for summary in summaries]
    numbers = ("output_tokens_per_s", "requests_per_s", "tokens_per_forward")
    medians: dict[str, Any] = {
        name: _spread([run[name] for run in plain if run[name] is not None]) for name in numbers
    }
    for name in ("ttft_ms", "inter_chunk_ms", "e2e_ms"):
        runs = [run[name] for run in plain if run[name] is not None]
        medians[name] = {p: _spread([run[p] for run in runs]) for p in ("p50", "p90", "p95", "p99")}
    return medians


def _spread(values: Sequence[float]) -> dict[str, float] | None:
    if not values:
        return None
    return spread(values)


def _print(number: int, level: int, summary: Summary) -> None:
    ttft_ms = summary.ttft_ms.p50 if summary.ttft_ms else float("nan")
    tpf = summary.tokens_per_forward or float("nan")
    print(
        f"round {number + 1}, concurrency {level:>2}: {summary.output_tokens_per_s:8.1f} tokens/s, "
        f"{tpf:.2f} per forward, first text {ttft_ms:.0f} ms, {summary.num_failed} failed",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
