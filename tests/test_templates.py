"""`LLM.fill`: text with holes in process."""

import re
from collections.abc import Iterator

import pytest

from unmask import LLM, SamplingParams
from unmask.errors import InvalidRequest
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
    (filled,) = llm.fill(["def ", NAME, "(x):\n    return ", BODY, "\n"], drawn)
    name, body = filled.holes
    assert re.fullmatch("[a-z_]+", name.text)
    assert filled.text == f"def {name.text}(x):\n    return {body.text}\n"
    for hole, blank in zip(filled.holes, (NAME, BODY), strict=True):
        assert hole.has_ended or len(llm.tokenizer.encode(hole.text)) >= blank.max_tokens


def test_texts_side_by_side_are_one(llm: LLM) -> None:
    many = [["def ", NAME, "(x):"], ["de", "f ", NAME, "(", "x):"]]
    whole, joined = llm.fill(many)
    assert joined.text == whole.text
    (prompted,) = llm.fill([NAME, "(x):"], prompts="def ")
    assert prompted.text == whole.text.removeprefix("def ")


def test_a_prompt_of_token_ids_comes_before_a_template(llm: LLM) -> None:
    asked = [f"What is {n} plus 4?" for n in (3, 9)]
    prompts = [llm.tokenizer.apply_chat([{"role": "user", "content": text}]) for text in asked]
    templates = [["3 + 4 = ", Blank(4)], ["9 + 4 = ", Blank(4)]]
    together = llm.fill(templates, prompts=prompts)
    for template, prompt, filled in zip(templates, prompts, together, strict=True):
        assert filled.completion.prompt_token_ids[: len(prompt)] == tuple(prompt)
        assert llm.fill(template, prompts=prompt) == [filled]


def test_a_template_without_a_hole_is_refused(llm: LLM) -> None:
    with pytest.raises(InvalidRequest, match="must have a hole"):
        llm.fill(["all of it is text"])


def test_pieces_begin_and_end_with_text() -> None:
    assert Pieces.of([NAME]) == Pieces("", (NAME,), "")
    assert Pieces.of(["a", NAME, BODY, "b", "c"]) == Pieces("a", (NAME, BODY), "bc")
    assert Pieces.of([NAME, "a", BODY]).texts == ["a", ""]


def test_holes_beyond_the_context_take_no_memory(llm: LLM) -> None:
    pieces = Pieces.of([Blank(10**9), "a", *[Blank(10**9)] * 50])
    made = pieces.template([(5,), ()], 1000)
    assert 1000 <= len(made.token_ids) <= 1100
    assert all(hole.end > hole.start for hole in made.holes)
    with pytest.raises(InvalidRequest, match="context") as error:
        llm.fill(["a", Blank(10**9), Blank(4)])
    assert error.value.code == "context_length_exceeded"
