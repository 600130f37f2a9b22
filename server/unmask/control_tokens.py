"""Chats in which only the template, and no text of a message, yields control tokens.

Special tokens, the mask and the ends of a model are control tokens. Every string of a message in
which one is spelled gets a break into it, unseen by the template; what is spelled whole in the
rendered text is the template's. It is put under an alias that no message can know, and the text
encoded by a tokenizer that knows control tokens by their aliases alone. Their spellings in
messages are text like any other.
"""

import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, models
from tokenizers import Tokenizer as FastTokenizer

from unmask.errors import InvalidCheckpoint, InvalidRequest

ROLES = ("system", "developer", "user", "assistant", "tool")
# Added tokens by which templates tell parts of an answer apart; models may be asked about them.
MARKUP = re.compile(r"</?(think|tool_calls?|tool_response|tools?|answer|response)>")
BRACKETED = re.compile(r"[<\[].+[>\]]")  # of a vocabulary's own tokens, those that are no text
PRIVATE = range(0xE000, 0xF900)  # characters without a meaning
LONG_TEXT = 2_000  # characters, from which on other threads go on while a text is read


def nonce() -> str:
    """A string that nobody can guess, of characters that no normalizer changes."""
    return "".join(chr(secrets.choice(PRIVATE)) for _ in range(12))


def control_ids(
    inner: Any, backend: FastTokenizer | None, reserved: Iterable[int]
) -> dict[str, int]:
    """Every control token: special ones, `reserved` ones, and those that the template spells."""
    if backend is not None:
        added: Mapping[int, AddedToken] = backend.get_added_tokens_decoder()
    else:
        added = inner.added_tokens_decoder
    special = set(inner.all_special_ids) | set(reserved)
    template = inner.chat_template if isinstance(inner.chat_template, str) else ""
    found = {
        token.content: i
        for i, token in added.items()
        if token.content
        and (
            token.special
            or i in special
            or (token.content in template and not MARKUP.fullmatch(token.content))
        )
    }
    words = {i: inner.convert_ids_to_tokens(i) for i in special - set(added)}
    named = {w: i for i, w in words.items() if isinstance(w, str) and BRACKETED.fullmatch(w)}
    return found | {word: named[word] for word in _made(backend, named)}


def _made(backend: FastTokenizer | None, words: Mapping[str, int]) -> set[str]:
    """Words of a vocabulary that some text is encoded to; of byte pairs only merges make some.

    The merges tell, as what a text of its own gives may be another thing after other text.
    """
    if backend is None or not words:
        return set(words)
    model = json.loads(backend.to_str())["model"]
    if model["type"] != "BPE" or model.get("ignore_merges"):
        return set(words)
    return words.keys() & {"".join(_pair(merge)) for merge in model["merges"]}


def _pair(merge: Any) -> tuple[str, str]:
    left, right = merge.split(" ") if isinstance(merge, str) else merge
    return left, right


@dataclass(frozen=True, slots=True)
class Spelling:
    """A control token spelled out at [start, end) of a text."""

    start: int
    end: int
    token: str


class ControlTokens:
    """The control tokens of a tokenizer, kept out of what messages say."""

    def __init__(self, inner: Any, backend: FastTokenizer | None, ids: Mapping[str, int]) -> None:
        """`ids` are those of each control token; a tokenizer without `backend` is a slow one."""
        self._inner = inner
        self._ids = dict(ids)
        self._break = nonce()
        self._finder = _finder(self._ids)
        self._firsts = {token[0] for token in ids}
        self._all = nonce().join(ids)
        self._prefixes = {token[:size] for token in ids for size in range(1, len(token))}
        self._suffixes = {token[-size:] for token in ids for size in range(1, len(token))}
        self._longest = max(map(len, ids), default=0)
        mark = nonce()
        self._aliases = {token: f"{mark}{chr(0xF0000 + i)}" for i, token in enumerate(ids)}
        self._aliased = None if backend is None else _aliased(backend, self._ids, self._aliases)
        unknown = getattr(inner, "unk_token_id", None)
        self._counted = {i for i in ids.values() if i != unknown}

    def guard_message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The same message; templates compare its role and the names of its fields."""
        return {
            name: value if name == "role" and value in ROLES else self.guard(value)
            for name, value in message.items()
        }

    def guard(self, value: Any) -> Any:
        """The same value, no string of which spells a control token or a part of one at an end."""
        if isinstance(value, str):
            return self._guard_text(value)
        if isinstance(value, Mapping):
            return {self.guard(name): self.guard(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.guard(item) for item in value]
        return value

    def plain(self, rendered: str) -> str:
        """A rendered text without its breaks."""
        return rendered.replace(self._break, "")

    def encode(self, rendered: str) -> list[int]:
        """Token ids of a text that a template made of guarded messages; raises `InvalidRequest`."""
        spellings, parts, start = self._find(rendered), list[str](), 0
        for spelling in spellings:
            parts += [self.plain(rendered[start : spelling.start]), spelling.token]
            start = spelling.end
        parts.append(self.plain(rendered[start:]))
        ids = self._encode_slow(parts) if self._aliased is None else self._encode_fast(parts)
        found = Counter(i for i in ids if i in self._counted)
        meant = Counter(self._ids[spelling.token] for spelling in spellings)
        for token_id in found:
            if found[token_id] > meant[token_id]:
                raise InvalidRequest(
                    f"messages spell the control token {self._name(token_id)}, which this "
                    "tokenizer cannot take for text"
                )
        return ids

    def _encode_fast(self, parts: list[str]) -> list[int]:
        parts[1::2] = [self._aliases[token] for token in parts[1::2]]
        text = "".join(parts)
        assert self._aliased is not None
        if len(text) < LONG_TEXT:
            return list(self._aliased.encode(text, add_special_tokens=False).ids)
        (encoding,) = self._aliased.encode_batch_fast([text], add_special_tokens=False)
        return list(encoding.ids)

    def _encode_slow(self, parts: list[str]) -> list[int]:
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(self._ids[part])
            elif part:
                tokens = self._inner.tokenize(part, split_special_tokens=True)
                ids += self._inner.convert_tokens_to_ids(tokens)
        return ids

    def _guard_text(self, text: str) -> str:
        while spellings := self._find(text):
            parts, start = list[str](), 0
            for spelling in spellings:
                parts += [text[start : spelling.start + 1], self._break]
                start = spelling.start + 1
            text = "".join([*parts, text[start:]])
        # What is next to it in the template, or another string, must not complete a token.
        if text and text in self._all:
            return f"{self._break}{text}{self._break}"
        sizes = range(1, min(self._longest, len(text) + 1))
        if any(text[-size:] in self._prefixes for size in sizes):
            text += self._break
        if any(text[:size] in self._suffixes for size in sizes):
            text = self._break + text
        return text

    def _find(self, text: str) -> list[Spelling]:
        """Control tokens that are spelled in a text, the longest of those that begin first."""
        if not any(first in text for first in self._firsts):
            return []
        if len(text) < LONG_TEXT:
            found = self._finder.encode(text, add_special_tokens=False)
        else:
            (found,) = self._finder.encode_batch([text], add_special_tokens=False)
        return [
            Spelling(start, end, text[start:end])
            for i, (start, end) in zip(found.ids, found.offsets, strict=True)
            if i
        ]

    def _name(self, token_id: int) -> str:
        return next(token for token, i in self._ids.items() if i == token_id)


def _finder(ids: Mapping[str, int]) -> FastTokenizer:
    """A tokenizer in which everything that is no control token has the id 0."""
    other = nonce()
    finder = FastTokenizer(models.WordLevel(vocab={other: 0}, unk_token=other))
    finder.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ids])
    return finder


def _aliased(
    backend: FastTokenizer, ids: Mapping[str, int], aliases: Mapping[str, str]
) -> FastTokenizer:
    """The same tokenizer, which knows control tokens by their aliases; nothing is merged to one."""
    raw = json.loads(backend.to_str())
    raw["post_processor"] = raw["truncation"] = raw["padding"] = None
    for token in raw["added_tokens"]:
        token["content"] = aliases.get(token["content"], token["content"])
    model = raw["model"]
    vocab = model["vocab"]
    if isinstance(vocab, dict):
        if not ids.keys().isdisjoint(vocab):
            model["vocab"] = {aliases.get(text, text): i for text, i in vocab.items()}
    else:
        model["vocab"] = [[aliases.get(text, text), score] for text, score in vocab]
    if model.get("unk_token") in aliases:
        model["unk_token"] = aliases[model["unk_token"]]
    if "merges" in model and not ids.keys().isdisjoint(vocab):
        model["merges"] = [merge for merge in model["merges"] if not _touches(merge, ids)]
    copy = FastTokenizer.from_str(json.dumps(raw))
    for token, token_id in ids.items():
        if copy.token_to_id(aliases[token]) != token_id:
            raise InvalidCheckpoint(f"the tokenizer has no one id for its token {token!r}")
    if isinstance(vocab, dict):  # no merges make an alias
        added = {token["content"] for token in raw["added_tokens"]}
        unmade = [alias for alias in aliases.values() if alias not in added]
        copy.add_special_tokens([AddedToken(alias, normalized=False) for alias in unmade])
    return copy


def _touches(merge: Any, ids: Mapping[str, int]) -> bool:
    """Whether a merge makes a control token, or takes one."""
    left, right = _pair(merge)
    return left in ids or right in ids or left + right in ids
