"""Protection of chats against control tokens spelled in messages (prompt injection).

Control tokens are special tokens, the mask and the EOS tokens of a model. A break of random
characters is inserted into each spelling in a message, so that spellings that are whole in the
rendered text come from the template. These are replaced by random aliases, and the text is encoded
by a tokenizer that knows control tokens by their aliases only. Spellings in messages become plain
text.
"""

import json
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from tokenizers import AddedToken, models
from tokenizers import Tokenizer as FastTokenizer

from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.recent_texts import FLAGS, RecentTexts, parts_texts

ROLES = ("system", "developer", "user", "assistant", "tool")
PART_TYPES, PART_FIELDS = ("text", "image"), ("type", "text")  # of parts of a message
# Added tokens that mark parts of an answer; users may ask models about them.
MARKUP = re.compile(r"</?(think|tool_calls?|tool_response|tools?|answer|response|TOOLCALL)>")
# Special tokens that are text of an answer: also Gemma's and LFM2's, which a message may not have.
SHOWN = re.compile(
    rf'{MARKUP.pattern}|<\|(tool_call|channel)>|<(tool_call|channel)\|>|<\|"\|>'
    r"|<\|tool_call_(start|end)\|>"
)
BRACKETED = re.compile(r"[<\[].+[>\]]")  # spelling of control tokens within a vocabulary
PRIVATE = range(0xE000, 0xF900)  # Unicode's private use area
MAX_PATTERN = 64  # control tokens; a pattern tries them one after another
LONG_TEXT = 2_000  # characters; longer texts are encoded in batches, which release the GIL


def nonce() -> str:
    """Random string of private use characters, which no normalizer changes."""
    return "".join(chr(secrets.choice(PRIVATE)) for _ in range(12))


def fast_ids(tokenizer: FastTokenizer, text: str, *, add_special_tokens: bool = False) -> list[int]:
    """Token ids of a text; raises `InvalidRequest` for one with half of a surrogate pair."""
    try:
        # Batches have no offsets, which take a third of the time.
        (encoding,) = tokenizer.encode_batch_fast([text], add_special_tokens=add_special_tokens)
    except TypeError:
        if not isinstance(text, str):
            raise
        raise InvalidRequest("the text is not Unicode: it has half of a surrogate pair") from None
    ids: list[int] = encoding.ids
    return ids


def control_ids(
    inner: Any, backend: FastTokenizer | None, reserved: Iterable[int]
) -> dict[str, int]:
    """Ids of control tokens by text: special, `reserved`, and spelled in the template."""
    if backend is not None:
        added: Mapping[int, AddedToken] = backend.get_added_tokens_decoder()
    else:
        added = inner.added_tokens_decoder
    special = set(inner.all_special_ids) | set(reserved)
    template = inner.chat_template if isinstance(inner.chat_template, str) else ""
    control = {
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
    return control | {word: named[word] for word in _reachable(backend, named)}


def _reachable(backend: FastTokenizer | None, words: Mapping[str, int]) -> set[str]:
    """Words of a vocabulary that encoding can yield: in BPE, those that a merge results in.

    Encoding each word alone would not tell: the result may differ after other text.
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


class ControlTokens:
    """Guards messages and encodes rendered chats, so that messages yield no control tokens."""

    def __init__(self, inner: Any, backend: FastTokenizer | None, ids: Mapping[str, int]) -> None:
        """`ids` are the control tokens by text; `backend` is None for slow tokenizers."""
        self._inner = inner
        self._ids = dict(ids)
        self._break = nonce()
        self._finder = _finder(self._ids)
        self._pattern = _pattern(self._ids)
        self._firsts = tuple({token[0] for token in ids})
        self._all = nonce().join(ids)
        self._prefixes = {token[:size] for token in ids for size in range(1, len(token))}
        self._suffixes = {token[-size:] for token in ids for size in range(1, len(token))}
        self._ends = {text[-1] for text in self._prefixes}
        self._begins = {text[0] for text in self._suffixes}
        self._longest = max(map(len, ids), default=0)
        mark = nonce()
        self._aliases = {token: f"{mark}{chr(0xF0000 + i)}" for i, token in enumerate(ids)}
        self._aliased: FastTokenizer | None = None
        self._texts: RecentTexts | None = None  # where a piece of text has the same ids anywhere
        if backend is not None:
            raw = _aliased(json.loads(backend.to_str()), self._ids, self._aliases)
            self._aliased = FastTokenizer.from_str(json.dumps(raw))
            self._check_ids(self._aliased)
            if parts_texts(raw, self._aliases.values()):
                self._texts = RecentTexts(self._encode_aliased)
        unknown = getattr(inner, "unk_token_id", None)
        self._counted = {i for i in ids.values() if i != unknown}

    def guard_message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """Guarded copy; known roles, types and field names stay, as templates compare them."""
        return {name: self._guard_field(name, value) for name, value in message.items()}

    def guard(self, value: Any) -> Any:
        """Guarded copy: breaks in all spellings of control tokens, partial ones at ends too."""
        if isinstance(value, str):
            return self._guard_text(value)
        if isinstance(value, Mapping):
            return {self.guard(name): self.guard(item) for name, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.guard(item) for item in value]
        return value

    def _guard_field(self, name: str, value: Any) -> Any:
        if name == "role" and value in ROLES:
            return value
        if name == "content" and isinstance(value, list | tuple):
            return [self._guard_part(part) for part in value]
        return self.guard(value)

    def _guard_part(self, part: Any) -> Any:
        if not isinstance(part, Mapping) or part.get("type") not in PART_TYPES:
            return self.guard(part)
        return {
            name if name in PART_FIELDS else self.guard(name): (
                value if name == "type" else self.guard(value)
            )
            for name, value in part.items()
        }

    def plain(self, rendered: str) -> str:
        """Rendered text without breaks."""
        return rendered.replace(self._break, "")

    def encode(self, rendered: str) -> list[int]:
        """Token ids of a text rendered from guarded messages; raises `InvalidRequest`."""
        parts = self._split(rendered)
        meant = [self._ids[token] for token in parts[1::2]]
        parts[::2] = map(self.plain, parts[::2])
        ids = self._encode_parts(parts)
        found = [i for i in ids if i in self._counted]
        if found == meant:
            return ids
        encoded, expected = Counter(found), Counter(meant)
        for token_id in encoded:
            if encoded[token_id] > expected[token_id]:
                raise InvalidRequest(
                    f"messages spell the control token {self._name(token_id)}, which this "
                    "tokenizer cannot encode as text"
                )
        return ids

    def _encode_parts(self, parts: list[str]) -> list[int]:
        """Token ids of texts and control tokens, in turn."""
        if self._aliased is not None and self._texts is None:
            parts[1::2] = [self._aliases[token] for token in parts[1::2]]
            return self._encode_aliased("".join(parts))
        encode = self._encode_slow if self._texts is None else self._texts.ids
        ids: list[int] = []
        for i, part in enumerate(parts):
            if i % 2:
                ids.append(self._ids[part])
            elif part:
                ids += encode(part)
        return ids

    def _encode_aliased(self, text: str) -> list[int]:
        assert self._aliased is not None, "there is a fast tokenizer"
        return fast_ids(self._aliased, text)

    def _encode_slow(self, text: str) -> list[int]:
        tokens = self._inner.tokenize(text, split_special_tokens=True)
        ids: list[int] = self._inner.convert_tokens_to_ids(tokens)
        return ids

    def _check_ids(self, aliased: FastTokenizer) -> None:
        for token, token_id in self._ids.items():
            if aliased.token_to_id(self._aliases[token]) != token_id:
                raise InvalidCheckpoint(f"the tokenizer has no unique id for its token {token!r}")

    def _guard_text(self, text: str) -> str:
        while len(parts := self._split(text)) > 1:
            parts[1::2] = [token[0] + self._break + token[1:] for token in parts[1::2]]
            text = "".join(parts)
        # Neighboring text in the template must not complete a control token.
        if text and text in self._all:
            return f"{self._break}{text}{self._break}"
        sizes = range(1, min(self._longest, len(text) + 1))
        if text[-1:] in self._ends and any(text[-size:] in self._prefixes for size in sizes):
            text += self._break
        if text[:1] in self._begins and any(text[:size] in self._suffixes for size in sizes):
            text = self._break + text
        return text

    def _split(self, text: str) -> list[str]:
        """Texts and control tokens spelled between them, leftmost longest, in turn."""
        for first in self._firsts:
            if first in text:
                break
        else:
            return [text]
        if len(text) < LONG_TEXT:
            if self._pattern is not None:
                return self._pattern.split(text)
            encoding = self._finder.encode(text, add_special_tokens=False)
        else:
            (encoding,) = self._finder.encode_batch([text], add_special_tokens=False)
        parts, at = list[str](), 0
        for i, (start, end) in zip(encoding.ids, encoding.offsets, strict=True):
            if i:
                parts += [text[at:start], text[start:end]]
                at = end
        return [*parts, text[at:]]

    def _name(self, token_id: int) -> str:
        return next(token for token, i in self._ids.items() if i == token_id)


def _pattern(ids: Iterable[str]) -> re.Pattern[str] | None:
    """Pattern of control tokens, which is faster in short texts; None if they are many."""
    tokens = sorted(ids, key=len, reverse=True)  # the longest first
    pattern = "|".join(map(re.escape, tokens))
    return re.compile(f"({pattern})") if len(tokens) <= MAX_PATTERN else None


def _finder(ids: Mapping[str, int]) -> FastTokenizer:
    """Tokenizer that encodes everything but control tokens as id 0."""
    other = nonce()
    finder = FastTokenizer(models.WordLevel(vocab={other: 0}, unk_token=other))
    finder.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ids])
    return finder


def _aliased(
    raw: dict[str, Any], ids: Mapping[str, int], aliases: Mapping[str, str]
) -> dict[str, Any]:
    """A `tokenizer.json` that knows control tokens by aliases only, and has no merges to them."""
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
    if isinstance(vocab, dict):  # no merge results in an alias
        added = {token["content"] for token in raw["added_tokens"]}
        missing = {ids[token]: alias for token, alias in aliases.items() if alias not in added}
        flags = {**dict.fromkeys(FLAGS, False), "special": True}
        raw["added_tokens"] += [{"id": i, "content": a, **flags} for i, a in missing.items()]
    return raw


def _touches(merge: Any, ids: Mapping[str, int]) -> bool:
    """True if a merge has a control token as input or result."""
    left, right = _pair(merge)
    return left in ids or right in ids or left + right in ids
