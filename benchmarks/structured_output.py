"""Time to compile grammars, and of a step under each, over the embedded tokenizer or another.

    python -m benchmarks.structured_output --out benchmarks/results/structured_output_cpu.json
    python -m benchmarks.structured_output --ranks qwen.tiktoken --tokens 151936 --eos 151645

`--ranks` is a file of tokens in base64 and their ids, as of tiktoken. A step is masks of an open
block of 32, the check of random choices at a third of its positions, and the forced tokens.
"""

import argparse
import base64
import json
import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from benchmarks.machine import ROOT, describe
from unmask.decoding.automata.automaton import TokenAutomaton, build_automaton
from unmask.decoding.automata.constraint import Constraint
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.token_texts import read_token_texts
from unmask.decoding.automata.vocabulary import Vocabulary, make_vocabulary
from unmask.grammar import Grammar, JsonObject, Regex, choice_of, json_schema_of

EMBEDDED = ROOT / "server" / "unmask" / "embedded" / "tokenizer.json"
EMBEDDED_TOKENS, EMBEDDED_EOS = 2048, 0
BLOCK_LEN = 32
STRING, INTEGER, NUMBER, BOOLEAN = (
    {"type": name} for name in ("string", "integer", "number", "boolean")
)


def closed(**properties: Any) -> dict[str, Any]:
    """Schema of an object with these properties, all required."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


SCHEMAS: Mapping[str, Any] = {
    "person": closed(
        name=STRING,
        age=INTEGER,
        email=STRING,
        tags={"type": "array", "items": STRING},
        active=BOOLEAN,
    ),
    "order": closed(
        id={"type": "string", "format": "uuid"},
        created={"type": "string", "format": "date-time"},
        customer=closed(
            name={"type": "string", "maxLength": 40},
            address=closed(
                street=STRING, city=STRING, zip={"type": "string", "pattern": "^[0-9]{5}$"}
            ),
        ),
        items={
            "type": "array",
            "minItems": 1,
            "items": closed(
                sku=STRING,
                quantity={**INTEGER, "minimum": 1},
                price=NUMBER,
                unit={"enum": ["kg", "piece", "litre"]},
            ),
        },
        status={"enum": ["new", "paid", "shipped", "cancelled", "returned"]},
    ),
    "12 tools": {
        "oneOf": [
            closed(
                name={"const": f"tool_{i}"},
                arguments=closed(
                    query=STRING,
                    limit=INTEGER,
                    mode={"enum": ["fast", "exact", "deep"]},
                    flag=BOOLEAN,
                ),
            )
            for i in range(12)
        ]
    },
    "8 optional fields": {
        "type": "object",
        "properties": {f"field_{i}": STRING for i in range(8)},
    },
    "6 strings of at most 100": closed(
        **{f"text_{i}": {"type": "string", "maxLength": 100} for i in range(6)}
    ),
}
GRAMMARS: Mapping[str, Grammar] = {
    **{name: json_schema_of(schema) for name, schema in SCHEMAS.items()},
    "any object": JsonObject(),
    "choice of 3": choice_of(("positive", "negative", "neutral")),
    "text, then JSON": Regex(r'[^{]{0,200}\{"answer": ?(0|-?[1-9][0-9]{0,8})\}'),
}


def read_ranks(path: Path, num_tokens: int, eos_id: int) -> Vocabulary:
    """Vocabulary of a file of ranks."""
    tokens: list[bytes | None] = [None] * num_tokens
    for line in path.read_bytes().splitlines():
        text, rank = line.split()
        tokens[int(rank)] = base64.b64decode(text)
    return make_vocabulary(tokens, [eos_id])


def timed_ms(function: Callable[..., Any], *given: Any) -> tuple[Any, float]:
    """Result of a call, and its milliseconds."""
    started_s = time.perf_counter()
    result = function(*given)
    return result, (time.perf_counter() - started_s) * 1e3


def compiled(grammar: Grammar, vocabulary: Vocabulary) -> TokenAutomaton:
    budget = Budget()
    return build_automaton(language_of(grammar, vocabulary.specials, budget), vocabulary, budget)


def step_times(made: TokenAutomaton, random: Random) -> tuple[list[float], list[float]]:
    """Milliseconds to open each block of a random answer, and of each step."""
    members = [np.flatnonzero(made.class_of == klass) for klass in range(made.num_classes)]
    constraint, opens, steps = Constraint(made), list[float](), list[float]()
    left = made.shortest + random.choice((0, 10, 60))
    while left > 0:
        length = min(BLOCK_LEN, left)
        left -= length
        tokens, masked = np.zeros(length, np.int64), np.ones(length, np.bool_)
        block, open_ms = timed_ms(constraint.open_block, tokens, masked, left)
        opens.append(open_ms)
        while masked.any():
            masks, masks_ms = timed_ms(block.masks)
            bits = np.unpackbits(masks.view(np.uint8), axis=1, bitorder="little")
            unfilled = np.flatnonzero(masked).tolist()
            positions = np.array(random.sample(unfilled, -(-len(unfilled) // 3)))
            classes = [random.choice(np.flatnonzero(bits[i]).tolist()) for i in positions]
            chosen = np.array([random.choice(members[klass]) for klass in classes])
            accepted, accept_ms = timed_ms(block.accept, positions, chosen)
            (filled, forced), forced_ms = timed_ms(block.fill_forced)
            tokens[positions[accepted]], masked[positions[accepted]] = chosen[accepted], False
            tokens[filled], masked[filled] = forced, False
            steps.append(masks_ms + accept_ms + forced_ms)
        constraint.advance(tokens)
    return opens, steps


def measure(grammar: Grammar, vocabulary: Vocabulary, repeats: int) -> dict[str, Any]:
    compiled(grammar, vocabulary)  # the C library, and memory
    made, times = compiled(grammar, vocabulary), []
    opens, steps = list[float](), list[float]()
    for seed in range(repeats):
        times.append(timed_ms(compiled, grammar, vocabulary)[1])
        more_opens, more_steps = step_times(made, Random(seed))
        opens += more_opens
        steps += more_steps
    return {
        "states": made.num_states,
        "classes": made.num_classes,
        "edges": len(made.targets),
        "shortest_tokens": made.shortest,
        "mib": round(made.num_bytes / 2**20, 1),
        **{
            f"{name}_ms": {
                "median": round(statistics.median(values), 3),
                "p90": round(sorted(values)[int(0.9 * len(values))], 3),
            }
            for name, values in (("compile", times), ("open_block", opens), ("step", steps))
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ranks", type=Path)
    parser.add_argument("--tokens", type=int, default=151_936)
    parser.add_argument("--eos", type=int, default=151_645)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()

    def read() -> Vocabulary:
        if options.ranks is not None:
            return read_ranks(options.ranks, options.tokens, options.eos)
        texts = read_token_texts(EMBEDDED.read_text(encoding="utf-8"), EMBEDDED_TOKENS)
        return make_vocabulary(texts.tokens, [EMBEDDED_EOS], texts.specials)

    vocabulary, trie_ms = timed_ms(read)
    results = {}
    for name, grammar in GRAMMARS.items():
        results[name] = measure(grammar, vocabulary, options.repeats)
        print(f"{name:26}{results[name]}", flush=True)
    report = {
        **describe(),
        "tokens": vocabulary.num_tokens,
        "vocabulary_ms": round(trie_ms),
        "block_len": BLOCK_LEN,
        "grammars": results,
    }
    if options.out is not None:
        options.out.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
