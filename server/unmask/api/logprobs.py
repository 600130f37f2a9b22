"""Log-probabilities in the two shapes that OpenAI gives them."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from unmask.tokenizer import REPLACEMENT
from unmask.types import TokenLogprob

LOWEST = -9999.0  # JSON has no -inf; vLLM's value


class TokenTexts:
    """Texts of single tokens, remembered."""

    def __init__(self, text_of: Callable[[int], str]) -> None:
        self.of = lru_cache(maxsize=65_536)(text_of)


def completion_logprobs(
    texts: TokenTexts, logprobs: Sequence[TokenLogprob], num_top: int, offset: int
) -> dict[str, Any]:
    """Parallel lists; the chosen token is always among the `top_logprobs`.

    `text_offset` adds up the texts of single tokens, from `offset`.
    """
    tokens = [texts.of(item.token_id) for item in logprobs]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    tops = []
    for token, item in zip(tokens, logprobs, strict=True):
        top = {token: _finite(item.logprob)}
        for token_id, value in item.top[:num_top]:
            top.setdefault(texts.of(token_id), _finite(value))
        tops.append(top)
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(item.logprob) for item in logprobs],
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def chat_logprobs(texts: TokenTexts, logprobs: Sequence[TokenLogprob]) -> dict[str, Any]:
    """One entry per token, each with its alternatives."""
    content = [
        {
            **_entry(texts, item.token_id, item.logprob),
            "top_logprobs": [_entry(texts, token_id, value) for token_id, value in item.top],
        }
        for item in logprobs
    ]
    return {"content": content, "refusal": None}


def _entry(texts: TokenTexts, token_id: int, logprob: float) -> dict[str, Any]:
    text = texts.of(token_id)
    # The bytes of a token that is a part of a character cannot be told from its text.
    content = None if REPLACEMENT in text else list(text.encode())
    return {"token": text, "logprob": _finite(logprob), "bytes": content}


def _finite(logprob: float) -> float:
    return max(logprob, LOWEST)
