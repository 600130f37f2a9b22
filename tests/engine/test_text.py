"""Text is emitted once it is final; stop strings never show."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.cases import examples
from tests.support.engines import run_alone
from tests.support.tiny import byte_tokenizer
from unmask.engine.apply.text import TextAssembler
from unmask.models.registry import LoadedModel
from unmask.tokenizer import Tokenizer
from unmask.types import RefinementOptions, Request, SamplingParams

INNER = byte_tokenizer()
TOKENIZER = Tokenizer(INNER)
ids = st.lists(st.integers(0, 509), max_size=60)


@given(token_ids=ids, sizes=st.lists(st.integers(1, 7), min_size=1, max_size=60))
@settings(deadline=None, derandomize=True)
def test_streamed_text_adds_up_to_the_whole(token_ids: list[int], sizes: list[int]) -> None:
    decoder, text, start = TOKENIZER.stream(), "", 0
    for size in sizes:
        text += decoder.push(token_ids[start : start + size])
        start += size
    text += decoder.push(token_ids[start:]) + decoder.flush()
    assert text == TOKENIZER.decode(token_ids)


@given(token_ids=st.lists(st.integers(0, 511), max_size=20), skip=st.booleans())
@settings(deadline=None, derandomize=True)
def test_text_is_what_transformers_makes_of_it(token_ids: list[int], skip: bool) -> None:
    text = INNER.decode(token_ids, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
    assert TOKENIZER.decode(token_ids, skip_special_tokens=skip) == text


def test_half_a_character_is_held_back() -> None:
    decoder = TOKENIZER.stream()
    first, second = TOKENIZER.encode("é")
    assert decoder.push([first]) == ""
    assert decoder.push([second]) == "é"


@pytest.mark.parametrize(
    ("stops", "shown", "stop"),
    [((), "a\ufffd", None), (("ab",), "a\ufffd", None), (("\ufffd",), "a", "\ufffd")],
)
def test_half_a_character_at_the_end_of_an_answer_is_text(
    stops: tuple[str, ...], shown: str, stop: str | None
) -> None:
    piece = TextAssembler(TOKENIZER, stops).push(TOKENIZER.encode("aé")[:-1], last=True)
    assert (piece.text, piece.stop) == (shown, stop)


@given(
    text=st.text(alphabet="abc\n", max_size=30),
    stops=st.lists(st.text(alphabet="abc\n", min_size=1, max_size=4), min_size=1, max_size=3),
    size=st.integers(1, 5),
    keeps_stop=st.booleans(),
)
@settings(deadline=None, derandomize=True, max_examples=examples(100, 300))
def test_text_ends_before_the_first_stop_string_or_with_it(
    text: str, stops: list[str], size: int, keeps_stop: bool
) -> None:
    token_ids, shown, stopped = TOKENIZER.encode(text), "", None
    kept = tuple(stops) if keeps_stop else ()
    assembler = TextAssembler(TOKENIZER, tuple(stops), kept=kept)
    for start in range(0, max(1, len(token_ids)), size):
        chunk = token_ids[start : start + size]
        piece = assembler.push(chunk, last=start + size >= len(token_ids))
        shown += piece.text
        if piece.stop is not None:
            stopped = piece.stop
            break
    # The stop that is complete first wins; the earlier start among those complete together.
    for end in range(len(text) + 1):
        found = [(text[:end].find(stop), stop) for stop in stops if stop in text[:end]]
        if found:
            at, stop = min(found)
            assert (shown, stopped) == (text[: at + keeps_stop * len(stop)], stop)
            return
    assert (shown, stopped) == (text, None)


@pytest.mark.parametrize(("pieces", "shown"), [(["x", "a", "b"], "x"), (["xa", "c"], "xac")])
def test_the_start_of_a_stop_string_is_held_back(pieces: list[str], shown: str) -> None:
    assembler = TextAssembler(TOKENIZER, ("ab",))
    seen = ""
    for i, piece in enumerate(pieces):
        out = assembler.push(TOKENIZER.encode(piece), last=i == len(pieces) - 1)
        seen += out.text
        assert not seen.endswith("a") or i == len(pieces) - 1
    assert seen == shown


def test_an_answer_keeps_the_token_that_it_stops_at_on_request(tiny: LoadedModel) -> None:
    params = SamplingParams(max_tokens=24, ignore_eos=True)
    ids = run_alone(tiny, Request("a", (1, 2, 3), params)).token_ids
    at = ids.index(ids[5])
    for keeps, shown in ((False, ids[:at]), (True, ids[: at + 1])):
        asked = replace(params, stop_token_ids=(ids[at],), include_stop_str_in_output=keeps)
        answer = run_alone(tiny, Request("a", (1, 2, 3), asked))
        assert (answer.token_ids, answer.text) == (ids[: at + 1], TOKENIZER.decode(shown))
        assert answer.finish is not None
        assert answer.finish.stop_reason == ids[at]
    assert TOKENIZER.decode(ids[:at]) != TOKENIZER.decode(ids[: at + 1])


def test_an_answer_keeps_its_stop_string_on_request(tiny: LoadedModel) -> None:
    params = SamplingParams(max_tokens=24, ignore_eos=True)
    whole = run_alone(tiny, Request("a", (1, 2, 3), params)).text
    stop = whole[3:6]
    before = whole[: whole.index(stop)]
    for keeps, text in ((False, before), (True, before + stop)):
        asked = replace(params, stop=(stop,), include_stop_str_in_output=keeps)
        answer = run_alone(tiny, Request("a", (1, 2, 3), asked))
        assert answer.text == text
        assert answer.finish is not None
        assert answer.finish.stop_reason == stop


def test_drafts_come_no_faster_than_a_request_asks_for(tiny: LoadedModel) -> None:
    params = SamplingParams(max_tokens=24, ignore_eos=True, block_length=8, steps=8)
    few, many = (
        run_alone(tiny, Request("a", (1, 2, 3), params, RefinementOptions(max_fps=fps))).refinements
        for fps in (1e-3, 1e9)
    )
    assert len(few) == 1 < len(many)
