"""Schemas of any kind get an answer that is valid, or an error that names the field."""

import asyncio
import json
from itertools import islice

import httpx
import pytest

from tests.support.engines import ROOMY
from tests.support.json_schema import is_valid
from tests.support.random_schemas import broken_schemas
from unmask.api import create_app
from unmask.config import Config, ServerConfig
from unmask.engine.async_engine import AsyncEngine
from unmask.engine.engine import Engine
from unmask.metrics import Metrics

AT_ONCE = 50


@pytest.fixture
def send(tiny):
    """Send bodies, so many at once; gives their responses."""
    metrics = Metrics()
    engine = AsyncEngine(Engine(Config(engine=ROOMY), tiny, metrics))

    async def run(bodies):
        app = create_app(engine, metrics, ServerConfig())
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            for start in range(0, len(bodies), AT_ONCE):
                calls = (
                    client.post("/v1/completions", json=body) for body in bodies[start:][:AT_ONCE]
                )
                for response in await asyncio.gather(*calls):
                    yield response

    async def collected(bodies):
        return [response async for response in run(bodies)]

    yield lambda bodies: asyncio.run(collected(bodies))
    engine.shutdown()


def check(send, num_schemas, seed):
    schemas = list(islice(broken_schemas(seed), num_schemas))
    bodies = [
        {
            "prompt": "Hi",
            "guided_json": json.dumps(schema),
            "max_tokens": 120,
            "temperature": i % 3,
            "seed": i,
        }
        for i, schema in enumerate(schemas)
    ]
    num_answers = 0
    for schema, response in zip(schemas, send(bodies), strict=True):
        assert response.status_code in (200, 400), (schema, response.text)
        if response.status_code == 200:
            text = response.json()["choices"][0]["text"]
            assert is_valid(json.loads(text), schema), (schema, text)
            num_answers += 1
        else:
            assert response.json()["error"]["param"] in ("guided_json", "max_tokens")
    assert num_answers > num_schemas // 5


def test_schemas_that_may_be_broken_get_valid_answers_or_errors(send):
    check(send, 100, seed=1)


@pytest.mark.exhaustive
def test_thousands_of_schemas_get_valid_answers_or_errors(send):
    check(send, 5000, seed=2)
