"""Random requests of every kind that a model serves, and what holds of their answers."""

import re
from collections.abc import Iterator
from random import Random
from typing import Any

from tests.support.draws import MIXING, POLICIES, SAMPLERS, TRACED
from tests.support.engines import Answer
from tests.support.tiny import EOS_ID, byte_tokenizer
from unmask.engine.engine import Engine
from unmask.errors import InvalidRequest
from unmask.grammar import Grammar, Regex
from unmask.likelihood import likelihood_request
from unmask.tokenizer import Tokenizer
from unmask.types import (
    CACHES,
    Hole,
    ModelInfo,
    RefinementOptions,
    Request,
    SamplingParams,
    Template,
)

TOKENIZER = Tokenizer(byte_tokenizer())
KINDS = ("plain", "plain", "structure", "template", "template", "suffix", "given", "bad words")
PATTERNS = (
    *("[a-z]{1,5}", "(ab|cd)*e", "x{3}", "[ -~]{0,12}", "a", "", "(yes|no|maybe)", "[0-9]+", "é+"),
    r'\{"a": ?[0-9]{1,2}(, ?"b": ?"[^"\\]{0,5}")?\}',
)
WORDS = ("a", "b", "ab", "e", " ", "yes", "\n", "abc")
STOPS = (("e",), ("ab", "q"), ("\n", "zz top", "0"), ("a",))
LENGTHS = (1, 1, 2, 3, 5, 8, 17, 33, 50)
# Parameters that a template, and an answer with a grammar, cannot have.
WITHOUT = {
    "template": ("stop", "stop_token_ids", "ignore_eos", "min_tokens", "max_thinking_tokens"),
    "structure": ("ignore_eos", "min_tokens", "max_thinking_tokens"),
    "bad words": ("max_thinking_tokens",),
}
# Those of random models that delete and insert tokens, which have few.
PLAIN = ("seed", "max_tokens", "block_length", "mode")


def random_requests(engine: Engine, seed: int, shared: int = 60) -> Iterator[Request]:
    """Requests without end that the engine takes; many of their prompts begin alike."""
    random = Random(seed)
    common, number = _ids(random, shared, shared), 0
    while True:
        number += 1
        try:
            request = _request(random, engine.loaded.info, f"{seed}-{number}", common)
            engine.check(request)
        except InvalidRequest:
            continue
        yield request


def _ids(random: Random, low: int, high: int) -> tuple[int, ...]:
    return tuple(random.choices(range(EOS_ID), k=random.randint(low, high)))


def _request(random: Random, info: ModelInfo, name: str, common: tuple[int, ...]) -> Request:
    kind = random.choice(KINDS)
    prompt = _ids(random, 1, random.choice((1, 3, 20, 70)))
    if random.random() < 0.4:
        prompt = (*common[: random.choice((8, 16, 32, 50))], *prompt)
    if kind == "given" and len(prompt) > 1:
        read = likelihood_request(name, prompt, random.choice((0, 2)), info)
        assert read is not None, "there are tokens to read"
        return read
    params = _decoding(random, info) | _sampling(random)
    if info.edit_commands and random.random() < 0.6:
        params = {name: value for name, value in params.items() if name in PLAIN}
    if kind == "structure":
        params["grammar"] = Regex(random.choice(PATTERNS))
    if kind == "bad words":
        params["bad_words"] = tuple(random.sample(WORDS, random.randint(1, 4)))
    params = {key: value for key, value in params.items() if key not in WITHOUT.get(kind, ())}
    shown = None
    if random.random() < 0.25:
        shown = RefinementOptions(every=random.choice((1, 3)), tokens=random.random() < 0.5)
    behind = _ids(random, 1, random.choice((1, 5, 40, 70)))
    has_suffix = kind == "suffix" or random.random() < 0.1
    return Request(
        request_id=name,
        prompt_token_ids=prompt,
        sampling=SamplingParams(**params),
        refinements=shown,
        suffix_token_ids=behind if has_suffix else (),
        template=_template(random) if kind == "template" else None,
    )


def _template(random: Random) -> Template:
    ids: list[int | None] = []
    holes: list[Hole] = []
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.6:
            ids += _ids(random, *random.choice(((1, 1), (1, 3), (8, 8), (20, 40))))
        grammar = Regex(random.choice(PATTERNS)) if random.random() < 0.5 else None
        size = random.choice((1, 1, 2, 3, 4, 7, 8, 16, 30))
        holes.append(Hole(len(ids), len(ids) + size, grammar))
        ids += [None] * size
    if len(holes) > 1 and random.random() < 0.2:
        ids += _ids(random, *random.choice(((1, 1), (9, 9))))
    return Template(tuple(ids), tuple(holes))


def _decoding(random: Random, info: ModelInfo) -> dict[str, Any]:
    params: dict[str, Any] = {
        "seed": random.randrange(2**63),
        "max_tokens": random.choice(LENGTHS),
        "block_length": random.choice((None, 1, 1, 2, 3, 4, 8, 16, 32, 40)),
    }
    if "ar" in info.modes:
        params["mode"] = random.choice((None, *info.modes))
        if params["mode"] == "ar":
            params["block_length"] = None
    if info.canvas is not None:
        params["block_length"] = None
        return params | random.choice(({}, {"steps": 5}, {"entropy_bound": 4.0}))
    if info.edit_commands:
        params["block_length"] = random.choice((None, 32))
    params |= random.choice((*POLICIES, *TRACED, *(MIXING if info.can_mix else ())))
    if random.random() < 0.3:
        params["cache"] = random.choice(CACHES[info.attention])
    if info.can_edit:
        params["editing_threshold"] = random.choice((None, 0.0, 0.2, 0.9, 1.0))
    some = {
        "cfg_scale": (0.7,) if info.attention == "full" else (),
        "open_blocks": (2, 5) if info.attention == "full" else (),
        "sub_block_length": (1, 2, 3, 8) if info.attention == "block_causal" else (),
        "distance_penalty": (0.02,) if info.attention == "causal_window" else (),
        "max_thinking_tokens": () if info.end_think_token_id is None else (0, 1, 5, 20),
    }
    return params | _some(random, some)


def _sampling(random: Random) -> dict[str, Any]:
    allowed = (*random.sample(range(200), 20), EOS_ID)
    biases = tuple((i, random.choice((-100.0, 5.0, 100.0))) for i in random.sample(range(300), 3))
    some = {
        "logprobs": (0, 3),
        "ignore_eos": (True,),
        "stop": STOPS,
        "include_stop_str_in_output": (True,),
        "stop_token_ids": ((65, 7),),
        "min_tokens": (1, 2, 5),
        "repetition_penalty": (0.5, 1.3, 2.0),
        "presence_penalty": (-2.0, 1.5),
        "frequency_penalty": (-2.0, 1.5),
        "logit_bias": (biases, ((EOS_ID, 100.0),), ((EOS_ID, -100.0),)),
        "allowed_token_ids": (allowed, allowed[:-1]),
    }
    return {**random.choice(SAMPLERS), **_some(random, some)}


def _some(random: Random, choices: dict[str, tuple[Any, ...]]) -> dict[str, Any]:
    """A value for some of the names that have any, a fifth of them."""
    drawn = {name: random.choice(values) for name, values in choices.items() if values}
    return {name: value for name, value in drawn.items() if random.random() < 0.2}


def check_answer(request: Request, answer: Answer, info: ModelInfo) -> None:
    """Assert whatever the request asks of its answer."""
    params, ids = request.sampling, answer.token_ids
    assert answer.finish is not None
    assert info.mask_token_id not in ids
    if params.logprobs is not None:
        assert [item.token_id for item in answer.logprobs] == ids
        assert all(item.logprob <= 1e-4 for item in answer.logprobs), "and none is NaN"
    if request.given_answer:
        assert tuple(ids) == request.given_answer
    elif request.template is not None:
        _check_template(request.template, request, ids, info)
    else:
        _check_text(params, answer, info)


def _check_template(template: Template, request: Request, ids: list[int], info: ModelInfo) -> None:
    allowed, ends = request.sampling.allowed_token_ids, set(info.eos_token_ids)
    # One hole may end before its limit, and then all is over.
    assert len(ids) == len(template.token_ids) or len(template.holes) == 1
    assert all(a in (None, b) for a, b in zip(template.token_ids, ids, strict=False))
    for hole in template.holes:
        own = ids[hole.start : hole.end]
        size = next((i for i, token_id in enumerate(own) if token_id in ends), len(own))
        assert set(own[size:]) <= ends
        assert allowed is None or set(own[:size]) <= set(allowed)
        _check_grammar(hole.grammar, TOKENIZER.decode(own[:size]))


def _check_text(params: SamplingParams, answer: Answer, info: ModelInfo) -> None:
    ids, finish = answer.token_ids, answer.finish
    assert finish is not None
    assert len(ids) <= (params.max_tokens or 0)
    assert len(ids) >= (params.min_tokens or 0)
    if finish.stop_reason is None:
        _check_grammar(params.grammar, answer.text)
    if params.allowed_token_ids is not None:
        own = {info.end_think_token_id} if params.max_thinking_tokens is not None else set()
        own |= set(info.eos_token_ids) if params.grammar is not None else set()
        assert set(ids) <= {*params.allowed_token_ids, *own}
    for word in params.bad_words:
        size = len(encoded := TOKENIZER.encode(word.lstrip()))
        assert not size or all(ids[i : i + size] != encoded for i in range(len(ids)))
    for stop in () if params.min_tokens else params.stop:
        at = answer.text.find(stop)
        is_end = params.include_stop_str_in_output and at + len(stop) == len(answer.text)
        assert at < 0 or is_end


def _check_grammar(grammar: Grammar | None, text: str) -> None:
    if isinstance(grammar, Regex):
        assert re.fullmatch(grammar.pattern, text), (grammar, text)
