"""The fewest tokens that a text can have, known without encoding it."""

import json
from typing import Any

NFC_FACTOR = 4  # characters that composition makes one, at most
BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def chars_per_token(tokenizer_json: str) -> int | None:
    """The most characters that one token of a text stands for; None where nothing bounds them.

    That is so where each byte has a token, so that none is unknown, and where texts are not made
    shorter before they are cut into tokens. `tokenizer_json` is the content of `tokenizer.json`.
    """
    raw = json.loads(tokenizer_json)
    model = raw["model"]
    factor = _normalizer_factor(raw["normalizer"])
    if model["type"] not in ("BPE", "Unigram") or factor is None:
        return None
    if any(token["lstrip"] or token["rstrip"] for token in raw["added_tokens"]):
        return None  # takes any number of spaces with it
    vocab = model["vocab"]
    texts = set(vocab) if isinstance(vocab, dict) else {text for text, _ in vocab}
    if not (_is_byte_level(raw["pre_tokenizer"], texts) or _falls_back(model, texts)):
        return None
    added = [token["content"] for token in raw["added_tokens"]]
    return factor * max(map(len, [*texts, *added]))


def _normalizer_factor(normalizer: Any) -> int | None:
    if normalizer is None:
        return 1
    match normalizer["type"]:
        case "NFC" | "NFKC":
            return NFC_FACTOR
        case "NFD" | "NFKD" | "Prepend":
            return 1
        case "Replace":
            pattern = normalizer["pattern"].get("String")
            return 1 if pattern and len(normalizer["content"]) >= len(pattern) else None
        case "Sequence":
            total = 1
            for part in normalizer["normalizers"]:
                factor = _normalizer_factor(part)
                if factor is None:
                    return None
                total *= factor
            return total
    return None


def _is_byte_level(pre_tokenizer: Any, texts: set[str]) -> bool:
    """Whether texts are cut into bytes, each of which has a token."""
    if pre_tokenizer is None:
        return False
    if pre_tokenizer["type"] == "Sequence":
        return _splits_only(pre_tokenizer["pretokenizers"][:-1]) and _is_byte_level(
            pre_tokenizer["pretokenizers"][-1], texts
        )
    return pre_tokenizer["type"] == "ByteLevel" and len([t for t in texts if len(t) == 1]) >= 256


def _splits_only(parts: list[Any]) -> bool:
    """Whether nothing of a text is dropped."""
    return all(
        part["type"] == "Digits" or (part["type"] == "Split" and part["behavior"] != "Removed")
        for part in parts
    )


def _falls_back(model: Any, texts: set[str]) -> bool:
    return bool(model.get("byte_fallback")) and texts >= BYTE_TOKENS
