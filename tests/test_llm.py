"""`LLM`, the in-process API."""

from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import sdar_vl
from tests.support.pictures import (
    TEMPLATE,
    TOKEN,
    TRAITS,
    image_tokenizer,
    picture,
    pixels,
    png,
    rows,
    url_of,
)
from tests.support.tiny import byte_tokenizer
from unmask import LLM, SamplingParams
from unmask.config import Config, EngineConfig, ModelConfig
from unmask.errors import InvalidCheckpoint, InvalidRequest
from unmask.likelihood import mean_logprob
from unmask.prompts import encode_chat
from unmask.templates import Blank
from unmask.types import Delta, Failure, FinishReason, Refinement, RefinementOptions


@pytest.fixture(scope="module")
def llm(tiny_folder: Path) -> LLM:
    engine = EngineConfig(num_pages=200, threads=1)
    return LLM(tiny_folder, config=Config(ModelConfig(dtype="float32"), engine))


def test_prompts_are_answered_in_order(llm: LLM) -> None:
    prompts = ["hello", [5, 6, 7], "another prompt"]
    sampling = SamplingParams(max_tokens=12, ignore_eos=True)
    together = llm.generate(prompts, sampling)
    assert [c.prompt_token_ids for c in together] == [
        tuple(llm.tokenizer.encode("hello")),
        (5, 6, 7),
        tuple(llm.tokenizer.encode("another prompt")),
    ]
    for prompt, completion in zip(prompts, together, strict=True):
        (alone,) = llm.generate(prompt, sampling)
        assert alone.token_ids == completion.token_ids
        assert len(alone.token_ids) == 12
        assert alone.finish.reason is FinishReason.LENGTH
        assert alone.text == llm.tokenizer.decode(alone.token_ids)


def test_each_prompt_may_have_its_own_sampling(llm: LLM) -> None:
    params = [SamplingParams(max_tokens=n, ignore_eos=True) for n in (3, 9)]
    assert [len(c.token_ids) for c in llm.generate(["a", "b"], params)] == [3, 9]
    with pytest.raises(ValueError, match="2 prompts"):
        llm.generate(["a", "b"], params[:1])


def test_one_wrong_prompt_refuses_all_before_any_work(llm: LLM) -> None:
    with pytest.raises(InvalidRequest):
        llm.generate(["fine", [999]])
    assert llm.generate("fine", SamplingParams(max_tokens=2))


def test_arrays_and_numbers_of_numpy_are_token_ids(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=4, ignore_eos=True)
    (plain,) = llm.generate([5, 6, 7], sampling)
    array = np.array([5, 6, 7])
    for prompts in (array, list(array), [array], (5, 6, 7), iter([[5, 6, 7]])):
        assert llm.generate(prompts, sampling) == [plain]
    assert all(type(token_id) is int for token_id in plain.prompt_token_ids)
    assert len(llm.generate(np.array([[5], [6]]), sampling)) == 2
    assert llm.generate([5], sampling, suffix=array) == llm.generate(
        [5], sampling, suffix=[5, 6, 7]
    )


@pytest.mark.parametrize(
    "prompt", [[1.5, 2.0], b"hi", {"prompt": "hi"}, None, ["a", ["b"]], [5, "a"]]
)
def test_what_is_no_prompt_is_refused_by_name(llm: LLM, prompt: Any) -> None:
    with pytest.raises(InvalidRequest, match="prompt must be text or token ids") as caught:
        llm.generate(["fine", prompt])
    assert caught.value.field == "prompt"


def test_ids_to_stop_at_are_those_of_the_model(llm: LLM) -> None:
    with pytest.raises(InvalidRequest, match="stop_token_ids: token id 999 is outside"):
        llm.generate("hello", SamplingParams(stop_token_ids=(5, 999)))


def test_text_parts_of_messages_are_joined_and_others_refused(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=2)
    parts = [{"type": "text", "text": "h"}, {"type": "text", "text": "i"}]
    (joined,) = llm.chat([{"role": "user", "content": parts}], sampling)
    assert llm.tokenizer.decode(joined.prompt_token_ids) == "user: h\ni\nassistant: "
    for wrong_part in ({"type": "audio"}, 5, {"type": "text", "text": None}):
        with pytest.raises(InvalidRequest, match="content must be text, or parts that are text"):
            llm.chat([{"role": "user", "content": [*parts, wrong_part]}], sampling)
    image = {"type": "image_url", "image_url": {"url": "http://host/a.png"}}
    with pytest.raises(InvalidRequest, match="this model takes no images"):
        llm.chat([{"role": "user", "content": [*parts, image]}], sampling)
    for wrong in ("hi", ["hi"], {"role": "user", "content": "hi"}):
        with pytest.raises(InvalidRequest, match="a message must have a role and content"):
            llm.chat(wrong, sampling)  # type: ignore[arg-type]


def test_images_of_conversations_are_files_urls_and_pillows(tmp_path: Path) -> None:
    tokenizer, file, path = image_tokenizer(), png(), tmp_path / "a.png"
    path.write_bytes(file)
    given = [
        {"type": "image_url", "image_url": {"url": url_of(file)}},
        {"type": "image_url", "image_url": url_of(file)},
        *({"type": "image", "image": image} for image in (file, path, picture(), url_of(file))),
    ]
    content = ["see ", *given]
    ids, images = encode_chat(tokenizer, [{"role": "user", "content": content}], TRAITS)
    expected = [*tokenizer.encode("user: see "), *rows(file) * 6]
    assert ids == (*expected, *tokenizer.encode("\nassistant: "))
    assert [one.pixels for one in images] == [pixels(file)] * 6
    assert [ids[one.start : one.end] for one in images] == [(TRAITS.token_id,) * 3] * 6


def test_a_model_answers_about_the_images_of_each_conversation(tmp_path: Path) -> None:
    folder = sdar_vl.MODEL.write(
        tmp_path, sdar_vl.MODEL.raw_config(image_token_index=TRAITS.token_id)
    )
    inner = byte_tokenizer(tags=(TOKEN,))
    inner.chat_template = TEMPLATE
    inner.save_pretrained(folder)
    config = ModelConfig(dtype="float32", device="cpu")
    llm = LLM(folder, config=Config(model=config, engine=EngineConfig(num_pages=64)))
    red, blue = ({"type": "image", "image": png(color=color)} for color in ("red", "blue"))
    asked = [[{"role": "user", "content": ["see ", image]}] for image in (red, blue, red)]
    sampling = SamplingParams(max_tokens=16, ignore_eos=True)
    first, other, again = llm.chat(asked, sampling)
    assert first.prompt_token_ids == other.prompt_token_ids
    assert first.token_ids == again.token_ids != other.token_ids
    with pytest.raises(InvalidRequest, match="prompt_logprobs cannot be combined with images"):
        llm.chat(asked, replace(sampling, prompt_logprobs=1))


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"role": "assistant", "content": [{"type": "image", "image": b""}]}, "user and tool"),
        ({"role": "user", "content": [{"type": "image", "image": b"a"}]}, "none of PNG"),
        ({"role": "user", "content": [{"type": "image", "image": "a.png"}]}, "nothing is fetched"),
        ({"role": "user", "content": [{"type": "image"}]}, "got None"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": 5}]}, "got 5"),
    ],
    ids=str,
)
def test_what_is_no_image_is_refused(message: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason) as caught:
        encode_chat(image_tokenizer(), [message], TRAITS)
    assert caught.value.field == "messages"


def test_templates_and_prompts_that_do_not_match_are_refused(llm: LLM) -> None:
    with pytest.raises(ValueError, match="1 templates, but 2 prompts"):
        llm.fill(["a", Blank(3)], prompts=["a", "b"])
    with pytest.raises(InvalidRequest, match="must be texts and Blanks, got 5"):
        llm.fill(["a", Blank(3), 5])  # type: ignore[list-item]
    with pytest.raises(InvalidRequest, match="hole 0 must have room"):
        llm.check_fill(["a", Blank(0)])
    llm.check_fill(["a", Blank(3)])


def test_chat_applies_the_template(llm: LLM) -> None:
    conversation = [{"role": "user", "content": "hi"}]
    sampling = SamplingParams(max_tokens=4, ignore_eos=True)
    (one,) = llm.chat(conversation, sampling)
    two = llm.chat([conversation, conversation], sampling)
    assert [c.token_ids for c in two] == [one.token_ids] * 2
    assert llm.tokenizer.decode(one.prompt_token_ids) == "user: hi\nassistant: "


TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


def test_chat_has_tools_and_options_of_the_template() -> None:
    call = {"type": "function", "function": {"name": "look_up", "arguments": '{"of": "é"}'}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "call_1", **call}]},
        {"role": "tool", "tool_call_id": "call_1", "content": "7"},
        {"role": "assistant", "content": "It is"},
    ]
    sampling = SamplingParams(max_tokens=4, ignore_eos=True)
    with LLM() as llm:
        [done] = llm.chat(messages, sampling, tools=[TOOL], continue_final_message=True)
        prompt = llm.tokenizer.decode(done.prompt_token_ids, skip_special_tokens=False)
        assert prompt.startswith("<|system|>Be brief.")
        assert '"look_up", "parameters"' in prompt
        assert '"arguments": {"of": "é"}' in prompt
        assert "None" not in prompt
        assert prompt.endswith("<|assistant|>It is")
        [plain] = llm.chat(messages[:2], sampling, chat_template_kwargs={"tools_are": 1})
        assert "look_up" not in llm.tokenizer.decode(plain.prompt_token_ids)
        for name in ("messages", "tools"):
            with pytest.raises(InvalidRequest, match=f"may not set {name}"):
                llm.chat(messages[:2], sampling, chat_template_kwargs={name: []})
        wrong = {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1"}]}
        with pytest.raises(InvalidRequest, match="tool_calls must be calls"):
            llm.chat([messages[1], wrong], sampling)


def test_a_stream_adds_up_to_the_completion(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=40, ignore_eos=True, steps=8, block_length=8)
    events = list(llm.stream("hello", sampling, refinements=RefinementOptions(tokens=True)))
    (whole,) = llm.generate("hello", sampling)
    deltas = [event for event in events if isinstance(event, Delta)]
    assert "".join(delta.text for delta in deltas) == whole.text
    refinements = [event for event in events if isinstance(event, Refinement)]
    assert refinements
    for refinement in refinements:
        assert refinement.tokens is not None
        assert len(refinement.tokens) == refinement.span[1] - refinement.span[0]
        assert refinement.unresolved == sum(not token.resolved for token in refinement.tokens)


def test_streams_that_are_read_in_turns_give_their_own_answers(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=40, ignore_eos=True, steps=4, block_length=8)
    prompts = ["hello", "another prompt"]
    pairs = zip_longest(*(llm.stream(prompt, sampling) for prompt in prompts))
    for whole, events in zip(
        llm.generate(prompts, sampling), zip(*pairs, strict=True), strict=True
    ):
        assert "".join(event.text for event in events if isinstance(event, Delta)) == whole.text


def test_an_open_stream_is_no_obstacle_to_other_calls(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=40, ignore_eos=True, steps=4, block_length=8)
    (whole,), (other,) = llm.generate("hello", sampling), llm.generate("other", sampling)
    stream = llm.stream("hello", sampling)
    events = [next(stream)]
    read = replace(sampling, prompt_logprobs=0)
    (found,) = llm.generate("other", read)
    assert (found.text, len(found.prompt_logprobs or ())) == (other.text, 5)
    assert llm.chat([{"role": "user", "content": "hi"}], sampling)
    assert llm.fill(["a", Blank(3), "b"])
    with pytest.raises(InvalidRequest):
        llm.generate([999])
    events += stream
    assert "".join(event.text for event in events if isinstance(event, Delta)) == whole.text


def test_closing_tells_open_streams(llm: LLM) -> None:
    stream = llm.stream("hello", SamplingParams(max_tokens=40, ignore_eos=True))
    first = next(stream)
    llm.close()
    assert [*stream] == [Failure(first.request_id, "closed")]


def test_leaving_a_stream_early_drops_its_request(llm: LLM) -> None:
    stream = llm.stream("hello", SamplingParams(max_tokens=400, ignore_eos=True))
    next(stream)
    stream.close()
    assert llm._engine.pool.num_held == 0


def test_the_same_seed_gives_the_same_tokens(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=30, temperature=1.0, seed=4, ignore_eos=True)
    first, second = (llm.generate("hello", sampling)[0].token_ids for _ in range(2))
    assert first == second
    other = llm.generate("hello", SamplingParams(30, 1.0, seed=5, ignore_eos=True))
    assert other[0].token_ids != first


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidCheckpoint, match=r"config\.json"):
        LLM(str(tmp_path))
    for adapter in (tmp_path, [tmp_path]):
        with pytest.raises(InvalidCheckpoint, match=r"adapter_config\.json"):
            LLM(adapter=adapter)


def test_log_probabilities_of_prompts_are_those_of_the_engine(llm: LLM) -> None:
    sampling = SamplingParams(max_tokens=3, prompt_logprobs=2)
    plain = SamplingParams(max_tokens=3)
    read, one, none = llm.generate(["hello", [5], "hello"], [sampling, sampling, plain])
    assert none.prompt_logprobs is None
    assert none.token_ids == read.token_ids
    assert one.prompt_logprobs == (None,)
    assert read.prompt_logprobs is not None
    first, *others = read.prompt_logprobs
    assert first is None
    ids = [item.token_id for item in others if item is not None]
    assert tuple(ids) == read.prompt_token_ids[1:]
    assert all(item is not None and item.rank and len(item.top) == 2 for item in others)
    assert read.logprobs == ()


def test_the_best_of_several_answers_has_the_highest_mean_log_probability(llm: LLM) -> None:
    prompts, params = ["hello", "x"], SamplingParams(max_tokens=6, temperature=1.3, seed=4)
    best = llm.generate(prompts, replace(params, prompt_logprobs=0), best_of=3)
    for prompt, found in zip(prompts, best, strict=True):
        seeds = [replace(params, seed=4 + i, logprobs=0) for i in range(3)]
        each = llm.generate([prompt] * 3, seeds)
        expected = max(each, key=lambda one: mean_logprob(one.logprobs))
        assert found.token_ids == expected.token_ids
        assert found.logprobs == ()
        assert found.prompt_logprobs is not None
        assert len(found.prompt_logprobs) == len(found.prompt_token_ids)
    with pytest.raises(InvalidRequest, match="best_of must be at least 1"):
        llm.generate("a", best_of=0)


def test_bad_words_are_in_no_answer(llm: LLM) -> None:
    plain = SamplingParams(max_tokens=20, ignore_eos=True)
    (free,) = llm.generate("hello", plain)
    parts = [list(free.token_ids[i : i + 2]) for i in range(19)]
    ids = next(part for part in parts if llm.tokenizer.encode(llm.tokenizer.decode(part)) == part)
    (found,) = llm.generate("hello", replace(plain, bad_words=(llm.tokenizer.decode(ids),)))
    assert ids not in [list(found.token_ids[i : i + 2]) for i in range(19)]
