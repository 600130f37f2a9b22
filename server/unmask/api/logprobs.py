"""Log-probabilities in OpenAI's two formats: of completions and of chats."""

from collections.abc import Callable, Sequence
from functools import lru_cache

from unmask.api.response_models import (
    ChatLogprobs,
    ChosenLikelihood,
    CompletionLogprobs,
    PromptLogprobs,
    RankedLikelihood,
    TokenLikelihood,
)
from unmask.byte_decoder import ByteStream
from unmask.stream_decoder import REPLACEMENT, StreamDecoder
from unmask.types import TokenLogprob

LOWEST = -9999.0  # JSON has no -inf; vLLM's value


class TokenTexts:
    """A cache of the texts of single tokens, and of their bytes."""

    def __init__(
        self, token_text: Callable[[int], str], token_bytes: Callable[[int], bytes]
    ) -> None:
        self.text = lru_cache(maxsize=65_536)(token_text)
        self.bytes = lru_cache(maxsize=65_536)(token_bytes)


class TextOffsets:
    """Places of tokens in a text, from `place` on; pieces of a character share theirs.

    A control token has no length, unless the `echo` that they are from spells it.
    """

    def __init__(
        self,
        texts: TokenTexts,
        stream: ByteStream | StreamDecoder,
        *,
        place: int = 0,
        echo: str = "",
    ) -> None:
        self._texts, self._stream, self._echo = texts, stream, echo
        self._next = place

    def of(self, token_id: int) -> int:
        """The place of the next token."""
        place, length = self._next, len(self._stream.push((token_id,)))
        own = "" if length else self._texts.text(token_id)
        if REPLACEMENT not in own and self._echo.startswith(own, place):
            length += len(own)
        self._next += length
        return place


def completion_logprobs(
    texts: TokenTexts, logprobs: Sequence[TokenLogprob], num_top: int, offsets: TextOffsets
) -> CompletionLogprobs:
    """Parallel lists; `top_logprobs` always contains the chosen token."""
    tokens = [texts.text(item.token_id) for item in logprobs]
    tops: list[dict[str, float] | None] = []
    for token, item in zip(tokens, logprobs, strict=True):
        top = {token: _finite(item.logprob)}
        for token_id, value in item.top[:num_top]:
            top.setdefault(texts.text(token_id), _finite(value))
        tops.append(top)
    return {
        "tokens": tokens,
        "token_logprobs": [_finite(item.logprob) for item in logprobs],
        "top_logprobs": tops,
        "text_offset": [offsets.of(item.token_id) for item in logprobs],
    }


def echoed_logprobs(
    texts: TokenTexts,
    prompt: Sequence[int],
    logprobs: Sequence[TokenLogprob],
    num_top: int,
    offsets: TextOffsets,
) -> CompletionLogprobs:
    """Parallel lists of a prompt's tokens; the first has no log-probability, as in vLLM."""
    first = offsets.of(prompt[0])
    rest = completion_logprobs(texts, logprobs, num_top, offsets)
    return {
        "tokens": [texts.text(prompt[0]), *rest["tokens"]],
        "token_logprobs": [None, *rest["token_logprobs"]],
        "top_logprobs": [None, *rest["top_logprobs"]],
        "text_offset": [first, *rest["text_offset"]],
    }


def joined(first: CompletionLogprobs, second: CompletionLogprobs | None) -> CompletionLogprobs:
    """Lists of both, one after the other."""
    if second is None:
        return first
    return {
        "tokens": first["tokens"] + second["tokens"],
        "token_logprobs": first["token_logprobs"] + second["token_logprobs"],
        "top_logprobs": first["top_logprobs"] + second["top_logprobs"],
        "text_offset": first["text_offset"] + second["text_offset"],
    }


def prompt_logprobs(
    texts: TokenTexts, logprobs: Sequence[TokenLogprob], num_top: int
) -> PromptLogprobs:
    """The prompt's token and the likeliest ones at each position, by their ids as in vLLM."""
    found: PromptLogprobs = [None]
    for item in logprobs:
        assert item.rank is not None, "the token was given"
        own = {str(item.token_id): _ranked(texts, item.token_id, item.logprob, item.rank)}
        for rank, (token_id, value) in enumerate(item.top[:num_top], 1):
            own.setdefault(str(token_id), _ranked(texts, token_id, value, rank))
        found.append(own)
    return found


def _ranked(texts: TokenTexts, token_id: int, logprob: float, rank: int) -> RankedLikelihood:
    return {"logprob": _finite(logprob), "rank": rank, "decoded_token": texts.text(token_id)}


def chat_logprobs(texts: TokenTexts, logprobs: Sequence[TokenLogprob]) -> ChatLogprobs:
    """One entry per token, each with its alternatives."""
    content: list[ChosenLikelihood] = [
        {
            **_entry(texts, item.token_id, item.logprob),
            # Of the chosen token the same number, which rounds otherwise among the likeliest.
            "top_logprobs": [
                _entry(texts, token_id, item.logprob if token_id == item.token_id else value)
                for token_id, value in item.top
            ],
        }
        for item in logprobs
    ]
    return {"content": content, "refusal": None}


def _entry(texts: TokenTexts, token_id: int, logprob: float) -> TokenLikelihood:
    return {
        "token": texts.text(token_id),
        "logprob": _finite(logprob),
        "bytes": list(texts.bytes(token_id)),
    }


def _finite(logprob: float) -> float:
    return max(logprob, LOWEST)
