"""Crossover of modes: the fastest way to decode at each number of requests, on the same weights."""

from collections.abc import Iterator
from typing import Any

Row = dict[str, Any]


def lines(engine: list[Row]) -> Iterator[str]:
    """A line for each model with several modes and number of requests, the fastest mode first.

    Self-speculation counts under each of its assumptions of the tokens kept of a draft.
    """
    rows = [row for row in engine if row.get("mode") is not None]
    places = {(row["model"], row["quantization"], row["concurrency"]) for row in rows}
    for model, held, count in sorted(places):
        place = model, held, count
        here = [r for r in rows if (r["model"], r["quantization"], r["concurrency"]) == place]
        ordered = sorted(here, key=lambda row: -float(row["tokens_per_s"]))
        rates = ", ".join(f"{_named(row)} {row['tokens_per_s']:,.0f}" for row in ordered)
        yield f"modes of {model}, {count} requests, tokens/s: {rates}"


def _named(row: Row) -> str:
    assumed = "" if row["accepted"] is None else f" if {row['accepted']} of {row['block']} are kept"
    return f"{row['mode']}{assumed}"
