"""The type of one generated problem, and the rule that assigns it to a split."""

import hashlib
import json
from dataclasses import dataclass
from typing import Literal

Split = Literal["train", "validation", "test"]

PRIMITIVE = "primitive"
MEMORISED = "memorised"
TEST_SHARE = 20 / 256
VALIDATION_SHARE = 10 / 256


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a conversation."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A prompt with its answer, the way to check an answer, and the keys that fix its split.

    `keys[0]` names the problem whatever its phrasing; the others name problems it contains.
    `raw` is the same problem as a completion prompt without chat tokens, and its continuation.
    `said` are the templates of `training.wordings` that the request is made of.
    `tools` are JSON texts of the OpenAI tools (`{"type": "function", ...}`) that may be called.
    """

    task: str
    keys: tuple[str, ...]
    turns: tuple[Turn, ...]
    answer: str
    checker: str = "exact"
    reference: str | None = None
    raw: tuple[str, str] | None = None
    said: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


def ask(content: str) -> tuple[Turn, ...]:
    """Return a conversation of a single user message."""
    return (Turn("user", content),)


def split_of_key(key: str) -> Split:
    """Assign a canonical problem key to its split; primitives are only ever trained on."""
    if key.startswith((PRIMITIVE, MEMORISED)):
        return "train"
    digest = hashlib.blake2b(key.encode(), digest_size=2).digest()
    share = int.from_bytes(digest) / 65536
    if share < TEST_SHARE:
        return "test"
    return "validation" if share < TEST_SHARE + VALIDATION_SHARE else "train"


def belongs_to(problem: Problem, split: Split, *, has_own_words: bool = False) -> bool:
    """Say whether `split` may use a problem; training may not even contain a held-out part.

    Primitives, of which there are too few to hold some out, are asked for in held-out words.
    """
    first = problem.keys[0]
    if first.startswith(MEMORISED):
        return True
    if split == "train":
        return all(split_of_key(key) == "train" for key in problem.keys)
    if first.startswith(PRIMITIVE):
        return has_own_words
    return split_of_key(first) == split


def as_json(value: object) -> str:
    """Write a reference value as compact JSON."""
    return json.dumps(value, ensure_ascii=False)
