"""Token ids of texts that were encoded lately: chats come again with one turn more."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

MAX_IDS = 2**17  # of each of two generations; about 5 MiB
TEXT_IDS = 8  # ids that a text counts for besides its own
LOCAL = ("ByteLevel", "Split", "Digits")  # pre-tokenizers that see a piece alone
FLAGS = ("lstrip", "rstrip", "single_word", "normalized")  # of tokens that see more than themselves


class RecentTexts:
    """Encodes texts, those of lately from memory; for any number of threads.

    Texts are forgotten by generations: a full one becomes the old one, whose texts are forgotten if
    none asks for them until the next is full.
    """

    def __init__(self, encode: Callable[[str], Sequence[int]], max_ids: int = MAX_IDS) -> None:
        self._encode, self._max_ids = encode, max_ids
        self._recent: dict[str, Sequence[int]] = {}
        self._old: dict[str, Sequence[int]] = {}
        self._num_ids = 0  # of recent texts

    def ids(self, text: str) -> Sequence[int]:
        """Token ids of a text, which must not be changed."""
        ids = self._recent.get(text)
        if ids is None:
            ids = self._old.get(text)
            if ids is None:
                ids = tuple(self._encode(text))  # which the garbage collector does not track
            self._keep(text, ids)
        return ids

    def _keep(self, text: str, ids: Sequence[int]) -> None:
        size = len(ids) + TEXT_IDS
        if size > self._max_ids:
            return
        if self._num_ids + size > self._max_ids:
            self._old, self._recent, self._num_ids = self._recent, {}, 0
        self._recent[text] = ids
        self._num_ids += size


def parts_texts(tokenizer: Mapping[str, Any], tokens: Collection[str]) -> bool:
    """True if added tokens part a text so that each piece has the ids that it has alone.

    `tokenizer` is the content of `tokenizer.json`, in which they are.
    """
    texts = frozenset(tokens)
    added = [token for token in tokenizer["added_tokens"] if token["content"] in texts]
    return (
        len(added) == len(tokens)
        and not any(token[flag] for token in added for flag in FLAGS)
        and not tokenizer["model"].get("dropout")
        and _is_local(tokenizer["pre_tokenizer"])
    )


def _is_local(pre_tokenizer: dict[str, Any] | None) -> bool:
    """True if a piece of text is split the same wherever it stands; Metaspace looks where."""
    if pre_tokenizer is None:
        return True
    if pre_tokenizer["type"] == "Sequence":
        return all(map(_is_local, pre_tokenizer["pretokenizers"]))
    return pre_tokenizer["type"] in LOCAL
