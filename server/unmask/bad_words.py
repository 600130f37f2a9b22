"""Words that no answer may have, and their token sequences, as vLLM takes them."""

from collections.abc import Callable, Iterable, Sequence

from unmask.errors import InvalidRequest

MAX_WORDS = 1024
MAX_LENGTH = 256  # characters


def check_words(words: Sequence[str]) -> None:
    """Raise `InvalidRequest` for words that are empty, too long or too many."""
    if len(words) > MAX_WORDS:
        raise InvalidRequest(
            f"bad_words takes at most {MAX_WORDS} strings, got {len(words)}", field="bad_words"
        )
    for word in words:
        if not word.strip():
            raise InvalidRequest("bad_words must not be empty", field="bad_words")
        if len(word) > MAX_LENGTH:
            raise InvalidRequest(
                f"bad_words have at most {MAX_LENGTH} characters each, got {len(word)}",
                field="bad_words",
            )


def sequences_of(
    words: Iterable[str], encode: Callable[[str], list[int]]
) -> frozenset[tuple[int, ...]]:
    """Sequences of the words at the beginning of a text and behind a space.

    The one behind a space counts where it is as long and its first token is another one. Raises
    `InvalidRequest` for a word that has no tokens.
    """
    found = set[tuple[int, ...]]()
    for word in words:
        bare = word.lstrip()
        alone, behind_space = tuple(encode(bare)), tuple(encode(f" {bare}"))
        if not alone:
            raise InvalidRequest(f"{word!r:.40} has no tokens", field="bad_words")
        found.add(alone)
        if len(behind_space) == len(alone) and behind_space[0] != alone[0]:
            found.add(behind_space)
    return frozenset(found)
