"""Bytes of tokens, from a tokenizer's `tokenizer.json`: byte-level, and SentencePiece's."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from unmask.byte_decoder import BYTE_TOKEN, byte_level
from unmask.errors import InvalidRequest

BRACKETED = re.compile(r"[<\[].+[>\]]", re.DOTALL)  # added tokens that mark parts of a text
# Parts of a decoder that join tokens as they are; `Strip` takes a space off an answer's start.
JOINING = frozenset(("Fuse", "Strip", "ByteFallback", "Replace", "Metaspace", "ByteLevel"))


@dataclass(frozen=True, slots=True)
class TokenTexts:
    """Bytes of each token id, None for one without text, and ids of special tokens by name.

    Added tokens in brackets count as special, so that no string of an answer contains one.
    """

    tokens: tuple[bytes | None, ...]
    specials: Mapping[str, int]


def read_token_texts(tokenizer_json: str, num_tokens: int) -> TokenTexts:
    """Texts of ids below `num_tokens`; raises `InvalidRequest` for a tokenizer of other kinds."""
    raw = json.loads(tokenizer_json)
    parts = list(_parts(raw["decoder"]))
    kinds = {part["type"] for part in parts}
    if not kinds or not kinds <= JOINING:
        other = ", ".join(sorted(kinds - JOINING)) or "none"
        raise InvalidRequest(
            f"structured output needs a tokenizer whose text is its tokens' bytes; decoder: {other}"
        )
    vocab = raw["model"]["vocab"]
    ids = vocab if isinstance(vocab, dict) else {text: i for i, (text, _) in enumerate(vocab)}
    tokens: list[bytes | None] = [None] * num_tokens
    for text, i in ids.items():
        if i < num_tokens:
            tokens[i] = byte_level(text) if "ByteLevel" in kinds else _sentencepiece(text, parts)
    specials = {}
    for token in raw["added_tokens"]:
        i, text = token["id"], token["content"]
        if i >= num_tokens:
            continue
        is_special = token["special"] or BRACKETED.fullmatch(text) is not None
        if is_special and not ("ByteFallback" in kinds and BYTE_TOKEN.fullmatch(text)):
            specials[text] = i
            tokens[i] = None
        else:
            tokens[i] = byte_level(text) if "ByteLevel" in kinds else _sentencepiece(text, parts)
    unknown = raw["model"].get("unk_token")
    if isinstance(unknown, str) and unknown in ids and ids[unknown] < num_tokens:
        tokens[ids[unknown]] = None
    return TokenTexts(tuple(tokens), specials)


def _parts(decoder: Any) -> Iterator[Mapping[str, Any]]:
    if decoder is None:
        return
    if decoder["type"] == "Sequence":
        for part in decoder["decoders"]:
            yield from _parts(part)
    else:
        yield decoder


def _sentencepiece(text: str, parts: list[Mapping[str, Any]]) -> bytes:
    for part in parts:
        match part["type"]:
            case "ByteFallback" if byte := BYTE_TOKEN.fullmatch(text):
                return bytes((int(byte[1], 16),))
            case "Replace" if pattern := part["pattern"].get("String"):
                text = text.replace(pattern, part["content"])
            case "Metaspace":
                text = text.replace(part["replacement"], " ")
    return text.encode("utf-8", "surrogatepass")
