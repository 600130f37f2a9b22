"""API keys: read from settings and a file, compared with a request's."""

import hashlib
import hmac
from collections.abc import Iterable
from pathlib import Path

from starlette.datastructures import Headers
from starlette.types import Scope

from unmask.config import ServerConfig
from unmask.errors import InvalidConfig


class KeyRing:
    """Digests of keys, compared in constant time."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._digests = [hashlib.sha256(key.encode()).digest() for key in keys]

    def __bool__(self) -> bool:
        return bool(self._digests)

    def opens(self, scope: Scope) -> bool:
        """True if a request carries one of the keys.

        As `Authorization: Bearer KEY`, or as `x-api-key: KEY`, which Anthropic's clients send.
        """
        headers = Headers(scope=scope)
        scheme, _, key = headers.get("authorization", "").partition(" ")
        if not scheme:
            scheme, key = "bearer", headers.get("x-api-key", "")
        digest = hashlib.sha256(key.strip().encode("latin-1")).digest()
        matches = [hmac.compare_digest(digest, known) for known in self._digests]
        return any(matches) and scheme.lower() == "bearer"


def api_keys(config: ServerConfig) -> tuple[str, ...]:
    """The key of the settings and those of the key file; raises `InvalidConfig`."""
    keys = () if config.api_key is None else (config.api_key,)
    if any(not key.strip() for key in keys):
        raise InvalidConfig("server.api_key must not be empty; leave it unset to ask for no key")
    if config.api_key_file is None:
        return keys
    path = Path(config.api_key_file)
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"server.api_key_file {path} cannot be read: {error}") from error
    keys_of_file = tuple(line for line in lines if line and not line.startswith("#"))
    if not keys_of_file:
        raise InvalidConfig(f"server.api_key_file {path} has no key")
    return keys + keys_of_file
