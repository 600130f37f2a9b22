"""Endpoints that generate follow from their dialects; modules of the API import downward."""

import ast
from graphlib import TopologicalSorter
from importlib.resources import files
from pathlib import Path

import pytest

from unmask.api.routes import DIALECTS

WORDS = {"prompt": "hi", "messages": [{"role": "user", "content": "hi"}], "input": "hi"}
WORDS |= {"max_tokens": 20, "input_prefix": "a", "input_suffix": ""}


def body_of(dialect):
    """A body with the required fields only; completions have a prompt or a template."""
    fields = dialect.body.model_fields
    required = [name for name, field in fields.items() if field.is_required()]
    return {name: WORDS[name] for name in required or ["prompt"]}


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_has_a_route_whole_and_streamed(call, engine, dialect):
    whole = call("POST", dialect.path, json=body_of(dialect))
    streamed = call("POST", dialect.path, json=body_of(dialect) | {"stream": True})
    assert whole.headers["content-type"] == "application/json"
    assert streamed.headers["content-type"].startswith("text/event-stream")
    for request in engine.requests:
        assert request.request_id.startswith(f"{dialect.id_prefix}-")


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_404_suggests_the_path_of_a_dialect(call, dialect):
    error = call("POST", f"/v1{dialect.path}", json={}).json()["error"]
    assert f"did you mean {dialect.path}?" in error["message"]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_dialect_is_documented_if_it_has_a_type_of_answers(call, dialect):
    schema = call("GET", "/openapi.json").json()
    assert (dialect.path in schema["paths"]) == (dialect.answer is not None)
    assert (dialect.body.__name__ in schema["components"]["schemas"]) == (
        dialect.answer is not None
    )


def test_modules_of_the_api_import_each_other_in_one_direction():
    folder = Path(str(files("unmask.api")))
    sources = {
        ".".join(file.relative_to(folder).with_suffix("").parts): file
        for file in folder.rglob("*.py")
    }
    graph = {
        name: {
            node.module.removeprefix("unmask.api.")
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            if isinstance(node, ast.ImportFrom) and node.module.startswith("unmask.api.")
        }
        for name, file in sources.items()
    }
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError
    assert order.index("requests") < order.index("dialect") < order.index("routes")
    assert order.index("tools.bodies") < order.index("requests") < order.index("chat")
