"""Calls are split from text, wherever the pieces of an answer end."""

import json
import random

import pytest

from unmask.api.tools.calls import CallPiece, CallSplitter
from unmask.api.tools.formats import GEMMA, HERMES, LFM2, NEMOTRON

TRICKY = json.dumps({"a": '</tool_call> {"name": "\\', "b": [{}, {"c": "}"}], "d": "é\\\\"})


def tagged(*calls: tuple[str, str]) -> str:
    return "\n".join(
        f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
        for name, arguments in calls
    )


def listed(*calls: tuple[str, str]) -> str:
    items = (f'{{"name": "{name}", "arguments": {arguments}}}' for name, arguments in calls)
    return f"<TOOLCALL>[{', '.join(items)}]</TOOLCALL>"


def braced(*calls: tuple[str, str]) -> str:
    """Calls in Gemma's notation, of arguments as it writes them."""
    return "".join(f"<|tool_call>call:{name}{{{inner}}}<tool_call|>" for name, inner in calls)


GEMMA_INNER = (
    'a:<|"|><tool_call|> {"name": "\\<|"|>,b:[{},{c:<|"|>}, call:f{<|<|"|>}],'
    'd_1:<|"|>é\n<|"|>,e:-1.5e3,f:[true,null,<|"|><|"|>]'
)
GEMMA_JSON = (
    r'{"a": "<tool_call|> {\"name\": \"\\", "b": [{}, {"c": "}, call:f{<|"}], '
    r'"d_1": "é\n", "e": -1.5e3, "f": [true, null, ""]}'
)


def called(*calls: tuple[str, str]) -> str:
    """Calls in Python, of arguments as LFM2 writes them."""
    inner = ", ".join(f"{name}({inner})" for name, inner in calls)
    return f"<|tool_call_start|>[{inner}]<|tool_call_end|>"


LFM2_INNER = (
    r'a="<|tool_call_end|> g(\"\\", b=[{}, {"c": "}, g(b=True)"}], d_1="é\n", '
    r'e=-1.5e3, f=[True, None, false, ""]'
)
LFM2_JSON = (
    r'{"a": "<|tool_call_end|> g(\"\\", "b": [{}, {"c": "}, g(b=True)"}], "d_1": "é\n", '
    r'"e": -1.5e3, "f": [true, null, false, ""]}'
)
TWO = (("f", TRICKY), ("g-2.x", "{}"))
# format, answer, its text, its calls, whether they are whole
CASES = [
    (HERMES, tagged(*TWO), "", TWO, True),
    (HERMES, "Let me see.\n" + tagged(*TWO), "Let me see.", TWO, True),
    (HERMES, " \n" + tagged(("f", "{}")), "", (("f", "{}"),), True),
    (NEMOTRON, listed(*TWO), "", TWO, True),
    (NEMOTRON, "So: " + listed(("f", TRICKY)), "So:", (("f", TRICKY),), True),
    (HERMES, "Just text. \n", "Just text. \n", (), False),
    (HERMES, "a < b <tool_", "a < b <tool_", (), False),
    (HERMES, "", "", (), False),
    (HERMES, 'x<tool_call>\n{"name": "f", "arg', "x", (), False),
    (HERMES, tagged(("f", '{"a": 5'))[:-14], "", (("f", '{"a": 5'),), False),
    (HERMES, tagged(("f", "{}")) + "\n<tool_call>", "", (("f", "{}"),), True),
    (HERMES, tagged(("f", "{}")) + '\n<tool_call>{"name": "f', "", (("f", "{}"),), False),
    (GEMMA, braced(("f", GEMMA_INNER), ("g-2.x", "")), "", (("f", GEMMA_JSON), TWO[1]), True),
    (GEMMA, "So: {" + braced(("f", GEMMA_INNER)), "So: {", (("f", GEMMA_JSON),), True),
    (GEMMA, braced(("f", "")) + " and { cal", "", (("f", "{}"),), True),
    (GEMMA, 'x<|tool_call>call:f{a:<|"|>b<|"', "x", (("f", '{"a": "b'),), False),
    (GEMMA, "x<|tool_call>call:f{a:1,b", "x", (("f", '{"a": 1, '),), False),
    (GEMMA, "x <|tool_", "x <|tool_", (), False),
    (LFM2, called(("f", LFM2_INNER), ("g-2.x", "")), "", (("f", LFM2_JSON), TWO[1]), True),
    (LFM2, "So: f(1) " + called(("f", LFM2_INNER)), "So: f(1)", (("f", LFM2_JSON),), True),
    (LFM2, called(("f", "")) + "Sure, [f] or g.", "", (("f", "{}"),), True),
    (LFM2, 'x<|tool_call_start|>[f(a="b\\', "x", (("f", '{"a": "b'),), False),
    (LFM2, "x<|tool_call_start|>[f(a=1, b", "x", (("f", '{"a": 1, '),), False),
    (LFM2, "x<|tool_call_start|>[get_", "x", (), False),
]


def joined(pieces: list[CallPiece]) -> list[tuple[str, str]]:
    """Name and arguments of each call; the first piece of one has no arguments."""
    calls: list[list[str]] = []
    for piece in pieces:
        if piece.name is not None:
            assert piece.index == len(calls)
            assert piece.arguments == ""
            assert piece.call_id is not None
            assert piece.call_id.startswith("call_")
            calls.append([piece.name, ""])
        else:
            assert piece.call_id is None
            assert piece.index == len(calls) - 1
            assert piece.arguments
            calls[-1][1] += piece.arguments
    return [(name, arguments) for name, arguments in calls]


@pytest.mark.parametrize(("form", "answer", "text", "calls", "is_whole"), CASES)
def test_parts_do_not_depend_on_pieces(form, answer, text, calls, is_whole):
    rng = random.Random(answer)
    for most in (1, 2, 3, 8, 1000):
        splitter, at, content, pieces = CallSplitter(form), 0, "", []
        while at < len(answer):
            size = rng.randint(1, most)
            fresh, more = splitter.push(answer[at : at + size], last=False)
            at, content, pieces = at + size, content + fresh, pieces + more
        fresh, more = splitter.push("", last=True)
        assert content + fresh == text
        assert joined(pieces + more) == list(calls)
        assert splitter.has_whole_calls is is_whole


@pytest.mark.parametrize(
    ("answer", "text", "num_calls"),
    [
        (tagged(*TWO), "", 2),
        ('{"a": "<tool_call>{"}', '{"a": "<tool_call>{"}', 0),
        ("<tool_", "<tool_", 0),
        (' <tool_call>\n{"name": "f", "arguments": {}}', None, 0),
    ],
)
def test_calls_that_follow_no_text_begin_the_answer(answer, text, num_calls):
    for size in (1, 3, 1000):
        splitter, content, pieces = CallSplitter(HERMES, follows_text=False), "", []
        for at in range(0, len(answer), size):
            fresh, more = splitter.push(answer[at : at + size], last=False)
            content, pieces = content + fresh, pieces + more
        fresh, more = splitter.push("", last=True)
        assert content + fresh == (answer if text is None else text)
        assert len(joined(pieces + more)) == num_calls


def test_text_and_arguments_are_not_held_back():
    splitter = CallSplitter(HERMES)
    assert splitter.push("Text <too", last=False) == ("Text", [])
    assert splitter.push(" many", last=False) == (" <too many", [])
    _, (call,) = splitter.push('<tool_call>\n{"name": "f", "arguments": ', last=False)
    assert (call.index, call.name) == (0, "f")
    assert splitter.push('{"a": "b', last=False) == ("", [CallPiece(0, '{"a": "b')])
    assert splitter.push('"}}\n</tool', last=False) == ("", [CallPiece(0, '"}')])


def test_strings_of_gemmas_arguments_are_not_held_back():
    splitter = CallSplitter(GEMMA)
    _, (call, brace) = splitter.push("<|tool_call>call:f{", last=False)
    assert (call.name, brace) == ("f", CallPiece(0, "{"))
    fresh = [CallPiece(0, '"a": "b\\n\\"')]
    assert splitter.push('a:<|"|>b\n"<', last=False) == ("", fresh)
    assert splitter.push("|c", last=False) == ("", [CallPiece(0, "<|c")])
    assert splitter.push('<|"|>}<tool', last=False) == ("", [CallPiece(0, '"}')])


def test_strings_of_calls_in_python_are_not_held_back():
    splitter = CallSplitter(LFM2)
    _, (call, brace) = splitter.push("<|tool_call_start|>[f(", last=False)
    assert (call.name, brace) == ("f", CallPiece(0, "{"))
    assert splitter.push('a="b', last=False) == ("", [CallPiece(0, '"a": "b')])
    assert splitter.push("c)", last=False) == ("", [CallPiece(0, "c)")])
    assert splitter.push('", b=5', last=False) == ("", [CallPiece(0, '", "b": ')])
    assert splitter.push("0)]<", last=False) == ("", [CallPiece(0, "50}")])


def test_ids_of_calls_differ():
    _, pieces = CallSplitter(HERMES).push(tagged(*TWO), last=True)
    ids = [piece.call_id for piece in pieces if piece.call_id]
    assert len(set(ids)) == 2
