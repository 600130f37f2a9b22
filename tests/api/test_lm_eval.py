"""Requests of lm-eval's `local-completions`, and its reading of their answers, over the engine."""

import asyncio
from itertools import pairwise

import httpx
import pytest

from tests.support.engines import ROOMY, run_alone
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.likelihood import likelihood_request
from unmask.metrics import Metrics

PAIRS = [("2 + 3 =", " 5"), ("2 + 3 =", " seven"), ("The sky is", " blue today"), ("a", "b")]


@pytest.fixture
def send(tiny):
    """Send bodies at once to `/v1/completions`; gives what they are answered."""
    metrics = Metrics()
    engine = AsyncEngine(Engine(Config(engine=ROOMY), tiny, metrics))

    def run(*bodies):
        async def gather():
            transport = httpx.ASGITransport(create_app(engine, metrics, ServerConfig()))
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                posts = (client.post("/v1/completions", json=body) for body in bodies)
                return await asyncio.gather(*posts)

        answers = asyncio.run(gather())
        assert all(answer.status_code == 200 for answer in answers), answers[0].text
        return [answer.json() for answer in answers]

    yield run
    engine.shutdown()


def of_likelihood(prompt):
    fields = {"temperature": 0, "max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
    return {"model": "", "prompt": prompt, **fields}


def read_likelihoods(answer, ctxlens):
    """Sum of the continuation's log-probabilities, and whether it is the greedy one."""
    found = []
    choices = sorted(answer["choices"], key=lambda choice: choice["index"])
    for choice, ctxlen in zip(choices, ctxlens, strict=True):
        own = choice["logprobs"]["token_logprobs"][ctxlen:-1]
        top = choice["logprobs"]["top_logprobs"][ctxlen:-1]
        pairs = zip(own, top, strict=True)
        found.append((sum(own), all(value == max(best.values()) for value, best in pairs)))
    return found


def encoded(tokenizer):
    return [(tokenizer.encode(context), tokenizer.encode(rest)) for context, rest in PAIRS]


def test_continuations_have_the_likelihood_of_the_chain_rule(send, tiny):
    pairs = encoded(tiny.tokenizer)
    ctxlens = [len(context) for context, _ in pairs]
    batch = of_likelihood([context + rest for context, rest in pairs])
    alone = [of_likelihood([context + rest]) for context, rest in pairs]
    texts = of_likelihood([context + rest for context, rest in PAIRS])
    answers = send(batch, texts, *alone)
    found = read_likelihoods(answers[0], ctxlens)
    assert read_likelihoods(answers[1], ctxlens) == found
    each = zip(answers[2:], ctxlens, strict=True)
    assert [read_likelihoods(answer, [ctxlen])[0] for answer, ctxlen in each] == found
    for (total, is_greedy), (context, rest) in zip(found, pairs, strict=True):
        request = likelihood_request("a", (*context, *rest), 1, tiny.info)
        assert request is not None
        items = run_alone(tiny, request).logprobs[len(context) - 1 :]
        assert total == pytest.approx(sum(item.logprob for item in items))
        assert is_greedy == all(item.rank == 1 for item in items)


def test_a_continuation_that_the_server_would_write_is_greedy(send, tiny):
    prompt = tiny.tokenizer.encode("2 + 3 =")
    fields = {"max_tokens": 9, "temperature": 0, "policy": "sequential", "return_token_ids": True}
    (answer,) = send({"prompt": prompt, "ignore_eos": True, **fields})
    text = [*prompt, *answer["choices"][0]["token_ids"]]
    (read,) = send(of_likelihood([text]))
    assert read_likelihoods(read, [len(prompt)])[0][1]


@pytest.mark.parametrize("bias", [0, 100])  # the token that is generated may be an end
def test_lists_have_one_token_more_than_the_text(send, tiny, bias):
    text = "".join(PAIRS[2])
    ends = {str(token_id): bias for token_id in tiny.info.eos_token_ids}
    (answer,) = send({**of_likelihood(text), "logit_bias": ends})
    (choice,) = answer["choices"]
    logprobs = choice["logprobs"]
    ids = tiny.tokenizer.encode(text)
    assert {len(values) for values in logprobs.values()} == {len(ids) + 1}
    assert "".join(logprobs["tokens"][:-1]) == text
    assert choice["text"].startswith(text)
    offsets = logprobs["text_offset"]
    for (start, end), token in zip(pairwise(offsets), logprobs["tokens"], strict=False):
        assert text[start:end] == token


def test_answers_are_cut_where_lm_eval_says(send):
    fields = {"max_tokens": 12, "temperature": 0, "stop": ["\n", "<|end|>"], "seed": 1234}
    batch, alone = send(
        {"model": "", "prompt": ["2 + 3 =", "a"], **fields}, {"prompt": "2 + 3 =", **fields}
    )
    texts = [choice["text"] for choice in batch["choices"]]
    assert texts[0] == alone["choices"][0]["text"]
    assert all("\n" not in text for text in texts)
