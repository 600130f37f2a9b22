"""The socket a server listens on."""

import socket

from unmask.errors import InvalidConfig


def bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; raises `InvalidConfig` if it cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise InvalidConfig(f"cannot listen on {host}: {error.strerror}") from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise InvalidConfig(f"cannot listen on {host}:{port}: {error.strerror}") from error
    return listener
