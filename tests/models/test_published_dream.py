"""Dream and relatives load with their tokenizer files, without remote code."""

import asyncio
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from transformers import Qwen2Tokenizer

from tests.support.dream_files import ADDED, MASK_ID, NUM_TOKENS, TEXT, write_tokenizer
from tests.support.engines import ROOMY, make_engine, run_all
from tests.support.tiny import GOLDEN
from unmask.api import create_app
from unmask.config import Config, DecodingConfig, ModelConfig, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.errors import InvalidCheckpoint
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel, load_model
from unmask.tokenizer import Tokenizer
from unmask.types import Request, SamplingParams


def load(folder: Path, source: str = "dream", **fields: Any) -> LoadedModel:
    """Golden checkpoint, 512 embeddings, with a smaller tokenizer."""
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    raw |= {"mask_token_id": MASK_ID, "eos_token_id": 500} | fields
    (folder / "config.json").write_text(json.dumps(raw))
    shutil.copy(GOLDEN / source / "model.safetensors", folder)
    return load_model(ModelConfig(str(folder), dtype="float32"), DecodingConfig())


def test_text_is_split_and_merged_as_qwen2_does(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    ours = Tokenizer.from_folder(tmp_path)
    theirs = Qwen2Tokenizer.from_pretrained(str(tmp_path))
    for text in (
        TEXT,
        "",
        " ",
        "a  b\n\n\nc",
        "e\u0301 1234 <|im_end|> x",
        "I'M IT'S",
        "\U0001f600",
    ):
        ids = ours.encode(text)
        assert ids == theirs.encode(text, add_special_tokens=False), text
        assert ours.decode(ids, skip_special_tokens=False) == theirs.decode(ids)
    assert ours.encode("<|mask|>") == [MASK_ID]
    assert (ours.eos_token_id, ours.mask_token_id) == (500, MASK_ID)
    assert ours.num_tokens == NUM_TOKENS


@pytest.mark.parametrize("source", ["dream", "dream_reasoner", "idlm", "sdar", "sdar_moe"])
def test_the_end_of_a_turn_ends_an_answer_without_a_generation_config(
    source: str, tmp_path: Path
) -> None:
    """Both other files have only `<|endoftext|>`, as Qwen's base models."""
    write_tokenizer(tmp_path)
    assert load(tmp_path, source).info.eos_token_ids == (500, NUM_TOKENS - 3)


def test_the_padding_of_diffucoder_ends_an_answer(tmp_path: Path) -> None:
    """Its model cards cut answers at the first one; config.json does not name it as an end."""
    write_tokenizer(tmp_path, added=(*ADDED, "<|dlm_pad|>"), pad_token="<|dlm_pad|>")
    loaded = load(tmp_path)
    assert loaded.info.eos_token_ids == (500, NUM_TOKENS - 3, NUM_TOKENS)


def test_gpt2_splits_in_its_own_way(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, tokenizer_class="GPT2Tokenizer")
    ours = Tokenizer.from_folder(tmp_path)
    assert ours.decode(ours.encode(TEXT)) == TEXT
    write_tokenizer(tmp_path)
    assert Tokenizer.from_folder(tmp_path).encode(TEXT) != ours.encode(TEXT)


def test_older_files_name_added_tokens_in_a_file_of_their_own(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, added_tokens_decoder=None)
    ids = {text: 500 + i for i, text in enumerate(ADDED)}
    (tmp_path / "added_tokens.json").write_text(json.dumps(ids))
    assert Tokenizer.from_folder(tmp_path).encode("<|im_end|>") == [502]


def test_a_chat_is_answered_through_openais_client(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    loaded = load(tmp_path)
    metrics = Metrics()
    engine = AsyncEngine(Engine(Config(engine=ROOMY), loaded, metrics))

    async def ask() -> Any:
        transport = httpx.ASGITransport(create_app(engine, metrics, ServerConfig()))
        async with httpx.AsyncClient(transport=transport) as http:
            client = openai.AsyncOpenAI(base_url="http://test/v1", api_key="none", http_client=http)
            return await client.chat.completions.create(
                model=loaded.info.name,
                messages=[{"role": "user", "content": "What is 12 + 31?"}],
                max_tokens=12,
            )

    answer = asyncio.run(ask())
    engine.shutdown()
    assert answer.usage.prompt_tokens == len(
        loaded.tokenizer.apply_chat([{"role": "user", "content": "What is 12 + 31?"}])
    )
    assert isinstance(answer.choices[0].message.content, str)


@pytest.mark.parametrize("source", ["dream", "sdar", "llada"])
def test_an_id_without_text_is_never_generated(source: str, tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    loaded = load(tmp_path, source)
    assert loaded.info.vocab_size == NUM_TOKENS
    sampling = SamplingParams(
        max_tokens=100, temperature=50.0, seed=1, ignore_eos=True, block_length=20, steps=20
    )
    answer = run_all(make_engine(loaded), [Request("r", (1, 2, 3), sampling)])["r"]
    assert max(answer.token_ids) < NUM_TOKENS
    assert len(set(answer.token_ids)) > 60


COMMANDS = ("<|expand|>", "<|delete|>", "<|more|>")  # of which the last is none


@pytest.mark.exhaustive
def test_commands_of_dreamon_are_generated_in_no_text(tmp_path: Path) -> None:
    write_tokenizer(tmp_path, commands=COMMANDS)
    loaded = load(tmp_path)
    sampling = SamplingParams(
        max_tokens=100, temperature=50.0, seed=1, ignore_eos=True, block_length=20, steps=20
    )
    requests = [Request(f"{i}", (i,), replace(sampling, seed=i)) for i in range(20)]
    answers = run_all(make_engine(loaded), requests)
    found = {token for answer in answers.values() for token in answer.token_ids}
    assert not found & {NUM_TOKENS, NUM_TOKENS + 1}
    assert NUM_TOKENS + 2 in found, "other tokens behind them are"


@pytest.mark.parametrize(
    ("commands", "fields", "expected"),
    [
        (COMMANDS, {}, (NUM_TOKENS, (500, NUM_TOKENS + 1))),
        (COMMANDS[:1], {}, (NUM_TOKENS, (500,))),
        ((), {"expand_token_id": 507}, (507, (500,))),
        ((), {"expand_token_id": 507, "delete_token_id": 506}, (507, (506,))),
        (COMMANDS, {"delete_token_id": 506}, (NUM_TOKENS, (506,))),
        ((), {}, None),
    ],
)
def test_commands_are_those_of_the_configuration_else_of_the_tokenizer(
    commands: tuple[str, ...],
    fields: dict[str, int],
    expected: tuple[int, tuple[int, ...]] | None,
    tmp_path: Path,
) -> None:
    write_tokenizer(tmp_path, commands=commands)
    info = load(tmp_path, **fields).info
    found = info.length_commands
    assert (found and (found.expand_token_id, found.delete_token_ids)) == expected
    assert found is None or (found.begin, found.end) == ((503,), (500,))
    assert found is None or info.vocab_size > max(found.ids)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"expand_token_id": 512}, "expand_token_id is 512"),
        ({"expand_token_id": True}, "expand_token_id is True"),
        ({"expand_token_id": 500}, "token 500 expands, and 500 deletes"),
        ({"expand_token_id": MASK_ID}, "mask token 504 is a command"),
        ({"delete_token_id": 506}, "no expand_token_id"),
        ({"expand_token_id": 507, "pad_delete_to_right": True}, "pad_delete_to_right"),
        ({"expand_token_id": 507, "number_transfer_tokens": 2}, "number_transfer_tokens"),
    ],
)
def test_commands_that_contradict_each_other_or_are_not_served_are_refused(
    fields: dict[str, int], message: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(InvalidCheckpoint, match=message):
        load(tmp_path, **fields)


def test_a_vocabulary_that_text_covers_little_of_is_refused(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    with pytest.raises(InvalidCheckpoint, match="vocabulary of 134656, the tokenizer of 505"):
        load(tmp_path, "llada", vocab_size=134656, embedding_size=134656)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("vocab.json", "[1]", "vocab.json"),
        ("vocab.json", "{", "vocab.json"),
        ("vocab.json", '{"a": 0}', "merges.txt"),
        ("merges.txt", "one\n", "line 1 of .*merges.txt"),
        ("merges.txt", "a b c\n", "line 1 of .*merges.txt"),
    ],
)
def test_spoiled_files_are_told_in_one_line(
    file: str, content: str, message: str, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(InvalidCheckpoint, match=message) as caught:
        Tokenizer.from_folder(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "added", [{"x": {"content": "<|a|>"}}, {"500": "<|a|>"}, {"700": {"content": "<|a|>"}}, [1]]
)
def test_added_tokens_that_do_not_follow_the_vocabulary_are_refused(
    added: Any, tmp_path: Path
) -> None:
    write_tokenizer(tmp_path, added_tokens_decoder=added)
    with pytest.raises(InvalidCheckpoint, match=r"tokenizer_config\.json"):
        Tokenizer.from_folder(tmp_path)
