"""`LLM.fill`: text with holes in process."""

import re
from collections.abc import Iterator

import pytest

from unmask import LLM, SamplingParams
from unmask.grammar import Regex
from unmask.templates import Blank, Pieces

NAME = Blank(8, Regex("[a-z_]+"))
BODY = Blank(24)


@pytest.fixture(scope="module")
def llm() -> Iterator[LLM]:
    with LLM() as loaded:
        yield loaded


def test_holes_are_filled_within_their_limits_and_grammars(llm: LLM) -> None:
    drawn = SamplingParams(temperature=1.0, seed=3, block_length=32)
    filled = llm.fill(["def ", NAME, "(x):\n    return ", BODY, "\n"], drawn)
    name, body = filled.holes
    assert re.fullmatch("[a-z_]+", name.text)
    assert filled.text == f"def {name.text}(x):\n    return {body.text}\n"
    for hole, blank in zip(filled.holes, (NAME, BODY), strict=True):
        assert hole.has_ended or len(llm.tokenizer.encode(hole.text)) >= blank.max_tokens


def test_texts_side_by_side_are_one(llm: LLM) -> None:
    whole = llm.fill(["def ", NAME, "(x):"])
    assert llm.fill(["de", "f ", NAME, "(", "x):"]).text == whole.text
    assert llm.fill([NAME, "(x):"], prompt="def ").text == whole.text.removeprefix("def ")


def test_a_prompt_of_token_ids_comes_before_the_template(llm: LLM) -> None:
    ids = llm.tokenizer.apply_chat([{"role": "user", "content": "What is 3 plus 4?"}])
    filled = llm.fill(["3 + 4 = ", Blank(4)], prompt=ids)
    assert filled.completion.prompt_token_ids[: len(ids)] == tuple(ids)
    assert filled.text.startswith("3 + 4 = ")


def test_a_template_without_a_hole_is_refused(llm: LLM) -> None:
    with pytest.raises(ValueError, match="must have a hole"):
        llm.fill(["all of it is text"])


def test_pieces_begin_and_end_with_text() -> None:
    assert Pieces.of([NAME]) == Pieces("", (NAME,), "")
    assert Pieces.of(["a", NAME, BODY, "b", "c"]) == Pieces("a", (NAME, BODY), "bc")
    assert Pieces.of([NAME, "a", BODY]).texts == ["a", ""]
