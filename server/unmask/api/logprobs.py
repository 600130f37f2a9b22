"""Log-probabilities in OpenAI's two formats: of completions and of chats."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from unmask.api.response_models import (
    ChatLogprobs,
    ChosenLikelihood,
    CompletionLogprobs,
    TokenLikelihood,
)
from unmask.tokenizer import REPLACEMENT
from unmask.types import TokenLogprob

LOWEST = -9999.0  # JSON has no -inf; vLLM's value


class TokenTexts:
    """A cache of the texts of single tokens."""

    def __init__(self, token_text: Callable[[int], str]) -> None:
        self.text = lru_cache(maxsize=65_536)(token_text)


def completion_logprobs(
    texts: TokenTexts, logprobs: Sequence[TokenLogprob], num_top: int, offset: int
) -> CompletionLogprobs:
    """Parallel lists; `top_logprobs` always contains the chosen token.

    `text_offset` adds up the lengths of single tokens' texts, from `offset`.
    """
    tokens = [texts.text(item.token_id) for item in logprobs]
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token)
    tops = []
    for token, item in zip(tokens, logprobs, strict=True):
        top = {token: _finite(item.logprob)}
        for token_id, value in item.top[:num_top]:
            top.setdefault(texts.text(token_id), _finite(value))
        tops.append(top)
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(item.logprob) for item in logprobs],
        "top_logprobs": tops,
        "text_offset": offsets,
    }


def chat_logprobs(texts: TokenTexts, logprobs: Sequence[TokenLogprob]) -> ChatLogprobs:
    """One entry per token, each with its alternatives."""
    content: list[ChosenLikelihood] = [
        {
            **_entry(texts, item.token_id, item.logprob),
            "top_logprobs": [_entry(texts, token_id, value) for token_id, value in item.top],
        }
        for item in logprobs
    ]
    return {"content": content, "refusal": None}


def _entry(texts: TokenTexts, token_id: int, logprob: float) -> TokenLikelihood:
    text = texts.text(token_id)
    # A token that is part of a character decodes to a replacement character: its bytes are lost.
    content = None if REPLACEMENT in text else list(text.encode())
    return {"token": text, "logprob": _finite(logprob), "bytes": content}


def _finite(logprob: float) -> float:
    return max(logprob, LOWEST)
