"""The file of API keys: a TOML table for each, with the digest of the key, never the key itself."""

import hashlib
import re
import secrets
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from unmask.errors import InvalidConfig
from unmask.usage import NO_LIMITS, ClientLimits

KeyScope = Literal["inference", "metrics", "admin"]
SCOPES: tuple[KeyScope, ...] = get_args(KeyScope)
LIMITS = ("requests_per_minute", "tokens_per_minute", "max_concurrent")
PREFIX = "sk-unmask-"
NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
DIGEST = re.compile(r"[0-9a-f]{64}")
MAX_LIMIT = 2**53


@dataclass(frozen=True, slots=True)
class Key:
    """A key by its SHA-256 digest, its rights, and limits that are set for it alone.

    The scope `admin` includes the others.
    """

    name: str
    digest: bytes
    scopes: frozenset[KeyScope]
    limits: ClientLimits = NO_LIMITS

    def allows(self, scope: KeyScope) -> bool:
        """True if the key has a right."""
        return scope in self.scopes or "admin" in self.scopes


def new_secret() -> str:
    """A key of 256 random bits; its digest needs no salt."""
    return PREFIX + secrets.token_urlsafe(32)


def entry(name: str, secret: str, scopes: Sequence[str]) -> str:
    """The table of a key for the file; raises `InvalidConfig`."""
    digest = hashlib.sha256(secret.encode()).hexdigest()
    listed = ", ".join(f'"{scope}"' for scope in scopes)
    text = f'[{name}]\nsha256 = "{digest}"\nscopes = [{listed}]\n'
    _check_name(name)
    parse_keys(text)
    return text


def parse_keys(text: str) -> tuple[Key, ...]:
    """The keys of a file's text; raises `InvalidConfig`."""
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InvalidConfig(f"not TOML: {error}; `unmask key new NAME` makes an entry") from None
    keys = tuple(_key(name, table) for name, table in tables.items())
    if not keys:
        raise InvalidConfig("there is no key; `unmask key new NAME` makes one")
    if len({key.digest for key in keys}) < len(keys):
        raise InvalidConfig("two names have the same key")
    return keys


def _key(name: str, table: Any) -> Key:
    _check_name(name)
    if not isinstance(table, dict):
        raise InvalidConfig(f"{name} must be a table, [{name}], with sha256")
    unknown = table.keys() - {"sha256", "scopes", *LIMITS}
    if unknown:
        raise InvalidConfig(f"[{name}] has an unknown entry: {min(unknown)}")
    digest = table.get("sha256")
    if not (isinstance(digest, str) and DIGEST.fullmatch(digest)):
        raise InvalidConfig(f"[{name}] needs sha256, 64 hexadecimal digits in lower case")
    return Key(name, bytes.fromhex(digest), _scopes(name, table), _limits(name, table))


def _check_name(name: str) -> None:
    if not NAME.fullmatch(name):
        raise InvalidConfig(f"a key's name has letters, digits, - and _, at most 64; got {name!r}")


def _scopes(name: str, table: Mapping[str, Any]) -> frozenset[KeyScope]:
    given = table.get("scopes", ["inference"])
    scopes = frozenset(scope for scope in SCOPES if isinstance(given, list) and scope in given)
    if not scopes or len(scopes) < len(given):
        raise InvalidConfig(f"[{name}] needs scopes, a list of {', '.join(SCOPES)}")
    return scopes


def _limits(name: str, table: Mapping[str, Any]) -> ClientLimits:
    limits = {limit: table[limit] for limit in LIMITS if limit in table}
    for limit, value in limits.items():
        if type(value) is not int or not 0 < value <= MAX_LIMIT:
            raise InvalidConfig(f"[{name}] {limit} must be a positive integer, got {value!r}")
    return ClientLimits(**limits)
