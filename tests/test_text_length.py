"""A text is refused by its length only if it must have too many tokens."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tiny import byte_tokenizer
from tests.support.tokenizers_of_kinds import KINDS
from unmask.errors import InvalidRequest
from unmask.text_length import chars_per_token
from unmask.tokenizer import IdTokenizer, Tokenizer

TOKENIZERS = {name: Tokenizer(make()) for name, make in KINDS.items()}
DENSE = [
    "▁the",
    " the",
    "<start_of_turn>",
    "<eos>",
    "ﷺ",
    "e\u0301",
    "α\u0313\u0300\u0345",
    "a b",
    "x",
]
RAW = json.loads(byte_tokenizer().backend_tokenizer.to_str())


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.sampled_from(DENSE) | st.text(max_size=3), max_size=20))
@settings(deadline=None, derandomize=True, max_examples=60)
def test_a_text_has_as_many_tokens_as_its_length_says(kind: str, parts: list[str]) -> None:
    tokenizer, text = TOKENIZERS[kind], "".join(parts)
    most = tokenizer.chars_per_token
    assert most is not None
    num_tokens = len(tokenizer.encode(text))
    assert num_tokens * most >= len(text)
    tokenizer.check_length(text, max(1, num_tokens), "prompt")


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_cannot_fit_is_refused_in_words_that_clients_look_for(kind: str) -> None:
    with pytest.raises(InvalidRequest, match="This model's maximum context length is 10 tokens"):
        TOKENIZERS[kind].check_length("a" * 10_000, 10, "prompt")


@pytest.mark.parametrize(
    "changes",
    [
        {"normalizer": {"type": "Strip", "strip_left": True, "strip_right": True}},
        {"normalizer": {"type": "Replace", "pattern": {"String": "aa"}, "content": "a"}},
        {"normalizer": {"type": "Replace", "pattern": {"Regex": "a+"}, "content": "a"}},
        {"pre_tokenizer": {"type": "WhitespaceSplit"}},
        {"pre_tokenizer": None},
        {"model": RAW["model"] | {"type": "WordPiece"}},
        {"model": RAW["model"] | {"vocab": {"a": 0}}},
        {"added_tokens": [RAW["added_tokens"][0] | {"lstrip": True}]},
    ],
    ids=str,
)
def test_where_characters_may_be_dropped_nothing_bounds_a_text(changes: dict[str, object]) -> None:
    assert chars_per_token(json.dumps(RAW)) is not None
    assert chars_per_token(json.dumps(RAW | changes)) is None


def test_numbers_are_never_refused_by_length() -> None:
    Tokenizer(IdTokenizer()).check_length("1 " * 10_000, 1, "prompt")
