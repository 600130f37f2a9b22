"""Final text of final tokens, without stop strings, and the text of drafts."""

from typing import NamedTuple

from unmask.tokenizer import Tokenizer

MASK_GLYPH = "░"


class TextPiece(NamedTuple):
    """Text made final by some tokens; `num_tokens` of them count, all but when a stop matched."""

    text: str
    num_tokens: int
    stop: str | None = None


class TextAssembler:
    """Decodes one answer and holds text back while it might be the start of a stop string."""

    def __init__(
        self,
        tokenizer: Tokenizer,
        stops: tuple[str, ...],
        *,
        kept: tuple[str, ...] = (),
        min_tokens: int = 0,
    ) -> None:
        """Of the `stops`, those `kept` stay in the text where they match.

        None matches in the text of the first `min_tokens`.
        """
        self._decoder = tokenizer.stream()
        self._num_early = min_tokens  # tokens that are still to come
        self._stops = stops
        self._kept = kept
        self._held = ""

    def push(self, token_ids: list[int], *, last: bool) -> TextPiece:
        """Text that `token_ids` make final; after the `last` ones nothing is held back."""
        if not self._stops:
            text = self._decoder.push(token_ids)
            return TextPiece(text + self._decoder.flush() if last else text, len(token_ids))
        ready = ""
        for i, token_id in enumerate(token_ids):
            self._held += self._decoder.push([token_id])
            if self._num_early:
                self._num_early -= 1
                ready, self._held = ready + self._held, ""
            if (match := self._first_stop()) is not None:
                return TextPiece(ready + self._up_to(*match), i + 1, match[1])
            keep = self._possible_stop()
            cut = len(self._held) - keep
            ready, self._held = ready + self._held[:cut], self._held[cut:]
        if last:
            self._held += self._decoder.flush()
            if (match := self._first_stop()) is not None:
                return TextPiece(ready + self._up_to(*match), len(token_ids), match[1])
            ready, self._held = ready + self._held, ""
        return TextPiece(ready, len(token_ids))

    def _up_to(self, at: int, stop: str) -> str:
        """Held text up to a stop string at `at`."""
        return self._held[: at + len(stop)] if stop in self._kept else self._held[:at]

    def _first_stop(self) -> tuple[int, str] | None:
        matches = [(at, stop) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        return min(matches, default=None)

    def _possible_stop(self) -> int:
        """Length of the longest end of the held text that a stop string begins with."""
        longest = max(len(stop) for stop in self._stops) - 1
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0


def draft_text(tokenizer: Tokenizer, ids: list[int], masked: list[bool]) -> str:
    """Text of the resolved positions, with a glyph for each that is still masked."""
    parts: list[str] = []
    run: list[int] = []
    for token_id, is_masked in zip(ids, masked, strict=True):
        if is_masked:
            parts += [tokenizer.decode(run), MASK_GLYPH]
            run = []
        else:
            run.append(token_id)
    return "".join([*parts, tokenizer.decode(run)])
