"""Bad words are in no answer, in every family and however blocks are filled."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import make_engine, run_all, run_alone
from tests.support.golden import load_golden
from tests.support.tiny import EOS_ID, byte_tokenizer
from unmask.bad_words import sequences_of
from unmask.errors import InvalidRequest
from unmask.grammar import Regex
from unmask.models.registry import LoadedModel
from unmask.tokenizer import Tokenizer
from unmask.types import Request, SamplingParams

FAMILIES = ("sdar", "llada21", "llada", "dream", "fast_dllm", "nemotron", "idlm", "wedlm")
PROMPT = (3, 40, 41, 40, 60)
LENGTH = 40


@pytest.fixture(scope="module", params=FAMILIES)
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    loaded = load_golden(request.param, Path(tmp_path_factory.mktemp(request.param)))
    return replace(loaded, info=replace(loaded.info, eos_token_ids=(EOS_ID,)))


class PairTokenizer(Tokenizer):
    """A byte tokenizer whose words are token ids with dots between them."""

    def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
        return [int(word) for word in text.strip().split(".")]


def asking(name: str, i: int, **params: Any) -> Request:
    rules = ({"threshold": 0.01}, {"threshold": 0.9}, {"policy": "entropy"}, {"mode": "ar"})
    sampling = {
        **{"max_tokens": LENGTH, "seed": i, "ignore_eos": True, "temperature": (0.0, 1.4)[i % 2]},
        **rules[i % 3],
        **params,
    }
    return Request(name, PROMPT, SamplingParams(**sampling))


def words_of(answers: Sequence[Sequence[int]]) -> tuple[str, ...]:
    """Pairs, triples and single tokens that the answers have."""
    found = []
    for answer in answers:
        found += [f"{a}.{b}" for a, b in zip(answer[::5], answer[1::5], strict=False)]
        found += [".".join(map(str, answer[i : i + 3])) for i in range(2, len(answer) - 3, 7)]
        found.append(str(answer[-1]))
    return tuple(dict.fromkeys(found))


def has_word(answer: Sequence[int], words: Sequence[str]) -> bool:
    text = "." + ".".join(map(str, answer)) + "."
    return any(f".{word}." in text for word in words)


@pytest.mark.usual_cases(1)
def test_no_answer_has_a_word_whatever_else_runs(loaded: LoadedModel) -> None:
    loaded = replace(loaded, tokenizer=PairTokenizer(byte_tokenizer()))
    plain = [asking(str(i), i) for i in range(6)]
    free = run_all(make_engine(loaded), plain)
    words = words_of([answer.token_ids for answer in free.values()])
    requests = [asking(str(i), i, bad_words=words) for i in range(6)]
    alone = {r.request_id: run_alone(loaded, r) for r in requests}
    for name, answer in alone.items():
        assert has_word(free[name].token_ids, words)
        assert not has_word(answer.token_ids, words)
        assert len(answer.token_ids) == LENGTH
    for options in (
        {"overlap": True, "num_pages": 60, "page_size": 8, "max_batch_tokens": 400},
        {"speculation_rows": 256},
    ):
        answers = run_all(make_engine(loaded, **options), [*requests, asking("free", 0)])
        assert answers.pop("free").essence == free["0"].essence
        assert {n: a.essence for n, a in answers.items()} == {
            n: a.essence for n, a in alone.items()
        }


@pytest.mark.usual_cases(2)
def test_words_that_no_answer_has_change_nothing(loaded: LoadedModel) -> None:
    loaded = replace(loaded, tokenizer=PairTokenizer(byte_tokenizer()))
    if loaded.info.attention == "causal" or loaded.info.default_sampling.editing_threshold:
        pytest.skip("answers that are drafted, or edited, are written another way with them")
    for i in range(3):
        free = run_alone(loaded, asking("a", i))
        used = set(free.token_ids)
        first, second = [token_id for token_id in range(3, 200) if token_id not in used][:2]
        words = (f"{first}.{second}", f"{free.token_ids[0]}.{second}")
        assert run_alone(loaded, asking("a", i, bad_words=words)).essence == free.essence


def test_an_answer_may_still_end(loaded: LoadedModel) -> None:
    loaded = replace(loaded, tokenizer=PairTokenizer(byte_tokenizer()))
    bias = ((EOS_ID, 100.0),)
    request = asking("a", 0, bad_words=("3.4",), ignore_eos=False, logit_bias=bias, min_tokens=5)
    assert run_alone(loaded, request).token_ids[5:] == [EOS_ID]


def test_words_are_tokenized_once_for_many_requests(tiny: LoadedModel) -> None:
    class Counting(PairTokenizer):
        num_calls = 0

        def encode(self, text: str, *, add_special_tokens: bool = False) -> list[int]:
            self.num_calls += 1
            return super().encode(text)

    tokenizer = Counting(byte_tokenizer())
    engine = make_engine(replace(tiny, tokenizer=tokenizer))
    params = SamplingParams(max_tokens=3, bad_words=("3.4", "5"))
    assert not engine.has_compiled(params)
    for i in range(3):
        engine.check(Request("a", PROMPT, replace(params, seed=i)))
        assert engine.has_compiled(params)
    assert tokenizer.num_calls == 4  # each with a space before it and without
    assert not engine.has_compiled(replace(params, bad_words=("3.4",)))


def test_words_count_with_a_space_before_them_and_without() -> None:
    ids = {"foo": [7], " foo": [8], "bar baz": [1, 2], " bar baz": [3, 1, 2], "x": [5], " x": [5]}
    found = sequences_of(("foo", " bar baz", "x"), lambda text: ids[text])
    assert found == {(7,), (8,), (1, 2), (5,)}


def test_answers_whose_tokens_are_deleted_and_inserted_take_none(tmp_path: Path) -> None:
    loaded = load_golden("llada22", tmp_path)
    params = SamplingParams(bad_words=("a",), editing_threshold=0.0)
    with pytest.raises(InvalidRequest, match="deleted and inserted") as caught:
        make_engine(loaded, page_size=32).check(Request("a", PROMPT, params))
    assert caught.value.field == "bad_words"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"bad_words": ("",)}, "must not be empty"),
        ({"bad_words": (" \n",)}, "must not be empty"),
        ({"bad_words": ("a",) * 1025}, "at most 1024 strings, got 1025"),
        ({"bad_words": ("a" * 257,)}, "at most 256 characters each, got 257"),
        ({"bad_words": ("a",), "grammar": Regex("b")}, "both say which text may be written"),
        ({"bad_words": ("ab",), "allowed_token_ids": (64, 65)}, "every token that may be"),
        ({"bad_words": ("ab",), "max_thinking_tokens": 4}, "max_thinking_tokens"),
        ({"bad_words": tuple(chr(i) * 200 for i in range(33, 113))}, "too many or too long"),
    ],
)
def test_wrong_words_are_refused_by_name(
    tiny: LoadedModel, params: dict[str, Any], message: str
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, end_think_token_id=9))
    with pytest.raises(InvalidRequest, match=message) as caught:
        make_engine(loaded).check(Request("a", PROMPT, SamplingParams(**params)))
    assert caught.value.field == "bad_words"
