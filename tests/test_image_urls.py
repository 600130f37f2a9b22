"""Sizes of images that are refused by a file's header, and data: URLs."""

import base64
import struct
import zlib

import pytest

from tests.support.pictures import in_base64, pixels, png, url_of
from unmask.errors import InvalidRequest
from unmask.image_files import MAX_SIDE, bytes_of_base64, bytes_of_url


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_of_size(width: int, height: int) -> bytes:
    """The beginning of a file that says how large it is."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"")


@pytest.mark.parametrize(
    "size", [(20_000, 20_000), (9_000, 9_000), (MAX_SIDE + 1, 1), (1, MAX_SIDE + 1)], ids=str
)
def test_sizes_beyond_the_limits_are_refused_before_they_are_decoded(
    size: tuple[int, int],
) -> None:
    with pytest.raises(InvalidRequest, match=r"at most|exceeds limit"):
        pixels(png_of_size(*size))


def test_data_urls_have_a_media_type_and_base64() -> None:
    file = png()
    assert bytes_of_url(url_of(file)) == file
    assert bytes_of_url(f"DATA:image/PNG;charset=x;base64,{in_base64(file)}") == file
    assert bytes_of_base64(in_base64(file), "image/jpg") == file
    for wrong in ("data:", "data:,", "data:image/png,aa", "", "a" * 1000, "data:" + "a" * 1000):
        with pytest.raises(InvalidRequest) as caught:
            bytes_of_url(wrong)
        assert len(caught.value.message) < 200
    for text in ("é", "a", "aa\n=", "a b=", "aaa\xa0a", "aaa\u2028a", "aaa\0a", "-_aa"):
        with pytest.raises(InvalidRequest, match="not base64"):
            bytes_of_base64(text, "image/png")


def test_base64_may_be_in_lines_and_have_spaces() -> None:
    file = png()
    lines = base64.encodebytes(file).decode()  # as MIME and the command `base64` write it
    assert "\n" in lines[:-1]
    for text in (lines, lines.replace("\n", "\r\n"), f" \t{lines}\f\v", " ".join(in_base64(file))):
        assert bytes_of_base64(text, "image/png") == file
        assert bytes_of_url(f"data:image/png;base64,{text}") == file
