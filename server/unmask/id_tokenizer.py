"""Token ids as text, for checkpoints without a tokenizer."""

from collections.abc import Sequence
from typing import Any

from unmask.errors import InvalidRequest

MAX_DIGITS = 9  # of a token id


class IdTokenizer:
    """Tokenizer of checkpoints without one: texts are token ids, such as `" 12 7"`."""

    eos_token_id = mask_token_id = chat_template = None

    def encode(self, text: str, **_: Any) -> list[int]:
        """Token ids in a text; raises `InvalidRequest`."""
        for word in text.split():
            if not (word.isascii() and word.isdigit() and len(word) <= MAX_DIGITS):
                raise InvalidRequest(
                    "this checkpoint has no tokenizer: send token ids, also as text; "
                    f"{word!r:.40} is not a token id"
                )
        return [int(word) for word in text.split()]

    def decode(self, ids: Sequence[int], **_: Any) -> str:
        return "".join(f" {i}" for i in ids)

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        return [str(i) for i in ids]

    def get_added_vocab(self) -> dict[str, int]:
        return {}
