"""Compiles C files once on a machine into shared libraries, and caches them; no torch."""

import ctypes
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

FOLDER = Path(__file__).parent
COMPILE_TIMEOUT_S = 120

Signatures = Mapping[str, tuple[type | None, tuple[type, ...]]]
"""Types of results and arguments by the names of functions."""


def find_compiler() -> str | None:
    """Path of a C compiler; None without one, outside Linux, or with `UNMASK_NATIVE=0`."""
    is_wanted = os.environ.get("UNMASK_NATIVE", "1") != "0"
    if not sys.platform.startswith("linux") or not is_wanted:
        return None
    names = (os.environ.get("CC"), "gcc", "cc", "clang")
    return next((path for name in names if name and (path := shutil.which(name))), None)


def cache_folder() -> Path:
    """Folder of compiled kernels: `unmask` in `XDG_CACHE_HOME`, or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unmask"


def compile_to(
    folder: Path,
    compiler: str,
    flags: Sequence[str],
    names: Sequence[str],
    sources: Path = FOLDER,
) -> Path:
    """The library of the files `names` in a folder, compiled if it is not there yet.

    Any change of a file in `sources`, or of a header of this folder, compiles it anew. Raises
    `OSError` and `subprocess.SubprocessError`.
    """
    files = sorted({*sources.glob("*.[ch]"), *FOLDER.glob("*.h")})
    text = b"".join(path.read_bytes() for path in files)
    words = (compiler, *flags, *names)
    key = hashlib.sha256(text + "\0".join(words).encode()).hexdigest()[:16]
    file = folder / f"kernels-{key}.so"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as scratch:  # others may compile it too
            output = Path(scratch) / file.name
            subprocess.run(
                [compiler, *flags, "-o", str(output), *(str(sources / name) for name in names)],
                check=True,
                capture_output=True,
                text=True,
                timeout=COMPILE_TIMEOUT_S,
            )
            output.replace(file)
    return file


def load_typed(file: Path, signatures: Signatures) -> ctypes.CDLL:
    """A compiled library with the types of its functions; raises `OSError`."""
    compiled = ctypes.CDLL(str(file))
    for name, (result, arguments) in signatures.items():
        function = getattr(compiled, name)
        function.restype, function.argtypes = result, arguments
    return compiled
