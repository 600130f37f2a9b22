"""The tool that runs the JSON-Schema-Test-Suite: counts, and what it calls wrong."""

import json
from pathlib import Path

import jsonschema

from tools.schema_suite import run_file

GROUPS = [
    {
        "description": "an object",
        "schema": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}},
        "tests": [
            {"description": "in another order", "data": {"b": 1, "a": 2}, "valid": True},
            {"description": "more than it has", "data": {"c": 1}, "valid": True},
            {"description": "of another type", "data": {"a": "x"}, "valid": False},
        ],
    },
    {"description": "refused", "schema": {"$dynamicRef": "x"}, "tests": []},
]


def test_values_and_words_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(GROUPS))
    counts = run_file(path, jsonschema.Draft202012Validator, 5)
    assert (counts.compiled, counts.written, counts.not_written) == (1, 1, 1)
    assert counts.refused == {"#/$dynamicRef: the keyword '$dynamicRef' is not supported": 1}
    assert counts.wrong == []


def test_a_text_that_is_not_valid_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    tests = [{"description": "valid", "data": 5, "valid": False}]
    path.write_text(
        json.dumps([{"description": "a number", "schema": {"const": 5}, "tests": tests}])
    )
    counts = run_file(path, lambda schema: jsonschema.Draft202012Validator({"const": 6}), 1)
    assert counts.wrong == ["file.json: a number: valid: 5", "file.json: a number: 5"]
