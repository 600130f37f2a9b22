"""Plain chats are rendered without the library's other work, to the same text."""

import pickle
from pathlib import Path

import pytest

from tests.support.tiny import byte_tokenizer
from unmask.chat_templates import ChatRenderer, check_templates
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.tokenizer import Tokenizer

PLAIN = [
    [{"role": "user", "content": "hi"}],
    [{"role": "system", "content": " be\n"}, {"role": "user", "content": "é", "name": "me"}],
]


@pytest.mark.parametrize("begins", [True, False])
@pytest.mark.parametrize("turns", PLAIN)
def test_a_plain_chat_is_the_library_s_text(turns, begins):
    inner = byte_tokenizer()
    renderer = ChatRenderer.of(inner)
    assert renderer is not None
    assert renderer.takes(turns, inner.chat_template)
    expected = inner.apply_chat_template(turns, tokenize=False, add_generation_prompt=begins)
    assert renderer.render(turns, begins_answer=begins) == expected


@pytest.mark.parametrize(
    "turns",
    [
        [],
        [{"role": "assistant", "content": "", "tool_calls": []}],
        [{"role": "assistant", "content": "", "reasoning_content": "hm"}],
        [{"role": "user", "content": ["parts"]}],
        [{"role": "assistant", "content": None}],
    ],
)
def test_other_chats_are_left_to_the_library(turns):
    inner = byte_tokenizer()
    renderer = ChatRenderer.of(inner)
    assert renderer is not None
    assert not renderer.takes(turns, inner.chat_template)


def test_another_template_is_left_to_the_library():
    inner = byte_tokenizer()
    renderer = ChatRenderer.of(inner)
    assert renderer is not None
    assert not renderer.takes(PLAIN[0], "another")
    inner.chat_template = {"default": "a", "tool_use": "b"}
    assert ChatRenderer.of(inner) is None


def test_a_tokenizer_that_was_sent_to_another_process_renders_the_same_chats():
    tokenizer = Tokenizer(byte_tokenizer())
    messages = [{"role": "user", "content": "hi <|end|>"}, {"role": "assistant", "content": "ho"}]
    ids = tokenizer.apply_chat(messages)
    assert pickle.loads(pickle.dumps(tokenizer)).apply_chat(messages) == ids


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{% for a in b %}" * 30 + "{% endfor %}" * 30, "too many statically nested blocks"),
        ("{{ 10**5000 }}", "Exceeds the limit"),
    ],
)
def test_a_template_of_which_python_makes_no_code_is_told(template, message, tmp_path, caplog):
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").write_text(template)
    tokenizer = Tokenizer.from_folder(tmp_path)
    assert f"so chats are refused: {message}" in caplog.text
    with pytest.raises(InvalidRequest, match=message):
        tokenizer.apply_chat(PLAIN[0])


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize(
    "before",
    [
        "{% generation %}{{ messages[0].content }}{% endgeneration %}",
        "{{ messages | tojson(ensure_ascii=True) }}",
    ],
)
def test_a_template_that_never_ends_is_refused_whatever_stands_before(before):
    endless = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    check_templates(before, Path("folder"))
    with pytest.raises(InvalidCheckpoint, match="the chat template of folder takes more than"):
        check_templates(before + endless, Path("folder"))
