"""Streams of byte tokens: whole characters as early as possible, for any chunks."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.tokenizers_of_kinds import KINDS
from unmask.engine.apply.text import TextAssembler
from unmask.tokenizer import Tokenizer

TOKENIZERS = {name: Tokenizer(make()) for name, make in KINDS.items()}
TEXT = "the 語日 a語日あ語日あ語日あ  word 🎉🎉 e\u0301 ﷺ <eos> \ufffd x" * 2
texts = st.lists(
    st.sampled_from(["語日あ", "🎉", "the ", " a", "word", "\n", "é", "\ufffd", "<eos>", "  "])
    | st.text(max_size=4),
    max_size=12,
).map("".join)
sizes = st.lists(st.integers(1, 9), min_size=1, max_size=9)


def streamed(tokenizer: Tokenizer, token_ids: list[int], sizes: list[int]) -> list[str]:
    decoder, pieces, start, i = tokenizer.stream(), list[str](), 0, 0
    while start < len(token_ids):
        pieces.append(decoder.push(token_ids[start : start + sizes[i % len(sizes)]]))
        start += sizes[i % len(sizes)]
        i += 1
    return [*pieces, decoder.flush()]


@pytest.mark.parametrize("kind", KINDS)
@given(text=texts, sizes=sizes)
@settings(deadline=None, derandomize=True, max_examples=examples(50, 150))
def test_a_text_in_any_pieces_is_the_text(kind: str, text: str, sizes: list[int]) -> None:
    tokenizer = TOKENIZERS[kind]
    token_ids = tokenizer.encode(text)
    assert "".join(streamed(tokenizer, token_ids, sizes)) == tokenizer.decode(token_ids)


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data(), sizes=sizes)
@settings(deadline=None, derandomize=True, max_examples=examples(50, 150))
def test_any_tokens_in_any_pieces_have_one_text(
    kind: str, data: st.DataObject, sizes: list[int]
) -> None:
    tokenizer = TOKENIZERS[kind]
    token = st.integers(0, (tokenizer.num_tokens or 1) - 1)
    token_ids = data.draw(st.lists(token, max_size=40))
    one_by_one = "".join(streamed(tokenizer, token_ids, [1]))
    assert "".join(streamed(tokenizer, token_ids, sizes)) == one_by_one
    if kind in ("byte_level", "normalized"):
        assert one_by_one == tokenizer.decode(token_ids)


@pytest.mark.parametrize("kind", KINDS)
def test_characters_leave_as_soon_as_they_are_whole(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    token_ids = tokenizer.encode("語日あ語日あ")
    pieces = streamed(tokenizer, token_ids, [1])
    assert [piece for piece in pieces if piece.strip()] == list("語日あ語日あ")
    assert pieces[-1] == ""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 100])
def test_a_stop_string_of_byte_tokens_is_seen(kind: str, size: int) -> None:
    tokenizer, text, shown = TOKENIZERS[kind], "語日あ語日🎉あ語", ""
    token_ids = tokenizer.encode(text)
    assembler = TextAssembler(tokenizer, ("🎉あ",))
    for start in range(0, len(token_ids), size):
        piece = assembler.push(token_ids[start : start + size], last=start + size >= len(token_ids))
        shown += piece.text
        if piece.stop is not None:
            break
    assert piece.stop == "🎉あ"
    assert shown.strip() == "語日あ語日"


def byte(value: int) -> int:
    """Token of a byte, after the special ones."""
    return 6 + value


def test_a_byte_of_no_character_spoils_no_other() -> None:
    tokenizer = TOKENIZERS["byte_fallback"]
    good = [byte(b) for b in "語日".encode()]
    for size in (1, 2, 3, 50):
        pieces = streamed(
            tokenizer, [*good, byte(0xFF), *good, byte(0xE8), byte(0xAA), *good], [size]
        )
        text = "".join(pieces)
        assert text.replace("\ufffd", "") == "語日" * 3
        assert text.count("\ufffd") == 3


@pytest.mark.parametrize("kind", KINDS)
def test_endless_bytes_of_no_character_are_not_held_for_ever(kind: str) -> None:
    tokenizer = TOKENIZERS[kind]
    vocabulary = range(tokenizer.num_tokens or 0)
    broken = next(i for i in reversed(vocabulary) if tokenizer.decode([i]) == "\ufffd")
    decoder = tokenizer.stream()
    text = "".join(decoder.push([broken]) for _ in range(400))
    assert len(text) > 350
    assert text + decoder.flush() == "\ufffd" * 400
