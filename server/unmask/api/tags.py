"""Tags in answers that come in pieces."""


def begun(tag: str, text: str) -> int:
    """Characters at the end of a text that may begin a tag, less than the whole tag."""
    return next(size for size in range(len(tag) - 1, -1, -1) if text.endswith(tag[:size]))
