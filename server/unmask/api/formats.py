"""The two dialects of an answer: completions and chats. A stream's pieces add up to the answer."""

from typing import Any, Protocol

from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts, chat_logprobs, completion_logprobs
from unmask.api.requests import ChatBody, CompletionBody
from unmask.types import Delta

Choice = dict[str, Any]


class Format(Protocol):
    """How the choices of one job are written."""

    @property
    def whole(self) -> str:
        """The `object` of an answer."""
        ...

    @property
    def chunk(self) -> str:
        """The `object` of a stream's chunks."""
        ...

    def opening(self, index: int) -> Choice | None:
        """What a choice's stream begins with."""
        ...

    def piece(self, index: int, delta: Delta) -> Choice:
        """A delta of a stream."""
        ...

    def empty(self, index: int) -> Choice:
        """A choice of a chunk that carries something else."""
        ...

    def answer(self, index: int, delta: Delta) -> Choice:
        """A whole answer, `delta` being all of it."""
        ...

    def extra(self, index: int) -> dict[str, Any]:
        """What stands beside `choices`, in an answer or in the chunk of an opening."""
        ...


class CompletionFormat:
    """The choices of `/v1/completions`."""

    whole = chunk = "text_completion"

    def __init__(self, job: Job, body: CompletionBody, texts: TokenTexts) -> None:
        self._job = job
        self._num_logprobs = body.logprobs
        self._texts = texts
        self._offsets = [len(echo) for echo in job.echoes]

    def opening(self, index: int) -> Choice | None:
        """The prompt, if it is asked for."""
        opening = {**self.empty(index), "text": self._job.echoes[index]}
        if self._job.return_token_ids:
            opening["prompt_token_ids"] = self._job.requests[index].prompt_token_ids
            return opening
        return opening if opening["text"] else None

    def piece(self, index: int, delta: Delta) -> Choice:
        """Text, and how it ended."""
        choice = {
            **self.empty(index),
            "text": delta.text,
            **_ending(delta),
        }
        if self._num_logprobs is not None and delta.logprobs:
            told = completion_logprobs(
                self._texts, delta.logprobs, self._num_logprobs, self._offsets[index]
            )
            self._offsets[index] += sum(len(token) for token in told["tokens"])
            choice["logprobs"] = told
        if self._job.return_token_ids:
            choice["token_ids"] = delta.token_ids
        return choice

    def empty(self, index: int) -> Choice:
        """No text."""
        return {"index": index, "text": "", "logprobs": None, "finish_reason": None}

    def answer(self, index: int, delta: Delta) -> Choice:
        """The echoed prompt and the text after it."""
        choice = self.piece(index, delta)
        choice["text"] = self._job.echoes[index] + choice["text"]
        if self._job.return_token_ids:
            choice["prompt_token_ids"] = self._job.requests[index].prompt_token_ids
        return choice

    def extra(self, index: int) -> dict[str, Any]:
        """Nothing; vLLM's prompt ids are in the choices."""
        return {}


class ChatFormat:
    """The choices of `/v1/chat/completions`."""

    whole = "chat.completion"
    chunk = "chat.completion.chunk"

    def __init__(self, job: Job, body: ChatBody, texts: TokenTexts) -> None:
        self._job = job
        self._wants_logprobs = bool(body.logprobs)
        self._texts = texts

    def opening(self, index: int) -> Choice | None:
        """Who speaks."""
        return {**self.empty(index), "delta": {"role": "assistant", "content": ""}}

    def piece(self, index: int, delta: Delta) -> Choice:
        """Text, and how it ended."""
        content = {"content": delta.text} if delta.text else {}
        return {**self.empty(index), "delta": content, **self._rest(delta)}

    def empty(self, index: int) -> Choice:
        """No text."""
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": None}

    def answer(self, index: int, delta: Delta) -> Choice:
        """The whole message."""
        message = {"role": "assistant", "content": delta.text, "refusal": None}
        return {"index": index, "message": message, "logprobs": None, **self._rest(delta)}

    def extra(self, index: int) -> dict[str, Any]:
        """The ids of the one prompt, where vLLM puts them."""
        if not self._job.return_token_ids:
            return {}
        return {"prompt_token_ids": self._job.requests[index].prompt_token_ids}

    def _rest(self, delta: Delta) -> Choice:
        rest = _ending(delta)
        if self._wants_logprobs and delta.logprobs:
            rest["logprobs"] = chat_logprobs(self._texts, delta.logprobs)
        if self._job.return_token_ids:
            rest["token_ids"] = delta.token_ids
        return rest


def _ending(delta: Delta) -> Choice:
    """Why it ended, and vLLM's `stop_reason`, the stop string or token that did it."""
    if delta.finish is None:
        return {"finish_reason": None}
    return {
        "finish_reason": delta.finish.reason.value,
        "stop_reason": delta.finish.stop_reason,
    }


def format_of(job: Job, body: CompletionBody | ChatBody, texts: TokenTexts) -> Format:
    """The dialect that `body` was written in."""
    if isinstance(body, ChatBody):
        return ChatFormat(job, body, texts)
    return CompletionFormat(job, body, texts)
