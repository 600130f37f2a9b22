"""Paths of fields in errors, for bodies that are read as a chat and spell its fields otherwise."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace

from unmask.api.structured import Structured
from unmask.errors import InvalidRequest


@contextmanager
def respelled(words: Mapping[str, str]) -> Iterator[None]:
    """Spell the path in an `InvalidRequest` as the body does: `words` are parts of a chat's."""
    try:
        yield
    except InvalidRequest as error:
        field = _spelled(error.field or "", words)
        if field == (error.field or ""):
            raise
        message = error.message.replace(error.field or "", field)
        raise InvalidRequest(message, field=field, code=error.code) from None


def respelled_in(structured: Structured | None, words: Mapping[str, str]) -> Structured | None:
    """The structure, with paths as the body spells them."""
    if structured is None:
        return None
    parts = tuple(_with_paths(part, words) for part in structured.parts)
    return replace(_with_paths(structured, words), parts=parts)


def _with_paths(structured: Structured, words: Mapping[str, str]) -> Structured:
    return replace(structured, field=_spelled(structured.field, words))


def _spelled(path: str, words: Mapping[str, str]) -> str:
    for word, own in words.items():
        path = path.replace(word, own)
    return path
