"""From text and messages to token ids, off the event loop when it takes long."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from unmask.api.errors import ModelNotFound
from unmask.api.schemas import ChatMessage, PromptInput
from unmask.client import EngineClient
from unmask.errors import InvalidRequest
from unmask.tokenizer import Tokenizer

LONG_TEXT = 20_000  # characters; about ten milliseconds of encoding

T = TypeVar("T")


def check_model(name: str | None, client: EngineClient) -> None:
    """Raise `ModelNotFound` for a model that is not served; no name means the one that is."""
    if name is not None and name != client.model.name:
        raise ModelNotFound(f"the model {name!r} does not exist; {client.model.name!r} is served")


async def encode_prompts(
    tokenizer: Tokenizer,
    prompts: Sequence[PromptInput],
    *,
    add_special_tokens: bool,
    field: str = "prompt",
) -> list[tuple[int, ...]]:
    """Token ids of each prompt, those given as ids as they are; raises `InvalidRequest`."""

    def encode() -> list[tuple[int, ...]]:
        return [
            tuple(tokenizer.encode(prompt, add_special_tokens=add_special_tokens))
            if isinstance(prompt, str)
            else prompt
            for prompt in prompts
        ]

    num_chars = sum(len(prompt) for prompt in prompts if isinstance(prompt, str))
    return await _encoded(encode, num_chars, field)


async def encode_chat(
    tokenizer: Tokenizer, messages: Sequence[ChatMessage], *, add_generation_prompt: bool = True
) -> tuple[int, ...]:
    """Token ids of a conversation; raises `InvalidRequest` if the template refuses it."""
    turns = [message.for_template() for message in messages]

    def encode() -> tuple[int, ...]:
        return tuple(tokenizer.apply_chat(turns, add_generation_prompt=add_generation_prompt))

    return await _encoded(encode, sum(len(turn["content"]) for turn in turns), "messages")


async def decode(tokenizer: Tokenizer, token_ids: Sequence[int]) -> str:
    """Text of `token_ids`, special tokens spelled out."""

    def run() -> str:
        return tokenizer.decode(token_ids, skip_special_tokens=False)

    return await _run(run, len(token_ids))


async def _encoded(work: Callable[[], T], num_chars: int, field: str) -> T:
    """What a tokenizer makes of a field, which its errors are told to be about."""
    try:
        return await _run(work, num_chars)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field=field, code=error.code) from error


async def _run(work: Callable[[], T], num_items: int) -> T:
    return await asyncio.to_thread(work) if num_items > LONG_TEXT else work()
