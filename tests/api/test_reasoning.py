"""Thoughts between tags are split off, whole and streamed, however the answer's pieces fall."""

import random

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models
from transformers import PreTrainedTokenizerFast

from tests.api.fake_client import TOKENIZER, answer
from tests.api.sse import events
from tests.support.tiny import byte_tokenizer
from unmask.api.reasoning import (
    CHANNEL,
    THINK,
    KeptThoughts,
    ReasoningSplitter,
    Thoughts,
    is_inside,
    thoughts_after,
)
from unmask.tokenizer import Tokenizer

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hi"}]
THINKS = "<think>\nIt is a < b, so...\n</think>\n\nYes."
# text, whether the prompt has opened the thoughts, reasoning, content
CASES = [
    (THINKS, False, "It is a < b, so...", "Yes."),
    (" \n<think>a</think>b", False, "a", "b"),
    ("so  it \n is \n</think> \n yes \n", True, "so  it \n is", "yes \n"),
    ("\n</think>\n\nyes", True, "", "yes"),
    ("never ends, </thin", True, "never ends, </thin", ""),
    ("<think>\n\n</think>\n\nplain", False, "", "plain"),
    ("plain <think>a</think>", False, "", "plain <think>a</think>"),
    ("  plain", False, "", "  plain"),
    ("<thin", False, "", "<thin"),
    ("<thinner", False, "", "<thinner"),
    ("a</think>b</think>c", True, "a", "b</think>c"),
    ("<think>a<think>b</think>", False, "a<think>b", ""),
    ("", False, "", ""),
    (" ", True, "", ""),
]
CHANNEL_CASES = [
    ("<|channel>thought\nIt is a < b\n<channel|>Yes.", False, "It is a < b", "Yes."),
    ("<|channel>thought\n<channel|>Yes.", False, "", "Yes."),
    ("hm\n<channel|>Yes </think>.", True, "hm", "Yes </think>."),
    ("<|channel>thought", False, "", ""),
    ("<|channel>", False, "", "<|channel>"),
    ("<|channel>other", False, "", "<|channel>other"),
    ("<think>a</think>b", False, "", "<think>a</think>b"),
    ("never ends <channel|", True, "never ends <channel|", ""),
]


@pytest.mark.parametrize(
    ("tags", "text", "inside", "reasoning", "content"),
    [(THINK, *case) for case in CASES] + [(CHANNEL, *case) for case in CHANNEL_CASES],
)
def test_parts_do_not_depend_on_pieces(tags, text, inside, reasoning, content):
    rng = random.Random(text)
    for most in (1, 2, 3, 8, 100):
        splitter, at, parts = ReasoningSplitter(tags, begins_inside=inside), 0, []
        while at < len(text):
            size = rng.randint(1, most)
            parts.append(splitter.push(text[at : at + size], last=False))
            at += size
        parts.append(splitter.push("", last=True))
        assert "".join(r for r, _ in parts) == reasoning
        assert "".join(c for _, c in parts) == content


@pytest.mark.parametrize(
    ("thoughts", "answer"),
    [
        ("a < b</thin </think>\n\n", "{}</think>\n"),
        ("</think>", " a"),
        ("never ends, </think", ""),
        ("hm</think>\n", ""),
        ("a </think> <chan<channel|>\n", "{}<channel|>"),
    ],
)
def test_thoughts_that_are_kept_end_behind_their_tag(thoughts, answer):
    text, rng = thoughts + answer, random.Random(thoughts)
    for most in (1, 2, 3, 8, 100):
        tags = CHANNEL if "<channel|>" in text else THINK
        kept, at, parts = KeptThoughts(tags), 0, []
        while at < len(text):
            size = rng.randint(1, most)
            parts.append(kept.push(text[at : at + size]))
            assert sum(map(len, parts[-1])) == len(text[at : at + size]), "nothing is held back"
            at += size
        assert tuple(map("".join, zip(*parts, strict=True))) == (thoughts, answer)


def test_text_that_can_be_no_tag_is_not_held_back():
    splitter = ReasoningSplitter()
    assert splitter.push("<think>because it", last=False) == ("because it", "")
    assert splitter.push(" is < so", last=False) == (" is < so", "")
    assert splitter.push("</think>Yes", last=False) == ("", "Yes")
    assert splitter.push(" </th", last=False) == ("", " </th")


@pytest.mark.parametrize(
    ("prompt", "opens"),
    [("<a>\n<think>\n", True), ("<think>", True), ("<think>\n\n</think>\n\n", False), ("", False)],
)
def test_a_template_may_open_the_thoughts(prompt, opens):
    assert (thoughts_after(prompt, "<think>") is Thoughts.BEGUN) is opens


@pytest.mark.parametrize(
    ("prompt", "template", "thoughts"),
    [
        ("assistant: ", "... <think> ...", Thoughts.POSSIBLE),
        ("assistant: <think>\n\n</think>\n\n", "... <think> ...", Thoughts.NONE),
        ("assistant: ", "{{ messages }}", Thoughts.NONE),
        ("assistant: ", None, Thoughts.NONE),
        ("<|turn>model\n", "... <|channel>thought\n<channel|>", Thoughts.POSSIBLE),
        ("<|turn>model\n<|channel>thought\n<channel|>", "... <|channel> ...", Thoughts.NONE),
        ("<|turn>model\n<|channel>thought\n", "... <|channel> ...", Thoughts.BEGUN),
        ("<|channel|>analysis", "... <|channel|> ...", Thoughts.NONE),
    ],
)
def test_an_answer_may_open_thoughts_that_its_template_knows(prompt, template, thoughts):
    assert thoughts_after(prompt, template) is thoughts


def test_an_answer_that_is_continued_may_be_in_its_thoughts():
    assert is_inside("<think>\nhm", THINK)
    assert not is_inside("<think>hm</think>", THINK)
    assert not is_inside("hm", THINK)
    assert is_inside("<|channel>thought\nhm", CHANNEL)
    assert not is_inside("<|channel>thought\n<channel|>hm", CHANNEL)


def thinking(template_ends="", text=THINKS):
    """Tokenizer and script of a fake engine that thinks."""
    inner = byte_tokenizer()
    inner.chat_template += template_ends
    return {"tokenizer": Tokenizer(inner), "script": lambda request: answer(request, text)}


def ask(call, engine, think, **fields):
    """The message of a whole answer, and the deltas of the same as a stream."""
    for name, value in think.items():
        setattr(engine, name, value)
    body = {"messages": HI, **fields}
    whole = call("POST", CHAT, json=body)
    streamed = call("POST", CHAT, json={**body, "stream": True})
    assert whole.status_code == streamed.status_code == 200, whole.text
    deltas = [chunk["choices"][0]["delta"] for chunk in events(streamed.text)]
    return whole.json()["choices"][0]["message"], deltas


def joined(deltas, name):
    return "".join(delta.get(name, "") for delta in deltas)


@pytest.mark.parametrize(
    ("ends", "text"), [("", THINKS), ("<think>\n", THINKS.removeprefix("<think>\n"))]
)
def test_thoughts_are_a_field_of_their_own(call, engine, ends, text):
    message, deltas = ask(call, engine, thinking(ends, text))
    assert message["reasoning_content"] == joined(deltas, "reasoning_content")
    assert message["reasoning_content"] == "It is a < b, so..."
    assert message["content"] == joined(deltas, "content") == "Yes."


def test_thoughts_are_left_out_or_left_in_by_request(call, engine):
    message, deltas = ask(call, engine, thinking(), include_reasoning=False)
    assert "reasoning_content" not in message
    assert joined(deltas, "reasoning_content") == ""
    assert message["content"] == joined(deltas, "content") == "Yes."
    message, deltas = ask(call, engine, thinking(), separate_reasoning=False)
    assert "reasoning_content" not in message
    assert joined(deltas, "reasoning_content") == ""
    assert message["content"] == joined(deltas, "content") == THINKS


def test_an_answer_with_a_grammar_is_content_behind_thoughts_that_the_prompt_opened(call, engine):
    text = "<think>b</think>"
    message, deltas = ask(call, engine, thinking(text=text), guided_choice=[text])
    assert message["content"] == joined(deltas, "content") == text
    assert "reasoning_content" not in message
    think = thinking("<think>\n", 'hm</think>{"a":1}')
    message, deltas = ask(call, engine, think, response_format={"type": "json_object"})
    assert message["content"] == joined(deltas, "content") == '{"a":1}'
    assert message["reasoning_content"] == "hm"


def test_an_answer_that_is_continued_goes_on_with_its_thoughts(call, engine):
    begun = [*HI, {"role": "assistant", "content": "<think>\nIt is"}]
    think = thinking(text=" so</think>Yes.")
    fields = {"messages": begun, "continue_final_message": True}
    message, deltas = ask(call, engine, think, **fields)
    assert message["reasoning_content"] == joined(deltas, "reasoning_content") == "so"
    assert message["content"] == "Yes."


def test_each_choice_has_its_own_thoughts(call, engine):
    for name, value in thinking().items():
        setattr(engine, name, value)
    choices = call("POST", CHAT, json={"messages": HI, "n": 3}).json()["choices"]
    assert [c["message"]["reasoning_content"] for c in choices] == ["It is a < b, so..."] * 3


def test_plain_answers_have_no_such_field(call, engine):
    message, deltas = ask(call, engine, {"tokenizer": TOKENIZER})
    assert set(message) == {"role", "content", "refusal"}
    assert not any("reasoning_content" in delta for delta in deltas)


def test_tags_that_are_special_tokens_are_text():
    inner = byte_tokenizer()
    tags = ["<think>", "</think>", "<|x|>", "<tool_call>", "<TOOLCALL>"]
    inner.add_special_tokens({"additional_special_tokens": tags})
    tokenizer = Tokenizer(inner)
    ids = tokenizer.encode("<think>a<|x|></think>b<tool_call>c<TOOLCALL><|end|>")
    assert len(ids) == 9
    text = "<think>a</think>b<tool_call>c<TOOLCALL>"
    assert tokenizer.decode(ids) == text
    stream = tokenizer.stream()
    assert "".join([*(stream.push([i]) for i in ids), stream.flush()]) == text


def test_tags_are_text_where_the_library_decodes():
    fast = FastTokenizer(models.WordLevel({"▁a": 0, "▁b": 1, "c": 2}, unk_token="c"))
    fast.decoder = decoders.Metaspace()
    fast.add_special_tokens(["<think>", "</think>", "<x>"])
    tokenizer = Tokenizer(PreTrainedTokenizerFast(tokenizer_object=fast))
    assert tokenizer.decode([3, 0, 5, 1, 4, 1]) == "<think> a b</think> b"
    assert tokenizer.decode([0, 5, 1]) == "a b"
    stream = tokenizer.stream()
    pieces = [stream.push([i]) for i in (3, 0, 5, 1, 4, 1)]
    assert "".join([*pieces, stream.flush()]) == "<think> a b</think> b"
