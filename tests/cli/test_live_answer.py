"""Rendering of an answer in a terminal."""

import pytest

from tests.support.tiny import EOS_ID, MASK_ID, byte_tokenizer
from unmask.cli.live_answer import LiveAnswer
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Finish, FinishReason, RefinedToken, Refinement, Usage

TOKENIZER = Tokenizer(byte_tokenizer())


def delta(text: str, finish: Finish | None = None) -> Delta:
    return Delta("r", tuple(TOKENIZER.encode(text)), text, finish=finish)


def refinement(start: int, *tokens: RefinedToken) -> Refinement:
    end = start + len(tokens)
    unresolved = sum(not token.resolved for token in tokens)
    return Refinement("r", 0, 1, 4, (start, end), unresolved, "", tokens)


def token(text: str, resolved: bool) -> RefinedToken:
    (token_id,) = TOKENIZER.encode(text)
    return RefinedToken(token_id, text, 0.5, resolved)


@pytest.fixture
def answer() -> LiveAnswer:
    return LiveAnswer(TOKENIZER, {EOS_ID})


def test_resolved_tokens_are_bold_and_guesses_dim(answer):
    assert answer.take(delta("ab"))
    assert answer.take(refinement(2, token("c", True), token("d", False)))
    rendered = answer.render()
    assert rendered.plain == "abcd"
    assert [(span.start, span.end, span.style) for span in rendered.spans] == [
        (2, 3, "bold"),
        (3, 4, "dim"),
    ]
    assert answer.render(styled=False).plain == "abc·"


def test_masks_and_other_guesses_without_text_are_dots(answer):
    """A block that is filled in parts has no guesses for its later parts yet."""
    masks = [RefinedToken(MASK_ID, "<|mask|>", 0.0, False) for _ in range(2)]
    end = RefinedToken(EOS_ID, "<|end|>", 0.4, False)
    answer.take(refinement(0, token("a", True), end, *masks))
    assert answer.render().plain == answer.render(styled=False).plain == "a···"


def test_text_of_the_open_block_that_is_final_already_is_shown_once(answer):
    answer.take(refinement(0, token("a", True), token("b", False)))
    answer.take(delta("a"))
    assert answer.render().plain == "ab"
    answer.take(delta("b"))
    assert answer.render().plain == "ab"
    assert not answer.render().spans


def test_nothing_is_shown_after_the_end_of_the_answer(answer):
    end = RefinedToken(EOS_ID, "<|end|>", 0.9, True)
    answer.take(refinement(0, token("a", True), end, token("z", False)))
    assert answer.render().plain == "a"
    answer.take(delta("a", Finish(FinishReason.STOP, Usage(1, 0, 2, 1, 1, 8, 8), EOS_ID)))
    assert answer.render().plain == answer.text == "a"
