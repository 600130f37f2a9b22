"""Checkpoint files from a local folder or from a repository of the Hugging Face hub."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from unmask.errors import InvalidCheckpoint

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(@[\w./-]+)?")
SNAPSHOT = re.compile(r"/models--(?:[^/]*--)?([^/]+)/snapshots/[^/]+$")  # of the hub's cache
# Data only: no Python files and no pickles, which could run code.
GGUF = "GGUF is not read: serve the *.safetensors that it was made of"
TOKENIZER_PATTERNS = ["*.json", "*.jinja", "*.model", "*.txt"]
PATTERNS = ["*.safetensors", *TOKENIZER_PATTERNS]
UNREAD = ["*/*.safetensors"]  # the same weights in other formats, such as those of original/
DRAFT_ADAPTER = "linear_spec_lora"  # folder beside Nemotron's weights, fetched and read with them
IMAGE_TOKENIZER = "image_tokenizer"  # the same beside LLaDA2.0-Uni's
BESIDE = DRAFT_ADAPTER, IMAGE_TOKENIZER


def check_path(path: str) -> None:
    """Raise `InvalidCheckpoint` for neither a folder nor a name of the hub; no download."""
    folder = _local(path)
    if not folder.exists() and not REPOSITORY.fullmatch(path.rstrip("/")):
        raise no_folder(folder)


def _local(path: str) -> Path:
    """The path of a folder; raises `InvalidCheckpoint` for a file, and for homes of nobody."""
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise InvalidCheckpoint(f"{path}: {error}") from None
    if folder.is_file():
        raise InvalidCheckpoint(
            f"{path} is a file; a checkpoint is a folder with config.json and *.safetensors. {GGUF}"
        )
    return folder


def no_folder(folder: Path) -> InvalidCheckpoint:
    """The error for a folder that is not there."""
    return InvalidCheckpoint(
        f"there is no folder {folder}; names of the Hugging Face hub are ORG/NAME"
    )


def find_checkpoint(path: str, patterns: Sequence[str] = PATTERNS) -> Path:
    """Local folder of `path`: a folder, or a hub repository `org/name` or `org/name@revision`.

    Downloads missing files of these `patterns`; HF_HOME, HF_TOKEN, HF_ENDPOINT and HF_HUB_OFFLINE
    work as in huggingface_hub. Raises `InvalidCheckpoint`.
    """
    folder = _local(path)
    path = path.rstrip("/")
    if folder.is_dir() or not REPOSITORY.fullmatch(path):
        return folder
    from huggingface_hub import snapshot_download  # slow to import, and folders do not need it

    name, _, revision = path.partition("@")
    download = partial(snapshot_download, name, revision=revision or None)
    try:
        kept = Path(download(allow_patterns=list(patterns), ignore_patterns=UNREAD))
        for beside in BESIDE:  # so far without their weights
            if patterns == PATTERNS and (kept / beside).is_dir():
                download(allow_patterns=[f"{beside}/*.safetensors"])
        return kept
    except Exception as error:  # from the hub, HTTP or the disk; all are reported the same way
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InvalidCheckpoint(
            f"{path} is not a local folder and could not be downloaded from the hub: {reason}"
        ) from error


def display_name(path: str) -> str:
    """Last part of a folder or repository name, without the revision.

    A snapshot in the hub's cache is called after its repository, as names tell some families.
    """
    folder = Path(path).expanduser()
    path = path.rstrip("/") or path
    if not folder.exists() and REPOSITORY.fullmatch(path):
        path = path.partition("@")[0]
    resolved = Path(path).expanduser().resolve()
    snapshot = SNAPSHOT.search(resolved.as_posix())
    return resolved.name if snapshot is None else snapshot[1]
