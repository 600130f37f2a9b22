"""The schemas of Anthropic's bodies, which `/openapi.json` leaves out, say what is taken."""

import json
from pathlib import Path

import jsonschema
import pytest
from pydantic.json_schema import models_json_schema

from unmask.api.anthropic_bodies import CountBody, MessagesBody
from unmask.api.openapi import REF, close

PATH = "/v1/messages"
COUNT = f"{PATH}/count_tokens"
USER = {"role": "user", "content": "hi"}
FILE = Path(__file__).with_name("client_requests.jsonl")
OF_CLIENTS = [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def turn(role, **block):
    return {"messages": [USER, {"role": role, "content": [block]}, USER], "max_tokens": 4}


def asking(**fields):
    return {"messages": [USER], "max_tokens": 4, **fields}


TOOL = {"name": "weather", "input_schema": {"type": "object"}}
TAKEN = [
    asking(),
    asking(system="be kind", stop_sequences=["a"], thinking={"type": "disabled"}),
    asking(system=[{"type": "text", "text": "be kind"}], n=1, diffusing=False, guided_regex=None),
    asking(metadata={"user_id": "a"}, service_tier="auto"),
    turn("user", type="text", text="a"),
    turn("user", type="tool_result", tool_use_id="a"),
    turn("user", type="tool_result", tool_use_id="a", content=[{"type": "text", "text": "b"}]),
    turn("assistant", type="thinking", thinking="hm"),
    turn("assistant", type="tool_use", id="a", name="weather", input={}),
    turn("system", type="text", text="a"),
]
REFUSED = [
    {"messages": [USER]},
    asking(max_tokens=0),
    asking(max_tokens=2**63),
    asking(messages=[]),
    asking(n=2),
    asking(guided_regex="a"),
    asking(return_token_ids=True),
    asking(stop_sequences=["a"] * 17),
    asking(system=[{"type": "text"}]),
    asking(tools=[TOOL | {"name": "the weather"}]),
    asking(tools=[TOOL], tool_choice={"type": "tool"}),
    turn("user", type="text"),
    turn("user", type="thinking", thinking="hm"),
    turn("user", type="tool_use", id="a", name="weather", input={}),
    turn("user", type="tool_result"),
    turn("user", type="tool_result", tool_use_id="a", content=[{"type": "text"}]),
    turn("assistant", type="tool_use", id="a", input={}),
    turn("assistant", type="tool_result", tool_use_id="a"),
    turn("system", type="thinking", thinking="hm"),
]


@pytest.fixture(scope="module")
def validators():
    """Validators of bodies by path."""
    bodies = {PATH: MessagesBody, COUNT: CountBody}
    kinds = [(body, "validation") for body in bodies.values()]
    schemas = models_json_schema(kinds, ref_template=REF)[1]["$defs"]
    for schema in schemas.values():
        close(schema)
    components = {"components": {"schemas": schemas}}
    return {
        path: jsonschema.Draft202012Validator(
            {"$ref": REF.format(model=body.__name__), **components}
        )
        for path, body in bodies.items()
    }


@pytest.mark.parametrize("body", TAKEN, ids=str)
def test_what_is_taken_is_valid(call, validators, body):
    assert call("POST", PATH, json=body).status_code == 200
    validators[PATH].validate(body)


@pytest.mark.parametrize("body", REFUSED, ids=str)
def test_what_is_refused_is_invalid(call, validators, body):
    assert call("POST", PATH, json=body).status_code == 400
    assert not validators[PATH].is_valid(body)


def test_what_clients_send_is_valid(validators):
    seen = [(sent["path"], sent["body"]) for sent in OF_CLIENTS if sent["path"] in validators]
    assert seen
    for path, body in seen:
        validators[path].validate(body)


def test_the_schemas_are_schemas(validators):
    for validator in validators.values():
        for schema in validator.schema["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)
