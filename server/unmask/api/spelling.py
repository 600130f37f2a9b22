"""Values as JSON spells them, cut short, for messages."""

import json
from typing import Any

MAX_LEN = 80


def spell(value: Any) -> str:
    """The value as JSON, at most `MAX_LEN` characters of it, however large it is."""
    text = _spell(value, MAX_LEN + 1)
    return text if len(text) <= MAX_LEN else f"{text[: MAX_LEN - 3]}..."


def _spell(value: Any, room: int) -> str:
    """The value's first `room` characters at least, where it has as many."""
    if isinstance(value, str):
        return json.dumps(value[:room], ensure_ascii=False)
    if isinstance(value, dict):
        pairs = ((f"{_spell(str(key), room)}: ", item) for key, item in value.items())
        return _joined("{", pairs, "}", room)
    if isinstance(value, list | tuple):
        return _joined("[", (("", item) for item in value), "]", room)
    return json.dumps(value, default=str)


def _joined(opening: str, items: Any, closing: str, room: int) -> str:
    text = opening
    for i, (name, item) in enumerate(items):
        if len(text) > room:
            return text
        text += (", " if i else "") + name
        text += _spell(item, max(1, room - len(text)))
    return text + closing
