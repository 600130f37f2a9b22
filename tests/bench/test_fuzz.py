"""Cases in a report of schemathesis, and what counts as wrong."""

import base64
import json
from typing import Any

from benchmarks.fuzz import Counts, cases_of

ERROR = {"message": "n must be at least 1, got 0", "type": "t", "param": "n", "code": None}


def encoded(value: Any) -> dict[str, str]:
    return {"$base64": base64.b64encode(json.dumps(value).encode()).decode()}


def line(
    status: int, answer: Any, body: Any = None, *, mode: str = "positive", check: str = "success"
) -> str:
    """A scenario of one case."""
    request = {"method": "POST", "uri": "http://x/v1/completions", "body": encoded(body)}
    response = {"status_code": status, "content": encoded(answer)}
    recorder = {
        "label": "POST /v1/completions",
        "cases": {"a": {"value": {"meta": {"generation": {"mode": mode}}}}},
        "interactions": {"a": {"request": request, "response": response}},
        "checks": {"a": [{"name": "response_schema_conformance", "status": check}]},
    }
    return json.dumps({"ScenarioFinished": {"recorder": recorder}})


def counted(*lines: str) -> Counts:
    counts = Counts()
    for case in cases_of(iter(lines)):
        counts.add(case)
    return counts


def test_answers_and_envelopes_are_right() -> None:
    counts = counted('{"EngineStarted": {}}', line(200, {}), line(400, {"error": ERROR}))
    assert counts.total == 2
    assert not counts.faults
    report = counts.report()
    assert (report["valid"], report["valid_taken"]) == (2, 1)
    assert report["refused_though_valid"] == {"POST /v1/completions n: n must be at least *, *": 1}


def test_errors_without_an_envelope_and_5xx_are_wrong() -> None:
    assert counted(line(404, {"detail": "Not Found"})).faults == {"no envelope": 1}
    assert counted(line(400, {"error": {"message": "a"}})).faults == {"no envelope": 1}
    assert counted(line(503, {"error": ERROR})).faults == {"status 503": 1}
    failed = counted(line(200, {}, check="failure"))
    assert failed.faults == {"response_schema_conformance": 1}
    assert "response_schema_conformance" in failed.shown[0]


def test_a_timeout_that_was_asked_for_is_right() -> None:
    assert not counted(line(504, {"error": ERROR}, {"timeout": 1e-9})).faults
    assert counted(line(504, {"error": ERROR}, {})).faults == {"status 504": 1}


def test_a_request_without_an_answer_is_wrong() -> None:
    request = {"method": "GET", "uri": "http://x/"}
    recorder = {
        "label": "GET /",
        "cases": {"a": {"value": {}}},
        "interactions": {"a": {"request": request}},
    }
    lost = json.dumps({"ScenarioFinished": {"recorder": recorder}})
    assert counted(lost).faults == {"no answer": 1}
