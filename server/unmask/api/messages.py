"""`/v1/messages`: Anthropic's Messages API, a thin layer over chats; nothing is stored."""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from unmask.api.anthropic_bodies import CountBody, MessagesBody, as_chat, images_of
from unmask.api.backend import Backend
from unmask.api.chat import CHAT, message_splitter
from unmask.api.chat_choices import MessageParts, MessageSplitter
from unmask.api.dialect import EncodedPrompts
from unmask.api.error_responses import anthropic_fields
from unmask.api.errors import RequestFailed, note_failure, stream_error
from unmask.api.images import read_images
from unmask.api.job import Job, UsageTally
from unmask.api.logprobs import TokenTexts
from unmask.api.paths import respelled, respelled_in
from unmask.api.requests import ChatBody
from unmask.api.sampling import refuse_fields
from unmask.api.sse import encode
from unmask.api.streams import Merger
from unmask.api.structured import Structured
from unmask.api.tools.grammar import offers_tools
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer
from unmask.types import Delta, Finish

PATHS: Mapping[str, str] = {
    ".function.parameters": ".input_schema",
    ".function.": ".",
    "response_format.json_schema": "output_config.format",
}
"""Fields of a chat, and their paths here."""
UNSUPPORTED_THREAD = "thread_unsupported_request"  # Anthropic's client goes on without a thread
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
Json = Mapping[str, object]


class MessagesDialect:
    """Conversations and answers in the format of Anthropic's Messages API."""

    path = "/v1/messages"
    name = "messages"
    description = "Answer a conversation in the words of Anthropic's API."
    id_prefix = "msg"
    default_max_tokens: int | None = None
    body = MessagesBody
    answer: type | None = None

    def check(self, body: MessagesBody) -> None:
        """Raise `InvalidRequest` for an empty conversation, and for fields of other endpoints."""
        refuse_fields(body)
        if body.thread is not None:
            raise InvalidRequest(
                "thread is not supported: nothing is stored, so send the whole conversation",
                field="thread",
                code=UNSUPPORTED_THREAD,
            )
        if not body.messages:
            raise InvalidRequest("messages must not be empty", field="messages")
        with respelled(PATHS):
            chat = as_chat(body)
            _check_end(chat)
            CHAT.check(chat)

    def field_names(self, body: MessagesBody) -> Mapping[str, str]:
        names = {"prompt": "messages", "stop": "stop_sequences"}
        return names | ({"grammar": "tools"} if body.tools else {})

    def num_prompts(self, body: MessagesBody) -> int:
        return 1

    def max_tokens(self, body: MessagesBody) -> int | None:
        return body.max_tokens

    def num_logprobs(self, body: MessagesBody) -> int | None:
        return None

    def num_prompt_logprobs(self, body: MessagesBody) -> int | None:
        return None

    async def encode(self, body: MessagesBody, backend: Backend) -> EncodedPrompts:
        """Render the chat template and tokenize its text."""
        images = await read_images(backend, images_of(body))
        with respelled(PATHS):
            return await CHAT.encode(as_chat(body), backend, images)

    def echoes(self, body: MessagesBody) -> bool:
        return False

    def structure(
        self, body: MessagesBody, prompts: EncodedPrompts, tokenizer: Tokenizer
    ) -> Structured | None:
        with respelled(PATHS):
            return respelled_in(CHAT.structure(as_chat(body), prompts, tokenizer), PATHS)

    def writer(
        self, job: Job, body: MessagesBody, tokenizer: Tokenizer, texts: TokenTexts
    ) -> "MessageWriter":
        return MessageWriter(job, message_splitter(job, as_chat(body), tokenizer))


def _check_end(chat: ChatBody) -> None:
    """Raise `InvalidRequest` for a turn of the assistant at the end that cannot be gone on with."""
    if chat.continue_final_message and (offers_tools(chat) or chat.messages[-1].tool_calls):
        raise InvalidRequest(
            "messages must not end with the assistant, whose turn is not gone on with beside tools "
            "or behind a tool_use",
            field="messages",
        )


async def count_prompt_tokens(body: CountBody, backend: Backend) -> int:
    """Tokens of a conversation, also of one that ends with an answer beside tools.

    Raises `InvalidRequest` for others whose messages and tools would not be answered.
    """
    with respelled(PATHS):
        chat = as_chat(body)
        CHAT.check(chat.model_copy(update={"continue_final_message": None}))
        prompts = await CHAT.encode(chat, backend, await read_images(backend, images_of(body)))
    return sum(map(len, prompts.token_ids))


class MessageWriter:
    """Gathers one message, or writes its events, which have names."""

    def __init__(self, job: Job, splitter: MessageSplitter) -> None:
        self._job = job
        self._splitter = splitter
        self._tally = UsageTally(job)
        self._blocks: list[dict[str, Any]] = []
        self._finish: Finish | None = None

    def whole(self, answers: Sequence[Delta]) -> Json:
        """The whole message."""
        for answer in answers:
            self._take(answer)
        return {
            **self._message(),
            "content": [_whole(block) for block in self._blocks],
            **self._ending(),
            "usage": self._total(),
        }

    async def frames(self, merger: Merger, ping_s: float) -> AsyncGenerator[bytes, None]:
        """Server-sent events; a failure in mid-stream is an event too."""
        yield _event("message_start", message={**self._message(), "usage": self._usage(0)})
        async with aclosing(merger.batches(ping_s)) as batches:
            try:
                async for batch in batches:
                    data = b"" if batch else _event("ping")
                    for _, event in batch:
                        assert isinstance(event, Delta), "no refinements were asked for"
                        data += b"".join(self._take(event))
                    if data:
                        yield data
            except RequestFailed as failure:
                note_failure(failure)
                error = stream_error(failure)["error"]
                yield _event("error", **anthropic_fields(failure.status, error))
                return
        if self._blocks:
            yield _event("content_block_stop", index=len(self._blocks) - 1)
        yield _event("message_delta", delta=self._ending(), usage=self._total())
        yield _event("message_stop")

    def _take(self, delta: Delta) -> list[bytes]:
        """Add a delta to the blocks; returns its events."""
        self._tally.add(0, delta)
        self._finish = delta.finish
        parts: MessageParts = self._splitter.push(delta)
        events: list[bytes] = []
        if parts.reasoning:
            events += self._write("thinking", "thinking", "thinking_delta", parts.reasoning)
        if parts.content:
            events += self._write("text", "text", "text_delta", parts.content)
        for piece in parts.calls:
            if piece.call_id is not None:
                opened: dict[str, Any] = {
                    "type": "tool_use",
                    "id": piece.call_id,
                    "name": piece.name,
                    "input": {},
                }
                events += self._open(opened, "partial_json")
            if piece.arguments:
                events += self._write(
                    "tool_use", "partial_json", "input_json_delta", piece.arguments
                )
        return events

    def _write(self, kind: str, field: str, delta_kind: str, text: str) -> list[bytes]:
        """Add text to the last block, or to a new one of another kind."""
        events: list[bytes] = []
        if not self._blocks or self._blocks[-1]["type"] != kind:
            opened: dict[str, Any] = {"type": kind, field: ""}
            if kind == "thinking":
                opened["signature"] = ""
            events += self._open(opened, field)
        self._blocks[-1][field] += text
        place = len(self._blocks) - 1
        delta = {"type": delta_kind, field: text}
        return [*events, _event("content_block_delta", index=place, delta=delta)]

    def _open(self, block: dict[str, Any], field: str) -> list[bytes]:
        events: list[bytes] = []
        if self._blocks:
            events.append(_event("content_block_stop", index=len(self._blocks) - 1))
        place = len(self._blocks)
        events.append(_event("content_block_start", index=place, content_block=dict(block)))
        self._blocks.append({**block, field: ""})
        return events

    def _message(self) -> dict[str, Any]:
        """The message before it has any content."""
        return {
            "id": self._job.job_id.replace("-", "_", 1),
            "type": "message",
            "role": "assistant",
            "model": self._job.model_name,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
        }

    def _ending(self) -> dict[str, Any]:
        assert self._finish is not None, "the answer has ended"
        reason = STOP_REASONS[self._splitter.reason(self._finish)]
        matched = self._finish.stop_reason
        is_stop = reason == "end_turn" and isinstance(matched, str)  # behind calls, they count
        return {
            "stop_reason": "stop_sequence" if is_stop else reason,
            "stop_sequence": matched if is_stop else None,
        }

    def _total(self) -> dict[str, int]:
        usage = self._tally.total()
        num_cached = usage["prompt_tokens_details"]["cached_tokens"]
        return self._usage(usage["completion_tokens"], num_cached)

    def _usage(self, num_output: int, num_cached: int = 0) -> dict[str, int]:
        """Token counts; Anthropic counts no cached token as input, so that they add up."""
        return {
            "input_tokens": self._job.num_prompt_tokens - num_cached,
            "output_tokens": num_output,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": num_cached,
        }


def _whole(block: dict[str, Any]) -> dict[str, Any]:
    """A block with its input parsed; one that was cut has none."""
    if block["type"] != "tool_use":
        return block
    return {**{n: v for n, v in block.items() if n != "partial_json"}, "input": _parsed(block)}


def _parsed(block: dict[str, Any]) -> Any:
    try:
        return json.loads(block["partial_json"] or "{}")
    except ValueError:  # the limit of tokens cut it
        return {}


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\n".encode() + encode({"type": kind, **fields})


MESSAGES = MessagesDialect()
