"""API keys: of the settings and of a file, found for a request in constant time."""

import hashlib
import hmac
import logging
import os
import time
from pathlib import Path

from starlette.types import Scope

from unmask.api.headers import header
from unmask.api.key_file import Key, KeyScope, parse_keys
from unmask.config import ServerConfig
from unmask.errors import InvalidConfig

logger = logging.getLogger(__name__)

REFRESH_S = 1.0  # between two looks at the file
AUTH = "auth"  # entry of ASGI's scope: the `Key` of the request
Stamp = tuple[int, int, int]


class KeyStore:
    """Keys that requests may carry; the file is read again when it has changed.

    A file that cannot be read any more is told in the log, and the keys stay as they were.
    """

    def __init__(self, config: ServerConfig, refresh_s: float = REFRESH_S) -> None:
        """Read all keys; raises `InvalidConfig`."""
        self._refresh_s = refresh_s
        self._of_settings = _keys_of_settings(config)
        self._path = None if config.api_key_file is None else Path(config.api_key_file)
        self.asks_for_key = config.api_key is not None or self._path is not None
        self.keys = self._of_settings
        self._checked_s = time.monotonic()
        self._stamp: Stamp | None = None
        if self._path is not None:
            self._stamp = _stamp(self._path)
            self.keys = self._with_file(self._path)

    @property
    def asks_for_metrics_key(self) -> bool:
        """True if some key is for metrics, which are open otherwise."""
        self._refresh()
        return any("metrics" in key.scopes for key in self.keys)

    def find(self, scope: Scope) -> Key | None:
        """The key that a request carries, if it is one of these.

        As `Authorization: Bearer KEY`, or as `x-api-key: KEY`, which Anthropic's clients send.
        """
        self._refresh()
        scheme, _, secret = header(scope, b"authorization").partition(" ")
        if scheme.lower() != "bearer":  # none, or a proxy's
            secret = header(scope, b"x-api-key")
        digest = hashlib.sha256(secret.strip().encode("latin-1")).digest()
        matches = [key for key in self.keys if hmac.compare_digest(digest, key.digest)]
        return matches[0] if matches else None

    def _with_file(self, path: Path) -> tuple[Key, ...]:
        """Keys of the settings and of the file; raises `InvalidConfig`."""
        found, own = _read(path), {key.digest: key.name for key in self._of_settings}
        for key in found:
            if key.digest in own:
                raise InvalidConfig(
                    f"server.api_key_file {path}: {key.name} is server.{own[key.digest]} too"
                )
        return self._of_settings + found

    def _refresh(self) -> None:
        now_s = time.monotonic()
        if self._path is None or now_s - self._checked_s < self._refresh_s:
            return
        self._checked_s = now_s
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.keys = self._with_file(self._path)
        except InvalidConfig as error:
            logger.error("the keys stay as they were: %s", error)
        else:
            logger.info("API keys: %s", ", ".join(key.name for key in self.keys))


def _keys_of_settings(config: ServerConfig) -> tuple[Key, ...]:
    keys = dict[bytes, Key]()
    for name, secret in (("api_key", config.api_key), ("metrics_key", config.metrics_key)):
        if secret is None:
            continue
        if not secret.strip():
            raise InvalidConfig(f"server.{name} must not be empty; leave it unset to ask for none")
        right: KeyScope = "inference" if name == "api_key" else "metrics"
        digest = hashlib.sha256(secret.encode()).digest()
        known = keys.get(digest)  # one secret may be both
        scopes = frozenset({right}) | (known.scopes if known else frozenset())
        keys[digest] = Key(known.name if known else name, digest, scopes)
    return tuple(keys.values())


def _read(path: Path) -> tuple[Key, ...]:
    try:
        return parse_keys(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"server.api_key_file {path} cannot be read: {error}") from error
    except InvalidConfig as error:
        raise InvalidConfig(f"server.api_key_file {path}: {error}") from None


def _stamp(path: Path) -> Stamp | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
