"""Prompts of a load: built-in, from a file, or random token ids."""

import gzip
import json
import random
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from unmask.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages of a chat request."""

    messages: tuple[dict[str, str], ...]


Prompt = str | tuple[int, ...] | Conversation

BUILT_IN: tuple[Prompt, ...] = (
    "What is 17 + 25?",
    "Count from 3 to 12.",
    "Reverse the word 'planet'.",
    "Write the number 408 in words.",
    "Sort these words: pear, apple, fig, melon.",
    "Spell the word 'window' with a dash between the letters.",
    "Anna has 14 apples and gives 5 away. How many are left?",
    "What comes next: 2, 4, 6, 8?",
    "Write a JSON object with name Ada and age 36.",
    "Tell a short story about a fox and a river.",
    "Repeat after me: the quick brown fox jumps over the lazy dog.",
    "Write a Python function that doubles a number.",
    "How many letters are in the word 'garden'?",
    "What is 9 times 8?",
    "Write the words red, green and blue in capital letters.",
    "Tell me about a day at the sea in three sentences.",
)


def read_prompts(file: Path) -> tuple[Prompt, ...]:
    """Prompts of a file: a text a line, or in `*.jsonl` an object with `prompt` or `messages`.

    `*.gz` is decompressed. Raises `InvalidConfig`.
    """
    try:
        raw = file.read_bytes()
        text = (gzip.decompress(raw) if file.suffix == ".gz" else raw).decode()
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise InvalidConfig(f"cannot read prompts from {file}: {error}") from error
    # Not `splitlines`: JSON may have other separators, such as U+2028, within its texts.
    lines = [(i, line) for i, line in enumerate(text.split("\n"), start=1) if line.strip()]
    prompts: list[Prompt]
    if ".jsonl" in file.suffixes:
        prompts = [_prompt_of(line, file, i) for i, line in lines]
    else:
        prompts = [line.removesuffix("\r") for _, line in lines]
    if not prompts:
        raise InvalidConfig(f"{file} has no prompts")
    return tuple(prompts)


def _prompt_of(line: str, file: Path, number: int) -> Prompt:
    try:
        match json.loads(line):
            case {"messages": [*messages]} if all(isinstance(one, dict) for one in messages):
                return Conversation(tuple(messages))
            case {"prompt": str(prompt)}:
                return prompt
            case {"prompt": [*ids]} if ids and all(type(token_id) is int for token_id in ids):
                return tuple(ids)
    except (ValueError, RecursionError) as error:
        raise InvalidConfig(f"{file}, line {number}: not JSON: {error}") from error
    raise InvalidConfig(
        f"{file}, line {number}: not an object with `prompt`, a text or token ids, or `messages`"
    )


def random_prompts(
    num_prompts: int, prompt_len: int, token_range: tuple[int, int], seed: int
) -> tuple[Prompt, ...]:
    """Prompts of `prompt_len` random token ids in [low, high)."""
    rng = random.Random(seed)
    low, high = token_range
    return tuple(
        tuple(rng.randrange(low, high) for _ in range(prompt_len)) for _ in range(num_prompts)
    )


def pick(prompts: Sequence[Prompt], num_requests: int, seed: int) -> list[Prompt]:
    """Prompts of `num_requests` requests: all prompts in shuffled order, repeated."""
    rng = random.Random(seed)
    picked: list[Prompt] = []
    while len(picked) < num_requests:
        picked += rng.sample(prompts, len(prompts))
    return picked[:num_requests]
