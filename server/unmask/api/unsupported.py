"""Fields that are not implemented: accepted with a neutral value, and refused with any other."""

import json
from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import Any

from unmask.api.errors import json_excerpt, unknown_field
from unmask.api.fields import Body
from unmask.errors import InvalidRequest
from unmask.sampling_params import PARAMETERS

# Claude Code asks for an edit of the conversation that edits nothing.
KEEP_THINKING = {"type": "clear_thinking_20251015", "keep": "all"}
KNOWN: Mapping[str, tuple[Any, ...]] = {
    "access_programs": ([],),
    "add_generation_prompt": (True,),
    "allowed_callers": (["direct"],),
    "annotations": ([],),
    "async": (False,),
    "audio": (),
    "background": (False,),
    "background_options": (),
    "cache_salt": (),
    "caller": ({"type": "direct"},),
    "compaction": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "container": (),
    "context_management": ({"edits": []}, {"edits": [KEEP_THINKING]}),
    "continue_final_message": (False,),
    "conversation": (),
    "custom_logit_processor": (),
    "custom_params": (),
    "defer_loading": (False,),
    "detokenize": (True,),
    "documents": ([],),
    "dry_multiplier": (0,),
    "dynatemp_range": (0,),
    "echo": (False,),
    "fallbacks": ([],),
    "function_call": ("none",),
    "functions": ([],),
    "image": (),
    "include": ([],),
    "include_obfuscation": (False,),
    "input_examples": ([],),
    "kv_transfer_params": (),
    "length_penalty": (1,),
    "logits_processors": (),
    "lora": ([],),
    "lora_path": (),
    "max_completion_tokens": (),
    "max_tool_calls": (),
    "mcp_servers": ([],),
    "media_io_kwargs": (),
    "min_keep": (0,),
    "mirostat": (0,),
    "mm_processor_kwargs": (),
    "modalities": (["text"],),
    "moderation": (),
    "n_cmpl": (1,),
    "n_probs": (0,),
    "no_stop_trim": (False,),
    "output_schema": (),
    "post_sampling_probs": (False,),
    "previous_response_id": (),
    "prompt_embeds": (),
    "reasoning": (),
    "reasoning_content": (),
    "refusal": (),
    "repeat_penalty": (1,),
    "return_hidden_states": (False,),
    "return_progress": (False,),
    "return_tokens_as_token_ids": (False,),
    "service_tier": ("auto", "default", "standard_only"),
    "session_params": (),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "speed": ("standard",),
    "stop_regex": (),
    "stream_reasoning": (True,),
    "suffix": ("",),  # of a chat
    "tfs_z": (1,),
    "tool_calls": ([],),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_a": (0,),
    "top_logprobs": (0,),
    "truncate_prompt_tokens": (),
    "truncation": ("disabled",),
    "typical_p": (1,),
    "use_beam_search": (False,),
    "vllm_xargs": (),
    "web_search_options": (),
    "xtc_probability": (0,),
}
# What a later version implements is neutral no more.
NEUTRAL = {name: values for name, values in KNOWN.items() if name not in PARAMETERS}
"""Neutral values of each field, besides null and empty ones; other fields are unknown."""

HINTS: Mapping[str, type] = {
    "cache_control": dict,
    "chat_id": str,
    "client_metadata": dict,
    "conversation_id": str,
    "diagnostics": dict,
    "dry_allowed_length": float,
    "dry_base": float,
    "dry_penalty_last_n": float,
    "dry_sequence_breakers": list,
    "dynatemp_exponent": float,
    "id": str,
    "inference_geo": str,
    "metadata": dict,
    "mirostat_eta": float,
    "mirostat_tau": float,
    "parallel_tool_calls": bool,
    "prediction": dict,
    "prompt_cache_breakpoint": dict,
    "prompt_cache_key": str,
    "prompt_cache_options": dict,
    "prompt_cache_retention": str,
    "reasoning_effort": str,
    "repeat_last_n": float,
    "request_id": str,
    "rid": str,
    "safety_identifier": str,
    "session_id": str,
    "store": bool,
    "toolset_name": str,
    "user_profile_id": str,
    "verbosity": str,
    "xtc_threshold": float,
}
"""Fields on which no answer depends, and their types.

They are ids, metadata, hints on reasoning, and numbers of llama.cpp's samplers that are refused if
they are switched on.
"""
MAX_NAME = 100  # characters of a field's name in a message
EMPTY: tuple[Any, ...] = (None, "", [], {})
CHOOSERS = {"tools": "tool_choice", "functions": "function_call"}  # "none": they are not called
KINDS = {
    str: "a string",
    bool: "true or false",
    dict: "an object",
    float: "a number",
    list: "a list",
}
JSON_TYPES = {str: "string", bool: "boolean", dict: "object", float: "number", list: "array"}


def ignored_patterns(declared: Collection[str]) -> dict[str, Any]:
    """Schemas of fields that are not implemented, by patterns of names; not of `declared` ones."""
    schemas = {name: {"type": [JSON_TYPES[kind], "null"]} for name, kind in HINTS.items()}
    for name, values in NEUTRAL.items():
        schemas[name] = {"enum": [*EMPTY, *(value for value in values if value not in EMPTY)]}
    alike = defaultdict[str, list[str]](list)
    for name in sorted(schemas.keys() - set(declared)):
        alike[json.dumps(schemas[name])].append(name)
    return {f"^({'|'.join(names)})$": json.loads(schema) for schema, names in alike.items()}


def refuse_unsupported(body: Body, path: str = "") -> None:
    """Raise `InvalidRequest` for a field that is not implemented, unless its value is neutral."""
    extra = body.__pydantic_extra__ or {}
    for name, value in extra.items():
        _check_extra(f"{path}{name}", name, value, body)
    values = body.__dict__
    for name in body.__pydantic_fields_set__:
        value = values.get(name)  # None for extra fields
        if isinstance(value, Body):
            refuse_unsupported(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if not isinstance(item, Body):
                    break
                refuse_unsupported(item, f"{path}{name}[{i}].")


def _check_extra(field: str, name: str, value: Any, body: Body) -> None:
    if value is None:
        return  # newer clients send back all fields that they know
    if name in HINTS:
        if _is_a(value, HINTS[name]):
            return
        kind = KINDS[HINTS[name]]
        raise InvalidRequest(f"{field} must be {kind}, got {json_excerpt(value)}", field=field)
    if name not in NEUTRAL:
        shown = field if len(field) <= MAX_NAME else f"{field[:MAX_NAME]}..."
        raise unknown_field(shown, name, body.known())
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


def _is_a(value: Any, kind: type) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, kind)


def _is_same(value: Any, neutral: Any) -> bool:
    if isinstance(value, dict):
        value = {name: item for name, item in value.items() if item is not None}
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) for item in value)
