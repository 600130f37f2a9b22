"""Live answer of a request in a terminal: final text, then the open block."""

from collections.abc import Collection

from rich.text import Text

from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Event, Finish, Refinement

UNRESOLVED = "dim"
RESOLVED = "bold"
PLACEHOLDER = "·"  # unresolved token, without styles or without text


class LiveAnswer:
    """Collects the events of one request and renders its answer so far."""

    def __init__(self, tokenizer: Tokenizer, eos_token_ids: Collection[int]) -> None:
        self._tokenizer = tokenizer
        self._eos = frozenset(eos_token_ids)
        self._token_ids: list[int] = []
        self._open: Refinement | None = None
        self.text = ""
        self.finish: Finish | None = None

    def take(self, event: Event) -> bool:
        """Add an event; True if the rendered answer changes."""
        if isinstance(event, Refinement):
            self._open = event
            return True
        if not isinstance(event, Delta):
            raise AssertionError("an in-process engine raises instead of sending failures")
        self._token_ids += event.token_ids
        self.text += event.text
        self.finish = event.finish
        return bool(event.text) or event.finish is not None

    def render(self, *, styled: bool = True) -> Text:
        """Final text plain, resolved tokens of the open block bold, others dim or hidden."""
        block = self._open
        if block is None or self.finish is not None or block.span[1] <= len(self._token_ids):
            return Text(self.text)
        answer = Text(self._tokenizer.decode(self._token_ids[: block.span[0]]))
        for token in block.tokens or ():
            if token.resolved and token.token_id in self._eos:
                break
            text = self._tokenizer.decode([token.token_id])  # nothing of a mask
            if not token.resolved and not (text and styled):
                text = PLACEHOLDER
            answer.append(text, RESOLVED if token.resolved else UNRESOLVED)
        return answer
