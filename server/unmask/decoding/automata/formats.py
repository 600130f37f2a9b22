"""Formats of JSON Schema, as regular expressions of texts that every validator takes."""

_YEAR = "[1-9][0-9]{3}"
_MONTHS = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DATE = f"(?:{_YEAR}-{_MONTHS}|{_LEAP}-02-29)"
_HOURS = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOURS}:[0-5][0-9](?:\.[0-9]{{1,9}})?(?:Z|[+-]{_HOURS})"
_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_IPV4 = rf"{_OCTET}(?:\.{_OCTET}){{3}}"
_GROUP = "[0-9A-Fa-f]{1,4}"


def _ipv6() -> str:
    """All eight groups, or a gap of one or more, with the last two perhaps as IPv4."""
    tail = f"(?:{_GROUP}:{_GROUP}|{_IPV4})"
    full = f"(?:{_GROUP}:){{6}}{tail}"
    gaps = [
        f"{_groups(before)}::(?:{_GROUP}:){{{behind}}}{tail}"
        for before in range(6)
        for behind in range(6 - before)
    ]
    short = [
        f"{_groups(before)}::{end}"
        for before in range(8)
        for end in ("", _GROUP)
        if before + bool(end) < 8
    ]
    return "|".join((full, *gaps, *short))


def _groups(count: int) -> str:
    return f"{_GROUP}(?::{_GROUP}){{{count - 1}}}" if count else ""


# Labels have no hyphens in a row, so that none begins with "xn--". A host has 63 characters, or a
# label and 63, which bounds the sizes of all its labels; the limits are 63 of one and 253.
_LABEL = "[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*"
_NAME = r"[A-Za-z](?:-?[A-Za-z0-9])*"  # no number, which would be one of an IPv4 address
_SHORT = "(?=[A-Za-z0-9.-]{1,63}$)"
_FIRST = rf"(?=[A-Za-z0-9-]{{1,63}}\.){_LABEL}\."
_WORD = "[A-Za-z0-9_+-]+"
_LOCAL = rf"(?=[A-Za-z0-9_+.-]{{1,64}}@){_WORD}(?:\.{_WORD})*"

_PATH = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_SEGMENT = _PATH.replace("=:", "=")
_USER = "[A-Za-z0-9._~+-]+(?::[A-Za-z0-9._~+-]*)?"
_HOST = rf"(?:(?:{_LABEL}\.)*{_NAME}|{_IPV4})"
_PORT = "(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_SCHEME = "[a-z][a-z0-9+.-]+"
_END = rf"(?:\?(?:{_PATH}|[/?])*)?(?:#(?:{_PATH}|[/?])*)?"
_FILE = rf"file://{_HOST}?(?:/{_PATH}*)+"
_ADDRESS = rf"(?!file:){_SCHEME}://(?:{_USER}@)?{_HOST}(?::{_PORT})?(?:/{_PATH}*)*|{_FILE}"
# Without a host, which the schemes of the web need.
_OPAQUE = rf"(?!(?:https?|wss?|ftp|file):){_SCHEME}:{_PATH}(?:{_PATH}|/)*"
_RELATIVE = rf"(?:(?:{_SEGMENT}+|/{_PATH}+)(?:/{_PATH}*)*|/)?"
_DURATION_TIME = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION_DATE = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_HEX = "[0-9a-fA-F]"

FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": f"P(?:[0-9]+W|{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME})",
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    "email": rf"{_LOCAL}@{_SHORT}(?:{_LABEL}\.)+{_NAME}",
    "hostname": rf"{_SHORT}{_LABEL}|{_FIRST}{_SHORT}{_LABEL}(?:\.{_LABEL})*",
    "ipv4": _IPV4,
    "ipv6": _ipv6(),
    "json-pointer": "(?:/(?:[A-Za-z0-9_.-]|~[01])*)*",
    "uri": rf"(?:{_ADDRESS}|{_OPAQUE}){_END}",
    "uri-reference": rf"(?:{_ADDRESS}|{_OPAQUE}|{_RELATIVE}){_END}",
}
# Every URI is of these, and so on.
FORMATS |= dict.fromkeys(("uri-template", "iri"), FORMATS["uri"])
FORMATS["iri-reference"] = FORMATS["uri-reference"]
FORMATS |= {"idn-email": FORMATS["email"], "idn-hostname": FORMATS["hostname"]}
# Pydantic's, of a version that it checks: 4 bits, and 2 of the variant.
FORMATS |= {
    f"uuid{version}": f"{_HEX}{{8}}-{_HEX}{{4}}-{version}{_HEX}{{3}}-[89abAB]{_HEX}{{3}}"
    f"-{_HEX}{{12}}"
    for version in range(1, 9)
}

SHORT_URI = range(72, 257)  # lengths of those that `short_uri` makes; longer ones are no use


def short_uri(length: int) -> str:
    """URIs of at most that many characters, with at most 56 up to a path.

    A count of all characters would take as many states for each state of a URI. Here 12 characters
    of a scheme, 41 of a host with its port, and those behind it are counted one after the other.
    """
    behind = f"(?=.{{0,{length - 56}}}$)"
    address = rf"[a-z][a-z0-9+.-]{{1,11}}://(?=[^/?#]{{1,41}}[/?#]|[^/?#]{{1,41}}$){_HOST}"
    scheme = r"(?!(?:https?|wss?|ftp|file):)[a-z][a-z0-9+.-]{1,11}:"
    return (
        rf"(?!file:){address}(?::{_PORT})?{behind}(?:/{_PATH}*)*{_END}"
        rf"|{scheme}{behind}{_PATH}(?:{_PATH}|/)*{_END}"
    )


NUMBER_FORMATS: dict[str, tuple[int, int | None] | None] = {
    **{f"int{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)},
    **{f"uint{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)},
    "uint": (0, None),
    **dict.fromkeys(("int", "float", "double", "decimal")),
}
"""OpenAPI's formats of numbers, which validators do not check, and the numbers that fit."""
TEXT_FORMATS = (
    *("password", "binary", "byte", "path", "file-path", "directory-path", "base64", "base64url"),
    *("ipv4network", "ipv6network", "ipv4interface", "ipv6interface"),
    *("ipvanyaddress", "ipvanynetwork", "ipvanyinterface"),
)
"""Formats of texts of OpenAPI and pydantic, which JSON Schema does not have: read over."""
