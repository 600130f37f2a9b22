"""OpenAI's own client, against a real socket."""

import pytest

from tests.api.fake_client import ANSWER, MODEL, failing
from unmask.config import ServerConfig
from unmask.errors import QueueFull

openai = pytest.importorskip("openai")

HI = [{"role": "user", "content": "hi"}]


@pytest.fixture
def client(serve):
    with openai.OpenAI(base_url=f"{serve()}/v1", api_key="none", max_retries=0) as client:
        yield client


def test_a_completion(client):
    answer = client.completions.create(
        model=MODEL.name, prompt=["a", "b"], n=2, max_tokens=40, logprobs=1, seed=3
    )
    assert [choice.text for choice in answer.choices] == [ANSWER] * 4
    assert answer.usage.prompt_tokens_details.cached_tokens == 2
    assert answer.usage.model_extra["denoising_steps"] == 20
    assert answer.choices[0].logprobs.tokens[0] == "H"


def test_a_streamed_completion_with_refinements(client):
    chunks = list(
        client.completions.create(
            model=MODEL.name,
            prompt="a",
            max_tokens=40,
            stream=True,
            stream_options={"include_usage": True},
            extra_body={"stream_refinements": {"tokens": True}, "policy": "low_confidence"},
        )
    )
    assert "".join(c.choices[0].text for c in chunks if c.choices) == ANSWER
    assert any(c.model_extra.get("diffusion") for c in chunks)
    assert chunks[-1].usage.completion_tokens == 14


def test_a_chat(client):
    answer = client.chat.completions.create(
        model=MODEL.name, messages=HI, max_completion_tokens=40, logprobs=True, top_logprobs=2
    )
    assert answer.choices[0].message.content == ANSWER
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].logprobs.content[0].bytes == [72]


def test_a_streamed_chat_with_refinements(client):
    stream = client.chat.completions.create(
        model=MODEL.name, messages=HI, stream=True, n=2, extra_body={"diffusing": True}
    )
    texts = ["", ""]
    num_refinements = 0
    for chunk in stream:
        num_refinements += "diffusion" in chunk.model_extra
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content or ""
    assert texts == [ANSWER, ANSWER]
    assert num_refinements


def test_the_chat_stream_helper_understands_every_chunk(client):
    with client.chat.completions.stream(
        model=MODEL.name, messages=HI, extra_body={"diffusing": True}
    ) as stream:
        for _ in stream:
            pass
        final = stream.get_final_completion()
    assert final.choices[0].message.content == ANSWER


def test_the_models(client):
    (model,) = client.models.list().data
    assert model.id == MODEL.name
    assert client.models.retrieve(MODEL.name).owned_by == "unmask"
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("other")
    assert caught.value.code == "model_not_found"


def test_a_wrong_field_is_a_bad_request(client):
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model=MODEL.name, messages=HI, temperature=-1)
    assert caught.value.param == "temperature"


def test_a_full_queue_is_retried_and_then_served(serve, engine):
    engine.refusals = {0: QueueFull("full", retry_after_s=0)}
    with openai.OpenAI(base_url=f"{serve()}/v1", api_key="none", max_retries=1) as client:
        answer = client.completions.create(model=MODEL.name, prompt="a", max_tokens=40)
    assert answer.choices[0].text == ANSWER


def test_a_failure_in_mid_stream_is_raised(client, engine):
    engine.script = failing
    with pytest.raises(openai.APIError, match="out of luck"):
        list(client.chat.completions.create(model=MODEL.name, messages=HI, stream=True))


def test_the_api_key_is_needed(serve):
    url = f"{serve(ServerConfig(api_key='secret'))}/v1"
    with (
        openai.OpenAI(base_url=url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()
    with openai.OpenAI(base_url=url, api_key="secret", max_retries=0) as client:
        assert client.models.list().data
