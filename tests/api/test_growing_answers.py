"""Answers that grow and shrink (DreamOn) over HTTP: completions, `/infill` and FIM."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from tests.api.sse import events, joined
from tests.support.dreamon import EXPAND_ID, load_dreamon
from tests.support.engines import ROOMY
from tests.support.tiny import EOS_ID
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel

Send = Callable[..., list[httpx.Response]]
BEFORE, BEHIND = "def add(a, b):\n", "\n    return x\n"
SAMPLED = {"temperature": 1.0, "logit_bias": {str(EOS_ID): -8}}
GAP = {"prompt": BEFORE, "suffix": BEHIND, "seed": 5, "max_tokens": 24, **SAMPLED}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return load_dreamon(tmp_path_factory.mktemp("dreamon"))


@pytest.fixture(scope="module")
def send(loaded: LoadedModel) -> Iterator[Send]:
    """Send requests, each a path and a body, at once; gives their responses."""
    metrics = Metrics()
    engine = AsyncEngine(Engine(Config(engine=ROOMY), loaded, metrics))

    def run(*requests: tuple[str, dict[str, Any]]) -> list[httpx.Response]:
        async def ask() -> list[httpx.Response]:
            app = create_app(engine, metrics, ServerConfig())
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                posts = (client.post(path, json=body) for path, body in requests)
                return list(await asyncio.gather(*posts))

        return asyncio.run(ask())

    yield run
    engine.shutdown()


def test_a_completion_has_the_length_that_it_chose_whole_and_streamed(send: Send) -> None:
    path = "/v1/completions"
    lengths = set()
    for seed in range(6):
        body = {**GAP, "seed": seed, "logprobs": 1, "return_token_ids": True}
        streaming = {**body, "stream": True, "stream_options": {"include_usage": True}}
        refining = {**streaming, "stream_refinements": {"tokens": True}}
        whole, streamed, refined = send((path, body), (path, streaming), (path, refining))
        assert whole.status_code == 200, whole.text
        choice, usage = whole.json()["choices"][0], whole.json()["usage"]
        ids = choice["token_ids"]
        assert len(ids) == usage["completion_tokens"] <= 24
        assert choice["finish_reason"] == ("length" if len(ids) == 24 else "stop")
        assert not {EXPAND_ID, EOS_ID} & {*ids}
        for response in (streamed, refined):
            chunks = events(response.text)
            assert joined(chunks) == choice["text"]
            assert "<|" not in response.text.replace("<|mask|>", "")
            assert chunks[-1]["usage"]["completion_tokens"] == len(ids)
        lengths.add(len(ids))
    assert len(lengths) > 2


def test_a_text_around_a_gap_ends_as_the_authors_do_and_ids_are_taken_as_they_are(
    send: Send, loaded: LoadedModel
) -> None:
    encode = loaded.tokenizer.encode
    given = {**GAP, "prompt": encode(BEFORE), "add_special_tokens": False}
    text, ids, bare = send(
        *(("/v1/completions", body) for body in (GAP, {**GAP, "prompt": encode(BEFORE)}, given))
    )
    num_given = len(encode(BEFORE)) + len(encode(BEHIND))
    counts = [response.json()["usage"]["prompt_tokens"] for response in (text, ids, bare)]
    assert counts == [num_given + 1, num_given + 1, num_given]
    assert text.json()["choices"] == ids.json()["choices"]


def test_infill_and_fim_fill_the_same_gap(send: Send) -> None:
    fields = {**SAMPLED, "temperature": 0.0, "number_of_mask": 6}
    infill = {"input_prefix": BEFORE, "input_suffix": BEHIND, "n_predict": 24, **fields}
    fim = {"prompt": BEFORE, "suffix": BEHIND, "max_tokens": 24, **fields}
    done, filled, message, *streams = send(
        ("/v1/completions", {**GAP, **fields}),
        ("/infill", {**infill, "return_tokens": True}),
        ("/v1/fim/completions", fim),
        ("/infill", {**infill, "stream": True}),
        ("/v1/fim/completions", {**fim, "stream": True}),
    )
    choice = done.json()["choices"][0]
    answer = filled.json()
    assert answer["content"] == choice["text"]
    assert answer["tokens_predicted"] == len(answer["tokens"])
    assert answer["stop_type"] == ("limit" if choice["finish_reason"] == "length" else "eos")
    assert message.json()["choices"][0]["message"]["content"] == choice["text"]
    assert message.json()["usage"] == done.json()["usage"]
    assert joined(events(streams[1].text)) == choice["text"]


def test_a_gap_without_text_behind_it_grows_where_it_is_one(send: Send) -> None:
    """A completion with an empty suffix is a plain one."""
    plain, empty, masks, infill, fim, whole = send(
        ("/v1/completions", {**GAP, "suffix": None, "ignore_eos": True}),
        ("/v1/completions", {**GAP, "suffix": "", "ignore_eos": True}),
        ("/v1/completions", {**GAP, "suffix": None, "number_of_mask": 4}),
        ("/infill", {"input_prefix": BEFORE, "input_suffix": "", "n_predict": 24, "seed": 5,
                     **SAMPLED}),
        ("/v1/fim/completions", {"prompt": BEFORE, "suffix": "", "max_tokens": 24,
                                 "random_seed": 5, **SAMPLED}),
        ("/v1/fim/completions", {"prompt": BEFORE, "number_of_mask": 4, "max_tokens": 24,
                                 "random_seed": 5, **SAMPLED}),
    )  # fmt: skip
    assert plain.json()["usage"]["completion_tokens"] == 24
    assert empty.json()["choices"] == plain.json()["choices"]
    texts = [
        masks.json()["choices"][0]["text"],
        infill.json()["content"],
        *(one.json()["choices"][0]["message"]["content"] for one in (fim, whole)),
    ]
    assert len(set(texts)) == 1


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"number_of_mask": 25}, "number_of_mask"),
        ({"number_of_mask": -1}, "number_of_mask"),
        ({"number_of_mask": 2000}, "number_of_mask"),
        ({"steps": 4}, "steps"),
        ({"cache": "dual"}, "cache"),
        ({"policy": "threshold"}, "policy"),
        ({"guided_regex": "a*"}, "guided_regex"),
        ({"bad_words": ["a"]}, "bad_words"),
        ({"prompt": [1, EXPAND_ID]}, "prompt"),
    ],
)
def test_what_does_not_combine_is_a_400_that_names_the_field(
    send: Send, fields: dict[str, Any], name: str
) -> None:
    (response,) = send(("/v1/completions", {**GAP, **fields}))
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == name


def test_a_template_keeps_the_length_of_its_holes(send: Send) -> None:
    template = ["def f(", {"hole": {"max_tokens": 3}}, "):\n", {"hole": {"max_tokens": 9}}]
    whole, refused = send(
        ("/v1/completions", {"template": template, "temperature": 0}),
        ("/v1/completions", {"template": template, "number_of_mask": 2}),
    )
    assert whole.status_code == 200, whole.text
    assert whole.json()["choices"][0]["text"].startswith("def f(")
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "number_of_mask"
