"""Schemas of Anthropic's bodies beyond their types: what each block has, and whose it may be."""

from collections.abc import Iterable, Mapping
from typing import Any

TEXT: Mapping[str, Any] = {"required": ["text"], "properties": {"text": {"type": "string"}}}
IMAGE: Mapping[str, Any] = {
    "required": ["source"],
    "properties": {"type": {"const": "image"}, "source": {"type": "object"}},
}
THOUGHTS = ("thinking", "redacted_thinking")
ROLES: Mapping[str, tuple[str, ...]] = {
    "user": ("text", "image", "tool_result"),
    "assistant": ("text", "tool_use", *THOUGHTS),
    "system": ("text",),
}
"""Kinds of blocks that each role may have."""
NEUTRAL: Mapping[str, Any] = {
    **{"n": 1, "best_of": 1},
    **dict.fromkeys(("stream_refinements", "diffusing", "return_token_ids"), False),
}
"""Values besides null of fields that are unknown here, and say nothing."""


def _block(
    kinds: Iterable[str], required: Iterable[str] = (), **fields: Mapping[str, Any]
) -> dict[str, Any]:
    """Blocks of some kinds, with fields that must be texts, and others."""
    texts = {name: {"type": "string"} for name in required}
    properties = {"type": {"enum": [*kinds]}, **texts, **fields}
    return {"required": [*texts], "properties": properties}


def _turn(role: str, kinds: Iterable[str]) -> dict[str, Any]:
    items = {"properties": {"type": {"enum": [*kinds]}}}
    content = {"anyOf": [{"type": "string"}, {"type": "array", "items": items}]}
    return {"properties": {"role": {"const": role}, "content": content}}


TEXTS: Mapping[str, Any] = {"items": TEXT}
"""Blocks that must have a text, whatever their kinds."""
RESULT: Mapping[str, Any] = {
    "anyOf": [
        {"type": ["string", "null"]},
        {"type": "array", "items": {"anyOf": [TEXT, IMAGE]}},
    ]
}
BLOCK: dict[str, Any] = {
    "anyOf": [
        _block(["text"], ["text"]),
        dict(IMAGE),
        _block(THOUGHTS),
        _block(["tool_use"], ["name"]),
        _block(["tool_result"], ["tool_use_id"], content=RESULT),
    ]
}
MESSAGE: dict[str, Any] = {"anyOf": [_turn(role, kinds) for role, kinds in ROLES.items()]}
CHOICE: dict[str, Any] = {
    "anyOf": [
        {"properties": {"type": {"enum": ["auto", "any", "none"]}}},
        {"required": ["name"], "properties": {"name": {"type": "string"}}},
    ]
}


def without(absent: Iterable[str], schema: dict[str, Any]) -> None:
    """Have unknown fields null or neutral, and stop strings under the name that they have here."""
    properties = schema["properties"]
    for name in absent:
        neutral = [NEUTRAL[name]] if name in NEUTRAL else []
        properties[name] = {"enum": [None, *neutral]}
    properties["stop_sequences"] = properties["stop"]
