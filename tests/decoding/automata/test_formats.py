"""Formats of strings: examples of RFCs, and texts that are none."""

import ipaddress
import json
import uuid
from collections.abc import Callable
from datetime import date, datetime, time
from random import Random

import pytest
from pydantic import AnyUrl, TypeAdapter

from tests.support.automata import random_word, schema_language
from unmask.decoding.automata.formats import FORMATS

EXAMPLES = {
    "date": (
        ["2024-02-28", "1999-12-31", "2024-02-29", "2000-02-29"],
        ["2023-02-30", "2023-13-01", "23-01-01", "0000-01-01", "2023-02-29", "1900-02-29"],
    ),
    "time": (["23:59:59Z", "08:30:00.123+02:00"], ["24:00:00Z", "08:30", "08:30:60Z", "8:30:00Z"]),
    "date-time": (
        ["1985-04-12T23:20:50.52Z", "2024-02-29T00:00:00.123456789+05:30"],
        ["1985-04-12 23:20:50Z", "1985-04-12T23:20:50"],
    ),
    "duration": (["P4DT12H30M5S", "P2W", "PT36H", "P1Y"], ["P", "PT", "P1YT", "P2W1D", "4D"]),
    "uuid": (["2eb8aa08-AA98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
    "email": (
        [
            "a.b+c@x-y.example.org",
            "customer_service_department@example.com",
            "a.b.c.d@x.com",
            f"{'a' * 64}@b.c",
        ],
        ["a", "a@b", "a@@b.c", ".a@b.c", "a..b@c.d", "a@-b.c", "a@b.1", f"{'a' * 65}@b.c"],
    ),
    "hostname": (
        ["a.b-c.example", "localhost", "a.b.c.d.e", f"{'x' * 40}.{'y' * 40}.com", "x" * 63],
        ["-a", "a-", "a..b", "a_b", "xn--a", ".", "x" * 64, f"a.{'x' * 64}"],
    ),
    "ipv4": (["0.0.0.0", "255.199.20.1"], ["256.1.1.1", "1.1.1", "01.1.1.1", "1.1.1.1.1"]),
    "ipv6": (
        ["::", "::1", "1::", "2001:db8::8:800:200c:417a", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"],
        ["1:2:3:4:5:6:7", "1::2::3", "12345::", ":1", "1:2:3:4:5:6:7::8:9", ":::", "1.2.3.4"],
    ),
    "json-pointer": (["", "/a/0", "/~0~1b-c/"], ["a", "/~", "/~2"]),
    "uri": (
        [
            "https://a.b:80/c%20d?e=f&g#h",
            "ftp://x",
            "https://www.bbc.co.uk",
            "http://127.0.0.1:8000/x",
            "https://localhost:65535",
            "https://user@host.com",
            "postgres://user:word@host/db",
            "file:///etc/hosts",
            "mailto:a@b.c",
            "urn:isbn:123",
        ],
        [
            *("//a", "a b://c", "http:/a", "http://", "/a", "http:a", "file:a", "http://a:65536"),
            *("http://1.2.3.4.5", "http://a.0x1", "http://a.5", "mailto:", "", "file://u@a/b"),
        ],
    ),
    "uri-reference": (
        ["https://a.b", "mailto:a@b.c", "", "/", "/a/b?c#d", "../a", "a", "#a", "?a=b", "a/b:c"],
        ["http:/a", "a b", "%zz", ":a", "http://a:65536"],
    ),
}
EXAMPLES |= {
    f"uuid{version}": (
        [f"2eb8aa08-AA98-{version}1ea-b4aa-73b441d16380"],
        [
            f"2eb8aa08-aa98-{version % 8 + 1}1ea-b4aa-73b441d16380",
            f"2eb8aa08-aa98-{version}1ea-74aa-73b441d16380",
        ],
    )
    for version in range(1, 9)
}
WIDER = {  # formats that every text of another one has too
    **dict.fromkeys(("uri-template", "iri"), "uri"),
    "iri-reference": "uri-reference",
    "idn-email": "email",
    "idn-hostname": "hostname",
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_matches_its_examples_only(name: str) -> None:
    found = schema_language({"type": "string", "format": name})
    good, bad = EXAMPLES[WIDER.get(name, name)]
    for text in good:
        assert found.matches(json.dumps(text).encode()), text
    for text in bad:
        assert not found.matches(json.dumps(text).encode()), text


@pytest.mark.parametrize(
    ("name", "parse"),
    [
        ("date", date.fromisoformat),
        ("date-time", datetime.fromisoformat),
        ("ipv4", ipaddress.IPv4Address),
        ("ipv6", ipaddress.IPv6Address),
        ("uuid", uuid.UUID),
        ("time", time.fromisoformat),
        ("date-time", TypeAdapter(datetime).validate_python),
        ("time", TypeAdapter(time).validate_python),
        ("uri", TypeAdapter(AnyUrl).validate_python),
    ],
)
def test_a_text_of_a_format_can_be_parsed(name: str, parse: Callable[[str], object]) -> None:
    found = schema_language({"type": "string", "format": name})
    random = Random(0)
    for _ in range(200):
        parse(json.loads(random_word(found, random, random.randint(0, 40))))


LISTED: tuple[tuple[str, list[str]], ...] = (
    ("uri", ["mailto:a@b.c", "HTTPS://x.com/a_b?c[]"]),
    ("date", ["0999-01-01"]),
    ("email", ["o'brien@x.ie", "root@localhost"]),
)


@pytest.mark.parametrize(("name", "values"), LISTED)
def test_a_list_says_more_than_a_format(name: str, values: list[str]) -> None:
    items = {"enum": values, "format": name}
    found, distinct = map(schema_language, (items, {"items": items, "uniqueItems": True}))
    for value in values:
        assert found.matches(json.dumps(value).encode())
        assert distinct.matches(json.dumps([value]).encode())
    assert not found.matches(b'"urn:a"')


@pytest.mark.parametrize("most", [256, 2083])  # 2083: of pydantic's HttpUrl
def test_a_uri_with_a_large_limit_of_characters_is_a_short_one(most: int) -> None:
    schema = {"type": "string", "format": "uri", "minLength": 1, "maxLength": most}
    found = schema_language(schema)
    assert len(found.moves) < 2_000
    host, path = "https://" + "a" * 37 + ".com", "https://a.b/" + "x" * 199
    for text in (host, path, "https://a.b:80/c%20d?e=f&g#h", "mailto:a@b.c", "urn:isbn:123"):
        assert found.matches(json.dumps(text).encode()), text
    for text in ("a" * 12 + path, path + "x", host.replace(".", "a."), "http:a", "//a"):
        assert not found.matches(json.dumps(text).encode()), text
    words = [json.loads(random_word(found, Random(goal), goal)) for goal in (40, 300)]
    assert all(len(word) <= most for word in words)
    assert [TypeAdapter(AnyUrl).validate_python(word) for word in words]


@pytest.mark.parametrize("most", [72, 200, 255])
def test_a_uri_has_at_most_the_characters_of_its_limit(most: int) -> None:
    found = schema_language({"type": "string", "format": "uri", "maxLength": most})
    assert len(found.moves) < 2_000
    longest = "a" * 12 + "://" + "b" * 37 + ".com/" + "x" * (most - 57)
    assert len(longest) == most
    assert found.matches(json.dumps(longest).encode())
    assert not found.matches(json.dumps(longest + "x").encode())
    for goal in range(0, 2 * most, 9):
        word = json.loads(random_word(found, Random(goal), goal))
        assert len(word) <= most
        TypeAdapter(AnyUrl).validate_python(word)


def test_no_hostname_or_email_is_longer_than_names_may_be() -> None:
    random = Random(0)
    for name in ("hostname", "email"):
        found = schema_language({"type": "string", "format": name})
        for goal in range(0, 300, 3):
            *local, host = json.loads(random_word(found, random, goal)).split("@")
            assert len(host) <= 253
            assert all(1 <= len(label) <= 63 for label in host.split("."))
            assert all(1 <= len(text) <= 64 for text in local)
