"""OpenAI's Responses as a thin layer over chats: text in, text out, and nothing is stored."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from unmask.api.errors import RequestFailed, json_excerpt
from unmask.api.job import Job
from unmask.api.requests import Body, ChatBody, ChatMessage, Generation, Int, TextPart
from unmask.api.stream import PING, encode
from unmask.api.streams import Merger
from unmask.api.usage import UsageTally
from unmask.errors import InvalidRequest
from unmask.types import Delta, FinishReason

NAMES = {"messages": "input", "max_completion_tokens": "max_output_tokens"}
# Of chats and completions, and not of this endpoint.
OTHERS = ("n", "best_of", "max_tokens", "stream_refinements", "diffusing", "return_token_ids")


def _as_parts(value: Any) -> Any:
    if isinstance(value, str):
        return [{"type": "input_text", "text": value}]
    if not isinstance(value, list):
        raise ValueError("must be a string or a list of text parts")
    return value


def _as_items(value: Any) -> Any:
    if isinstance(value, str):
        return [{"role": "user", "content": value}]
    if not isinstance(value, list):
        raise ValueError("must be a string or a list of messages")
    return value


class InputPart(Body):
    """A piece of a message; answers come back as `output_text`."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    logprobs: tuple[Any, ...] | None = None


class InputItem(Body):
    """One turn; calls of tools, their results and references are refused."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[tuple[InputPart, ...], BeforeValidator(_as_parts)]
    status: str | None = None


class TextFormat(Body):
    """The form of an answer; others than text are refused."""

    type: Literal["text"]


class TextOptions(Body):
    """Options of the text of an answer."""

    format: TextFormat | None = None


class ResponsesBody(Generation):
    """The body of `/v1/responses`."""

    input: Annotated[tuple[InputItem, ...], BeforeValidator(_as_items)]
    instructions: str | None = None
    max_output_tokens: Int | None = None
    text: TextOptions | None = None
    reasoning: dict[str, Any] | None = None
    tools: tuple[dict[str, Any], ...] | None = None
    tool_choice: Any = None

    def to_chat(self) -> ChatBody:
        """The same as a chat; raises `InvalidRequest` for what this endpoint does not do."""
        for name in OTHERS:
            if getattr(self, name):
                raise InvalidRequest(f"unknown field: {name}", field=name, code="unknown_parameter")
        if self.tool_choice not in (None, "auto", "none"):
            raise self._unsupported("tool_choice")
        if self.tools and self.tool_choice != "none":
            raise self._unsupported("tools")
        turns = [_turn(item.role, [part.text for part in item.content]) for item in self.input]
        if self.instructions is not None and turns:
            turns.insert(0, _turn("system", [self.instructions]))
        shared = {name: getattr(self, name) for name in Generation.model_fields}
        return ChatBody.model_construct(
            **shared, messages=tuple(turns), max_completion_tokens=self.max_output_tokens
        )

    def _unsupported(self, name: str) -> InvalidRequest:
        given = json_excerpt(getattr(self, name))
        return InvalidRequest(
            f"{name} is not supported, got {given}", field=name, code="unsupported_parameter"
        )


def _turn(role: Any, texts: list[str]) -> ChatMessage:
    parts = tuple(TextPart(type="text", text=text) for text in texts)
    return ChatMessage.model_construct(role=role, content=parts)


class ResponseFormat:
    """The object that answers have, and that the events of a stream repeat."""

    def __init__(self, job: Job, body: ResponsesBody) -> None:
        self._job = job
        self._body = body
        self.response_id = f"resp_{job.job_id.partition('-')[2]}"
        self.item_id = f"msg_{job.job_id.partition('-')[2]}"

    def response(self, status: str, **changes: Any) -> dict[str, Any]:
        """The response in a state of it."""
        body, extra = self._body, self._body.model_extra or {}
        return {
            "id": self.response_id,
            "object": "response",
            "created_at": self._job.created_s,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "metadata": extra.get("metadata") or {},
            "model": self._job.model_name,
            "output": [],
            "parallel_tool_calls": bool(extra.get("parallel_tool_calls", True)),
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": body.temperature,
            "text": {"format": {"type": "text"}},
            "tool_choice": body.tool_choice or "auto",
            "tools": list(body.tools or ()),
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
            **changes,
        }

    def part(self, text: str) -> dict[str, Any]:
        """The one content of the answer."""
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}

    def item(self, status: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        """The one message of the answer."""
        message = {"type": "message", "id": self.item_id, "status": status, "role": "assistant"}
        return {**message, "content": content}

    def ended(self, text: str, reason: FinishReason, usage: dict[str, Any]) -> dict[str, Any]:
        """The whole response."""
        is_cut = reason is FinishReason.LENGTH
        status = "incomplete" if is_cut else "completed"
        return self.response(
            status,
            incomplete_details={"reason": "max_output_tokens"} if is_cut else None,
            output=[self.item(status, [self.part(text)])],
            usage={
                "input_tokens": usage["prompt_tokens"],
                "input_tokens_details": usage["prompt_tokens_details"],
                "output_tokens": usage["completion_tokens"],
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage["total_tokens"],
            },
        )


async def gather_response(job: Job, merger: Merger, form: ResponseFormat) -> dict[str, Any]:
    """The response as a whole; raises `RequestFailed`."""
    tally, text, reason = UsageTally(job), "", FinishReason.STOP
    async with aclosing(merger.batches()) as batches:
        async for batch in batches:
            for index, event in batch:
                if isinstance(event, Delta):
                    tally.add(index, event)
                    text += event.text
                    reason = event.finish.reason if event.finish else reason
    return form.ended(text, reason, tally.total())


class ResponseWriter:
    """The events of a streamed response, which have names and numbers in this API."""

    def __init__(self, job: Job, form: ResponseFormat) -> None:
        self._tally = UsageTally(job)
        self._form = form
        self._number = 0

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """The body of the answer, an error in the middle included."""
        form, text, reason = self._form, "", FinishReason.STOP
        yield self._begin()
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = b"" if batch else PING
                    for index, event in batch:
                        assert isinstance(event, Delta), "no refinements were asked for"
                        self._tally.add(index, event)
                        text += event.text
                        reason = event.finish.reason if event.finish else reason
                        if event.text:
                            data += self._delta("delta", delta=event.text)
                    if data:
                        yield data
            except RequestFailed as error:
                told = {"code": "server_error", "message": str(error)}
                yield self._event("failed", response=form.response("failed", error=told))
                return
        response = form.ended(text, reason, self._tally.total())
        yield self._end(text, response)

    def _begin(self) -> bytes:
        form = self._form
        running = form.response("in_progress")
        return (
            self._event("created", response=running)
            + self._event("in_progress", response=running)
            + self._event("output_item.added", output_index=0, item=form.item("in_progress", []))
            + self._part("added", "")
        )

    def _end(self, text: str, response: dict[str, Any]) -> bytes:
        (item,) = response["output"]
        return (
            self._delta("done", text=text)
            + self._part("done", text)
            + self._event("output_item.done", output_index=0, item=item)
            + self._event(response["status"], response=response)
        )

    def _delta(self, kind: str, **more: Any) -> bytes:
        place = {"item_id": self._form.item_id, "output_index": 0, "content_index": 0}
        return self._event(f"output_text.{kind}", **place, **more, logprobs=[])

    def _part(self, kind: str, text: str) -> bytes:
        place = {"item_id": self._form.item_id, "output_index": 0, "content_index": 0}
        return self._event(f"content_part.{kind}", **place, part=self._form.part(text))

    def _event(self, kind: str, **fields: Any) -> bytes:
        name = f"response.{kind}"
        event = {"type": name, "sequence_number": self._number, **fields}
        self._number += 1
        return f"event: {name}\n".encode() + encode(event)
