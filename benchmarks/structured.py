"""Speed of structured output: tokens per second of JSON tasks, and the costs of grammars.

    python -m benchmarks.structured                # writes benchmarks/results/structured_cpu.json
    python -m benchmarks.structured --scale 0.2 --rounds 3 --out FILE

The embedded model turns sentences into JSON, with the schema of its own answers and without one, 1,
16 and 64 requests at once, both ways in turn, by the clock and by the process's CPU time, which a
busy machine changes less. Its blocks are filled whole: in parts, the one answer that takes the most
steps holds up the end of a load more than any grammar. Grammars are compiled, and blocks of 32
masked and checked, over a synthetic vocabulary of 152,000 tokens, and canvases of noise of 256 are
filled. Ends with status 1 if a bar is missed.
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks import rounds
from benchmarks.machine import ROOT, describe
from benchmarks.structured_output import GRAMMARS, closed, compiled, step_times, timed_ms
from unmask.config import Config
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.cache import AutomatonCache
from unmask.decoding.automata.paths import likeliest
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.evaluation.suite import EvalProblem, load_suite
from unmask.grammar import Grammar, JsonObject, json_schema_of
from unmask.llm import LLM
from unmask.sampling_params import MAX_BLOCK_LENGTH
from unmask.types import SamplingParams

RESULT = ROOT / "benchmarks" / "results" / "structured_cpu.json"
LEVELS = {1: 24, 16: 96, 64: 192}  # requests in a round
NUM_TOKENS, EOS = 152_000, 0
CANVAS = 256  # positions of a canvas of noise
# Bars: constrained to unconstrained tokens per second, and milliseconds.
LEAST_RATIO, MOST_STEP_MS, MOST_COLD_MS, MOST_CACHED_MS = 0.9, 0.2, 500.0, 1.0
BARRED = ("person", "12 tools", "8 optional fields")  # grammars of the bars


def synthetic_vocabulary(num_tokens: int = NUM_TOKENS) -> Vocabulary:
    """All bytes, signs of JSON in runs, numbers, and words of English letters' frequencies."""
    random, tokens = Random(0), {bytes((byte,)) for byte in range(256)}
    signs = ('"', '":', '": ', '",', '", "', "{", '{"', "}", "}}", "[", "]", "],", ", ", "\n", "  ")
    tokens |= {(a + b).encode() for a in ("", *signs) for b in signs}
    tokens |= {str(number).encode() for number in range(1000)}
    letters = "eeeeeeettttttaaaaaooooiiiinnnnsssshhhrrrddlluuccmmwwffggyyppbbvkxjqz"
    while len(tokens) < num_tokens - 1:
        size = random.choice((2, 3, 3, 4, 4, 5, 6, 7, 8, 9, 11))
        word = "".join(random.choices(letters, k=size))
        kind = random.random()
        word = f" {word}" if kind < 0.5 else word.capitalize() if kind < 0.6 else word
        if kind > 0.93:
            word += random.choice((" ", '"', ".", "_", "é", "ß", "日", "😀"))
        tokens.add(word.encode())
    return make_vocabulary([None, *sorted(tokens)], [EOS])


def spread(values: Sequence[float], places: int = 3) -> dict[str, float]:
    """Median, least and most, rounded."""
    return {name: round(value, places) for name, value in rounds.spread(values).items()}


def schema_of(problem: EvalProblem) -> Grammar:
    """Schema of a problem's own answer: its names in their order, and its values' types."""
    kinds = {str: "string", int: "integer", float: "number", bool: "boolean"}
    value = json.loads(problem.reference)
    if not isinstance(value, dict) or not all(type(own) in kinds for own in value.values()):
        return JsonObject()
    return json_schema_of(closed(**{name: {"type": kinds[type(v)]} for name, v in value.items()}))


def ratios(speeds: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Spread of each way's speeds in those of `free`, round by round."""
    free = speeds["free"]
    return {
        way: spread([a / b for a, b in zip(own, free, strict=True)])
        for way, own in speeds.items()
        if way != "free"
    }


def measure_speed(rounds: int, scale: float) -> dict[str, Any]:
    """Tokens per second, and per CPU second, with a schema and without one; ratios of rounds."""
    problems = load_suite(tasks=["json"])
    plain = SamplingParams(
        temperature=0.0,
        policy="threshold",
        threshold=0.9,
        sub_block_length=MAX_BLOCK_LENGTH,
        max_tokens=80,
    )
    ways = {
        "free": lambda problem: plain,
        "json_object": lambda problem: replace(plain, grammar=JsonObject()),
        "schema": lambda problem: replace(plain, grammar=schema_of(problem)),
    }
    found: dict[str, Any] = {}
    with LLM(config=Config()) as llm:
        for level, count in LEVELS.items():
            num = max(level, int(count * scale))
            some = [problems[i % len(problems)] for i in range(num)]
            speeds: dict[str, list[float]] = {way: [] for way in ways}
            of_cpu: dict[str, list[float]] = {way: [] for way in ways}
            steps: dict[str, float] = {}
            for i in range(rounds + 1):  # the first warms up
                for way, sampling in ways.items():
                    started_s, began_cpu_s = time.perf_counter(), time.process_time()
                    num_tokens = num_steps = 0
                    for first in range(0, num, level):
                        part = some[first : first + level]
                        answers = llm.chat([p.messages for p in part], [sampling(p) for p in part])
                        num_tokens += sum(len(a.token_ids) for a in answers)
                        num_steps += sum(a.finish.usage.denoising_steps for a in answers)
                    if i:
                        speeds[way].append(num_tokens / (time.perf_counter() - started_s))
                        of_cpu[way].append(num_tokens / (time.process_time() - began_cpu_s))
                        steps[way] = round(num_tokens / num_steps, 2)
            found[str(level)] = {
                "requests": num,
                "tokens_per_s": {way: spread(values, 1) for way, values in speeds.items()},
                "tokens_per_step": steps,
                "ratio": ratios(speeds),
                "cpu_ratio": ratios(of_cpu),
            }
            print(level, json.dumps(found[str(level)]), flush=True)
    return found


def path_ms(made: TokenAutomaton, seed: int) -> float:
    """Milliseconds to find the likeliest text of a canvas of noise."""
    scores = np.random.default_rng(seed).normal(0, 3, (CANVAS, made.num_classes))
    return timed_ms(likeliest, made, 1, CANVAS, scores.astype(np.float32))[1]


def measure_grammars(rounds: int) -> dict[str, Any]:
    """Costs of each grammar over the synthetic vocabulary."""
    vocabulary, vocabulary_ms = timed_ms(synthetic_vocabulary)
    found: dict[str, Any] = {}
    for name, grammar in GRAMMARS.items():
        compiled(grammar, vocabulary)  # the C library, and memory
        cold, cached, opens, steps = list[float](), list[float](), list[float](), list[float]()
        paths = list[float]()
        for seed in range(rounds):
            cache = AutomatonCache()
            made, cold_ms = timed_ms(cache.automaton, vocabulary, grammar)
            cold.append(cold_ms)
            cached.append(timed_ms(cache.automaton, vocabulary, grammar)[1])
            more_opens, more_steps = step_times(made, Random(seed))
            opens += more_opens
            steps += more_steps
            paths.append(path_ms(made, seed))
        found[name] = {
            "states": made.num_states,
            "classes": made.num_classes,
            "cold_ms": spread(cold),
            "cached_ms": spread(cached),
            "open_block_ms": spread(opens),
            "step_ms": spread(steps),
            "canvas_path_ms": spread(paths),
        }
        print(name, json.dumps(found[name]), flush=True)
    return {"tokens": NUM_TOKENS, "vocabulary_ms": round(vocabulary_ms), "each": found}


def missed_bars(speed: Mapping[str, Any], grammars: Mapping[str, Any]) -> list[str]:
    """Bars that medians miss."""
    missed = [
        f"{level} requests: {way} at {ratio['median']} of free, the bar is {LEAST_RATIO}"
        for level, row in speed.items()
        for way, ratio in row["ratio"].items()
        if ratio["median"] < LEAST_RATIO
    ]
    bars = {"cold_ms": MOST_COLD_MS, "cached_ms": MOST_CACHED_MS, "step_ms": MOST_STEP_MS}
    for name, row in grammars.items():
        missed += [
            f"{name}: {cost} is {row[cost]['median']}, the bar is {bar}"
            for cost, bar in bars.items()
            if name in BARRED and row[cost]["median"] > bar
        ]
    return missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="share of the usual requests")
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    result = describe()
    grammars = measure_grammars(options.rounds)
    speed = measure_speed(options.rounds, options.scale)
    missed = missed_bars(speed, grammars["each"])
    result |= {"rounds": options.rounds, "speed": speed, "grammars": grammars, "missed": missed}
    options.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.out}")
    for line in missed:
        print(f"MISSED: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
