"""The streaming protocol, line by line."""

import asyncio
import json
from dataclasses import replace

import httpx
import pytest

from tests.api.fake_client import (
    ANSWER,
    FakeClient,
    FakeStream,
    answer,
    endless,
    failing,
    refinement,
    usage,
)
from tests.api.sse import events, joined
from unmask.api import create_app
from unmask.api.sse import encode
from unmask.api.streams import Merger, submit_all
from unmask.client import UnconfirmedStream
from unmask.config import ServerConfig
from unmask.errors import QueueFull
from unmask.types import Delta, Finish, FinishReason, Request, SamplingParams

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
PATHS = [COMPLETIONS, CHAT]
HI = [{"role": "user", "content": "hi"}]


def body_of(path, **fields):
    prompt = {"messages": HI} if path == CHAT else {"prompt": "hi", "max_tokens": 50}
    return {**prompt, **fields}


def stream(call, path, config=None, **fields):
    response = call("POST", path, config, json=body_of(path, stream=True, **fields))
    assert response.status_code == 200, response.text
    return events(response.text)


def endings(chunks):
    return [
        (choice["index"], choice["finish_reason"])
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]


class LateRefusal(FakeStream, UnconfirmedStream):
    """Events of a request that is refused on its way to the queue."""

    async def confirmed(self):
        raise QueueFull("no room", retry_after_s=7)


@pytest.mark.parametrize("fields", [{}, {"stream": True}, {"n": 3}], ids=str)
def test_a_request_that_is_refused_on_its_way_is_answered_by_a_status(metrics, fields):
    class Client(FakeClient):
        def submit(self, request):
            self.streams.append(LateRefusal(list(super().submit(request).events)))
            return self.streams[-1]

    client = Client()
    app = create_app(client, metrics, ServerConfig())

    async def send():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
            return await http.post(CHAT, json=body_of(CHAT, **fields))

    response = asyncio.run(send())
    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["code"] == "queue_full"
    late = [stream for stream in client.streams if isinstance(stream, LateRefusal)]
    assert all(stream.closed.is_set() for stream in late)


@pytest.mark.parametrize("path", PATHS)
def test_a_stream_is_not_to_be_cached_or_held_back(call, path):
    headers = call("POST", path, json=body_of(path, stream=True)).headers
    assert headers["content-type"].startswith("text/event-stream")
    assert headers["cache-control"] == "no-cache"
    assert headers["x-accel-buffering"] == "no"
    assert "content-length" not in headers
    assert headers["x-request-id"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "fields",
    [{}, {"n": 3, "seed": 1}, {"max_tokens": 5}, {"stream_refinements": True, "n": 2}],
    ids=str,
)
def test_streamed_text_adds_up_to_the_answer_without_streaming(call, path, fields):
    chunks = stream(call, path, **fields)
    fields.pop("stream_refinements", None)
    whole = call("POST", path, json=body_of(path, **fields)).json()
    for choice in whole["choices"]:
        text = choice["text"] if path == COMPLETIONS else choice["message"]["content"]
        assert joined(chunks, choice["index"]) == text
    assert sorted(endings(chunks)) == [(c["index"], c["finish_reason"]) for c in whole["choices"]]


def test_an_echoed_prompt_is_streamed_before_the_answer(call):
    chunks = stream(call, COMPLETIONS, prompt=["a ", "b "], echo=True)
    assert [joined(chunks, i) for i in (0, 1)] == [f"a {ANSWER}", f"b {ANSWER}"]


@pytest.mark.parametrize("path", PATHS)
def test_every_chunk_has_the_same_id_and_exactly_one_choice(call, path):
    chunks = stream(call, path, n=2)
    kind = "text_completion" if path == COMPLETIONS else "chat.completion.chunk"
    assert {chunk["object"] for chunk in chunks} == {kind}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(len(chunk["choices"]) == 1 for chunk in chunks)
    assert all("usage" not in chunk for chunk in chunks)


def test_the_first_chat_chunk_of_every_choice_has_the_role(call):
    chunks = stream(call, CHAT, n=2, stream_refinements=True)
    for index in (0, 1):
        deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"][0]["index"] == index]
        assert deltas[0] == {"role": "assistant", "content": ""}
        assert not any("role" in delta for delta in deltas[1:])


@pytest.mark.parametrize("path", PATHS)
def test_usage_is_the_last_chunk_when_asked_for(call, path):
    *chunks, last = stream(call, path, n=2, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert last["choices"] == []
    whole = call("POST", path, json=body_of(path, n=2)).json()
    assert last["usage"] == whole["usage"]


def test_usage_may_be_in_every_chunk(call):
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = stream(call, COMPLETIONS, stream_options=options)
    counts = [chunk["usage"]["completion_tokens"] for chunk in chunks]
    assert counts == sorted(counts)
    assert counts[0] == 2
    assert counts[-2:] == [14, 14]


def test_usage_in_every_chunk_counts_the_suffix(call, engine, monkeypatch):
    monkeypatch.setattr(engine, "model", replace(engine.model, attention="full"))
    options = {"include_usage": True, "continuous_usage_stats": True}
    prompts = {"prompt": ["hi", "you"], "suffix": " end", "n": 2}
    first, *_ = stream(call, COMPLETIONS, stream_options=options, **prompts)
    assert first["usage"]["prompt_tokens"] == 2 + 3 + 2 * 4


@pytest.mark.parametrize("path", PATHS)
def test_a_refinement_is_an_empty_chunk_with_a_draft_beside_it(call, path):
    chunks = stream(call, path, stream_refinements={"tokens": True})
    drafts = [chunk for chunk in chunks if "diffusion" in chunk]
    assert drafts
    for chunk in drafts:
        (choice,) = chunk["choices"]
        assert choice.get("text", "") == ""
        assert choice.get("delta", {}) == {}
        assert choice["finish_reason"] is None
    assert drafts[0]["diffusion"] == {
        "event": "refinement", "index": 0, "block": 0, "step": 0, "max_steps": 8,
        "span": [0, 2], "unresolved": 1, "text": "H░",
        "tokens": [
            {"id": 40, "text": "H", "confidence": 0.75, "resolved": True},
            {"id": 511, "text": "<|mask|>", "confidence": 0.1, "resolved": False},
        ],
    }  # fmt: skip


@pytest.mark.parametrize("fields", [{"stream_refinements": True}, {"diffusing": True}], ids=str)
def test_refinements_have_no_tokens_unless_asked_for(call, fields):
    drafts = [c["diffusion"] for c in stream(call, CHAT, **fields) if "diffusion" in c]
    assert drafts
    assert not any("tokens" in draft for draft in drafts)


def test_no_refinements_are_sent_unless_asked_for(call):
    assert not any("diffusion" in chunk for chunk in stream(call, CHAT))


@pytest.mark.parametrize(
    ("path", "fields"),
    [(COMPLETIONS, {"logprobs": 2}), (CHAT, {"logprobs": True, "top_logprobs": 2})],
)
def test_streamed_logprobs_add_up_to_those_without_streaming(call, path, fields):
    (whole,) = call("POST", path, json=body_of(path, **fields)).json()["choices"]
    pieces = [c["choices"][0]["logprobs"] for c in stream(call, path, **fields)]
    for name, expected in whole["logprobs"].items():
        if expected is not None:
            assert [item for piece in pieces if piece for item in piece[name]] == expected


def test_streamed_token_ids_add_up(call):
    (whole,) = call("POST", COMPLETIONS, json=body_of(COMPLETIONS, return_token_ids=True)).json()[
        "choices"
    ]
    pieces = [c["choices"][0] for c in stream(call, COMPLETIONS, return_token_ids=True)]
    assert pieces[0]["prompt_token_ids"] == whole["prompt_token_ids"]
    ids = [token_id for piece in pieces for token_id in piece.get("token_ids", ())]
    assert ids == whole["token_ids"]
    first = stream(call, CHAT, return_token_ids=True)[0]
    assert first["prompt_token_ids"]


def test_a_piece_without_text_is_not_sent_unless_its_tokens_are_wanted(call, engine):
    def silent(request):
        finish = Finish(FinishReason.STOP, usage(request, 3))
        return [
            Delta(request.request_id, (1,), ""),
            Delta(request.request_id, (2,), "a"),
            Delta(request.request_id, (3,), "", finish=finish),
        ]

    engine.script = silent
    texts = [chunk["choices"][0]["text"] for chunk in stream(call, COMPLETIONS)]
    assert texts == ["a", ""]
    _, *pieces = (c["choices"][0] for c in stream(call, COMPLETIONS, return_token_ids=True))
    assert [piece["token_ids"] for piece in pieces] == [[1], [2], [3]]


@pytest.mark.parametrize("path", PATHS)
def test_the_last_chunk_tells_the_stop_string_that_matched(call, engine, path):
    def stopped(request):
        *rest, last = answer(request)
        return [*rest, last._replace(finish=replace(last.finish, stop_reason="end"))]

    engine.script = stopped
    (choice,) = stream(call, path)[-1]["choices"]
    assert (choice["finish_reason"], choice["stop_reason"]) == ("stop", "end")


@pytest.mark.parametrize("path", PATHS)
def test_a_failure_in_mid_stream_is_an_error_and_then_done(call, engine, path):
    engine.script = failing
    *_, last = stream(call, path)
    assert last == {
        "error": {
            "message": "choice 0 failed: out of luck",
            "type": "server_error",
            "param": None,
            "code": "engine_failure",
        }
    }


def test_a_failure_of_one_choice_ends_the_stream_and_aborts_the_others(call, engine):
    first = iter([failing])
    engine.script = lambda request: next(first, endless)(request)
    assert "error" in stream(call, COMPLETIONS, n=2)[-1]
    assert engine.streams[1].closed_early


def test_silence_is_filled_with_pings(call, engine):
    engine.script = lambda request: answer(request, "hi", pause_s=0.2)
    config = ServerConfig(ping_interval_s=0.05)
    text = call("POST", CHAT, config, json=body_of(CHAT, stream=True)).text
    assert text.startswith(": ping\n\n")
    assert joined(events(text)) == "hi"


def test_silence_after_text_is_filled_with_pings_too(call, engine):
    engine.script = lambda request: [*answer(request)[:1], 0.3, *answer(request)[1:]]
    config = ServerConfig(ping_interval_s=0.05)
    text = call("POST", CHAT, json=body_of(CHAT, stream=True), config=config).text
    first, _, rest = text.partition(": ping\n\n")
    assert '"content":"He"' in first
    assert ": ping\n\n" in rest


def test_nothing_is_pinged_while_text_flows(call):
    assert "ping" not in call("POST", CHAT, json=body_of(CHAT, stream=True)).text


@pytest.mark.parametrize("text", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r\n", "é░🙂"])
def test_no_character_of_a_text_breaks_a_line(text):
    frame = encode({"text": text})
    assert len(frame.decode().removesuffix("\n\n").splitlines()) == 1
    assert json.loads(frame.removeprefix(b"data: "))["text"] == text


def requests(n: int) -> list[Request]:
    return [Request(f"r{i}", (1, 2), SamplingParams(max_tokens=50)) for i in range(n)]


def run(coroutine):
    return asyncio.run(coroutine)


def test_events_that_are_ready_together_leave_together():
    async def batches():
        client = FakeClient(lambda request: answer(request, "hi"))
        merger = Merger(await submit_all(client, requests(4)))
        received = [batch async for batch in merger.batches()]
        await merger.aclose()
        return received

    first, *_ = run(batches())
    assert {index for index, _ in first} == {0, 1, 2, 3}


def test_only_the_latest_refinement_of_a_batch_is_sent_and_all_text_is():
    def script(request):
        drafts = [refinement(request, step) for step in range(3)]
        return [*drafts[:2], *answer(request, "a")[:1]]

    async def batches():
        merger = Merger(await submit_all(FakeClient(script), requests(2)))
        received = [event async for batch in merger.batches() for event in batch]
        await merger.aclose()
        return received

    received = run(batches())
    assert sum(isinstance(event, Delta) for _, event in received) == 2


def test_a_slow_reader_gets_every_event_of_each_stream_in_order():
    def script(request):
        return [Delta(request.request_id, (i,), str(i)) for i in range(30)] + answer(request)[-1:]

    async def texts_by_stream():
        merger = Merger(await submit_all(FakeClient(script), requests(3)))
        received = {index: [] for index in range(3)}
        async for batch in merger.batches():
            await asyncio.sleep(0.001)
            for index, event in batch:
                received[index].append(event.text)
        await merger.aclose()
        return received

    expected = [str(i) for i in range(30)]
    assert all(texts[:-1] == expected for texts in run(texts_by_stream()).values())


def test_a_slow_reader_leaves_events_where_refinements_can_be_dropped():
    def script(request):
        return [*(refinement(request, step) for step in range(100)), *answer(request, "a")]

    async def leftover():
        client = FakeClient(script)
        merger = Merger(await submit_all(client, requests(1)))
        await asyncio.sleep(0.01)
        left = len(client.streams[0].events)
        await merger.aclose()
        return left, client.streams[0]

    left, fake = run(leftover())
    assert left >= 95
    assert fake.closed_early
