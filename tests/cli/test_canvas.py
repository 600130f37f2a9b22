"""The answer as a terminal shows it."""

import pytest

from tests.support.tiny import EOS_ID, byte_tokenizer
from unmask.cli.canvas import Canvas
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
def canvas() -> Canvas:
    return Canvas(TOKENIZER, {EOS_ID})


def test_resolved_tokens_are_bold_and_guesses_dim(canvas):
    assert canvas.take(delta("ab"))
    assert canvas.take(refinement(2, token("c", True), token("d", False)))
    shown = canvas.render()
    assert shown.plain == "abcd"
    assert [(span.start, span.end, span.style) for span in shown.spans] == [
        (2, 3, "bold"),
        (3, 4, "dim"),
    ]
    assert canvas.render(styled=False).plain == "abc·"


def test_text_of_the_open_block_that_is_final_already_is_shown_once(canvas):
    canvas.take(refinement(0, token("a", True), token("b", False)))
    canvas.take(delta("a"))
    assert canvas.render().plain == "ab"
    canvas.take(delta("b"))
    assert canvas.render().plain == "ab"
    assert not canvas.render().spans


def test_nothing_is_shown_after_the_end_of_the_answer(canvas):
    end = RefinedToken(EOS_ID, "<|end|>", 0.9, True)
    canvas.take(refinement(0, token("a", True), end, token("z", False)))
    assert canvas.render().plain == "a"
    canvas.take(delta("a", Finish(FinishReason.STOP, Usage(1, 0, 2, 1, 1, 8, 8), EOS_ID)))
    assert canvas.render().plain == canvas.text == "a"
