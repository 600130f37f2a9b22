"""Requests that offer to go on in another protocol, such as HTTP/2, which is not spoken here.

Java's client and `curl --http2` send every first request so. A server may ignore the offer.
"""

from collections.abc import Iterable

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def new_parser(protocol: HttpToolsProtocol) -> httptools.HttpRequestParser:
    """A parser that calls `protocol`, as lenient as uvicorn's."""
    parser = httptools.HttpRequestParser(protocol)
    parser.set_dangerous_leniencies(lenient_data_after_close=True)
    return parser


def head_without_upgrade(
    parser: httptools.HttpRequestParser, url: bytes, headers: Iterable[tuple[bytes, bytes]]
) -> bytes:
    """The head that was parsed last, but for the protocols that it offers."""
    version = parser.get_http_version().encode()
    lines = [parser.get_method() + b" " + url + b" HTTP/" + version]
    lines += [name + b": " + value for name, value in headers if name != b"upgrade"]
    return b"\r\n".join([*lines, b"", b""])
