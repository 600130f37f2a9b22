"""Caches of automata: compiled once, dropped when unused, safe from several threads."""

import gc
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext

import pytest

from tests.support.automata import BYTES, SMALL, TOKENS
from unmask.decoding.automata import cache as cache_module
from unmask.decoding.automata.cache import BYTES_OF_ID, MAX_REFUSED_BYTES, AutomatonCache
from unmask.decoding.automata.errors import (
    GrammarTooLarge,
    GrammarTooSlow,
    InvalidGrammar,
    NoAnswer,
)
from unmask.decoding.automata.limits import Limits
from unmask.decoding.automata.vocabulary import make_vocabulary
from unmask.errors import InvalidRequest
from unmask.grammar import (
    Chain,
    Choice,
    Grammar,
    Literal,
    Regex,
    Repeated,
    SpecialToken,
    Text,
    choice_of,
    json_schema_of,
)

CALL = Chain((SpecialToken("<call>"), Regex(r"\{a*\}"), Literal("}")))
TOOLS = Chain((Text(("{",)), Repeated(CALL, 0, 2)))


def test_a_grammar_is_compiled_once() -> None:
    cache = AutomatonCache()
    first = cache.automaton(SMALL, Regex("(a|b){0,9}"))
    start = time.perf_counter()
    for _ in range(100):
        assert cache.automaton(SMALL, Regex("(a|b){0,9}")) is first
    assert time.perf_counter() - start < 0.1
    assert cache.automaton(SMALL, Regex("(a|b){0,8}")) is not first
    assert cache.automaton(make_vocabulary([*TOKENS, None], [11]), Regex("(a|b){0,9}")) is not first


def test_allowed_tokens_are_part_of_the_key() -> None:
    cache, ids = AutomatonCache(), frozenset((0, 1, 11))
    made = cache.automaton(SMALL, Regex("(ab)+"), ids)
    assert made.shortest == 2
    assert cache.automaton(SMALL, Regex("(ab)+"), ids) is made
    assert cache.automaton(SMALL, Regex("(ab)+")).shortest == 1
    with pytest.raises(InvalidGrammar, match="allowed token id"):
        cache.automaton(SMALL, Regex("a"), frozenset((99,)))


def test_the_order_of_properties_is_part_of_the_key() -> None:
    schema = {"properties": {"a": True, "b": True}}
    swapped = {"properties": {"b": True, "a": True}}
    assert json_schema_of(schema) == json_schema_of({**schema})
    assert json_schema_of(schema) != json_schema_of(swapped)


def test_the_least_recently_used_are_dropped() -> None:
    size = AutomatonCache().automaton(SMALL, Literal("aaa")).num_bytes
    cache = AutomatonCache(max_bytes=int(2.5 * size))
    for text in ("aaa", "bbb", "aaa", "111"):
        cache.automaton(SMALL, Literal(text))
    assert [cache.knows(SMALL, Literal(text)) for text in ("aaa", "bbb", "111")] == [1, 0, 1]


def test_what_was_dropped_is_known_while_it_is_held() -> None:
    cache = AutomatonCache(max_bytes=1)
    held, other = Regex("a+"), Regex("b+")
    automaton = cache.automaton(SMALL, held)
    cache.automaton(SMALL, other)
    assert cache.knows(SMALL, held)
    assert cache.automaton(SMALL, held) is automaton
    cache.automaton(SMALL, Literal("aaa"))
    assert not cache.knows(SMALL, other)
    del automaton
    gc.collect()
    assert not cache.knows(SMALL, held)


def test_a_thread_waits_no_longer_for_another_than_its_own_limit() -> None:
    cache, slow = AutomatonCache(), Regex("([ab]{0,40}1){0,100}")
    with ThreadPoolExecutor(1) as threads:
        first = threads.submit(cache.automaton, SMALL, slow)
        while not first.running():
            time.sleep(0.001)
        started_s = time.monotonic()
        with pytest.raises(GrammarTooSlow) as error:
            cache.automaton(SMALL, slow, seconds=0.001)
        assert error.value.seconds == 0.001
        assert time.monotonic() - started_s < 1
        assert first.result() is cache.automaton(SMALL, slow, seconds=0.001)


def test_a_thread_with_more_time_goes_on_where_one_with_less_gave_up() -> None:
    cache, slow = AutomatonCache(), Regex("([ab]{0,40}1){0,100}")
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(cache.automaton, SMALL, slow, None, 0.001)
        second = threads.submit(cache.automaton, SMALL, slow)
        assert isinstance(first.exception(), GrammarTooSlow)
        assert second.result().num_states > 1000


def test_the_text_of_a_grammar_counts_as_memory() -> None:
    cache = AutomatonCache(max_bytes=1 << 20)
    long, other = ({"const": 1, "description": name * (1 << 20)} for name in "ab")
    cache.automaton(BYTES, json_schema_of(long))
    assert cache.knows(BYTES, json_schema_of(long))
    cache.automaton(BYTES, json_schema_of(other))
    assert not cache.knows(BYTES, json_schema_of(long))


def test_a_grammar_is_known_once_it_is_compiled() -> None:
    cache = AutomatonCache(Limits(states=9))
    for grammar, ids, is_good in (
        (Regex("a+"), None, True),
        (Regex("a+"), frozenset((0,)), True),
        (Regex("a{20}"), None, False),
    ):
        assert not cache.knows(SMALL, grammar, ids)
        with nullcontext() if is_good else pytest.raises(GrammarTooLarge):
            cache.automaton(SMALL, grammar, ids)
        assert cache.knows(SMALL, grammar, ids) == is_good


def test_threads_share_one_compilation() -> None:
    cache = AutomatonCache()
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: cache.automaton(SMALL, Regex("[ab1]{0,80}")), range(32)))
    assert all(automaton is made[0] for automaton in made)


REFUSED = [
    (Regex("[ab1]{0,80}"), GrammarTooLarge, "over 50 subsets"),
    (json_schema_of({"type": "odd"}), InvalidGrammar, "one or several"),
    (choice_of(("x", "y")), NoAnswer, "tokens of this model"),
]
NO_TIME = 1e-9
MANY_IDS = MAX_REFUSED_BYTES // BYTES_OF_ID


@pytest.mark.parametrize(("grammar", "error", "reason"), REFUSED)
def test_a_grammar_that_was_refused_is_not_compiled_again(
    grammar: Grammar, error: type[InvalidRequest], reason: str
) -> None:
    cache = AutomatonCache(Limits(subsets=50))
    with pytest.raises(GrammarTooSlow):
        cache.automaton(SMALL, grammar, seconds=NO_TIME)
    found = []
    for seconds in (None, NO_TIME, NO_TIME):
        with pytest.raises(error, match=reason) as caught:
            cache.automaton(SMALL, grammar, seconds=seconds)
        assert caught.type is error
        found.append(caught.value)
    assert len({id(one) for one in found}) == 3
    assert len({(str(one), one.message) for one in found}) == 1
    assert found[1].__context__ is None


@pytest.mark.parametrize(("num_ids", "num_compiled"), [(2, 1), (MANY_IDS, 2)])
def test_a_refusal_of_many_allowed_ids_is_not_kept(
    num_ids: int, num_compiled: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their set would be most of what is held."""
    compiled = []

    def refuse(*_: object) -> None:
        compiled.append(True)
        raise InvalidGrammar("no")

    monkeypatch.setattr(cache_module, "_compile", refuse)
    cache, ids = AutomatonCache(), frozenset(range(num_ids))
    for _ in range(2):
        with pytest.raises(InvalidGrammar):
            cache.automaton(SMALL, Regex("a"), ids)
    assert len(compiled) == num_compiled


def test_so_many_refusals_are_kept() -> None:
    cache = AutomatonCache(Limits(subsets=50))

    def refusal(size: int, seconds: float | None) -> type[Exception]:
        with pytest.raises(GrammarTooLarge) as caught:
            cache.automaton(SMALL, Regex(f"[ab1]{{0,{size}}}"), seconds=seconds)
        return caught.type

    for size in (100, 101, *range(200, 262), 100, 300):
        refusal(size, None)
    assert refusal(100, NO_TIME) is GrammarTooLarge
    assert refusal(101, NO_TIME) is GrammarTooSlow


def test_errors_reach_every_thread() -> None:
    cache = AutomatonCache(Limits(subsets=50))

    def failure(_: int) -> str:
        with pytest.raises(GrammarTooLarge) as caught:
            cache.automaton(SMALL, Regex("[ab1]{0,80}"))
        return str(caught.value)

    with ThreadPoolExecutor(4) as threads:
        assert {"over 50 subsets" in text for text in threads.map(failure, range(8))} == {True}
    assert cache.automaton(SMALL, Regex("ab")).shortest == 1


def test_languages_of_too_many_states_are_refused() -> None:
    with pytest.raises(GrammarTooLarge, match="over 50 states"):
        AutomatonCache(Limits(states=50)).automaton(SMALL, Regex("[ab1]{0,80}"))


def test_grammars_join_text_tags_and_special_tokens() -> None:
    vocabulary = make_vocabulary([*TOKENS, None, None], [11], {"<call>": 12})
    made = AutomatonCache().automaton(vocabulary, TOOLS)
    a, call, open_, close = 0, 12, 4, 5
    words = {
        (): True,
        (a,): True,
        (open_,): False,
        (a, call, open_, a, close, close): True,
        (call, open_, close, close, call, open_, close, close): True,
        (call, open_, close): False,
        (call, open_, close, close, a): False,
    }
    for word, is_answer in words.items():
        state = 1
        for token in word:
            state = made.after(state, made.class_of[token])
        assert made.accepts[state] == is_answer, word


@pytest.mark.parametrize(
    ("grammar", "error", "reason"),
    [
        (SpecialToken("<none>"), InvalidGrammar, "no special token"),
        (Text(("",)), InvalidGrammar, "empty"),
        (Choice(()), NoAnswer, "no answer"),
        (choice_of(("\ud800",)), InvalidGrammar, "Unicode"),
        (choice_of(("x", "y")), NoAnswer, "tokens of this model"),
    ],
)
def test_grammars_without_a_meaning_are_refused(
    grammar: Choice, error: type[Exception], reason: str
) -> None:
    with pytest.raises(error, match=reason):
        AutomatonCache().automaton(SMALL, grammar)
