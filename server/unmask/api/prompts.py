"""Token ids of prompts and conversations; long ones are tokenized on a worker thread."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from unmask.api.backend import ITEM, Backend
from unmask.api.errors import ModelNotFound, json_excerpt
from unmask.api.images import Images
from unmask.api.message_parts import ImagePart, TextPart
from unmask.api.requests import (
    FIELDS_OF_ROLES,
    MAY_LACK_CONTENT,
    ChatBody,
    ChatMessage,
    PromptInput,
    TemplateBody,
    TokenizeBody,
)
from unmask.client import EngineClient
from unmask.errors import InvalidRequest
from unmask.images import ImageRows, place_images
from unmask.prompts import IMAGE, IMAGE_ROLES, as_turn, check_template_options

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TemplateOptions:
    """Arguments of a chat template besides the messages."""

    add_generation_prompt: bool = True
    continue_final_message: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    tools: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class EncodedChat:
    """Token ids of a conversation, and its images among them."""

    token_ids: tuple[int, ...]
    images: tuple[ImageRows, ...] = ()


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
    """Token ids of each prompt, encoded or checked; raises `InvalidRequest`."""
    tokenizer, model = backend.client.tokenizer, backend.client.model

    def encode_one(prompt: PromptInput) -> tuple[int, ...]:
        if isinstance(prompt, str):
            tokenizer.check_length(prompt, model.max_model_len, field)
            return tuple(tokenizer.encode(prompt, add_special_tokens=add_special_tokens))
        model.check_ids(prompt, field)
        return prompt

    cost = sum(map(len, prompts)) + ITEM * len(prompts)
    return await _run(backend, lambda: [encode_one(prompt) for prompt in prompts], cost, field)


async def encode_chat(
    backend: Backend,
    messages: Sequence[ChatMessage],
    options: TemplateOptions,
    images: Images,
    field: str = "messages",
) -> EncodedChat:
    """Token ids of a conversation; raises `InvalidRequest` if the template refuses it.

    All of its images are among `images`.
    """
    tokenizer, model = backend.client.tokenizer, backend.client.model
    max_tokens = model.max_model_len
    extra, tools = options.extra, ""
    if options.tools:
        extra, tools = {**extra, "tools": options.tools}, json.dumps(options.tools)
        tokenizer.check_length(tools, max_tokens, "tools")

    def encode() -> EncodedChat:
        ids = tokenizer.apply_chat(
            [_for_template(message) for message in messages],
            add_generation_prompt=options.add_generation_prompt,
            continue_final_message=options.continue_final_message,
            template_options=extra,
            max_tokens=max_tokens,
        )
        parts = (part for message in messages for part in message.content or ())
        shown = [images[part.image] for part in parts if isinstance(part, ImagePart)]
        if model.images is None or not shown:
            return EncodedChat(tuple(ids))
        return EncodedChat(*place_images(ids, shown, model.images))

    return await _run(backend, encode, sum(map(_cost, messages)) + len(tools), field)


async def decode(backend: Backend, token_ids: Sequence[int]) -> str:
    """Text of `token_ids`, special tokens included."""
    tokenizer = backend.client.tokenizer
    return await backend.workers.run(
        lambda: tokenizer.decode(token_ids, skip_special_tokens=False), len(token_ids)
    )


async def _run(backend: Backend, work: Callable[[], T], cost: int, field: str) -> T:
    """The result of `work`, its errors with the name of `field`."""
    try:
        return await backend.workers.run(work, cost)
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field=field, code=error.code) from error


def template_options(
    body: ChatBody | TokenizeBody | TemplateBody, tools: Sequence[dict[str, Any]] = ()
) -> TemplateOptions:
    """Template options of a body; raises `InvalidRequest` if they are contradictory."""
    continues = bool(body.continue_final_message)
    if continues and body.add_generation_prompt:
        raise InvalidRequest(
            "continue_final_message cannot be combined with add_generation_prompt",
            field="continue_final_message",
        )
    extra = body.chat_template_kwargs or {}
    check_template_options(extra)
    wants_prompt = body.add_generation_prompt is not False and not continues
    return TemplateOptions(wants_prompt, continues, extra, tools)


def check_special_tokens(body: ChatBody | TokenizeBody) -> None:
    """Raise `InvalidRequest` if special tokens are to be added to a conversation."""
    if body.add_special_tokens:
        raise InvalidRequest(
            "add_special_tokens is for prompts of completions: a chat template has its own",
            field="add_special_tokens",
        )


def check_messages(messages: Sequence[ChatMessage]) -> None:
    """Raise `InvalidRequest` for no message, one without content, or fields of another role."""
    if not messages:
        raise InvalidRequest("messages must not be empty", field="messages")
    for i, message in enumerate(messages):
        path = f"messages[{i}]"
        if message.content is None and message.role not in MAY_LACK_CONTENT:
            raise InvalidRequest(
                f"{path}.content is required, as role is {message.role}",
                field=f"{path}.content",
                code="missing_required_parameter",
            )
        if message.role not in IMAGE_ROLES:
            _refuse_images(message, path)
        _check_calls(message, path)


def _refuse_images(message: ChatMessage, path: str) -> None:
    for i, part in enumerate(message.content or ()):
        if isinstance(part, ImagePart):
            field = f"{path}.content[{i}].type"
            raise InvalidRequest(
                f"{field} image_url is none of the role {message.role}", field=field
            )


def _check_calls(message: ChatMessage, path: str) -> None:
    for name, role in FIELDS_OF_ROLES.items():
        if getattr(message, name) and message.role != role:
            raise InvalidRequest(
                f"{path}.{name} is for the role {role}, not {message.role}", field=f"{path}.{name}"
            )
    for call in message.tool_calls or ():
        function = call.get("function")
        if not (isinstance(function, dict) and isinstance(function.get("name"), str)):
            raise InvalidRequest(
                f"{path}.tool_calls must be functions with a name, got {json_excerpt(call)}",
                field=f"{path}.tool_calls",
            )


def _cost(message: ChatMessage) -> int:
    """The work of encoding a message, in characters."""
    calls = sum(len(str(call)) for call in message.tool_calls or ())
    parts = message.content or ()
    texts = sum(len(part.text) for part in parts if isinstance(part, TextPart)) + ITEM * len(parts)
    return texts + calls + len(message.thoughts or "") + ITEM


def _for_template(message: ChatMessage) -> Mapping[str, Any]:
    """The message for a chat template."""
    given = {
        "name": message.name,
        "tool_call_id": message.tool_call_id,
        "reasoning_content": message.thoughts,
        "tool_calls": message.tool_calls or None,
    }
    parts = [part.text if isinstance(part, TextPart) else IMAGE for part in message.content or ()]
    turn = {"role": message.role, "content": parts}
    return as_turn(turn | {name: value for name, value in given.items() if value is not None})
