"""Choices of chats: messages of thoughts, text and calls, whole or in pieces."""

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts, chat_logprobs, prompt_logprobs
from unmask.api.reasoning import THINK, KeptThoughts, ReasoningSplitter, ThoughtTags
from unmask.api.response_models import (
    AnswerMessage,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatDelta,
    ChatFinishReason,
    ChatLogprobs,
    ChunkFields,
    ToolCall,
    ToolCallDelta,
    Usage,
)
from unmask.api.tools.calls import CallPiece, CallSplitter
from unmask.types import Delta, Finish, TokenLogprob


@dataclass(frozen=True, slots=True)
class MessageParts:
    """Fresh reasoning to show, fresh content and fresh pieces of calls."""

    reasoning: str
    content: str
    calls: Sequence[CallPiece] = ()


class MessageSplitter:
    """Splits one answer into reasoning, content and calls, which come in this order."""

    def __init__(
        self,
        *,
        calls: CallSplitter | None,
        separates_reasoning: bool,
        shows_reasoning: bool,
        begins_inside: bool,
        tags: ThoughtTags = THINK,
    ) -> None:
        """`calls` splits text from calls, None for an answer without; see `ReasoningSplitter`.

        Thoughts that have begun and are not separated are content, and no calls are among them.
        """
        self._calls = calls
        self._kept = KeptThoughts(tags) if begins_inside and not separates_reasoning else None
        self._reasoning = (
            ReasoningSplitter(tags, begins_inside=begins_inside) if separates_reasoning else None
        )
        self._shows_reasoning = shows_reasoning

    def push(self, delta: Delta) -> MessageParts:
        """Parts of the answer's next piece."""
        reasoning, content, last = "", delta.text, delta.finish is not None
        if self._reasoning is not None:
            reasoning, content = self._reasoning.push(content, last=last)
            if not self._shows_reasoning:
                reasoning = ""
        if self._calls is None:
            return MessageParts(reasoning, content)
        kept = ""
        if self._kept is not None:
            kept, content = self._kept.push(content)
        text, calls = self._calls.push(content, last=last)
        return MessageParts(reasoning, kept + text, calls)

    def reason(self, finish: Finish) -> ChatFinishReason:
        """The reason why the whole answer ended: calls, if it has them and none is cut."""
        has_calls = self._calls is not None and self._calls.has_whole_calls
        return "tool_calls" if has_calls else finish.reason


class ChatFormat:
    """Chat completions, and the chunks of their streams."""

    chunk = "chat.completion.chunk"

    def __init__(
        self,
        job: Job,
        splitters: Sequence[MessageSplitter],
        texts: TokenTexts,
        *,
        has_logprobs: bool,
        num_read: int | None,
    ) -> None:
        """A splitter for each choice; `num_read` tokens at each position of a prompt that is read.

        `has_logprobs` tells whether the answer has log-probabilities.
        """
        self._job = job
        self._splitters = splitters
        self._texts = texts
        self._has_logprobs, self._num_read = has_logprobs, num_read
        self._read: Sequence[TokenLogprob] = ()

    def read(self, prompt: int, logprobs: Sequence[TokenLogprob]) -> None:
        assert prompt == 0, "a conversation is one prompt"
        self._read = logprobs

    def answer(self, deltas: Sequence[Delta], usage: Usage) -> ChatCompletion:
        job = self._job
        answer: ChatCompletion = {
            "id": job.job_id,
            "object": "chat.completion",
            "created": job.created_s,
            "model": job.model_name,
            "choices": [self._choice(index, delta) for index, delta in enumerate(deltas)],
            "usage": usage,
        }
        if self._num_read is not None:
            answer["prompt_logprobs"] = prompt_logprobs(self._texts, self._read, self._num_read)
        if job.return_token_ids:
            answer["prompt_token_ids"] = job.requests[0].prompt_token_ids
        return answer

    def _choice(self, index: int, delta: Delta) -> ChatChoice:
        assert delta.finish is not None, "the choice has ended"
        parts = self._splitters[index].push(delta)
        message: AnswerMessage = {"role": "assistant", "content": parts.content, "refusal": None}
        if parts.reasoning:
            message["reasoning_content"] = parts.reasoning
        if parts.calls:
            message["content"] = parts.content or None
            message["tool_calls"] = _whole_calls(parts.calls)
        choice: ChatChoice = {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(delta),
            "finish_reason": self._splitters[index].reason(delta.finish),
            "stop_reason": delta.finish.stop_reason,
        }
        if self._job.return_token_ids:
            choice["token_ids"] = delta.token_ids
        return choice

    def opening(self, index: int) -> ChatChunkChoice | None:
        """A delta with the role alone."""
        choice = self.empty(index)
        choice["delta"] = {"role": "assistant", "content": ""}
        return choice

    def opening_fields(self, index: int) -> ChunkFields:
        """Token ids of the prompt, at the top level as in vLLM."""
        if not self._job.return_token_ids:
            return {}
        return {"prompt_token_ids": self._job.requests[index].prompt_token_ids}

    def pieces(self, index: int, delta: Delta) -> Sequence[ChatChunkChoice]:
        """A choice with text, then one for each piece of a call; the last one has the rest."""
        parts = self._splitters[index].push(delta)
        choice = self.empty(index)
        if parts.reasoning:
            choice["delta"]["reasoning_content"] = parts.reasoning
        if parts.content:
            choice["delta"]["content"] = parts.content
        choices = [choice]
        if parts.calls:
            calls = [self._call_choice(index, piece) for piece in parts.calls]
            choices = [choice, *calls] if choice["delta"] else calls
        last = choices[-1]
        last["logprobs"] = self._logprobs(delta)
        if delta.finish is not None:
            last["finish_reason"] = self._splitters[index].reason(delta.finish)
            last["stop_reason"] = delta.finish.stop_reason
        if self._job.return_token_ids:
            last["token_ids"] = delta.token_ids
        return choices

    def empty(self, index: int) -> ChatChunkChoice:
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": None}

    def _call_choice(self, index: int, piece: CallPiece) -> ChatChunkChoice:
        call: ToolCallDelta = {"index": piece.index, "function": {"arguments": piece.arguments}}
        if piece.call_id is not None and piece.name is not None:
            call = {
                "index": piece.index,
                "id": piece.call_id,
                "type": "function",
                "function": {"name": piece.name, "arguments": piece.arguments},
            }
        choice, delta = self.empty(index), ChatDelta(tool_calls=[call])
        choice["delta"] = delta
        return choice

    def _logprobs(self, delta: Delta) -> ChatLogprobs | None:
        if not self._has_logprobs or not delta.logprobs:
            return None
        return chat_logprobs(self._texts, delta.logprobs)


def _whole_calls(pieces: Sequence[CallPiece]) -> list[ToolCall]:
    """Calls from all of their pieces."""
    calls: list[ToolCall] = []
    for piece in pieces:
        if piece.call_id is not None and piece.name is not None:
            calls.append(
                {
                    "id": piece.call_id,
                    "type": "function",
                    "function": {"name": piece.name, "arguments": ""},
                }
            )
        calls[-1]["function"]["arguments"] += piece.arguments
    return calls
