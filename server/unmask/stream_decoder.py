"""Incremental decoding of streams by tokenizers whose tokens need context."""

from collections.abc import Callable, Sequence

REPLACEMENT = "�"
MAX_PENDING = 16  # tokens without whole text; a character has four at most


class StreamDecoder:
    """Incremental decoder: text is only appended, and does not depend on the chunks of tokens.

    Tokens are pending while their last character may still change. The last emitted tokens are kept
    as context: decoders treat the first token of a text in a special way, and byte decoders
    replace a run of bytes that is cut within a character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._context: list[int] = []
        self._context_text = ""
        self._pending: list[int] = []

    def push(self, token_ids: Sequence[int]) -> str:
        """Text made final by `token_ids`."""
        if not token_ids:
            return ""
        if not self._pending:
            text = self._decode([*self._context, *token_ids])
            fresh = text[len(self._context_text) :]
            if text.startswith(self._context_text) and REPLACEMENT not in fresh:
                self._keep_context(token_ids, fresh)
                return fresh
        return "".join(self._push_one(token_id) for token_id in token_ids)

    def flush(self) -> str:
        """Text of all pending tokens, incomplete characters included."""
        fresh = self._text_of(self._pending)
        self._context, self._context_text, self._pending = [], "", []
        return fresh

    def _push_one(self, token_id: int) -> str:
        self._pending.append(token_id)
        fresh = self._text_of(self._pending)
        if not fresh.endswith(REPLACEMENT):
            return self._emit(len(self._pending), fresh)
        if len(self._pending) > 1 and (cut := self._whole_from()) is not None:
            return self._emit(cut, self._text_of(self._pending[:cut])) + self._emit(
                len(self._pending), self._text_of(self._pending)
            )
        if len(self._pending) > MAX_PENDING and (cut := self._cut(fresh)) is not None:
            return self._emit(cut, self._text_of(self._pending[:cut]))
        return ""

    def _whole_from(self) -> int | None:
        """Fewest leading pending tokens without which the rest is whole text, or None."""
        for cut in range(1, len(self._pending)):
            rest = self._text_of(self._pending[cut:], alone=True)
            if rest and not rest.endswith(REPLACEMENT):
                return cut
        return None

    def _cut(self, fresh: str) -> int | None:
        """Index that splits the pending tokens without changing their text, or None."""
        for cut in range(len(self._pending) - 1, len(self._pending) - 4, -1):
            rest = self._text_of(self._pending[cut:], alone=True)
            if self._text_of(self._pending[:cut]) + rest == fresh:
                return cut
        return None

    def _text_of(self, token_ids: Sequence[int], *, alone: bool = False) -> str:
        """Text of tokens that follow the context."""
        if not alone:
            text = self._decode([*self._context, *token_ids])
            fresh = text[len(self._context_text) :]
            if text.startswith(self._context_text) and REPLACEMENT not in self._context_text:
                return fresh
            # Invalid bytes can turn valid ones beside them into U+FFFD, on both sides.
            separate = self._decode(token_ids)
            is_spoiled = not text.startswith(self._context_text)
            if is_spoiled or separate.count(REPLACEMENT) < fresh.count(REPLACEMENT):
                return separate
            return fresh
        return self._decode(token_ids)

    def _emit(self, num_tokens: int, fresh: str) -> str:
        emitted, self._pending = self._pending[:num_tokens], self._pending[num_tokens:]
        self._keep_context(emitted, fresh)
        return fresh

    def _keep_context(self, token_ids: Sequence[int], fresh: str) -> None:
        """Keep the shortest run of last tokens with whole text as context."""
        known = [*self._context, *token_ids]
        if not fresh and len(known) <= MAX_PENDING:
            self._context = known  # tokens without text, such as special ones
            return
        for length in range(4, 8):  # a character has four tokens at most
            tail = known[-length:]
            text = self._decode(tail)
            if text and REPLACEMENT not in text:
                self._context, self._context_text = tail, text
                return
        if not self._context_text or REPLACEMENT in self._context_text:
            self._context = list(token_ids[-MAX_PENDING:])
            self._context_text = self._decode(self._context)
