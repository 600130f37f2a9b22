"""From text and messages to token ids, off the event loop when it takes long."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from unmask.api.backend import Backend
from unmask.api.errors import ModelNotFound
from unmask.api.messages import TemplateOptions
from unmask.api.schemas import ChatMessage, PromptInput
from unmask.api.workers import ITEM
from unmask.client import EngineClient
from unmask.errors import InvalidRequest

T = TypeVar("T")


def check_model(name: str | None, client: EngineClient) -> None:
    """Raise `ModelNotFound` for a model that is not served; no name or "" means the one that is."""
    if name and name != client.model.name:
        raise ModelNotFound(f"the model {name!r} does not exist; {client.model.name!r} is served")


async def encode_prompts(
    backend: Backend,
    prompts: Sequence[PromptInput],
    *,
    add_special_tokens: bool,
    field: str = "prompt",
) -> list[tuple[int, ...]]:
    """Token ids of each prompt, those given as ids as they are; raises `InvalidRequest`."""
    tokenizer, model = backend.client.tokenizer, backend.client.model

    def encode_one(prompt: PromptInput) -> tuple[int, ...]:
        if isinstance(prompt, str):
            tokenizer.check_length(prompt, model.max_model_len, field)
            return tuple(tokenizer.encode(prompt, add_special_tokens=add_special_tokens))
        model.check_ids(prompt, field)
        return prompt

    cost = sum(map(len, prompts)) + ITEM * len(prompts)
    return await _encoded(backend, lambda: [encode_one(prompt) for prompt in prompts], cost, field)


async def encode_chat(
    backend: Backend, messages: Sequence[ChatMessage], options: TemplateOptions
) -> tuple[int, ...]:
    """Token ids of a conversation; raises `InvalidRequest` if the template refuses it."""
    tokenizer, max_tokens = backend.client.tokenizer, backend.client.model.max_model_len

    def encode() -> tuple[int, ...]:
        turns = [message.for_template() for message in messages]
        return tuple(
            tokenizer.apply_chat(
                turns,
                add_generation_prompt=options.add_generation_prompt,
                continue_final_message=options.continue_final_message,
                template_options=options.extra,
                max_tokens=max_tokens,
            )
        )

    cost = sum(message.cost for message in messages)
    return await _encoded(backend, encode, cost, "messages")


async def decode(backend: Backend, token_ids: Sequence[int]) -> str:
    """Text of `token_ids`, special tokens spelled out."""
    tokenizer = backend.client.tokenizer
    return await backend.workers.run(
        lambda: tokenizer.decode(token_ids, skip_special_tokens=False), len(token_ids)
    )


async def _encoded(backend: Backend, work: Callable[[], T], cost: int, field: str) -> T:
    """The result of a tokenizer's work on a field, which its errors are told to be about."""
    try:
        return await backend.workers.run(work, cost)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field=field, code=error.code) from error
