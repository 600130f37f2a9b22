"""Prompts of a load."""

import gzip
import json

import pytest

from unmask.bench.workload import BUILT_IN, Conversation, pick, random_prompts, read_prompts
from unmask.errors import InvalidConfig


def test_a_text_file_has_a_prompt_a_line(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("one\n\ntwo\n")
    assert read_prompts(file) == ("one", "two")


def test_packed_json_lines_hold_texts_token_ids_or_conversations(tmp_path):
    file = tmp_path / "prompts.jsonl.gz"
    message = {"role": "user", "content": "hi"}
    entries = ({"prompt": "one"}, {"prompt": [1, 2]}, {"messages": [message], "task": "a"})
    file.write_bytes(gzip.compress("\n".join(map(json.dumps, entries)).encode()))
    assert read_prompts(file) == ("one", (1, 2), Conversation((message,)))


@pytest.mark.parametrize(
    "text",
    [
        *('{"text": 1}', "[]", "{", '{"prompt": null}', '{"prompt": ["a"]}', '{"prompt": []}'),
        *('{"messages": "hi"}', '{"messages": ["hi"]}', "[" * 9999),
    ],
)
def test_a_line_without_a_prompt_is_named(tmp_path, text):
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "a"}\n\n' + text)
    with pytest.raises(InvalidConfig, match=r"prompts\.jsonl, line 3: not (an object|JSON)"):
        read_prompts(file)


def test_only_newlines_part_prompts(tmp_path):
    file = tmp_path / "prompts.jsonl"
    file.write_bytes('{"prompt": "one\u2028two\x85"}\r\n'.encode())
    assert read_prompts(file) == ("one\u2028two\x85",)
    (tmp_path / "prompts.txt").write_bytes("one\u2028two\r\nthree".encode())
    assert read_prompts(tmp_path / "prompts.txt") == ("one\u2028two", "three")


def test_files_that_are_empty_or_missing_are_refused(tmp_path):
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(InvalidConfig, match="no prompts"):
        read_prompts(tmp_path / "empty.txt")
    with pytest.raises(InvalidConfig, match="cannot read"):
        read_prompts(tmp_path / "none.txt")
    packed = gzip.compress(b"hello" * 99)
    for broken in (packed[:-9], packed[:12] + b"\xff" * 9):
        (tmp_path / "cut.txt.gz").write_bytes(broken)
        with pytest.raises(InvalidConfig, match="cannot read"):
            read_prompts(tmp_path / "cut.txt.gz")


def test_random_prompts_depend_on_the_seed_only():
    first = random_prompts(3, 5, (10, 20), seed=1)
    assert first == random_prompts(3, 5, (10, 20), seed=1) != random_prompts(3, 5, (10, 20), seed=2)
    assert all(len(p) == 5 and all(10 <= token < 20 for token in p) for p in first)


def test_every_prompt_is_used_before_one_is_used_again():
    picked = pick(BUILT_IN, 2 * len(BUILT_IN), seed=3)
    assert sorted(picked[: len(BUILT_IN)]) == sorted(picked[len(BUILT_IN) :]) == sorted(BUILT_IN)
    assert len(pick(BUILT_IN, 5, seed=0)) == 5
