"""`/v1/chat/completions`: answers conversations, rendered by the model's chat template."""

from collections.abc import Mapping, Sequence

from unmask.api.backend import Backend
from unmask.api.choices import ChoiceWriter
from unmask.api.dialect import EncodedPrompts
from unmask.api.job import Job
from unmask.api.logprobs import TokenTexts, chat_logprobs
from unmask.api.prompts import check_messages, encode_chat, template_options
from unmask.api.reasoning import ReasoningSplitter, is_inside, opens_reasoning
from unmask.api.requests import ChatBody
from unmask.api.response_models import (
    AnswerMessage,
    ChatChoice,
    ChatChunkChoice,
    ChatCompletion,
    ChatLogprobs,
    ChunkFields,
    Usage,
)
from unmask.api.structured import Structured, structure_of
from unmask.errors import InvalidRequest
from unmask.types import Delta

END_OF_PROMPT = 16  # tokens that an opening tag at a prompt's end, and white space after it, take


class ChatDialect:
    """Chat completions, with vLLM's `return_token_ids` and DeepSeek's `reasoning_content`."""

    path = "/v1/chat/completions"
    name = "chat"
    description = "Answer a conversation."
    id_prefix = "chatcmpl"
    default_max_tokens: int | None = None
    body = ChatBody
    answer: type | None = ChatCompletion

    def check(self, body: ChatBody) -> None:
        """Raise `InvalidRequest` for incomplete messages and for contradictory fields."""
        if not body.messages:
            raise InvalidRequest("messages must not be empty", field="messages")
        check_messages(body.messages)
        if body.add_special_tokens:
            raise InvalidRequest(
                "add_special_tokens is for prompts of completions: a chat template has its own",
                field="add_special_tokens",
            )
        if body.top_logprobs is not None and not body.logprobs:
            raise InvalidRequest("top_logprobs needs logprobs to be true", field="top_logprobs")
        limits = {body.max_tokens, body.max_completion_tokens} - {None}
        if len(limits) > 1:
            raise InvalidRequest(
                "max_tokens and max_completion_tokens differ; send one of them", field="max_tokens"
            )

    def field_names(self, body: ChatBody) -> Mapping[str, str]:
        names = {"prompt": "messages", "logprobs": "top_logprobs"}
        if body.max_completion_tokens is not None:
            names["max_tokens"] = "max_completion_tokens"
        return names

    def num_prompts(self, body: ChatBody) -> int:
        return 1

    def max_tokens(self, body: ChatBody) -> int | None:
        limit = body.max_completion_tokens
        return body.max_tokens if limit is None else limit

    def structure(self, body: ChatBody) -> Structured | None:
        return structure_of(body)

    def num_logprobs(self, body: ChatBody) -> int | None:
        return (body.top_logprobs or 0) if body.logprobs else None

    async def encode(self, body: ChatBody, backend: Backend) -> EncodedPrompts:
        """Render the chat template and tokenize its text."""
        ids = await encode_chat(backend, body.messages, template_options(body))
        return EncodedPrompts((ids,), echoes=("",))

    def writer(self, job: Job, body: ChatBody, texts: TokenTexts) -> ChoiceWriter:
        return ChoiceWriter(job, _ChatFormat(job, body, texts))


class _ChatFormat:
    chunk = "chat.completion.chunk"

    def __init__(self, job: Job, body: ChatBody, texts: TokenTexts) -> None:
        self._job = job
        self._texts = texts
        self._has_logprobs = bool(body.logprobs)
        self._has_reasoning = body.include_reasoning is not False
        self._splitters: tuple[ReasoningSplitter, ...] = ()
        # An answer with a grammar has no thoughts, whatever its prompt has opened.
        has_grammar = job.requests[0].sampling.grammar is not None
        if body.separate_reasoning is not False and not has_grammar:
            begins_inside = _begins_inside(job, body, texts)
            self._splitters = tuple(
                ReasoningSplitter(begins_inside=begins_inside) for _ in job.requests
            )

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
        if job.return_token_ids:
            answer["prompt_token_ids"] = job.requests[0].prompt_token_ids
        return answer

    def _choice(self, index: int, delta: Delta) -> ChatChoice:
        assert delta.finish is not None, "the choice has ended"
        reasoning, content = self._split(index, delta)
        message: AnswerMessage = {"role": "assistant", "content": content, "refusal": None}
        if reasoning:
            message["reasoning_content"] = reasoning
        choice: ChatChoice = {
            "index": index,
            "message": message,
            "logprobs": self._logprobs(delta),
            "finish_reason": delta.finish.reason,
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

    def piece(self, index: int, delta: Delta) -> ChatChunkChoice:
        choice = self.empty(index)
        reasoning, content = self._split(index, delta)
        if reasoning:
            choice["delta"]["reasoning_content"] = reasoning
        if content:
            choice["delta"]["content"] = content
        choice["logprobs"] = self._logprobs(delta)
        if delta.finish is not None:
            choice["finish_reason"] = delta.finish.reason
            choice["stop_reason"] = delta.finish.stop_reason
        if self._job.return_token_ids:
            choice["token_ids"] = delta.token_ids
        return choice

    def empty(self, index: int) -> ChatChunkChoice:
        return {"index": index, "delta": {}, "logprobs": None, "finish_reason": None}

    def _split(self, index: int, delta: Delta) -> tuple[str, str]:
        """Reasoning to show, and content."""
        if not self._splitters:
            return "", delta.text
        reasoning, content = self._splitters[index].push(delta.text, last=delta.finish is not None)
        return reasoning if self._has_reasoning else "", content

    def _logprobs(self, delta: Delta) -> ChatLogprobs | None:
        if not self._has_logprobs or not delta.logprobs:
            return None
        return chat_logprobs(self._texts, delta.logprobs)


def _begins_inside(job: Job, body: ChatBody, texts: TokenTexts) -> bool:
    """True if the answers go on with thoughts that the prompt has begun."""
    if body.continue_final_message:
        return is_inside("\n".join(part.text for part in body.messages[-1].content or ()))
    prompt = job.requests[0].prompt_token_ids
    return opens_reasoning("".join(map(texts.text, prompt[-END_OF_PROMPT:])))


CHAT = ChatDialect()
