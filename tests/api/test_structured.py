"""Fields that ask for structure, as clients of OpenAI, vLLM and llama.cpp send them."""

import asyncio
import json
from threading import Event

import httpx
import pytest
from pydantic import BaseModel

from tests.api.conftest import running
from unmask.api import create_app
from unmask.config import Config
from unmask.engine.async_engine import AsyncEngine
from unmask.errors import TooSlow
from unmask.grammar import GrammarText, JsonObject, Regex, choice_of, json_schema_of
from unmask.metrics import Metrics

openai = pytest.importorskip("openai")

CHAT, COMPLETIONS, RESPONSES = "/v1/chat/completions", "/v1/completions", "/v1/responses"
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
GBNF, LARK = 'root ::= "(" root ")" | [ab]', 'start: "(" start ")" | /[ab]/'
NAMED = {"name": "thing", "schema": SCHEMA, "strict": True}
FORMS = [
    ({"response_format": {"type": "text"}}, None),
    ({"response_format": {"type": "json_object"}}, JsonObject()),
    ({"response_format": {"type": "json_schema", "json_schema": NAMED}}, json_schema_of(SCHEMA)),
    ({"response_format": {"type": "json_object", "schema": SCHEMA}}, json_schema_of(SCHEMA)),
    ({"response_format": {"type": "json_schema", "schema": SCHEMA}}, json_schema_of(SCHEMA)),
    ({"structured_outputs": {"json": SCHEMA}}, json_schema_of(SCHEMA)),
    ({"structured_outputs": {"json": json.dumps(SCHEMA)}}, json_schema_of(SCHEMA)),
    ({"structured_outputs": {"json_object": True}}, JsonObject()),
    ({"structured_outputs": {"regex": "a+", "disable_fallback": True}}, Regex("a+")),
    ({"structured_outputs": {"choice": ["a", "b"]}}, choice_of(("a", "b"))),
    ({"guided_json": SCHEMA}, json_schema_of(SCHEMA)),
    ({"guided_regex": "a+"}, Regex("a+")),
    ({"guided_choice": ["a", "b"]}, choice_of(("a", "b"))),
    ({"json_schema": SCHEMA}, json_schema_of(SCHEMA)),
    ({"guided_grammar": GBNF}, GrammarText(GBNF)),
    ({"structured_outputs": {"grammar": LARK}}, GrammarText(LARK)),
    ({"grammar": GBNF}, GrammarText(GBNF)),
    ({"regex": "a+"}, Regex("a+")),
    ({"ebnf": GBNF}, GrammarText(GBNF)),
    ({"guided_json": None, "guided_regex": "", "guided_choice": [], "grammar": ""}, None),
]


class Person(BaseModel):
    name: str
    age: int


@pytest.mark.parametrize(("fields", "grammar"), FORMS)
def test_a_form_is_the_grammar_of_its_request(call, engine, fields, grammar):
    for path, prompt in ((CHAT, {"messages": [{"role": "user", "content": "hi"}]}),
                         (COMPLETIONS, {"prompt": "hi"})):  # fmt: skip
        response = call("POST", path, json={**prompt, **fields})
        assert response.status_code == 200, response.text
        sampling = engine.requests[-1].sampling
        assert sampling.grammar == grammar
        # Without a structure completions are short by default.
        assert sampling.max_tokens == (16 if grammar is None and path == COMPLETIONS else None)


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_a_schema_without_effect_is_refused(call, kind):
    ask = {"messages": [{"role": "user", "content": "hi"}]}
    form = {"type": kind, "json_schema": NAMED}
    chat = call("POST", CHAT, json={**ask, "response_format": form})
    response = call(
        "POST", RESPONSES, json={"input": "hi", "text": {"format": {**NAMED, "type": kind}}}
    )
    for answer, field in ((chat, "response_format"), (response, "text.format")):
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == field
    nothing = {"type": kind, "json_schema": None}
    assert call("POST", CHAT, json={**ask, "response_format": nothing}).status_code == 200


def test_a_grammar_that_is_known_does_not_wait_for_others(engine):
    known, slow = Event(), choice_of(("slow",))

    def compile_(sampling, seconds):
        assert sampling.grammar != slow or known.wait(10)

    async def send():
        app = create_app(engine, Metrics(), Config().server)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            bodies = ({"prompt": "hi", "guided_choice": [name]} for name in ("slow", "fast"))
            first = asyncio.create_task(client.post(COMPLETIONS, json=next(bodies)))
            await asyncio.sleep(0.1)
            response = await client.post(COMPLETIONS, json=next(bodies))
            assert not first.done()
            known.set()
            return response, await first

    engine.compile = compile_
    engine.known_grammars.add(choice_of(("fast",)))
    assert [response.status_code for response in asyncio.run(send())] == [200, 200]


def test_a_new_grammar_does_not_wait_for_slow_ones(engine):
    fast, limits = Event(), []

    def compile_(sampling, seconds):
        limits.append(seconds)
        if sampling.grammar != choice_of(("fast",)):
            if seconds is not None:
                raise TooSlow("over so many seconds", field="grammar")
            assert fast.wait(10)
        return sampling.grammar

    async def send():
        app = create_app(engine, Metrics(), Config().server)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            bodies = [{"prompt": "hi", "guided_choice": [name]} for name in ("1", "2", "fast")]
            slow = [asyncio.create_task(client.post(COMPLETIONS, json=body)) for body in bodies[:2]]
            await asyncio.sleep(0.1)
            response = await client.post(COMPLETIONS, json=bodies[2])
            assert not any(task.done() for task in slow)
            fast.set()
            return [response, *[await task for task in slow]]

    engine.compile = compile_
    assert [response.status_code for response in asyncio.run(send())] == [200] * 3
    assert limits.count(None) == 2
    # A request holds its automaton, whatever a cache forgets.
    assert [r.compiled for r in engine.requests] == [r.sampling.grammar for r in engine.requests]


def test_a_grammar_that_is_too_slow_for_any_thread_is_refused_by_its_field(engine, call):
    def compile_(sampling, seconds):
        raise TooSlow("it takes too long", field="grammar")

    engine.compile = compile_
    response = call("POST", COMPLETIONS, json={"prompt": "hi", "guided_choice": ["a"]})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "guided_choice"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"max_tokens": 1, "guided_regex": "a{900}"}, "max_tokens"),
        ({"guided_regex": "[^\\x00-\\U0010ffff]"}, "guided_regex"),
        ({"guided_regex": "a", "ignore_eos": True}, "ignore_eos"),
        ({"guided_regex": ".*", "min_tokens": 3}, "min_tokens"),
    ],
)
def test_an_error_of_the_engine_names_the_field_that_is_wrong(client, body, field):
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="", prompt="hi", extra_body=body)
    assert error.value.body["param"] == field


def test_an_error_tells_of_half_a_surrogate_pair(call):
    for wrong in (r'["\ud83d"]', r'{"const": "\ud83d"}', r'{"a\ud83d": 1}'):
        response = call("POST", COMPLETIONS, json={"prompt": "hi", "guided_json": wrong})
        assert response.status_code == 400
        assert r"\ud83d" in response.json()["error"]["message"]


def test_the_format_of_a_response_is_told_again(call, engine):
    form = {"type": "json_schema", "name": "thing", "schema": SCHEMA, "strict": True}
    body = call("POST", RESPONSES, json={"input": "hi", "text": {"format": form}}).json()
    assert engine.requests[-1].sampling.grammar == json_schema_of(SCHEMA)
    assert body["text"] == {"format": form}


@pytest.fixture(scope="module")
def client():
    config = Config()
    engine = AsyncEngine.start(config)
    try:
        with running(create_app(engine, Metrics(), config.server)) as url:
            yield openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)
    finally:
        engine.shutdown()


def test_openais_client_parses_answers_of_the_embedded_model(client):
    messages = [{"role": "user", "content": "Turn this into JSON: Anna is 30 years old."}]
    ask = {"model": "unmask-embedded", "messages": messages, "temperature": 0}
    answer = client.chat.completions.parse(response_format=Person, **ask).choices[0].message
    assert answer.parsed == Person(name="Anna", age=30)
    response = client.responses.parse(
        model="unmask-embedded", input=messages[0]["content"], text_format=Person
    )
    assert isinstance(response.output_parsed, Person)


def test_a_stream_adds_up_to_a_whole_answer(client):
    ask = {
        "model": "unmask-embedded",
        "messages": [{"role": "user", "content": "What is 2 + 2?"}],
        "response_format": {"type": "json_schema", "json_schema": NAMED},
        "max_tokens": 12,
        "temperature": 1.2,
        "seed": 5,
    }
    whole = client.chat.completions.create(**ask).choices[0]
    chunks = list(client.chat.completions.create(stream=True, **ask))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.message.content
    assert set(json.loads(text)) == {"a"}
    assert chunks[-1].choices[0].finish_reason == whole.finish_reason


def test_answers_match_rules_that_nest(client):
    rules = {"grammar": GBNF, "guided_grammar": LARK, "structured_outputs": {"grammar": LARK}}
    for field, text in rules.items():
        answer = client.completions.create(
            model="", prompt="x", max_tokens=7, temperature=1.5, seed=3, extra_body={field: text}
        )
        inner = answer.choices[0].text.strip("()")
        assert inner in ("a", "b")
        depth = answer.choices[0].text.count("(")
        assert answer.choices[0].text == "(" * depth + inner + ")" * depth
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="", prompt="x", extra_body={"grammar": "root ::= x"})
    assert error.value.body["param"] == "grammar"
    assert "line 1 of the grammar" in error.value.body["message"]


def test_errors_of_grammars_name_the_field_and_the_place(client):
    schema = {"type": "object", "properties": {"a": {"format": "odd"}}}
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(model="", prompt="x", extra_body={"guided_json": schema})
    assert error.value.body["param"] == "guided_json"
    assert "#/properties/a/format" in error.value.body["message"]
    with pytest.raises(openai.BadRequestError) as error:
        client.completions.create(
            model="", prompt="x", max_tokens=2, extra_body={"guided_json": SCHEMA}
        )
    assert error.value.body["param"] == "max_tokens"
    assert "shortest answer" in error.value.body["message"]
