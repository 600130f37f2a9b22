"""Reader of a grammar's text, from left to right, with the line of what is wrong."""

import re

from unmask.decoding.automata.errors import GrammarTooLarge, InvalidGrammar

MAX_LENGTH = 100_000  # characters of a grammar
MAX_DEPTH = 60  # of groups
COUNTS = re.compile(r"[0-9]{1,5}", re.ASCII)


class Scanner:
    """A text and a place in it; `blank` matches what may stand between two parts."""

    def __init__(self, text: str, blank: re.Pattern[str]) -> None:
        if len(text) > MAX_LENGTH:
            raise GrammarTooLarge(f"a grammar has at most {MAX_LENGTH} characters")
        self.text = text
        self._blank = blank
        self._at = 0
        self._depth = 0
        self.skip()

    @property
    def is_done(self) -> bool:
        return self._at == len(self.text)

    def skip(self) -> None:
        """Go on to the next part."""
        blank = self._blank.match(self.text, self._at)
        self._at = self._at if blank is None else blank.end()

    def sees(self, pattern: re.Pattern[str]) -> bool:
        return pattern.match(self.text, self._at) is not None

    def match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        """The next part if it has this form, which it is read with."""
        found = pattern.match(self.text, self._at)
        if found is not None:
            self._at = found.end()
            self.skip()
        return found

    def take(self, text: str) -> bool:
        """True if the next part is this text, which is read then."""
        is_next = self.text.startswith(text, self._at)
        if is_next:
            self._at += len(text)
            self.skip()
        return is_next

    def opens(self, text: str) -> bool:
        """The same of the beginning of a group; raises `InvalidGrammar` if it is too deep."""
        is_next = self.take(text)
        self._depth += is_next
        if self._depth > MAX_DEPTH:
            raise self.error(f"groups are nested over {MAX_DEPTH} deep")
        return is_next

    def closes(self, text: str) -> None:
        """Read the end of a group; raises `InvalidGrammar` if it is not the next part."""
        self.need(text)
        self._depth -= 1

    def need(self, text: str) -> None:
        """Read this text; raises `InvalidGrammar` if it is not the next part."""
        if not self.take(text):
            raise self.error(f"{text} is missing")

    def count(self) -> int | None:
        """A number, if there is one."""
        found = self.match(COUNTS)
        return None if found is None else int(found[0])

    def error(self, message: str) -> InvalidGrammar:
        line = self.text.count("\n", 0, self._at) + 1
        excerpt = self.text[self._at :].partition("\n")[0][:20]
        place = f", before {excerpt!r}" if excerpt else ""
        return InvalidGrammar(f"{message}{place}", f"line {line} of the grammar")
