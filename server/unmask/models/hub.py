"""Where a checkpoint's files are: a local folder, or a repository of the Hugging Face hub."""

import re
from pathlib import Path

from unmask.errors import InvalidCheckpoint

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
# Data only: neither Python files nor pickles are fetched, so that nothing of them can be run.
PATTERNS = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


def find_checkpoint(path: str) -> Path:
    """The folder `path`, or that of the hub's `org/name` or `org/name@revision`.

    What is not here yet is fetched; HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE mean what
    they mean everywhere. Raises `InvalidCheckpoint`.
    """
    folder = Path(path).expanduser()
    if folder.is_dir() or not REPOSITORY.fullmatch(path) or folder.exists():
        return folder
    from huggingface_hub import snapshot_download  # a folder needs none of it

    name, _, revision = path.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=PATTERNS))
    except Exception as error:  # of the hub, of HTTP or of the disk: none of them is of use here
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidCheckpoint(
            f"{path} is no folder here and could not be fetched from the hub: {reason}"
        ) from error


def display_name(path: str) -> str:
    """The last part of a folder or of a repository's name, without a revision."""
    folder = Path(path).expanduser()
    if not folder.exists() and REPOSITORY.fullmatch(path):
        path = path.partition("@")[0]
    return Path(path).expanduser().resolve().name
