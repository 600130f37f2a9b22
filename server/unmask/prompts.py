"""Prompts, conversations and templates of callers in the same process, one or many of them."""

import operator
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from reprlib import repr as shown
from typing import Any, cast

from PIL import Image
from pydantic_core import from_json

from unmask.errors import InvalidRequest
from unmask.image_files import bytes_of_url, read_image, scaled
from unmask.images import ImageRows, ImageTraits, Pixels, place_images
from unmask.templates import Blank, Part
from unmask.tokenizer import Tokenizer

Prompt = str | Sequence[int]
Conversation = Sequence[Mapping[str, Any]]
IMAGE: Mapping[str, Any] = {"type": "image"}  # as chat templates have it
IMAGE_TYPES = ("image", "image_url")
IMAGE_ROLES = ("user", "tool")

# Arguments of `apply_chat_template` that are not variables of a template.
RESERVED = frozenset(
    {
        *("self", "conversation", "messages", "tools", "documents", "chat_template"),
        *("add_generation_prompt", "continue_final_message", "tokenize", "padding", "truncation"),
        *("max_length", "return_tensors", "return_dict", "return_assistant_tokens_mask"),
        "tokenizer_kwargs",
    }
)


def as_prompts(prompts: Prompt | Iterable[Prompt]) -> list[Prompt]:
    """Prompts as a list, also of a single one; arrays of token ids are taken like lists."""
    if isinstance(prompts, str | bytes | Mapping):
        return [cast(Prompt, prompts)]
    many = list(prompts)
    # A token id has an index, as have arrays of a single one.
    is_one = bool(many) and hasattr(many[0], "__index__") and not getattr(many[0], "ndim", 0)
    return [cast(Sequence[int], many)] if is_one else cast(list[Prompt], many)


def as_ids(prompt: Sequence[int], field: str) -> list[int]:
    """Token ids as Python's integers; raises `InvalidRequest` for anything else."""
    try:
        if not isinstance(prompt, str | bytes | Mapping):
            return list(map(operator.index, prompt))
    except TypeError:
        pass
    raise InvalidRequest(f"{field} must be text or token ids, got {prompt!r:.60}", field=field)


def as_conversations(
    conversations: Conversation | Sequence[Conversation],
) -> list[list[Mapping[str, Any]]]:
    """Conversations as a list, also of a single one."""
    one = bool(conversations) and isinstance(next(iter(conversations)), Mapping)
    many = [conversations] if one else conversations
    return [list(messages) for messages in cast(Iterable[Conversation], many)]


def as_turn(message: object) -> Mapping[str, Any]:
    """A message for a chat template.

    Text parts are joined by newlines, as in vLLM: many templates pass over parts. Beside images
    they stay parts. Arguments of tool calls are parsed; `developer` is OpenAI's new name of
    `system`.
    """
    if not isinstance(message, Mapping):
        raise InvalidRequest(
            f"a message must have a role and content, got {message!r:.60}", field="messages"
        )
    turn = dict(message)
    if turn.get("role") == "developer":
        turn["role"] = "system"
    content = turn.get("content")
    if isinstance(content, list | tuple):
        turn["content"] = _as_content(content, turn.get("role"))
    if calls := turn.get("tool_calls"):
        turn["content"] = turn.get("content") or ""
        try:
            turn["tool_calls"] = [_with_arguments(call) for call in calls]
        except (KeyError, TypeError, AttributeError):
            raise InvalidRequest(
                f"tool_calls must be calls of functions, got {calls!r:.60}", field="messages"
            ) from None
    return turn


def _as_content(content: Sequence[object], role: object) -> str | list[Mapping[str, Any]]:
    """Text of parts, or the parts for a chat template if there is an image among them."""
    parts = [part for part in map(_as_part, content) if part is not None]
    if len(parts) < len(content):
        raise InvalidRequest(
            f"content must be text, or parts that are text or images, got {shown(content):.60}",
            field="messages",
        )
    if IMAGE not in parts:
        return "\n".join(part["text"] for part in parts)
    if role not in IMAGE_ROLES:
        raise InvalidRequest(
            f"images are for the roles {' and '.join(IMAGE_ROLES)}, not {role!r:.60}",
            field="messages",
        )
    return parts


def _as_part(part: object) -> Mapping[str, Any] | None:
    """The part for a chat template; None for what is neither text nor an image."""
    if is_image(part):
        return IMAGE
    text = part.get("text") if isinstance(part, Mapping) else part
    return {"type": "text", "text": text} if isinstance(text, str) else None


def is_image(part: object) -> bool:
    """True for a part of a message that is an image."""
    return isinstance(part, Mapping) and part.get("type") in IMAGE_TYPES


def encode_chat(
    tokenizer: Tokenizer,
    messages: Sequence[Mapping[str, Any]],
    traits: ImageTraits | None,
    **options: Any,
) -> tuple[tuple[int, ...], tuple[ImageRows, ...]]:
    """Token ids of a conversation and its images; `options` are those of `apply_chat`.

    Raises `InvalidRequest`, and `OSError` for the path of an image that cannot be read.
    """
    ids = tokenizer.apply_chat([as_turn(message) for message in messages], **options)
    contents = (message.get("content") for message in messages)
    images = [
        part
        for content in contents
        if isinstance(content, list | tuple)
        for part in content
        if is_image(part)
    ]
    if not images:
        return tuple(ids), ()
    if traits is None:
        raise InvalidRequest("this model takes no images", field="messages")
    try:
        fitted = traits.of_number(len(images))
        pixels = [_pixels_of(part, fitted.within(*_limits_of(part))) for part in images]
    except InvalidRequest as error:
        raise InvalidRequest(error.message, field="messages") from error
    return place_images(ids, pixels, traits)


def _limits_of(part: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """The fewest and the most pixels of an image, as a part of Qwen's messages has them."""
    least, most = part.get("min_pixels"), part.get("max_pixels")
    for limit in (least, most):
        if limit is not None and type(limit) is not int:
            raise InvalidRequest(
                f"min_pixels and max_pixels must be whole numbers, got {limit!r:.60}"
            )
    return least, most


def _pixels_of(part: Mapping[str, Any], traits: ImageTraits) -> Pixels:
    match part.get(part["type"]):
        case Image.Image() as image:
            return scaled(image, traits)
        case bytes() as data:
            return read_image(data, traits)
        case Path() as path:
            return read_image(path.read_bytes(), traits)
        case str(url) | {"url": str(url)}:
            return read_image(bytes_of_url(url), traits)
        case other:
            raise InvalidRequest(
                "an image must be a data: URL, bytes, a Path or an Image of Pillow, "
                f"got {shown(other):.60}"
            )


def _with_arguments(call: Mapping[str, Any]) -> dict[str, Any]:
    """The tool call with its arguments parsed, as templates want them; none are an object."""
    function = call["function"]
    arguments = function.get("arguments")
    if arguments is None or (isinstance(arguments, str) and not arguments.strip()):
        arguments = {}
    elif isinstance(arguments, str):
        with suppress(ValueError):  # of what is no JSON, no Unicode or too deep
            arguments = from_json(arguments)
    return {**call, "function": {**function, "arguments": arguments}}


def check_template_options(options: Mapping[str, Any]) -> None:
    """Raise `InvalidRequest` for options that are no variables of a chat template."""
    for name in options:
        if name in RESERVED:
            raise InvalidRequest(
                f"chat_template_kwargs may not set {name}", field=f"chat_template_kwargs.{name}"
            )


def as_templates(
    templates: Sequence[Part] | Sequence[Sequence[Part]],
) -> Sequence[Sequence[Part]]:
    """Templates as a sequence, also of a single one."""
    if templates and isinstance(templates[0], str | Blank):
        return [cast(Sequence[Part], templates)]
    return cast(Sequence[Sequence[Part]], templates)
