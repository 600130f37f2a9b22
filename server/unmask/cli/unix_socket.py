"""Unix socket that a server listens on instead of a port."""

import contextlib
import os
import socket
import stat
from collections.abc import Iterator

from unmask.errors import InvalidConfig


@contextlib.contextmanager
def unix_listener(path: str) -> Iterator[socket.socket]:
    """Socket bound to a path, which is removed at the end; it does not listen yet.

    A socket that nobody listens on any more is replaced. Raises `InvalidConfig` for a path that is
    in use or cannot be made.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise InvalidConfig("this system has no Unix sockets: set server.host and server.port")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if _is_stale(path):
            os.unlink(path)
        listener.bind(path)
        own = _identity(path)
    except OSError as error:
        listener.close()
        raise InvalidConfig(f"cannot listen on {path}: {error.strerror or error}") from error
    try:
        yield listener
    finally:
        listener.close()
        with contextlib.suppress(OSError):
            if own == _identity(path):  # no server has taken its place meanwhile
                os.unlink(path)


def _identity(path: str) -> tuple[int, int, int]:
    """The file at a path, of which a later one may have the number."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_mtime_ns


def _is_stale(path: str) -> bool:
    """True for a socket that nobody listens on."""
    try:
        if not stat.S_ISSOCK(os.stat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            return True
    return False
