"""Errors of grammars: each is an invalid request that says where and what."""

from unmask.errors import InvalidRequest


class InvalidGrammar(InvalidRequest):
    """Grammar that has no meaning, or one that is not supported, by the path of its part.

    `path` is a JSON pointer in a schema, a place in a regular expression, or empty.
    """

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path


class NotSupported(InvalidGrammar):
    """Schema with a keyword that has a meaning, but is not followed; `path` leads to it."""


class GrammarTooLarge(InvalidRequest):
    """Grammar beyond a limit of states, edges or seconds; the message says which."""


class GrammarTooSlow(GrammarTooLarge):
    """Grammar that takes longer to compile than it may."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"the grammar is too large: it takes over {seconds:g} s to compile")
        self.seconds = seconds


class NoAnswer(InvalidRequest):
    """Grammar that no text, or no text of this model's tokens, matches."""
