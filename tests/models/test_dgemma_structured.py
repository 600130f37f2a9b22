"""Answers of DiffusionGemma with a grammar: they match it, alone and in company."""

import ast
import json
from dataclasses import replace

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.graphs import Recordings
from tests.support.json_schema import is_valid
from tests.support.tiny import EOS_ID
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, GrammarText, JsonObject, Regex, json_schema_of
from unmask.models.registry import LoadedModel
from unmask.types import RefinementOptions, Request, SamplingParams

SCHEMA = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "bc", 3]}, "maxItems": 3},
    },
    "required": ["name", "age"],
}
SUM = GrammarText('root ::= root [-+*] root | "(" root ")" | [1-9] [0-9]?')

GRAMMARS: tuple[Grammar, ...] = (json_schema_of(SCHEMA), JsonObject(), SUM)


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    made = load_golden("dgemma", tmp_path_factory.mktemp("dgemma"))
    return replace(made, info=replace(made.info, eos_token_ids=(EOS_ID,)))


def requests(loaded: LoadedModel) -> list[Request]:
    engine, made = make_engine(loaded), []
    for i in range(9):
        grammar = GRAMMARS[i % 3]
        automaton = engine.compile(SamplingParams(grammar=grammar))
        assert automaton is not None
        sampling = SamplingParams(
            grammar=grammar,
            max_tokens=automaton.shortest + (0, 1, 9, 40)[i % 4],
            temperature=(0.0, 1.0, 1.5)[i % 3],
            seed=i,
            steps=(2, 4, 7)[i // 3],
            logprobs=2 if i == 4 else None,
        )
        made.append(Request(f"{i}", tuple(range(40, 42 + 7 * i)), sampling))
    return made


def check(request: Request, text: str) -> None:
    if request.sampling.grammar is SUM:
        ast.parse(text, mode="eval")
    else:
        schema = SCHEMA if request.sampling.grammar == GRAMMARS[0] else {"type": "object"}
        assert is_valid(json.loads(text), schema), text


def test_every_answer_matches_its_grammar_from_the_shortest_limit_on(loaded: LoadedModel) -> None:
    asked = requests(loaded)
    answers = run_all(make_engine(loaded), asked)
    for request in asked:
        answer = answers[request.request_id]
        check(request, answer.text)
        assert len(answer.token_ids) <= (request.sampling.max_tokens or 0)
        assert all(item.logprob <= 1e-6 for item in answer.logprobs)


@pytest.mark.exhaustive
def test_company_pages_overlap_and_graphs_change_nothing(loaded: LoadedModel) -> None:
    asked = requests(loaded)[:5]
    asked += [replace(asked[3], request_id=f"long {i}") for i in range(3)]  # of several canvases
    free = replace(asked[1], request_id="free", sampling=replace(asked[1].sampling, grammar=None))
    alone = {r.request_id: run_alone(loaded, r).essence for r in (*asked, free)}
    for options in (
        {"overlap": True, "steps_ahead": 3, "page_size": 4, "num_pages": 40},
        {"max_batch_tokens": 100},
        {"graphs": True, "max_batch_tokens": 300, "recorder": Recordings()},
    ):
        engine = make_engine(loaded, **options)
        answers = run_all(engine, [*asked, free])
        assert {name: answer.essence for name, answer in answers.items()} == alone, options
        assert bool(engine.scheduler.num_preempted) == ("num_pages" in options)


@pytest.mark.exhaustive
def test_temperature_and_filters_change_an_answer(loaded: LoadedModel) -> None:
    texts = set[str]()
    for params in ({"temperature": 0.0}, {"temperature": 1.5}, {"temperature": 1.5, "top_k": 2}):
        sampling = SamplingParams(grammar=JsonObject(), max_tokens=60, seed=3, **params)
        answer = run_alone(loaded, Request("a", (40, 41, 42), sampling))
        check(Request("a", (1,), sampling), answer.text)
        texts.add(answer.text)
    assert len(texts) == 3


def test_an_answer_without_text_has_the_same_end_with_its_drafts(loaded: LoadedModel) -> None:
    sampling = SamplingParams(max_tokens=1, steps=5, grammar=Regex(""))
    request = Request("a", (40, 41, 42), sampling)
    drafted = replace(request, refinements=RefinementOptions())
    assert run_alone(loaded, drafted).essence == run_alone(loaded, request).essence


def test_a_limit_below_the_shortest_answer_is_refused(loaded: LoadedModel) -> None:
    request = Request("a", (1, 2), SamplingParams(grammar=GRAMMARS[0], max_tokens=5))
    with pytest.raises(InvalidRequest, match="shortest answer"):
        make_engine(loaded).check(request)
