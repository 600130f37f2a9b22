"""Answers with a grammar match it at any limit, in every family and however they are decoded."""

import ast
import json
import re
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.graphs import Recordings
from tests.support.tiny import EOS_ID
from unmask.engine.engine import Engine
from unmask.engine.schedule.admission import resolve
from unmask.errors import InvalidRequest
from unmask.grammar import (
    Chain,
    Grammar,
    GrammarText,
    JsonObject,
    Literal,
    Regex,
    Repeated,
    Text,
    choice_of,
    json_schema_of,
)
from unmask.models.registry import LoadedModel
from unmask.types import Delta, FinishReason, Request, SamplingParams

FAMILIES = (
    *("sdar", "llada2", "llada21", "llada", "dream", "fast_dllm", "fast_dvlm", "nemotron"),
    *("idlm", "wedlm"),
)
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 9},
        "age": {"type": "integer", "minimum": 0, "maximum": 150},
        "tags": {"type": "array", "items": {"enum": ["a", "bc", 3]}, "maxItems": 3},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
CITY = {"type": "object", "properties": {"city": {"const": "Rome"}}, "required": ["city"]}
GRAMMARS: dict[str, Grammar] = {
    "person": json_schema_of(PERSON),
    "city": json_schema_of(CITY),
    "phone": Regex(r"\+?\d{2}-[0-9]{4,6}"),
    "word": choice_of(("yes", "no", "maybe so")),
    "any": JsonObject(),
    "sum": GrammarText('root ::= root [-+*] root | "(" root ")" | [1-9] [0-9]?'),
}
# Text that a mark and more text may follow.
MARK = Chain((Literal("<"), Regex(r"\d{3}"), Literal(">"), Text(("<",))))
MARKED: Grammar = Chain((Text(("<",)), Repeated(MARK, 0, 1)))
SCHEMAS = {"person": PERSON, "city": CITY, "any": {"type": "object"}}
RULES = (
    {"policy": "threshold", "threshold": 0.01},
    {"policy": "threshold", "threshold": 0.9},
    {"policy": "low_confidence", "steps": 3},
    {"policy": "entropy_bound", "entropy_bound": 8.0},
    {"policy": "sequential", "steps": 4},
    {"policy": "factor", "factor": 1.1},
)
Load = Callable[[str], LoadedModel]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    known: dict[str, LoadedModel] = {}

    def get(folder: str) -> LoadedModel:
        if folder not in known:
            loaded = load_golden(folder, Path(tmp_path_factory.mktemp(folder)))
            known[folder] = replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,)))
        return known[folder]

    return get


def matches(name: str, text: str) -> bool:
    """True if a text is in a grammar."""
    if name in SCHEMAS:
        jsonschema.validate(json.loads(text), SCHEMAS[name])
        return True
    if name == "sum":
        ast.parse(text, mode="eval")
        return re.fullmatch("[-+*()0-9]+", text) is not None
    pattern = {"phone": r"\+?\d{2}-[0-9]{4,6}", "word": "yes|no|maybe so"}[name]
    return re.fullmatch(pattern, text) is not None


def asking(i: int, name: str, **params: Any) -> Request:
    sampling = SamplingParams(
        grammar=MARKED if name == "marked" else GRAMMARS[name],
        max_tokens=60,
        seed=i,
        temperature=(0.0, 0.7, 1.5)[i % 3],
        block_length=(4, 8, 16, 32)[i % 4],
        **RULES[i % len(RULES)],
    )
    return Request(f"{i}-{name}", tuple(range(3, 4 + i % 23)), replace(sampling, **params))


def shortest(loaded: LoadedModel, name: str) -> int:
    automaton = make_engine(loaded).compile(SamplingParams(grammar=GRAMMARS[name]))
    assert automaton is not None
    return automaton.shortest


def essences(answers: dict[str, Answer]) -> dict[str, object]:
    return {name: answer.essence for name, answer in answers.items()}


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("folder", FAMILIES)
def test_every_answer_matches_its_grammar_from_the_shortest_limit_on(
    load: Load, folder: str
) -> None:
    loaded = load(folder)
    requests = []
    for name in GRAMMARS:
        least = shortest(loaded, name)
        requests += [
            asking(i, name, max_tokens=least + (0, 0, 1, 3, 9, 40)[i % 6]) for i in range(12)
        ]
    answers = run_all(make_engine(loaded, num_pages=3000, overlap=True), requests)
    for request in requests:
        name, answer = request.request_id.partition("-")[2], answers[request.request_id]
        assert matches(name, answer.text), answer.text
        assert answer.finish is not None
        assert len(answer.token_ids) <= (request.sampling.max_tokens or 0)


@pytest.mark.usual_cases(2)
@pytest.mark.parametrize("folder", FAMILIES)
def test_an_answer_with_text_at_its_end_goes_on_as_long_as_it_is_asked_to(
    load: Load, folder: str
) -> None:
    """Ends are likelier than all else, and forbidden; without an ask the text is empty."""
    loaded = load(folder)
    asked = {"min_tokens": ({}, {"min_tokens": 29}), "ignore_eos": ({}, {"ignore_eos": True})}
    requests = [
        replace(
            asking(i, "marked", logit_bias=((EOS_ID, 100.0),), **params),
            request_id=f"{i}-{name}-{j}",
        )
        for name, both in asked.items()
        for j, params in enumerate(both)
        for i in range(6)
    ]
    answers = run_all(make_engine(loaded, num_pages=3000, overlap=True), requests)
    for request in requests:
        answer = answers[request.request_id]
        assert re.fullmatch(r"[^<]*(<\d{3}>[^<]*)?", answer.text), answer.text
        num_tokens = len(answer.token_ids)
        if request.sampling.ignore_eos:
            assert (num_tokens, EOS_ID in answer.token_ids) == (60, False)
        else:
            least = request.sampling.min_tokens or 0
            assert least < num_tokens <= least + 4  # no end is within a character


@pytest.mark.parametrize("late", [{"ignore_eos": True}, {"min_tokens": 9}])
def test_allowed_tokens_must_let_an_answer_go_on(load: Load, late: dict[str, Any]) -> None:
    engine = make_engine(load("sdar"))
    with pytest.raises(InvalidRequest, match=r"all tokens|never generated"):
        engine.check(asking(0, "marked", allowed_token_ids=(EOS_ID,), **late))


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FAMILIES)
def test_company_chunks_pages_preemption_and_graphs_change_nothing(load: Load, folder: str) -> None:
    loaded = load(folder)
    names = list(GRAMMARS)
    requests = [asking(i, name, max_tokens=40) for i, name in enumerate(names[:6])]
    plain = [
        replace(request, request_id=f"plain-{i}", sampling=replace(request.sampling, grammar=None))
        for i, request in enumerate(requests[:3])
    ]
    alone = {r.request_id: run_alone(loaded, r).essence for r in (*requests, *plain)}
    for options in (
        {"overlap": True, "num_pages": 60, "page_size": 8},
        {"overlap": False, "max_batch_tokens": 100},
        {"overlap": True, "graphs": True, "max_batch_tokens": 300, "recorder": Recordings()},
        {"speculation_rows": 256},
    ):
        if folder in ("llada", "dream") and "max_batch_tokens" in options:
            options |= {"max_batch_tokens": 2048}  # such a canvas is computed as a whole
        engine = make_engine(loaded, **options)
        for _ in range(2):  # the second time with keys of the first
            assert essences(run_all(engine, [*requests, *plain])) == alone


def test_kept_keys_of_a_block_and_sub_blocks_change_no_guarantee(load: Load) -> None:
    for folder, extra in (
        ("sdar", {"cache": "block"}),
        ("fast_dllm", {"cache": "block", "sub_block_length": 4}),
        ("llada", {"cache": "prefix"}),
        ("llada", {"cache": "dual", "cfg_scale": 0.7}),
        ("llada", {"policy": "low_confidence", "steps": 4, "threshold": None, "eos_last": True}),
    ):
        loaded = load(folder)
        requests = [asking(6 * i, "person", block_length=16, **extra) for i in range(4)]
        small = {"num_pages": 24, "page_size": 8, "prefix_cache": False}
        engine = make_engine(loaded, **(small if folder == "sdar" else {}))
        for request_id, answer in run_all(engine, requests).items():
            assert matches("person", answer.text), (folder, extra, request_id)


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", ["nemotron", "idlm"])
def test_modes_write_the_same(load: Load, folder: str) -> None:
    loaded = load(folder)
    for i in range(4):
        answers = [
            run_alone(loaded, asking(3 * i, "person", mode=mode, block_length=None)).essence
            for mode in ("ar", "self_speculation", "auto")
        ]
        assert answers[0] == answers[1] == answers[2]


def test_requests_that_wait_hold_no_open_block(load: Load) -> None:
    engine = make_engine(load("llada"), max_num_seqs=2)
    params = SamplingParams(grammar=Regex("[ab]{0,2000}"), max_tokens=400, block_length=400)
    engine.check(Request("x", (1, 2, 3), params))  # compiles it
    tracemalloc.start()
    try:
        for i in range(40):
            engine.add(Request(f"{i}", (1, 2, 3), params))
        assert tracemalloc.get_traced_memory()[0] < 8 << 20
    finally:
        tracemalloc.stop()
    for i in range(1, 40):
        engine.abort(f"{i}")
    text = "".join(event.text for event in until_done(engine))
    assert re.fullmatch("[ab]{0,2000}", text)


def until_done(engine: Engine) -> Iterator[Delta]:
    while engine.has_work:
        yield from (event for event in engine.step() if isinstance(event, Delta))


def test_an_answer_that_can_only_end_ends_at_once(load: Load) -> None:
    answer = run_alone(load("sdar"), asking(0, "city", max_tokens=60))
    assert answer.text in ('{"city":"Rome"}', '{"city": "Rome"}')
    assert len(answer.token_ids) <= len(answer.text) + 1
    assert answer.finish is not None
    assert answer.finish.reason is FinishReason.STOP
    assert answer.finish.stop_reason is None


def test_known_positions_take_no_steps_of_their_own(load: Load) -> None:
    text = "a literal that is known before any step"
    params = SamplingParams(grammar=choice_of((text,)), max_tokens=60, block_length=8)
    answer = run_alone(load("sdar"), Request("a", (1, 2, 3), params))
    assert answer.text == text
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps <= -(-(3 + len(text)) // 8)


def test_a_stream_has_the_log_probabilities_of_all_its_tokens(load: Load) -> None:
    answer = run_alone(load("sdar"), asking(3, "person", logprobs=2))
    assert [item.token_id for item in answer.logprobs] == answer.token_ids
    assert all(item.logprob <= 0.0 for item in answer.logprobs)


def test_only_allowed_tokens_spell_an_answer(load: Load) -> None:
    loaded = load("sdar")
    digits = tuple(loaded.tokenizer.encode("13579-"))
    answer = run_alone(loaded, asking(0, "phone", allowed_token_ids=digits))
    assert set(answer.text) <= set("13579-")
    assert matches("phone", answer.text)
    with pytest.raises(InvalidRequest, match="spell no answer") as error:
        make_engine(loaded).check(asking(0, "city", allowed_token_ids=digits))
    assert error.value.field == "grammar"


@pytest.mark.parametrize("folder", FAMILIES)
def test_an_answer_of_allowed_tokens_ends_though_no_end_is_among_them(
    load: Load, folder: str
) -> None:
    loaded = load(folder)
    letters = tuple(loaded.tokenizer.encode("ab"))
    engine = make_engine(loaded)
    for i, (pattern, most) in enumerate((("", 3), ("a|abb", 2), ("(ab)*", 3))):
        params = SamplingParams(
            grammar=Regex(pattern), max_tokens=most, allowed_token_ids=letters, temperature=i % 2
        )
        engine.add(Request(f"{i}", (1, 2, 3), params))
    texts = dict.fromkeys("012", "")
    for _ in range(40):
        for event in engine.step():
            assert isinstance(event, Delta)
            texts[event.request_id] += event.text
    assert not engine.has_work
    assert texts == {"0": "", "1": "a", "2": texts["2"]}
    assert texts["2"] in ("", "ab")


def test_a_limit_below_the_shortest_answer_is_refused_with_its_length(load: Load) -> None:
    loaded = load("sdar")
    least = shortest(loaded, "person")
    with pytest.raises(InvalidRequest, match=f"has {least} tokens") as error:
        make_engine(loaded).check(asking(0, "person", max_tokens=least - 1))
    assert error.value.field == "max_tokens"


@pytest.mark.parametrize(
    ("info", "params", "reason"),
    [
        ({}, {"ignore_eos": True}, "ignore_eos"),
        ({}, {"min_tokens": 3}, "min_tokens"),
        ({"end_think_token_id": 7}, {"max_thinking_tokens": 5}, "budget"),
    ],
)
def test_what_has_no_structure_is_refused(
    load: Load, info: dict[str, Any], params: dict[str, Any], reason: str
) -> None:
    loaded = load("sdar")
    model = replace(loaded.info, **info)
    with pytest.raises(InvalidRequest, match=reason):
        resolve(asking(0, "person", **params), model, make_engine(loaded).limits)


def test_a_model_without_an_end_has_no_structure(load: Load) -> None:
    loaded = load("sdar")
    engine = make_engine(replace(loaded, info=replace(loaded.info, eos_token_ids=())))
    with pytest.raises(InvalidRequest, match="end-of-sequence"):
        engine.check(asking(0, "person"))
