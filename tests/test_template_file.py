"""A chat template that settings name takes the place of the checkpoint's."""

import json
import logging
import pickle
import re
import shutil
from pathlib import Path

import pytest

from tests.support.dream_files import write_tokenizer
from tests.support.tiny import CHAT_TEMPLATE, GOLDEN
from unmask import LLM
from unmask.chat_templates import named_template
from unmask.config import Config, DecodingConfig, EngineConfig, ModelConfig
from unmask.errors import InvalidConfig
from unmask.models.registry import load_model
from unmask.template_file import template_of
from unmask.tokenizer import Tokenizer
from unmask.types import SamplingParams

HI = [{"role": "user", "content": "hi <|end|>"}]
TEMPLATE = "{% for m in messages %}[{{ m.role }}] {{ m.content }}<|end|>{% endfor %}[é] "
RENDERED = "[user] hi <|end|><|end|>[é] "
HUGE = "{{ 'a' * 10**10 }}"
NESTED = "{% for a in b %}" * 30 + "{% endfor %}" * 30


def load(folder: Path, chat_template: str) -> Tokenizer:
    config = ModelConfig(path=str(folder), device="cpu", chat_template=chat_template)
    return load_model(config, DecodingConfig()).tokenizer


def text_of(tokenizer: Tokenizer) -> str:
    return tokenizer.decode(tokenizer.apply_chat(HI), skip_special_tokens=False)


def test_a_template_is_a_file_a_processor_s_file_or_a_text(tmp_path: Path) -> None:
    jinja, processors, marked = (tmp_path / name for name in ("a.jinja", "a.json", "b"))
    jinja.write_text(TEMPLATE, encoding="utf-8")
    processors.write_text(json.dumps({"chat_template": TEMPLATE, "size": 3}))
    marked.write_text(TEMPLATE, encoding="utf-8-sig")
    for source in (jinja, processors, marked, TEMPLATE):
        assert named_template(str(source)) == TEMPLATE
    assert template_of(" {{ messages }} ") == " {{ messages }} "


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jinja", None, "a.jinja: there is no such file; a template in place of its path has"),
        ("a.jinja", b"", "a.jinja is empty, so it is no chat template"),
        ("a.jinja", b" \n", "a.jinja is empty, so it is no chat template"),
        (
            "a.jinja",
            b"{{ '\xff' }}",
            "a.jinja cannot be read: 'utf-8' codec can't decode byte 0xff",
        ),
        ("a.jinja", b"chatml", "a.jinja has neither {% nor {{, so it is no chat template"),
        ("a.jinja", b"a\n{% for %}", "a.jinja has an error: Expected an expression, got 'end of"),
        (
            "a.jinja",
            b"{{ a | unknown }}",
            "a.jinja has an error: No filter named 'unknown'. (line 1)",
        ),
        ("a.jinja", b"{% if a %}", "a.jinja has an error: Unexpected end of template"),
        ("a.jinja", NESTED.encode(), "a.jinja has an error: too many statically nested blocks"),
        ("a.jinja", b"{{ 10**5000 }}", "a.jinja has an error: Exceeds the limit"),
        ("a.jinja", HUGE.encode(), "a.jinja takes more than 3 s or 1024 MiB for one short"),
        ("a.json", None, "a.json cannot be read: there is no a.json in"),
        ("a.json", b"{", "a.json cannot be read: "),
        ("a.json", b"[]", "must be a JSON object, got a value of type list"),
        ("a.json", b"{}", "a.json cannot be read: it has no field chat_template with a text"),
        ("a.json", b'{"chat_template": ["{{"]}', "it has no field chat_template with a text"),
        ("a.json", b'{"chat_template": ""}', "a.json is empty, so it is no chat template"),
    ],
)
def test_a_file_without_a_template_is_told(
    name: str, content: bytes | None, message: str, tmp_path: Path
) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(InvalidConfig, match=re.escape(message)) as caught:
        named_template(str(file))
    assert str(caught.value).startswith(f"model.chat_template {tmp_path}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("/", "model.chat_template / cannot be read: / is not a regular file"),
        ("", "model.chat_template  cannot be read: . is not a regular file"),
        ("a" * 5000, "a cannot be read: File name too long"),
        ("~nobody-here/a", "model.chat_template ~nobody-here/a cannot be read: "),
        ("a\0b", "cannot be read: "),
        ("{% for %}", "model.chat_template has an error: Expected an expression"),
        (HUGE, "model.chat_template takes more than 3 s or 1024 MiB"),
    ],
)
def test_what_is_neither_a_path_nor_a_template_is_told(source: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=re.escape(message)) as caught:
        named_template(source)
    assert len(str(caught.value)) < 400


def test_it_takes_the_place_of_the_checkpoint_s_here_and_in_other_processes(
    tiny_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        tokenizer = load(tiny_folder, TEMPLATE)
    assert "chat template: a text" in caplog.messages
    assert tokenizer.chat_template == tokenizer.text_of("chat_template") == TEMPLATE
    ids = tokenizer.apply_chat(HI)
    assert text_of(tokenizer) == RENDERED
    (end,) = tokenizer.encode("<|end|>")
    assert ids.count(end) == 1, "that of the message is text"
    assert pickle.loads(pickle.dumps(tokenizer)).apply_chat(HI) == ids
    assert load(tiny_folder, str(tiny_folder / "chat_template.jinja")).chat_template != TEMPLATE


def test_a_word_that_only_the_new_template_spells_is_a_control_token(tiny_folder: Path) -> None:
    folder_s, named = (load(tiny_folder, text) for text in (CHAT_TEMPLATE, TEMPLATE + "<|512|>"))
    assert folder_s.num_tokens == named.num_tokens
    assert text_of(named) == RENDERED + "<|512|>"


def test_the_checkpoint_s_own_template_is_not_looked_at(
    tiny_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    for spoiled in (HUGE, "{% for %}"):
        (folder / "chat_template.jinja").write_text(spoiled)
        assert text_of(load(folder, TEMPLATE)) == RENDERED
    (folder / "chat_template.jinja").unlink()
    (folder / "chat_template.json").write_text("{")
    assert text_of(load(folder, TEMPLATE)) == RENDERED
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_it_takes_the_place_of_that_beside_a_vocabulary_and_merges(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    tokenizer = Tokenizer.from_folder(tmp_path, "{{ messages[0].content }}<|im_start|>")
    assert text_of(tokenizer) == "hi <|end|><|im_start|>"


def test_a_wrong_one_ends_the_start_before_weights_are_read(
    tiny_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "copy")
    (folder / "model.safetensors").write_bytes(b"spoiled")
    with pytest.raises(InvalidConfig, match=r"model\.chat_template has an error: Expected"):
        LLM(folder, config=Config(ModelConfig(chat_template="{% for %}", dtype="float32")))


def test_without_a_tokenizer_there_are_no_chats(tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, tmp_path)
    with pytest.raises(InvalidConfig, match=r"model\.chat_template is set, but there is no token"):
        load(tmp_path, TEMPLATE)


def test_llm_answers_chats_through_it(tiny_folder: Path) -> None:
    model = ModelConfig(chat_template=TEMPLATE, device="cpu", dtype="float32")
    config = Config(model, engine=EngineConfig(num_pages=64))
    with LLM(tiny_folder, config=config) as llm:
        (answer,) = llm.chat(HI, SamplingParams(max_tokens=2, steps=1))
        assert llm.tokenizer.decode(answer.prompt_token_ids, skip_special_tokens=False) == RENDERED
