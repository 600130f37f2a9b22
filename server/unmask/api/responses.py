"""`/v1/responses`: OpenAI's Responses API for text, without stored responses and tools."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from unmask.api.backend import Backend
from unmask.api.dialect import EncodedPrompts
from unmask.api.errors import RequestFailed, json_excerpt
from unmask.api.fields import Body, Bool, Int
from unmask.api.job import Job, UsageTally
from unmask.api.logprobs import TokenTexts
from unmask.api.prompts import TemplateOptions, encode_chat
from unmask.api.requests import ChatMessage, Generation, TextPart
from unmask.api.response_objects import (
    OutputMessage,
    OutputText,
    ResponseError,
    ResponseObject,
    ResponseStatus,
)
from unmask.api.sampling import refuse_fields
from unmask.api.sse import PING, encode
from unmask.api.streams import Merger
from unmask.api.structured import Structured, StructuredBody, format_of
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, FinishReason

# Fields of `Generation` that are unknown to this endpoint.
ABSENT = (
    *("n", "best_of", "max_tokens", "stream_refinements", "diffusing", "return_token_ids"),
    "prompt_logprobs",
    *StructuredBody.model_fields,
)


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
    """A piece of a message; `output_text` is that of an earlier answer."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    logprobs: tuple[Any, ...] | None = None


class InputItem(Body):
    """One message; tool calls, their results and references are refused."""

    type: Literal["message"] = "message"
    role: Literal["user", "assistant", "system", "developer"]
    content: Annotated[tuple[InputPart, ...], BeforeValidator(_as_parts)]
    status: str | None = None


class TextFormat(Body):
    """The format of an answer; beside the schema are its name and whether it is strict."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    description: str | None = None
    json_schema: Any = Field(None, alias="schema")
    strict: Bool | None = None


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


class ResponseDialect:
    """Conversations and answers in the format of the Responses API."""

    path = "/v1/responses"
    name = "responses"
    description = "Answer a conversation in the words of OpenAI's newer API."
    id_prefix = "resp"
    default_max_tokens: int | None = None
    body = ResponsesBody
    answer: type | None = None

    def check(self, body: ResponsesBody) -> None:
        """Raise `InvalidRequest` for an empty input, tools, and fields of other endpoints."""
        refuse_fields(body, ABSENT)
        if body.tool_choice not in (None, "auto", "none"):
            raise _unsupported("tool_choice", body.tool_choice)
        if body.tools and body.tool_choice != "none":
            raise _unsupported("tools", body.tools)
        if not body.input:
            raise InvalidRequest("input must not be empty", field="input")

    def field_names(self, body: ResponsesBody) -> Mapping[str, str]:
        return {"prompt": "input", "max_tokens": "max_output_tokens"}

    def num_prompts(self, body: ResponsesBody) -> int:
        return 1

    def max_tokens(self, body: ResponsesBody) -> int | None:
        return body.max_output_tokens

    def structure(
        self, body: ResponsesBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        form = None if body.text is None else body.text.format
        if form is None:
            return None
        is_schema = form.type == "json_schema"
        field = "text.format.schema" if is_schema else "text.format"
        return format_of(form.type, form.json_schema, field)

    def num_logprobs(self, body: ResponsesBody) -> int | None:
        return None

    def num_prompt_logprobs(self, body: ResponsesBody) -> int | None:
        return None

    async def encode(self, body: ResponsesBody, backend: Backend) -> EncodedPrompts:
        """Render the chat template, instructions as a system message, and tokenize its text."""
        messages = [
            _message(item.role, [part.text for part in item.content]) for item in body.input
        ]
        if body.instructions is not None:
            messages.insert(0, _message("system", [body.instructions]))
        ids = await encode_chat(backend, messages, TemplateOptions(), field="input")
        return EncodedPrompts((ids,), echoes=("",))

    def writer(
        self, job: Job, body: ResponsesBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> "ResponseWriter":
        return ResponseWriter(job, body)


def _unsupported(name: str, value: Any) -> InvalidRequest:
    return InvalidRequest(
        f"{name} is not supported, got {json_excerpt(value)}",
        field=name,
        code="unsupported_parameter",
    )


def _message(role: Any, texts: list[str]) -> ChatMessage:
    parts = tuple(TextPart(type="text", text=text) for text in texts)
    return ChatMessage.model_construct(role=role, content=parts)


class ResponseWriter:
    """Gathers one response, or writes its events, which have names and sequence numbers."""

    def __init__(self, job: Job, body: ResponsesBody) -> None:
        number = job.job_id.partition("-")[2]
        self._job = job
        self._body = body
        self._response_id, self._item_id = f"resp_{number}", f"msg_{number}"
        self._tally = UsageTally(job)
        self._text = ""
        self._reason = FinishReason.STOP
        self._num_events = 0

    async def whole(self, merger: Merger) -> ResponseObject:
        """The whole response; raises `RequestFailed`."""
        async with aclosing(merger.batches()) as batches:
            async for batch in batches:
                for index, event in batch:
                    assert isinstance(event, Delta), "no refinements were asked for"
                    self._add(index, event)
        return self._ended()

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        yield self._begin()
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = b"" if batch else PING
                    for index, event in batch:
                        assert isinstance(event, Delta), "no refinements were asked for"
                        self._add(index, event)
                        if event.text:
                            data += self._text_event("delta", delta=event.text)
                    if data:
                        yield data
            except RequestFailed as failure:
                error: ResponseError = {"code": "server_error", "message": str(failure)}
                yield self._event("failed", response={**self._response("failed"), "error": error})
                return
        yield self._end()

    def _add(self, index: int, delta: Delta) -> None:
        self._tally.add(index, delta)
        self._text += delta.text
        if delta.finish is not None:
            self._reason = delta.finish.reason

    def _response(self, status: ResponseStatus) -> ResponseObject:
        """The response before it has any output."""
        body, extra = self._body, self._body.model_extra or {}
        return {
            "id": self._response_id,
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
            "text": {"format": self._format()},
            "tool_choice": body.tool_choice or "auto",
            "tools": list(body.tools or ()),
            "top_p": body.top_p,
            "truncation": "disabled",
            "usage": None,
            "user": body.user,
        }

    def _format(self) -> dict[str, Any]:
        form = None if self._body.text is None else self._body.text.format
        return (
            {"type": "text"} if form is None else form.model_dump(by_alias=True, exclude_none=True)
        )

    def _ended(self) -> ResponseObject:
        """The response with output and usage; incomplete if `max_output_tokens` was reached."""
        is_cut = self._reason is FinishReason.LENGTH
        response = self._response("incomplete" if is_cut else "completed")
        response["incomplete_details"] = {"reason": "max_output_tokens"} if is_cut else None
        response["output"] = [self._item(response["status"], [_part(self._text)])]
        usage = self._tally.total()
        response["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": usage["prompt_tokens_details"],
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }
        return response

    def _item(self, status: ResponseStatus, content: list[OutputText]) -> OutputMessage:
        return {
            "type": "message",
            "id": self._item_id,
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _begin(self) -> bytes:
        running = self._response("in_progress")
        item = self._item("in_progress", [])
        return (
            self._event("created", response=running)
            + self._event("in_progress", response=running)
            + self._event("output_item.added", output_index=0, item=item)
            + self._part_event("added", "")
        )

    def _end(self) -> bytes:
        response = self._ended()
        (item,) = response["output"]
        return (
            self._text_event("done", text=self._text)
            + self._part_event("done", self._text)
            + self._event("output_item.done", output_index=0, item=item)
            + self._event(response["status"], response=response)
        )

    def _text_event(self, kind: str, **fields: str) -> bytes:
        return self._event(f"output_text.{kind}", **self._place(), **fields, logprobs=[])

    def _part_event(self, kind: str, text: str) -> bytes:
        return self._event(f"content_part.{kind}", **self._place(), part=_part(text))

    def _place(self) -> dict[str, str | int]:
        return {"item_id": self._item_id, "output_index": 0, "content_index": 0}

    def _event(self, kind: str, **fields: object) -> bytes:
        name = f"response.{kind}"
        event = {"type": name, "sequence_number": self._num_events, **fields}
        self._num_events += 1
        return f"event: {name}\n".encode() + encode(event)


def _part(text: str) -> OutputText:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


RESPONSES = ResponseDialect()
