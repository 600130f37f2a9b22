"""Fields that are not implemented: accepted with a neutral value, and refused with any other."""

from collections.abc import Mapping
from typing import Any

from unmask.api.errors import json_excerpt
from unmask.api.fields import Body
from unmask.errors import InvalidRequest
from unmask.sampling_params import PARAMETERS

KNOWN: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "allowed_callers": (),
    "annotations": ([],),
    "async": (False,),
    "audio": (),
    "background": (False,),
    "cache_control": (),
    "cache_salt": (),
    "caller": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "container": (),
    "context_management": (),
    "conversation": (),
    "defer_loading": (False,),
    "documents": ([],),
    "function_call": ("none",),
    "functions": ([],),
    "include": ([],),
    "include_obfuscation": (False,),
    "length_penalty": (1,),
    "max_completion_tokens": (),
    "max_tool_calls": (),
    "mcp_servers": ([],),
    "mirostat": (0,),
    "modalities": (["text"],),
    "output_schema": (),
    "prediction": (),
    "previous_response_id": (),
    "priority": (0,),
    "reasoning": (),
    "reasoning_content": (),
    "refusal": (),
    "repeat_penalty": (1,),
    "return_tokens_as_token_ids": (False,),
    "service_tier": ("auto", "default", "standard_only"),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "suffix": ("",),  # of a chat
    "tool_calls": ([],),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (0,),
    "tfs_z": (1,),
    "top_a": (0,),
    "truncate_prompt_tokens": (),
    "truncation": ("disabled",),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "web_search_options": (),
}
# What a later version implements is neutral no more.
NEUTRAL = {name: values for name, values in KNOWN.items() if name not in PARAMETERS}
"""Neutral values of each field, besides null and empty ones; other fields are unknown."""

HINTS: Mapping[str, type] = {
    "chat_id": str,
    "client_metadata": dict,
    "conversation_id": str,
    "id": str,
    "metadata": dict,
    "parallel_tool_calls": bool,
    "prompt_cache_key": str,
    "prompt_cache_retention": str,
    "reasoning_effort": str,
    "safety_identifier": str,
    "session_id": str,
    "store": bool,
    "verbosity": str,
}
"""Fields on which no answer depends, and their types: ids, metadata, hints on reasoning."""
MAX_NAME = 100  # characters of a field's name in a message
EMPTY: tuple[Any, ...] = (None, "", [], {})
CHOOSERS = {"tools": "tool_choice", "functions": "function_call"}  # "none": they are not called
KINDS = {str: "a string", bool: "true or false", dict: "an object"}


def refuse_unsupported(body: Body, path: str = "") -> None:
    """Raise `InvalidRequest` for a field that is not implemented, unless its value is neutral."""
    for name, value in (body.model_extra or {}).items():
        _check_extra(f"{path}{name}", name, value, body)
    for name in type(body).model_fields:
        value = getattr(body, name)
        if isinstance(value, Body):
            refuse_unsupported(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if not isinstance(item, Body):
                    break
                refuse_unsupported(item, f"{path}{name}[{i}].")


def _check_extra(field: str, name: str, value: Any, body: Body) -> None:
    if name in HINTS:
        if value is None or isinstance(value, HINTS[name]):
            return
        kind = KINDS[HINTS[name]]
        raise InvalidRequest(f"{field} must be {kind}, got {json_excerpt(value)}", field=field)
    if name not in NEUTRAL:
        shown = field if len(field) <= MAX_NAME else f"{field[:MAX_NAME]}..."
        raise InvalidRequest(f"unknown field: {shown}", field=shown, code="unknown_parameter")
    if value in EMPTY or any(_is_same(value, neutral) for neutral in NEUTRAL[name]):
        return
    chooser = CHOOSERS.get(name)
    if chooser and (body.model_extra or {}).get(chooser) == "none" and _are_objects(value):
        return
    accepted = " or ".join(json_excerpt(neutral) for neutral in (*NEUTRAL[name], None))
    raise InvalidRequest(
        f"{field} is not supported; the only value accepted is {accepted}, "
        f"got {json_excerpt(value)}",
        field=field,
        code="unsupported_parameter",
    )


def _is_same(value: Any, neutral: Any) -> bool:
    if isinstance(value, dict):
        value = {name: item for name, item in value.items() if item is not None}
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
