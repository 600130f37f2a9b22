"""Lower bound of a text's number of tokens, without encoding it."""

import json
from typing import Any

NFC_FACTOR = 4  # most characters that composition joins into one
BYTE_TOKENS = frozenset(f"<0x{byte:02X}>" for byte in range(256))


def chars_per_token(tokenizer_json: str) -> int | None:
    """Largest number of characters a token; None if there is no bound.

    Needs a token for each byte, so that no text is unknown, and a normalizer that does not drop
    characters. `tokenizer_json` is the content of `tokenizer.json`.
    """
    raw = json.loads(tokenizer_json)
    model = raw["model"]
    factor = _normalizer_factor(raw["normalizer"])
    if model["type"] not in ("BPE", "Unigram") or factor is None:
        return None
    if any(token["lstrip"] or token["rstrip"] for token in raw["added_tokens"]):
        return None  # such a token includes any number of spaces
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
    """True if texts are split into bytes and each byte has a token."""
    if pre_tokenizer is None:
        return False
    if pre_tokenizer["type"] == "Sequence":
        return _splits_only(pre_tokenizer["pretokenizers"][:-1]) and _is_byte_level(
            pre_tokenizer["pretokenizers"][-1], texts
        )
    return pre_tokenizer["type"] == "ByteLevel" and len([t for t in texts if len(t) == 1]) >= 256


def _splits_only(parts: list[Any]) -> bool:
    """True if pre-tokenizers drop no characters."""
    return all(
        part["type"] == "Digits" or (part["type"] == "Split" and part["behavior"] != "Removed")
        for part in parts
    )


def _falls_back(model: Any, texts: set[str]) -> bool:
    return bool(model.get("byte_fallback")) and texts >= BYTE_TOKENS
