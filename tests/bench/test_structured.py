"""The benchmark of structured output: its vocabulary, schemas and bars."""

import json

from benchmarks.structured import missed_bars, schema_of, synthetic_vocabulary
from unmask.decoding.automata.cache import AutomatonCache
from unmask.evaluation.suite import load_suite
from unmask.grammar import JsonObject, JsonSchema


def test_the_vocabulary_has_every_byte_and_as_many_tokens_as_asked_for() -> None:
    vocabulary = synthetic_vocabulary(3000)
    assert vocabulary.num_tokens == 3000
    assert AutomatonCache().automaton(vocabulary, JsonObject()).shortest == 1


def test_a_problem_has_the_schema_of_its_answer() -> None:
    problem, *_ = load_suite(tasks=["json"], limit=1)
    grammar = schema_of(problem)
    assert isinstance(grammar, JsonSchema)
    names = list(json.loads(problem.reference))
    assert list(json.loads(grammar.schema)["properties"]) == names


def test_medians_beyond_a_bar_are_told() -> None:
    ratio = {"schema": {"median": 0.95}, "json_object": {"median": 0.5}}
    fast = {name: {"median": 0.1} for name in ("cold_ms", "cached_ms", "step_ms")}
    grammars = {"person": fast, "order": {**fast, "step_ms": {"median": 9}}}
    told = ["64 requests: json_object at 0.5 of free, the bar is 0.9"]
    assert missed_bars({"64": {"ratio": ratio}}, grammars) == told
    grammars["person"] = grammars["order"]
    assert len(missed_bars({}, grammars)) == 1
