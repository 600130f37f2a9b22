"""Formats of JSON Schema, as regular expressions of texts that every validator takes."""

_YEAR = "[1-9][0-9]{3}"
_MONTHS = (
    "(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    "|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_DATE = f"{_YEAR}-{_MONTHS}"
_HOURS = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_TIME = rf"{_HOURS}:[0-5][0-9](?:\.[0-9]{{1,6}})?(?:Z|[+-]{_HOURS})"
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


# Four labels of 59 characters at most, the limits being 63 and 253, without "xn--".
_LABEL = "[A-Za-z0-9](?:-?[A-Za-z0-9]){0,29}"
_LETTERS = "[A-Za-z][A-Za-z0-9]{0,29}"
_WORD = "[A-Za-z0-9_+-]{1,20}"
_PATH = "(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_DURATION_TIME = "T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)"
_DURATION_DATE = "(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)"
_HEX = "[0-9a-fA-F]"

FORMATS = {
    "date": _DATE,
    "time": _TIME,
    "date-time": f"{_DATE}T{_TIME}",
    "duration": f"P(?:[0-9]+W|{_DURATION_DATE}(?:{_DURATION_TIME})?|{_DURATION_TIME})",
    "uuid": f"{_HEX}{{8}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{4}}-{_HEX}{{12}}",
    "email": rf"{_WORD}(?:\.{_WORD}){{0,2}}@{_LABEL}(?:\.{_LABEL}){{0,2}}\.{_LETTERS}",
    "hostname": rf"{_LABEL}(?:\.{_LABEL}){{0,2}}(?:\.{_LETTERS})?",
    "ipv4": _IPV4,
    "ipv6": _ipv6(),
    "json-pointer": "(?:/(?:[A-Za-z0-9_.-]|~[01])*)*",
    "uri": rf"[a-z][a-z0-9+.-]{{1,15}}://{_LABEL}(?:\.{_LABEL}){{0,2}}(?::[1-9][0-9]{{0,3}})?"
    rf"(?:/{_PATH}*)*(?:\?(?:{_PATH}|[/?])*)?(?:#(?:{_PATH}|[/?])*)?",
}
# Every URI is of these, and so on.
FORMATS |= dict.fromkeys(("uri-reference", "uri-template", "iri", "iri-reference"), FORMATS["uri"])
FORMATS |= {"idn-email": FORMATS["email"], "idn-hostname": FORMATS["hostname"]}
# Pydantic's, of a version that it checks: 4 bits, and 2 of the variant.
FORMATS |= {
    f"uuid{version}": f"{_HEX}{{8}}-{_HEX}{{4}}-{version}{_HEX}{{3}}-[89abAB]{_HEX}{{3}}"
    f"-{_HEX}{{12}}"
    for version in range(1, 9)
}

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
