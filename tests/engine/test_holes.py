"""Holes between given text are filled within their limits, in every family."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import Answer, make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID, byte_tokenizer
from unmask.engine.schedule.admission import resolve
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, Regex, choice_of
from unmask.models.registry import LoadedModel
from unmask.tokenizer import Tokenizer
from unmask.types import CanvasSchedule, Hole, Request, SamplingParams, Template

FAMILIES = ("sdar", "llada2", "llada", "dream", "fast_dllm", "nemotron", "idlm", "wedlm")
SEEING = ("sdar", "llada2", "llada", "dream", "fast_dllm", "nemotron")
TOKENIZER = Tokenizer(byte_tokenizer())
PROMPT = tuple(TOKENIZER.encode("def "))
Load = Callable[[str], LoadedModel]
Gap = tuple[int, Grammar | None]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Load:
    known: dict[str, LoadedModel] = {}

    def get(folder: str) -> LoadedModel:
        if folder not in known:
            loaded = load_golden(folder, Path(tmp_path_factory.mktemp(folder)))
            edits = replace(loaded.info.default_sampling, editing_threshold=None)
            info = replace(loaded.info, eos_token_ids=(EOS_ID,), default_sampling=edits)
            known[folder] = replace(loaded, info=info)
        return known[folder]

    return get


def template(*parts: str | Gap) -> Template:
    ids: list[int | None] = []
    holes: list[Hole] = []
    for part in parts:
        if isinstance(part, str):
            ids += TOKENIZER.encode(part)
        else:
            holes.append(Hole(len(ids), len(ids) + part[0], part[1]))
            ids += [None] * part[0]
    return Template(tuple(ids), tuple(holes))


NAME: Gap = (5, Regex("[a-z]{1,5}"))
WORD: Gap = (4, choice_of(("yes", "no")))
TEMPLATES = (
    template(NAME, "(x):\n    return a long text that fills blocks by itself ", (7, None), WORD),
    template((6, None)),
    template((1, None), "b", (1, None), "cd", WORD, "e", NAME),
    template(NAME, NAME),
)


def asking(i: int, **params: Any) -> Request:
    sampling = SamplingParams(
        seed=i,
        temperature=(0.0, 1.3)[i % 2],
        block_length=(1, 4, 8, 16, 32)[i % 5],
        policy="threshold",
        threshold=(0.05, 0.9)[i % 2],
    )
    return Request(
        str(i), PROMPT, replace(sampling, **params), template=TEMPLATES[i % len(TEMPLATES)]
    )


def text_of(answer: Answer, hole: Hole) -> str:
    ids = answer.token_ids[hole.start : hole.end]
    return TOKENIZER.decode(ids[: ids.index(EOS_ID)] if EOS_ID in ids else ids)


def check(request: Request, answer: Answer) -> None:
    """Given tokens are there, and every hole ends within its limit and has its grammar's text."""
    assert request.template is not None
    pairs = zip(request.template.token_ids, answer.token_ids, strict=False)
    assert all(given in (None, token_id) for given, token_id in pairs)
    for hole in request.template.holes:
        own = answer.token_ids[hole.start : hole.end]
        if EOS_ID in own:
            assert set(own[own.index(EOS_ID) :]) == {EOS_ID}
        text = text_of(answer, hole)
        if hole.grammar == NAME[1]:
            assert text.isalpha()
            assert text.islower()
        elif hole.grammar == WORD[1]:
            assert text in ("yes", "no")


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", FAMILIES)
def test_holes_are_filled_alike_in_any_company(load: Load, folder: str) -> None:
    loaded = load(folder)
    requests = [asking(i) for i in range(20)]
    alone = {r.request_id: run_alone(loaded, r) for r in requests}
    for request in requests:
        check(request, alone[request.request_id])
    for options in (
        {"overlap": True, "num_pages": 400, "page_size": 8},
        {"overlap": True, "num_pages": 60, "page_size": 8, "max_batch_tokens": 400},
        {"speculation_rows": 256},
    ):
        answers = run_all(make_engine(loaded, **options), requests)
        for name, answer in alone.items():
            assert answers[name].essence == answer.essence


@pytest.mark.usual_cases(1)
@pytest.mark.parametrize("folder", ["sdar", "llada2", "fast_dllm"])
def test_text_that_is_given_outlives_a_preemption(load: Load, folder: str) -> None:
    loaded, kept = load(folder), {"cache": "block", "block_length": 32, "policy": "low_confidence"}
    behind = tuple(TOKENIZER.encode(" and the end"))
    params = SamplingParams(max_tokens=20, ignore_eos=True, steps=16, cache="block")
    requests = [asking(i, threshold=None, steps=16, **kept) for i in range(6)]
    requests += [Request(f"s{i}", PROMPT * (i + 1), params, None, behind) for i in range(6)]
    alone = {r.request_id: run_alone(loaded, r).essence for r in requests}
    engine = make_engine(loaded, num_pages=26, page_size=8)
    answers = run_all(engine, requests)
    assert engine.scheduler.num_preempted
    assert {name: answer.essence for name, answer in answers.items()} == alone


@pytest.mark.parametrize("folder", FAMILIES)
def test_a_hole_may_end_though_no_end_is_among_the_allowed_tokens(load: Load, folder: str) -> None:
    allowed = tuple(TOKENIZER.encode("ab! "))
    free: Gap = (6, None)
    lower: Gap = (6, Regex("[a-z]{0,3}"))
    asked = asking(0, allowed_token_ids=allowed)
    answer = run_alone(load(folder), replace(asked, template=template(lower, "(", free, ")")))
    first, second = answer.token_ids[:6], answer.token_ids[7:13]
    assert set(first) | set(second) <= {*allowed, EOS_ID}
    assert set(TOKENIZER.decode([i for i in first if i != EOS_ID])) <= set("ab")


def test_a_hole_that_the_allowed_tokens_cannot_fill_is_refused(load: Load) -> None:
    asked = asking(0, allowed_token_ids=tuple(TOKENIZER.encode("QR")))
    with pytest.raises(InvalidRequest, match="hole 1") as error:
        make_engine(load("sdar")).check(replace(asked, template=template((3, None), NAME)))
    assert error.value.field == "template"


@pytest.mark.parametrize("folder", ["sdar", "llada", "wedlm"])
@pytest.mark.parametrize(
    "empty", [Template((), ()), template((0, None)), template((1, None), "a", (0, None))]
)
def test_templates_without_a_token_and_holes_without_room_are_refused(
    load: Load, folder: str, empty: Template
) -> None:
    with pytest.raises(InvalidRequest, match="room for a token") as error:
        make_engine(load(folder)).check(replace(asking(0, block_length=None), template=empty))
    assert error.value.field == "template"


@pytest.mark.parametrize("block_length", [1, 2, 4])
@pytest.mark.parametrize("folder", FAMILIES)
def test_an_answer_ends_though_its_last_block_is_given(
    load: Load, folder: str, block_length: int
) -> None:
    asked = asking(0, block_length=block_length, threshold=0.9)
    for given in ("e", "the end"):
        asked = replace(asked, template=template((4, None), given))
        answer = run_alone(load(folder), asked)
        assert TOKENIZER.decode(answer.token_ids[4:]) == given


@pytest.mark.parametrize("folder", FAMILIES)
def test_blocks_that_are_given_as_a_whole_take_no_pass(load: Load, folder: str) -> None:
    filler = "a text of so many tokens that several blocks of eight have nothing else in them"
    asked = asking(0, block_length=8)
    asked = replace(asked, template=template((3, None), filler, (2, None)))
    answer = run_alone(load(folder), asked)
    check(asked, answer)
    assert filler in answer.text
    assert answer.finish is not None
    assert answer.finish.usage.denoising_steps <= 10


@pytest.mark.parametrize("folder", SEEING)
def test_a_hole_sees_what_follows_it_in_its_block(load: Load, folder: str) -> None:
    def filled(after: str) -> list[int]:
        asked = replace(asking(0, block_length=32), template=template((8, None)))
        asked = replace(asked, suffix_token_ids=tuple(TOKENIZER.encode(after)))
        return run_alone(load(folder), asked).token_ids

    def between(after: str) -> list[int]:
        asked = replace(asking(0, block_length=32), template=template((8, None), after, (1, None)))
        return run_alone(load(folder), asked).token_ids[:8]

    texts = (" = 12 * 31", "zzzzzzzzz", "\n\n\n\n\n\n\n\n")
    assert len({tuple(filled(text)) for text in texts}) > 1
    assert len({tuple(between(text)) for text in texts}) > 1


def test_the_suffix_of_an_answer_is_seen_as_far_as_its_block_goes(load: Load) -> None:
    loaded = load("sdar")

    def answered(suffix: str, length: int) -> list[int]:
        params = SamplingParams(max_tokens=12, block_length=length, ignore_eos=True)
        ids = tuple(TOKENIZER.encode(suffix))
        return run_alone(loaded, Request("a", PROMPT, params, suffix_token_ids=ids)).token_ids

    # Prompt and answer are 16 tokens: nothing of the suffix is in the last block of 16, or of 8.
    plain = answered("", 16)
    assert answered(" in the end", 16) == plain
    assert any(answered(text, 32) != answered("", 32) for text in (" = 12 * 31", "zzzzzzzz"))


def test_log_probabilities_and_refinements_are_those_of_all_positions(load: Load) -> None:
    answer = run_alone(load("sdar"), asking(0, logprobs=1))
    assert [item.token_id for item in answer.logprobs] == answer.token_ids


@pytest.mark.parametrize(
    ("folder", "params", "field"),
    [
        ("sdar", {"stop": ("a",)}, "stop"),
        ("sdar", {"min_tokens": 2}, "min_tokens"),
        ("sdar", {"grammar": Regex("[a-z]+")}, "grammar"),
        ("llada21", {"editing_threshold": 0.5}, "template"),
    ],
)
def test_what_has_no_meaning_for_holes_is_refused(
    load: Load, folder: str, params: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidRequest) as error:
        make_engine(load(folder)).check(asking(1, **params))
    assert error.value.field == field


def test_a_hole_too_short_for_its_grammar_is_refused(load: Load) -> None:
    asked = replace(asking(0), template=template(NAME, "a", (1, WORD[1])))
    with pytest.raises(InvalidRequest, match="hole 1 has 1 tokens") as error:
        make_engine(load("sdar")).check(asked)
    assert error.value.field == "template"


def test_models_that_see_nothing_behind_a_mask_have_no_suffix(load: Load) -> None:
    loaded = load("idlm")
    request = Request("a", PROMPT, SamplingParams(max_tokens=4), suffix_token_ids=(5,))
    with pytest.raises(InvalidRequest, match="see text behind") as error:
        make_engine(loaded).check(request)
    assert error.value.field == "suffix"
    canvas = replace(
        loaded.info,
        attention="canvas",
        canvas=CanvasSchedule(),
        default_sampling=SamplingParams(block_length=8),
    )
    params = SamplingParams(policy="entropy_bound", block_length=8, max_tokens=8)
    asked = Request("a", PROMPT, params, template=TEMPLATES[1])
    with pytest.raises(InvalidRequest, match="fill mask tokens"):
        resolve(asked, canvas, make_engine(loaded).limits)
