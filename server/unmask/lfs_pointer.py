"""Pointers of Git LFS, which stand for large files until these are downloaded."""

from pathlib import Path

BEGIN = b"version https://git-lfs"
MEANING = "is a Git LFS pointer; download the file with git lfs pull"


def is_lfs_pointer(path: Path) -> bool:
    """True for a file that is such a pointer."""
    with path.open("rb") as file:
        return file.read(len(BEGIN)) == BEGIN
