"""Runs the JSON-Schema-Test-Suite (github.com/json-schema-org) through grammars of schemas.

    python -m tools.schema_suite FOLDER [--draft draft2020-12] [--words 20]

`FOLDER` is a copy of the suite. A schema is refused by name, or no text that it accepts is invalid:
neither the suite's invalid values nor random words, which jsonschema checks. It need not accept all
that is valid; what it accepts is counted. Ends with status 1 if an accepted text is invalid.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import jsonschema

from tests.support.automata import random_word
from unmask.decoding.automata.language import language_of
from unmask.decoding.automata.limits import Budget
from unmask.decoding.automata.minimal import ByteAutomaton
from unmask.errors import InvalidRequest
from unmask.grammar import json_schema_of

MAX_MEMBERS = 5  # of an object whose orders are all tried


def check_multiple(validator: Any, step: Any, value: Any, schema: Any) -> Iterator[Any]:
    """Errors of `multipleOf` in decimals: jsonschema divides floats, and 590.8 fails for 0.0001."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and Fraction(repr(value)) % Fraction(repr(step)):
        yield jsonschema.ValidationError(f"{value!r} is not a multiple of {step!r}")


VALIDATORS = {
    name: jsonschema.validators.extend(draft, {"multipleOf": check_multiple})
    for name, draft in (
        ("draft7", jsonschema.Draft7Validator),
        ("draft2019-09", jsonschema.Draft201909Validator),
        ("draft2020-12", jsonschema.Draft202012Validator),
    )
}


@dataclass
class Counts:
    """Schemas and values of one file of the suite, and what went wrong."""

    refused: Counter[str] = field(default_factory=Counter)  # schemas by the reason
    compiled: int = 0
    written: int = 0  # valid values that some answer is
    not_written: int = 0
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"{self.compiled:4} schemas compiled, {self.refused.total():3} refused; "
            f"of valid values {self.written:3} written, {self.not_written:3} not; "
            f"{len(self.wrong)} wrong"
        )


def orders(value: Any) -> Iterator[Any]:
    """A value with the members of its outermost object in any order."""
    if isinstance(value, dict) and len(value) <= MAX_MEMBERS:
        yield from map(dict, itertools.permutations(value.items()))
    else:
        yield value


def accepts(language: ByteAutomaton, value: Any) -> bool:
    """True if some text of a value is in a language."""
    texts = (json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in orders(value))
    return any(language.matches(text.encode("utf-8", "surrogatepass")) for text in texts)


def run_file(path: Path, validator: Any, num_words: int) -> Counts:
    """Counts of a file's schemas; `validator` is a class of jsonschema."""
    counts = Counts()
    for group in json.loads(path.read_text(encoding="utf-8")):
        schema, name = group["schema"], f"{path.name}: {group['description']}"
        try:
            language = language_of(json_schema_of(schema), {}, Budget())
        except InvalidRequest as error:
            counts.refused[str(error)] += 1
            continue
        counts.compiled += 1
        for test in group["tests"]:
            is_accepted = accepts(language, test["data"])
            if test["valid"]:
                counts.written += is_accepted
                counts.not_written += not is_accepted
            elif is_accepted:
                counts.wrong.append(f"{name}: {test['description']}: {test['data']!r}")
        if len(language.moves) > 1:
            for seed in range(num_words):
                word = random_word(language, Random(seed), seed).decode()
                if not validator(schema).is_valid(json.loads(word)):
                    counts.wrong.append(f"{name}: {word}")
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--draft", choices=VALIDATORS, default="draft2020-12")
    parser.add_argument("--words", type=int, default=20)
    parser.add_argument("--reasons", action="store_true", help="print why schemas are refused")
    options = parser.parse_args()
    total = Counts()
    for path in sorted((options.folder / "tests" / options.draft).glob("*.json")):
        counts = run_file(path, VALIDATORS[options.draft], options.words)
        print(f"{path.stem:24}{counts}")
        if options.reasons:
            for reason, number in counts.refused.most_common():
                print(f"    {number} x {reason}")
        for wrong in counts.wrong:
            print(f"    wrong: {wrong}")
        total.compiled += counts.compiled
        total.refused += counts.refused
        total.written += counts.written
        total.not_written += counts.not_written
        total.wrong += counts.wrong
    print(f"{'together':24}{total}")
    sys.exit(bool(total.wrong))


if __name__ == "__main__":
    main()
