"""Clients that share the server: whoever a request is of, and what that one may do."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache

from starlette.types import Scope

from unmask.api.key_file import Key
from unmask.api.keys import AUTH
from unmask.metrics import NO_KEY
from unmask.usage import ClientLimits

IPV6_PREFIX = 64  # bits that a subscriber usually has the rest of
KEY_DIGITS = 16  # hexadecimal digits of a key's hash, which names it


@dataclass(frozen=True, slots=True)
class Client:
    """An API key, or an address where no key is asked for: it has one share and its limits.

    `key` is the name of the key, for metrics.
    """

    name: str
    limits: ClientLimits
    key: str = NO_KEY


def client_of(scope: Scope, limits: ClientLimits) -> Client:
    """The client of an HTTP request; a key's own limits are before those of all clients.

    Nothing that a client may choose freely counts, such as the field `user`: only a key that was
    checked before, or the address of the connection.
    """
    key: Key | None = scope.get(AUTH)
    if key is None:
        caller = scope.get("client")
        return Client(_network(str(caller[0])) if caller else "", limits)
    return Client(f"key-{key.digest.hex()[:KEY_DIGITS]}", limits.overridden(key.limits), key.name)


@lru_cache(maxsize=4096)
def _network(caller: str) -> str:
    """The address, of IPv6 the network: a subscriber has as many addresses of it as it likes."""
    try:
        address = ipaddress.ip_address(caller)
    except ValueError:
        return caller
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, IPV6_PREFIX), strict=False))
    return str(address)
