"""Formats of strings: examples of RFCs, and texts that are none."""

import ipaddress
import json
import uuid
from datetime import date, datetime
from random import Random

import pytest

from tests.support.automata import random_word, schema_language
from unmask.decoding.automata.formats import FORMATS

EXAMPLES = {
    "date": (["2024-02-28", "1999-12-31"], ["2023-02-30", "2023-13-01", "23-01-01", "0000-01-01"]),
    "time": (["23:59:59Z", "08:30:00.123+02:00"], ["24:00:00Z", "08:30", "08:30:60Z", "8:30:00Z"]),
    "date-time": (["1985-04-12T23:20:50.52Z"], ["1985-04-12 23:20:50Z", "1985-04-12T23:20:50"]),
    "duration": (["P4DT12H30M5S", "P2W", "PT36H", "P1Y"], ["P", "PT", "P1YT", "P2W1D", "4D"]),
    "uuid": (["2eb8aa08-AA98-11ea-b4aa-73b441d16380"], ["2eb8aa08aa9811eab4aa73b441d16380"]),
    "email": (["a.b+c@x-y.example.org"], ["a", "a@b", "a@@b.c", ".a@b.c", "a..b@c.d", "a@-b.c"]),
    "hostname": (["a.b-c.example", "localhost"], ["-a", "a-", "a..b", "a_b", "xn--a", "."]),
    "ipv4": (["0.0.0.0", "255.199.20.1"], ["256.1.1.1", "1.1.1", "01.1.1.1", "1.1.1.1.1"]),
    "ipv6": (
        ["::", "::1", "1::", "2001:db8::8:800:200c:417a", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4"],
        ["1:2:3:4:5:6:7", "1::2::3", "12345::", ":1", "1:2:3:4:5:6:7::8:9", ":::", "1.2.3.4"],
    ),
    "json-pointer": (["", "/a/0", "/~0~1b-c/"], ["a", "/~", "/~2"]),
    "uri": (["https://a.b:80/c%20d?e=f&g#h", "ftp://x"], ["//a", "a b://c", "http:/a", "http://"]),
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
    **dict.fromkeys(("uri-reference", "uri-template", "iri", "iri-reference"), "uri"),
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
    ],
)
def test_a_text_of_a_format_can_be_parsed(name: str, parse: type) -> None:
    found = schema_language({"type": "string", "format": name})
    random = Random(0)
    for _ in range(200):
        parse(json.loads(random_word(found, random, random.randint(0, 40))))
