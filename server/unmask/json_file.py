"""Small files: texts, and JSON objects of a checkpoint folder."""

import json
from pathlib import Path
from typing import Any

from unmask import lfs_pointer
from unmask.errors import InvalidCheckpoint

MAX_CHARS = 16 * 2**20


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """The JSON object in a file; if it is `optional`, none is an empty one.

    Raises `InvalidCheckpoint`.
    """
    try:
        content: dict[str, Any] = json.loads(read_text(path))
    except FileNotFoundError as error:
        if optional:
            return {}
        raise InvalidCheckpoint(f"there is no {path.name} in {path.parent}") from error
    except OSError as error:
        raise InvalidCheckpoint(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        if lfs_pointer.is_lfs_pointer(path):
            raise InvalidCheckpoint(f"{path} {lfs_pointer.MEANING}") from error
        raise InvalidCheckpoint(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidCheckpoint(
            f"{path} must be a JSON object, got a value of type {type(content).__name__}"
        )
    return content


def read_text(path: Path) -> str:
    """Text of a regular file of at most `MAX_CHARS`; raises `InvalidCheckpoint`.

    Also `OSError`, and `ValueError` for a text that is not UTF-8.
    """
    if path.exists() and not path.is_file():
        raise InvalidCheckpoint(f"{path} is not a regular file")
    with path.open(encoding="utf-8") as file:
        text = file.read(MAX_CHARS + 1)
    if len(text) > MAX_CHARS:
        raise InvalidCheckpoint(f"{path} is larger than {MAX_CHARS // 2**20} MiB")
    return text
