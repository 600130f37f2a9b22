"""Checkpoints without a tokenizer: texts are token ids."""

import json
import re
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as FastTokenizer
from tokenizers import decoders, models
from transformers import PreTrainedTokenizerFast

from tests.support.golden import cases_of
from tests.support.pictures import image_tokenizer
from tests.support.tiny import GOLDEN, byte_tokenizer
from tests.support.tokenizers_of_kinds import KINDS
from unmask import LLM
from unmask.config import Config, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.tokenizer import IdTokenizer, Tokenizer
from unmask.types import SamplingParams

TOKENIZER = Tokenizer(IdTokenizer())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plain")
    for name in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / "sdar" / name, folder)
    return folder


def test_text_is_token_ids_there_and_back() -> None:
    assert TOKENIZER.encode("12 7\n 0401 ") == [12, 7, 401]
    assert TOKENIZER.encode(TOKENIZER.decode([5, 0, 31])) == [5, 0, 31]
    assert TOKENIZER.token_text(7) == " 7"
    assert TOKENIZER.pieces([12, 7]) == ["12", "7"]
    decoder = TOKENIZER.stream()
    pieces = [decoder.push(ids) for ids in ([1], [2, 3], [4, 5, 6, 7, 8, 9], [10])]
    assert "".join([*pieces, decoder.flush()]) == " 1 2 3 4 5 6 7 8 9 10"


class Counting(PreTrainedTokenizerFast):
    """A tokenizer that counts how often it lists its added tokens."""

    listed = 0

    def get_added_vocab(self) -> dict[str, int]:
        self.listed += 1
        return super().get_added_vocab()


def test_added_tokens_are_listed_once() -> None:
    """LLaDA2.0-Uni asks for two thousand of them, and a list of many takes long."""
    inner = Counting(tokenizer_object=byte_tokenizer().backend_tokenizer)
    tokenizer = Tokenizer(inner)
    before = inner.listed
    assert tokenizer.added_token_id("<|mask|>") is not None
    assert {tokenizer.added_token_id(f"<|reserved_token_{n}|>") for n in range(9)} == {None}
    assert tokenizer.added_tokens_with("mask")
    assert inner.listed == before + 1


def test_a_decoder_that_treats_the_first_token_apart_is_given_context() -> None:
    fast = FastTokenizer(models.WordLevel({"▁a": 0, "▁b": 1, "c": 2}, unk_token="c"))
    fast.decoder = decoders.Metaspace()
    decoder = Tokenizer(PreTrainedTokenizerFast(tokenizer_object=fast)).stream()
    assert [decoder.push([token_id]) for token_id in (0, 1, 2, 0)] == ["a", " b", "c", " a"]


@pytest.mark.parametrize("kind", ["byte_level", "normalized", "byte_fallback"])
def test_the_bytes_of_tokens_join_to_the_bytes_of_the_text(kind: str) -> None:
    tokenizer, text = Tokenizer(KINDS[kind]()), "the 語🎉 aé \ufffd hello"
    token_ids = tokenizer.encode(text)
    found = [tokenizer.token_bytes(token_id) for token_id in token_ids]
    assert b"".join(found) == text.encode()
    assert len(found) > len(text), "characters in several tokens"
    assert tokenizer.token_bytes(tokenizer.encode("<eos>")[0]) == b"<eos>"


@pytest.mark.parametrize("word", ["hello", "-1", "+1", "1.0", "1_0", "²", "٣", "1" * 5000])
def test_what_is_no_token_id_is_told(word: str) -> None:
    with pytest.raises(InvalidRequest, match="has no tokenizer") as caught:
        TOKENIZER.encode(f"3 {word}")
    assert len(caught.value.message) < 200


def test_a_file_of_a_tokenizer_has_to_be_one(folder: Path, tmp_path: Path) -> None:
    assert Tokenizer.from_folder(folder).encode("3") == [3]
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(InvalidCheckpoint, match=r"no usable tokenizer .*no tokenizer\.json: save"):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.skipif(find_spec("sentencepiece") is not None, reason="sentencepiece reads it")
def test_pieces_without_their_package_are_told(tmp_path: Path) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").rename(tmp_path / "tokenizer.model")
    with pytest.raises(InvalidCheckpoint, match=r"needs the packages sentencepiece and protobuf\."):
        Tokenizer.from_folder(tmp_path)


@pytest.mark.parametrize(("token", "stated"), [("<|new|>", 600), ("<|new|>", 3)])
def test_an_added_token_at_another_id_than_stated_is_refused(
    token: str, stated: int, tmp_path: Path
) -> None:
    """Transformers would add `<|new|>` behind the last token, 511."""
    byte_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    written = json.loads(file.read_text())

    def add(token_id: int) -> None:
        added = {str(token_id): {"content": token, "special": True}}
        file.write_text(json.dumps(written | {"added_tokens_decoder": added}))

    add(stated)
    with pytest.raises(InvalidCheckpoint, match=re.escape(f"{token!r} has id {stated} in")):
        Tokenizer.from_folder(tmp_path)
    file.write_text(json.dumps(written))
    (tmp_path / "added_tokens.json").write_text(json.dumps({token: stated}))
    with pytest.raises(InvalidCheckpoint, match=re.escape(f"{token!r} has id {stated} in")):
        Tokenizer.from_folder(tmp_path)
    add(512)
    assert Tokenizer.from_folder(tmp_path).encode(token) == [512]


STALE = {"<|mask|>": 505, "<|end|>": 510}
STALE_FILES = {
    "tokenizer_config.json": {
        "added_tokens_decoder": {str(i): {"content": text} for text, i in STALE.items()}
    },
    "added_tokens.json": STALE,
    # The same token twice, of which one id is right.
    "twice": {"added_tokens_decoder": {str(i): {"content": "<|mask|>"} for i in (505, 511)}},
}


@pytest.mark.parametrize("name", STALE_FILES)
def test_a_token_of_tokenizer_json_has_its_id_there_as_in_transformers(
    name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / (name if name.endswith(".json") else "tokenizer_config.json")
    written = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(written | STALE_FILES[name]))
    kind: Any = PreTrainedTokenizerFast
    assert kind.from_pretrained(tmp_path).convert_tokens_to_ids("<|mask|>") == 511
    assert Tokenizer.from_folder(tmp_path).encode("<|mask|>") == [511]
    (told,) = [text for text in caplog.messages if "tokenizer.json" in text]
    assert told.startswith("'<|mask|>' has id 505 in the configuration")


def test_a_list_of_added_tokens_is_ignored_beside_the_configuration_s(tmp_path: Path) -> None:
    """Transformers reads the older file only if `tokenizer_config.json` lists none."""
    byte_tokenizer().save_pretrained(tmp_path)
    file = tmp_path / "tokenizer_config.json"
    listed = {"added_tokens_decoder": {"511": {"content": "<|mask|>", "special": True}}}
    file.write_text(json.dumps(json.loads(file.read_text()) | listed))
    (tmp_path / "added_tokens.json").write_text('{"<|new|>": 600}')
    assert Tokenizer.from_folder(tmp_path).encode("<|mask|>") == [511]


@pytest.mark.parametrize("stated", ["512", None, 1.5, True, [1]])
def test_an_id_that_is_no_number_is_told(stated: Any, tmp_path: Path) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<|new|>": stated}))
    with pytest.raises(InvalidCheckpoint, match=r"no usable tokenizer|must be whole numbers"):
        Tokenizer.from_folder(tmp_path)


def test_a_template_of_a_processor_s_file_is_read_where_there_is_no_other(tmp_path: Path) -> None:
    tokenizer = byte_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "chat_template.json").write_text('{"chat_template": "hello"}')
    assert Tokenizer.from_folder(tmp_path).chat_template == tokenizer.chat_template
    (tmp_path / "chat_template.jinja").unlink()
    assert Tokenizer.from_folder(tmp_path).chat_template == "hello"
    for content, reason in (("[", "is not JSON"), ('["hello"]', "must be a JSON object")):
        (tmp_path / "chat_template.json").write_text(content)
        with pytest.raises(InvalidCheckpoint, match=rf"chat_template\.json {reason}"):
            Tokenizer.from_folder(tmp_path)


def test_a_template_with_an_error_of_syntax_is_an_error_of_each_chat() -> None:
    inner = byte_tokenizer()
    inner.chat_template = "{% for %}"
    with pytest.raises(InvalidRequest, match="the chat template refused the messages"):
        Tokenizer(inner).apply_chat([{"role": "user", "content": "hi"}])


def test_answers_are_those_of_the_reference(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    case = cases_of("sdar")[0]
    with LLM(config=Config(ModelConfig(path=str(folder), dtype="float32"))) as llm:
        text = " ".join(map(str, case.request.prompt_token_ids))
        (from_text,) = llm.generate(text, case.request.sampling)
        (from_ids,) = llm.generate(case.request.prompt_token_ids, case.request.sampling)
        with pytest.raises(InvalidRequest, match="no chat template"):
            llm.chat([{"role": "user", "content": "1"}])
        with pytest.raises(InvalidRequest, match="outside the vocabulary"):
            llm.generate("512", SamplingParams())
    assert "has no tokenizer" in caplog.text
    assert list(from_text.token_ids) == list(from_ids.token_ids) == case.tokens
    assert from_text.text == "".join(f" {token}" for token in case.tokens)


def test_a_template_with_an_error_is_told_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    Tokenizer.from_folder(tmp_path)
    assert not caplog.messages
    (tmp_path / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}")
    tokenizer = Tokenizer.from_folder(tmp_path)
    (told,) = caplog.messages
    assert "has an error, so chats are refused: Unexpected end of template" in told
    with pytest.raises(InvalidRequest, match="Unexpected end of template"):
        tokenizer.apply_chat([{"role": "user", "content": "a"}])


@pytest.mark.parametrize("text", ["caf\udce9", "\ud83d"])
def test_half_of_a_surrogate_pair_is_no_text(text: str) -> None:
    """Python gives bytes of a command line that are no UTF-8 such halves."""
    tokenizer = byte_tokenizer()
    with pytest.raises(InvalidRequest, match="half of a surrogate pair"):
        Tokenizer(tokenizer).encode(text)
    with pytest.raises(InvalidRequest, match="half of a surrogate pair"):
        Tokenizer(tokenizer).apply_chat([{"role": "user", "content": text}])


@pytest.mark.parametrize("before", [[], [{"type": "text", "text": "a"}]], ids=["alone", "behind"])
def test_a_message_that_ends_with_an_image_is_not_continued(before: list[Any]) -> None:
    """Without a text behind it, the library would cut the image off the last text."""
    message = {"role": "user", "content": [*before, {"type": "image"}]}
    with pytest.raises(InvalidRequest, match=r"continue_final_message needs .* not with an image"):
        image_tokenizer().apply_chat([message], continue_final_message=True)
    with pytest.raises(InvalidRequest):
        image_tokenizer().apply_chat([], continue_final_message=True)


@pytest.mark.parametrize(
    "tags", [("<|channel>", "<channel|>", "<|tool_call>", "<tool_call|>", '<|"|>'), ("</think>",)]
)
def test_special_tokens_of_thoughts_and_calls_are_text_of_an_answer(tags: tuple[str, ...]) -> None:
    inner = byte_tokenizer(tags=(*tags, "<|turn>"))
    inner.backend_tokenizer.add_special_tokens([*tags, "<|turn>"])
    tokenizer = Tokenizer(inner)
    ids = tokenizer.encode("".join(f"a{tag}" for tag in (*tags, "<|turn>")))
    assert len(ids) == 2 * (len(tags) + 1)
    assert tokenizer.decode(ids) == "".join(f"a{tag}" for tag in tags) + "a"
