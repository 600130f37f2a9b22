"""`/v1/responses`: OpenAI's Responses API, a thin layer over chats; nothing is stored."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from unmask.api.backend import Backend
from unmask.api.chat import CHAT, message_splitter
from unmask.api.chat_choices import MessageSplitter
from unmask.api.dialect import EncodedPrompts
from unmask.api.errors import RequestFailed, note_failure
from unmask.api.images import Images, read_images
from unmask.api.job import Job, UsageTally
from unmask.api.logprobs import TokenTexts
from unmask.api.output_items import Event, Output
from unmask.api.paths import respelled, respelled_in
from unmask.api.response_objects import ResponseError, ResponseObject, ResponseStatus
from unmask.api.responses_bodies import (
    ResponsesBody,
    check_body,
    functions_of,
    oldest_items,
    paths_of,
)
from unmask.api.responses_chat import as_chat, images_of
from unmask.api.sampling import refuse_fields
from unmask.api.sse import PING, encode
from unmask.api.streams import Merger
from unmask.api.structured import Structured
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Finish


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
        """Raise `InvalidRequest` for an empty input, and for fields of other endpoints."""
        refuse_fields(body)
        check_body(body)
        list(images_of(body))  # refuses those of other roles
        with respelled(paths_of(body)):
            CHAT.check(as_chat(body))

    def field_names(self, body: ResponsesBody) -> Mapping[str, str]:
        names = {"prompt": "input", "max_tokens": "max_output_tokens"}
        return names | ({"grammar": "tools"} if body.tools else {})

    def num_prompts(self, body: ResponsesBody) -> int:
        return 1

    def max_tokens(self, body: ResponsesBody) -> int | None:
        return body.max_output_tokens

    def echoes(self, body: ResponsesBody) -> bool:
        return False

    def structure(
        self, body: ResponsesBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        paths = paths_of(body)
        with respelled(paths):
            return respelled_in(CHAT.structure(as_chat(body), prompts, tokenizer), paths)

    def num_logprobs(self, body: ResponsesBody) -> int | None:
        return None

    def num_prompt_logprobs(self, body: ResponsesBody) -> int | None:
        return None

    async def encode(self, body: ResponsesBody, backend: Backend) -> EncodedPrompts:
        """Render the chat template, instructions as a system message, and tokenize its text."""
        images = await read_images(backend, images_of(body))
        with respelled(paths_of(body)):
            if body.truncation == "auto":
                return await _encode_what_fits(body, backend, images)
            return await CHAT.encode(as_chat(body), backend, images)

    def writer(
        self, job: Job, body: ResponsesBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> "ResponseWriter":
        return ResponseWriter(job, body, message_splitter(job, as_chat(body), tokenizer))


async def _encode_what_fits(
    body: ResponsesBody, backend: Backend, images: Images
) -> EncodedPrompts:
    """The conversation without as few of its oldest items as leave room for the answer.

    That is `max_output_tokens`, or an eighth of the context. If all that may stay is too long, it
    is refused as it would be without truncation.
    """
    droppable, context = oldest_items(body), backend.client.model.max_model_len
    most = context - (body.max_output_tokens or context // 8)

    async def encode_without(count: int) -> EncodedPrompts:
        dropped = set(droppable[:count])
        kept = tuple(item for i, item in enumerate(body.input) if i not in dropped)
        chat = as_chat(body.model_copy(update={"input": kept}))
        return await CHAT.encode(chat, backend, images)

    low, high = 0, len(droppable)
    while low < high:
        middle = (low + high) // 2
        try:
            encoded = await encode_without(middle)
        except InvalidRequest as error:
            if error.code != "context_length_exceeded":
                raise
            low = middle + 1
            continue
        if len(encoded.token_ids[0]) <= most:
            high = middle
        else:
            low = middle + 1
    return await encode_without(low)


class ResponseWriter:
    """Gathers one response, or writes its events, which have names and sequence numbers."""

    def __init__(self, job: Job, body: ResponsesBody, splitter: MessageSplitter) -> None:
        number = job.job_id.partition("-")[2]
        self._job = job
        self._body = body.model_copy(update={"input": ()})  # images need not stay in memory
        self._splitter = splitter
        self._response_id = f"resp_{number}"
        self._tally = UsageTally(job)
        namespaced = {f.full_name: f for f in functions_of(body) if f.namespace is not None}
        self._output = Output(number, namespaced)
        self._finish: Finish | None = None
        self._num_events = 0

    def whole(self, answers: Sequence[Delta]) -> ResponseObject:
        """The whole response."""
        for index, answer in enumerate(answers):
            self._take(index, answer)
        self._output.end(self._status())
        return self._ended()

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        running = self._response("in_progress")
        yield self._frame("created", response=running) + self._frame(
            "in_progress", response=running
        )
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = b"" if batch else PING
                    for index, event in batch:
                        assert isinstance(event, Delta), "no refinements were asked for"
                        data += self._frames(self._take(index, event))
                    if data:
                        yield data
            except RequestFailed as failure:
                note_failure(failure)
                code = "server_error" if failure.status == 500 else failure.code
                error: ResponseError = {"code": code, "message": str(failure)}
                yield self._frame("failed", response={**self._response("failed"), "error": error})
                return
        last = self._frames(self._output.end(self._status()))
        yield last + self._frame(self._status(), response=self._ended())

    def _take(self, index: int, delta: Delta) -> list[Event]:
        self._tally.add(index, delta)
        self._finish = delta.finish
        return self._output.add(self._splitter.push(delta))

    def _status(self) -> ResponseStatus:
        """Incomplete if `max_output_tokens` was reached, unless by whole calls."""
        assert self._finish is not None, "the answer has ended"
        is_cut = self._splitter.reason(self._finish) == "length"
        return "incomplete" if is_cut else "completed"

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
            "parallel_tool_calls": body.parallel_tool_calls is not False,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": body.temperature,
            "text": {"format": self._format()},
            "tool_choice": self._choice(),
            "tools": [tool.model_dump(exclude_unset=True) for tool in body.tools or ()],
            "top_p": body.top_p,
            "truncation": body.truncation or "disabled",
            "usage": None,
            "user": body.user,
        }

    def _format(self) -> dict[str, Any]:
        form = None if self._body.text is None else self._body.text.format
        return (
            {"type": "text"} if form is None else form.model_dump(by_alias=True, exclude_none=True)
        )

    def _choice(self) -> str | dict[str, Any]:
        choice = self._body.tool_choice
        if choice is None:
            return "auto"
        is_word = choice.type in ("none", "auto", "required")
        return choice.type if is_word else choice.model_dump(exclude_none=True)

    def _ended(self) -> ResponseObject:
        """The response with output and usage."""
        status = self._status()
        response = self._response(status)
        if status == "incomplete":
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        response["output"] = self._output.to_json(status)
        usage = self._tally.total()
        num_cached = usage["prompt_tokens_details"]["cached_tokens"]
        response["usage"] = {
            "input_tokens": usage["prompt_tokens"],
            "input_tokens_details": {"cached_tokens": num_cached, "cache_write_tokens": 0},
            "output_tokens": usage["completion_tokens"],
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": usage["total_tokens"],
        }
        return response

    def _frames(self, events: Iterable[Event]) -> bytes:
        return b"".join(self._frame(event.kind, **event.fields) for event in events)

    def _frame(self, kind: str, **fields: object) -> bytes:
        name = f"response.{kind}"
        event = {"type": name, "sequence_number": self._num_events, **fields}
        self._num_events += 1
        return f"event: {name}\n".encode() + encode(event)


RESPONSES = ResponseDialect()
