"""Token ids of ASCII texts, word by word: words come again far more often than texts do.

Byte-level BPE encodes each match of a pattern alone. In ASCII that pattern means the same to
Python, so that a text is split here, and the ids of its words are those that the tokenizer gave
before. Other texts, and patterns whose meaning may differ, are left to the tokenizer.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from typing import Any, Self

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
CLASSES = {r"\p{L}": "A-Za-z", r"\p{N}": "0-9", r"\d": "0-9"}
# What Oniguruma and Python read alike; groups, for one, are only those without a number.
PART = re.compile(
    r"(?P<kind>\\p\{[LN]\}|\\d)|\\[snrtS]|\\[^\w\s]|\((?:\?:|\?!|\?=|\?i:)|\)|\[\^?|\]|[^\\()\[\]^$&]",
    re.ASCII,
)
REPEATED = re.compile(r"\{[\d,]*\}\+")  # a repeat of repeats there, possessive here
COMPOSED = ("NFC", "NFKC", "NFD", "NFKD")  # normalizers that leave ASCII as it is
MAX_ADDED = 256  # added tokens; each is looked for in texts with the first letter of one
MAX_WORDS = 2**16
MAX_WORD_LEN = 24  # characters of a word that is kept
MAX_NEW = 8  # words of a text that are encoded alone; a text of more new ones is encoded whole


class AsciiWords:
    """Encodes texts, from memory if all of their words were seen; for any number of threads."""

    def __init__(
        self,
        pattern: re.Pattern[str],
        added: Sequence[str],
        encode: Callable[[str], Sequence[int]],
    ) -> None:
        """`added` are texts of tokens that stand for themselves wherever they are spelled."""
        self._pattern, self._encode = pattern, encode
        self._added = tuple(token for token in added if token.isascii())
        self._firsts = tuple({token[0] for token in self._added})
        self._ids: dict[str, tuple[int, ...]] = {}

    @classmethod
    def of(
        cls, tokenizer: Mapping[str, Any], encode: Callable[[str], Sequence[int]]
    ) -> Self | None:
        """Words of a tokenizer that `encode` uses, None if its words are not known to be alike.

        `tokenizer` is the content of its `tokenizer.json`, of which no tokens are added to texts.
        """
        model, normalizer = tokenizer["model"], tokenizer["normalizer"]
        pattern = _pattern_of(tokenizer["pre_tokenizer"])
        is_plain = normalizer is None or normalizer["type"] in COMPOSED
        added = [token["content"] for token in tokenizer["added_tokens"]]
        is_plain = is_plain and model["type"] == "BPE" and not model.get("dropout") and all(added)
        if pattern is None or not is_plain or len(added) > MAX_ADDED:
            return None
        return cls(pattern, added, encode)

    def encode(self, text: str) -> Sequence[int]:
        """Token ids of a text."""
        if not text.isascii() or self._has_added(text):
            return self._encode(text)
        words, ids = self._pattern.findall(text), self._ids
        try:
            parts = [ids[word] for word in words]
        except KeyError:
            return self._learn(text, words)
        if sum(map(len, words)) != len(text):  # some of it is no word
            return self._encode(text)
        return list(chain.from_iterable(parts))

    def _has_added(self, text: str) -> bool:
        """True if a text spells an added token."""
        has_first = any(map(text.__contains__, self._firsts))
        return has_first and any(map(text.__contains__, self._added))

    def _learn(self, text: str, words: Sequence[str]) -> Sequence[int]:
        """Token ids of a text with new words, some of which are kept."""
        if len(self._ids) + MAX_NEW > MAX_WORDS:
            self._ids = {}
        ids = self._ids  # another thread may begin anew
        new = [word for word in dict.fromkeys(words) if word not in ids]
        is_known = len(new) <= MAX_NEW and sum(map(len, words)) == len(text)
        for word in new[:MAX_NEW]:
            if len(word) <= MAX_WORD_LEN and self._pattern.findall(word) == [word]:
                ids[word] = tuple(self._encode(word))
            else:
                is_known = False
        if not is_known:
            return self._encode(text)
        return list(chain.from_iterable([ids[word] for word in words]))


def _pattern_of(pre_tokenizer: Mapping[str, Any] | None) -> re.Pattern[str] | None:
    """Pattern of the words into which a text is split before it is encoded by bytes."""
    match pre_tokenizer:
        case {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}:
            return ascii_pattern(GPT2)
        case {
            "type": "Sequence",
            "pretokenizers": [
                {
                    "type": "Split",
                    "pattern": {"Regex": pattern},
                    "behavior": "Isolated",
                    "invert": False,
                },
                {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False},
            ],
        }:
            return ascii_pattern(pattern)
    return None


def ascii_pattern(pattern: str) -> re.Pattern[str] | None:
    """Python's pattern that matches in ASCII texts as this one of Oniguruma; None if unknown."""
    if not pattern.isascii() or REPEATED.search(pattern):
        return None
    parts, at, is_class = list[str](), 0, False
    while at < len(pattern):
        part = PART.match(pattern, at)
        if part is None:
            return None
        text, at = part[0], part.end()
        if text.startswith("["):
            if is_class:
                return None
            is_class = True
        elif text == "]":
            is_class = False
        elif part["kind"]:
            letters = CLASSES[text]
            text = letters if is_class else f"[{letters}]"
        parts.append(text)
    compiled = re.compile("".join(parts), re.ASCII)
    return compiled if compiled.match("") is None else None
