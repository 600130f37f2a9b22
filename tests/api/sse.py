"""A strict parser of streams."""

import json
from typing import Any


def events(text: str) -> list[dict[str, Any]]:
    """Chunks of a whole stream: asserts that it is `data:` lines and pings up to `[DONE]`."""
    assert text.endswith("data: [DONE]\n\n")
    frames = text.removesuffix("data: [DONE]\n\n").split("\n\n")
    assert frames.pop() == ""
    chunks = []
    for frame in frames:
        if frame == ": ping":
            continue
        assert frame.startswith("data: ")
        assert len(frame.splitlines()) == 1
        chunks.append(json.loads(frame.removeprefix("data: ")))
    return chunks


def joined(chunks: list[dict[str, Any]], index: int = 0) -> str:
    """The text of one choice, chats and completions alike."""
    return "".join(
        choice["text"] if "text" in choice else choice["delta"].get("content", "")
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )
