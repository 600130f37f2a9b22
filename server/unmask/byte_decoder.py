"""Decodes tokens of byte-level tokenizers by a table of their bytes, as `tokenizers` does."""

import codecs
import re
from collections.abc import Callable, Sequence, Set

# Characters that stand for bytes in the vocabulary of a byte-level BPE (GPT-2, Radford et al.,
# 2019): printable ones for themselves, the others from U+0100 on.
PRINTABLE = (*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100))
OTHERS = tuple(byte for byte in range(0x100) if byte not in PRINTABLE)
BYTE_OF = {chr(byte): byte for byte in PRINTABLE} | {
    chr(0x100 + i): byte for i, byte in enumerate(OTHERS)
}
# A byte in the vocabulary of SentencePiece, where no other token has its character.
BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


def byte_level(token: str) -> bytes:
    """Bytes of a token of a byte-level vocabulary."""
    # A token with any other character is text, as those are that were added later.
    is_bytes = all(character in BYTE_OF for character in token)
    return bytes(map(BYTE_OF.__getitem__, token)) if is_bytes else token.encode()


class ByteDecoder:
    """Text of tokens, several times faster than the library's call; special tokens have none.

    `token_of` gives a token's characters in the vocabulary, or None for an id that has none.
    """

    def __init__(self, token_of: Callable[[int], str | None], special_ids: Set[int]) -> None:
        self._token_of = token_of
        self._special_ids = special_ids
        self._bytes: dict[int, bytes] = {}

    def decode(self, token_ids: Sequence[int]) -> str:
        """Text of tokens; bytes that are no whole character become U+FFFD."""
        return self.to_bytes(token_ids).decode("utf-8", "replace")

    def to_bytes(self, token_ids: Sequence[int]) -> bytes:
        """UTF-8 of tokens; the first and the last character may be incomplete."""
        table = self._bytes
        try:
            return b"".join([table[token_id] for token_id in token_ids])
        except KeyError:
            return b"".join([self._bytes_of(token_id) for token_id in token_ids])

    def _bytes_of(self, token_id: int) -> bytes:
        content = self._bytes.get(token_id)
        if content is None:
            token = "" if token_id in self._special_ids else self._token_of(token_id) or ""
            content = self._bytes[token_id] = byte_level(token)
        return content


class ByteStream:
    """Text of tokens that come in pieces; a character's bytes are held back until it is whole."""

    def __init__(self, decoder: ByteDecoder) -> None:
        self._decoder = decoder
        self._held = b""

    def push(self, token_ids: Sequence[int]) -> str:
        """Whole characters that `token_ids` end."""
        content = self._held + self._decoder.to_bytes(token_ids)
        text, num_bytes = codecs.utf_8_decode(content, "replace")
        self._held = content[num_bytes:]
        return text

    def flush(self) -> str:
        """Bytes that are held back: U+FFFD for an incomplete character."""
        held, self._held = self._held, b""
        return held.decode("utf-8", "replace")
