"""Token ids of texts that come again, as in each turn of a conversation."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.tokenizers_of_kinds import KINDS, SPECIALS
from unmask.recent_texts import RecentTexts, parts_texts
from unmask.tokenizer import Tokenizer

TURNS = "{% for m in messages %}<start_of_turn>{{ m.role }} {{ m.content }}<eos>{% endfor %}"


class Encoder:
    """Encodes each character, and notes the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def __call__(self, text: str) -> list[int]:
        self.texts.append(text)
        return list(map(ord, text))


def test_a_text_that_comes_again_is_not_encoded_again() -> None:
    encode = Encoder()
    texts = RecentTexts(encode)
    assert [[*texts.ids(text)] for text in ("ab", "c", "ab")] == [[97, 98], [99], [97, 98]]
    assert encode.texts == ["ab", "c"]


def test_texts_that_nobody_asks_for_are_forgotten() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, max_ids=100)
    for i in range(100):
        texts.ids("often")
        texts.ids(f"once {i}")
    texts.ids("once 0")
    assert encode.texts.count("often") == 1
    assert encode.texts.count("once 0") == 2


def test_a_text_longer_than_all_that_is_kept_is_encoded_each_time() -> None:
    encode = Encoder()
    texts = RecentTexts(encode, max_ids=100)
    for text in ("short", "long" * 30, "long" * 30, "short"):
        assert [*texts.ids(text)] == [*map(ord, text)]
    assert encode.texts == ["short", "long" * 30, "long" * 30]


class Unsearched(list[str]):
    """Texts that are not looked through for each token, of which there may be many."""

    def __contains__(self, text: object) -> bool:
        raise AssertionError(f"{text} is looked for in a list")


def test_each_added_token_is_looked_for_in_no_list() -> None:
    raw = json.loads(KINDS["byte_level"]().backend_tokenizer.to_str())
    assert parts_texts(raw, Unsearched(SPECIALS))


@pytest.mark.parametrize(
    ("kind", "expected"),
    {**dict.fromkeys(KINDS, True), "normalized": False, "unigram": False}.items(),
)
def test_texts_are_kept_where_their_ids_do_not_depend_on_what_is_around(
    kind: str, *, expected: bool
) -> None:
    raw = json.loads(KINDS[kind]().backend_tokenizer.to_str())
    assert parts_texts(raw, SPECIALS) is expected
    assert not parts_texts(raw, [*SPECIALS, "no added token"])


@pytest.mark.parametrize("kind", KINDS)
def test_ids_are_those_of_the_whole_text_whatever_came_before(kind: str) -> None:
    inner = KINDS[kind](template=TURNS)
    tokenizer = Tokenizer(inner)
    roles, contents = (
        st.sampled_from(["user", "assistant"]),
        st.text("a b\nlo1é語\u0301", max_size=8),
    )
    turns = st.lists(st.fixed_dictionaries({"role": roles, "content": contents}), min_size=1)

    @settings(max_examples=60, deadline=None)
    @given(turns)
    def check(conversation: list[dict[str, str]]) -> None:
        rendered = inner.apply_chat_template(conversation, tokenize=False)
        expected = inner.encode(rendered, add_special_tokens=False)
        assert tokenizer.apply_chat(conversation, add_generation_prompt=False) == expected

    check()
