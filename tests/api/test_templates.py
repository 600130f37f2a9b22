"""Templates with holes over HTTP: whole and streamed, and the errors of their parts."""

import asyncio
import re
import threading
import time

import httpx
import pytest

from tests.api.conftest import running
from tests.api.fake_client import FakeClient, usage
from tests.api.sse import events
from tests.support.tiny import EOS_ID
from unmask.api import create_app
from unmask.api.backend import Backend
from unmask.api.body_budget import BodyBudget
from unmask.api.template_bodies import HoleBody, PartBody
from unmask.api.templates import encode_template
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.errors import InvalidRequest
from unmask.metrics import Metrics
from unmask.types import Delta, Finish, FinishReason

PATH = "/v1/completions"
NAME = {"hole": {"max_tokens": 8, "regex": "[a-z_]+"}}
BODY = {"hole": {"max_tokens": 24}}
TEMPLATE = ["def ", NAME, "(x):\n    return ", BODY, "\n"]


@pytest.fixture(scope="module")
def url():
    config = Config()
    engine = AsyncEngine.start(config)
    try:
        with running(create_app(engine, Metrics(), config.server)) as url:
            yield url
    finally:
        engine.shutdown()


def post(url, template, **fields):
    return httpx.post(f"{url}{PATH}", json={"template": template, **fields}, timeout=60)


def test_holes_are_answered_as_text_and_one_by_one(url):
    answer = post(url, TEMPLATE, n=2, temperature=1.0, seed=3, block_length=32)
    assert answer.status_code == 200, answer.text
    for choice in answer.json()["choices"]:
        name, body = (hole["text"] for hole in choice["holes"])
        assert re.fullmatch("[a-z_]+", name)
        assert choice["text"] == f"def {name}(x):\n    return {body}\n"
        assert choice["finish_reason"] == "stop"
        assert {hole["finish_reason"] for hole in choice["holes"]} <= {"stop", "length"}


def test_a_stream_adds_up_to_the_whole(url):
    fields = {"temperature": 0.9, "seed": 8, "block_length": 16}
    whole = post(url, TEMPLATE, **fields).json()["choices"][0]
    chunks = events(post(url, TEMPLATE, stream=True, **fields).text)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert "".join(choice["text"] for choice in choices) == whole["text"]
    assert choices[-1]["holes"] == whole["holes"]
    assert not any("holes" in choice for choice in choices[:-1])


def test_text_may_come_in_pieces_and_end_with_a_hole(url):
    pieces = post(url, ["de", "f ", NAME, "(", "x):", BODY]).json()["choices"][0]
    joined = post(url, ["def ", NAME, "(x):", BODY]).json()["choices"][0]
    assert pieces["text"] == joined["text"]


def test_holes_have_every_structure(url):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    template = [
        "x = ",
        {"hole": {"max_tokens": 16, "json": schema}},
        " or ",
        {"hole": {"max_tokens": 4, "choice": ["yes", "no"]}},
    ]
    first, second = (hole["text"] for hole in post(url, template).json()["choices"][0]["holes"])
    assert re.fullmatch(r'\{"a": ?-?\d+\}', first)
    assert second in ("yes", "no")


@pytest.mark.parametrize(
    ("template", "param"),
    [
        ([], "template"),
        (["a"], "template"),
        ("abc", "template"),
        (["a", 5], "template[1]"),
        (["a", {}], "template[1]"),
        (["a", {"text": "b", "hole": {"max_tokens": 1}}], "template[1]"),
        (["a", {"hole": {}}], "template[1].hole.max_tokens"),
        (["a", {"hole": {"max_tokens": 0}}], "template[1].hole.max_tokens"),
        (["a", {"hole": {"max_tokens": 5, "regex": "("}}], "template[1].hole.regex"),
        (["a", {"hole": {"max_tokens": 5, "json": {"format": "odd"}}}], "template[1].hole.json"),
        (["a", {"hole": {"max_tokens": 5, "foo": 1}}], "template[1].hole.foo"),
        (["a", {"hole": {"max_tokens": 1, "choice": ["much longer"]}}], "template"),
        (["a", {"hole": {"max_tokens": 10**9}}], "template"),
        ([{"hole": {"max_tokens": 5}}], "template"),
    ],
)
def test_wrong_parts_are_refused_by_their_path(url, template, param):
    answer = post(url, template)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_holes_are_filled_with_allowed_tokens_only(url):
    ids = httpx.post(f"{url}/tokenize", json={"prompt": "x + 1"}).json()["tokens"]
    template = [{"hole": {"max_tokens": 6, "regex": "[a-z0-9 +]+"}}]
    answer = post(url, ["a =", *template], allowed_token_ids=ids)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()["choices"][0]["holes"][0]["text"]) <= set("x + 1")
    template[0]["hole"]["regex"] = "[A-Z]+"
    error = post(url, ["a =", *template], allowed_token_ids=ids).json()["error"]
    assert error["param"] == "template[1].hole.regex"


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": "a"}, "prompt"),
        ({"suffix": "a"}, "suffix"),
        ({"echo": True}, "echo"),
        ({"max_tokens": 4}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"prompt_logprobs": 0}, "prompt_logprobs"),
        ({"guided_regex": "a"}, "template"),
        ({"stop": "a"}, "stop"),
        ({"ignore_eos": True}, "ignore_eos"),
    ],
)
def test_fields_that_holes_have_themselves_are_refused(url, fields, param):
    answer = post(url, TEMPLATE, **fields)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_what_clients_send_for_nothing_may_stand_beside_a_template(url):
    fields = {"prompt": "", "suffix": "", "echo": False, "max_tokens": None, "stop": []}
    answer = post(url, TEMPLATE, **fields)
    assert answer.status_code == 200, answer.text


def test_a_body_has_a_prompt_or_a_template(url):
    answer = httpx.post(f"{url}{PATH}", json={})
    assert answer.json()["error"]["param"] == "prompt"
    assert answer.json()["error"]["code"] == "missing_required_parameter"


def ending_early(request):
    """One hole that ends before its limit, by a token without text, and another."""
    end = Finish(FinishReason.LENGTH, usage(request, 3))
    pieces = (((64,), "a", None), ((EOS_ID,), "", None), ((65,), "b", end))
    return [Delta(request.request_id, ids, text, finish=finish) for ids, text, finish in pieces]


def test_a_streams_holes_have_tokens_without_text_too(call, engine):
    engine.script = ending_early
    template = ["(", {"hole": {"max_tokens": 2}}, {"hole": {"max_tokens": 1}}]
    whole = call("POST", PATH, json={"template": template}).json()["choices"][0]
    chunks = events(call("POST", PATH, json={"template": template, "stream": True}).text)
    assert [hole["text"] for hole in whole["holes"]] == ["a", "b"]
    assert chunks[-1]["choices"][0]["holes"] == whole["holes"]
    assert len(chunks) == 3, "one of them for the text before the holes"


class Slow(FakeClient):
    """Takes a moment for each grammar, and notes in which thread."""

    def compile(self, sampling, seconds=None):
        self.threads = [*getattr(self, "threads", ()), threading.current_thread()]
        until_s = time.thread_time() + 0.02
        while time.thread_time() < until_s:
            pass
        return object()


def encode(client, *holes, **limits):
    backend = Backend(client, Metrics(), Config().server, BodyBudget(2**20))
    parts = tuple(PartBody(hole=HoleBody(max_tokens=4, **hole)) for hole in holes)
    parts = (PartBody(text="a"), *parts)
    made = encode_template(
        parts, backend, add_special_tokens=True, allowed_token_ids=None, **limits
    )
    return asyncio.run(made)


def test_grammars_of_holes_are_compiled_beside_the_event_loop_and_kept():
    client = Slow()
    made = encode(client, {"regex": "a"}, {}, {"choice": ["b"]})
    assert len(client.threads) == len(set(map(id, made.compiled))) == 3
    assert threading.current_thread() not in client.threads
    assert [hole.grammar is None for hole in made.template.holes] == [False, True, False]


def test_all_grammars_of_a_template_have_the_time_of_one():
    client, holes = Slow(), [{"regex": f"a{{{i}}}"} for i in range(1, 30)]
    with pytest.raises(InvalidRequest, match="took over") as error:
        encode(client, *holes, max_compile_s=0.05)
    assert error.value.field == f"template[{len(client.threads) + 1}].hole.regex"
    assert len(client.threads) < 10
