"""Token ids of ASCII texts, put together from those of their words."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.pre_tokenizers import Split
from tokenizers.processors import TemplateProcessing

import unmask
from tests.support.tokenizers_of_kinds import KINDS, SPECIALS
from unmask.ascii_words import GPT2, MAX_NEW, MAX_WORD_LEN, AsciiWords, ascii_pattern
from unmask.tokenizer import Tokenizer

FOLDER = Path(unmask.__file__).parent / "embedded"
OURS = r"\d| ?\p{L}+|\n *| ?[^\s\p{L}\d]|\s+"
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3 = QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|")
POSSESSIVE = r"[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s+"
OTHERS = [r"\w+", r"(a)|b", r"[a[bc]]", r"\p{Lu}\p{L}*", r"^a", r"[a&&b]", "é", r"\p{L}*", r"a{2}+"]
CHARACTERS = st.characters(max_codepoint=127)
TEXTS = st.text(st.one_of(CHARACTERS, st.sampled_from("aaabl \n'1<>")), max_size=40)
fast = settings(max_examples=150, deadline=None)


@pytest.mark.parametrize("pattern", [GPT2, OURS, QWEN2, LLAMA3, POSSESSIVE])
def test_a_pattern_splits_ascii_as_the_tokenizers_library_does(pattern: str) -> None:
    translated = ascii_pattern(pattern)
    assert translated is not None
    split = Split(Regex(pattern), behavior="isolated")

    @fast
    @given(TEXTS)
    def check(text: str) -> None:
        pieces = [piece for piece, _ in split.pre_tokenize_str(text)]
        assert translated.findall(text) == pieces

    check()


@pytest.mark.parametrize("pattern", OTHERS)
def test_a_pattern_that_may_mean_something_else_is_not_translated(pattern: str) -> None:
    assert ascii_pattern(pattern) is None


class Backend:
    """A tokenizer, and the texts that it was given."""

    def __init__(self, kind: str) -> None:
        file = str(FOLDER / "tokenizer.json")
        is_ours = kind == "embedded"
        self._backend = (
            FastTokenizer.from_file(file) if is_ours else KINDS[kind]().backend_tokenizer
        )
        self.raw = json.loads(self._backend.to_str())
        self.seen: list[str] = []

    def encode(self, text: str) -> list[int]:
        self.seen.append(text)
        ids: list[int] = self._backend.encode(text, add_special_tokens=False).ids
        return ids

    def words(self) -> AsciiWords:
        words = AsciiWords.of(self.raw, self.encode)
        assert words is not None
        return words


@pytest.mark.parametrize("kind", ["byte_level", "normalized", "embedded"])
def test_ids_are_those_of_the_tokenizer(kind: str) -> None:
    backend = Backend(kind)
    words = backend.words()
    special = st.sampled_from([*SPECIALS, "<|end|>", "<|mask|>", "é", "語"])

    @fast
    @given(st.lists(st.one_of(TEXTS, special), max_size=3).map("".join))
    def check(text: str) -> None:
        for _ in range(3):  # new, then known
            assert [*words.encode(text)] == backend.encode(text)

    check()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("adds", [True, False])
def test_a_warm_tokenizer_encodes_prompts_as_a_cold_one(kind: str, *, adds: bool) -> None:
    inner = KINDS[kind]()
    if adds:
        inner.backend_tokenizer.post_processor = TemplateProcessing(
            single="<bos> $A", special_tokens=[("<bos>", inner.bos_token_id)]
        )
    cold, warm = Tokenizer(inner), Tokenizer(inner)
    warm.warm_up()
    for text in ("", "ab a ab", "ab <eos> a", "é a", "ab a ab") * 2:
        for special in (True, False):
            expected = cold.encode(text, add_special_tokens=special)
            assert warm.encode(text, add_special_tokens=special) == expected


@pytest.mark.parametrize("kind", ["byte_fallback", "prepending", "unigram"])
def test_tokenizers_without_words_are_left_alone(kind: str) -> None:
    backend = Backend(kind)
    assert AsciiWords.of(backend.raw, backend.encode) is None


def test_words_that_were_seen_are_not_encoded_again() -> None:
    backend = Backend("byte_level")
    words, seen = backend.words(), backend.seen
    words.encode("ab cd")
    assert seen == ["ab", " cd"]
    words.encode(" cd cd")
    words.encode("ab")
    assert len(seen) == 2
    words.encode("x" * (MAX_WORD_LEN + 1))
    words.encode(" ".join(str(i) for i in range(10 * MAX_NEW)))
    assert len(seen) == 3 + MAX_NEW + 1
