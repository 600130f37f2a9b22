"""Fields that clients send though we lack them: only the value that changes nothing is accepted."""

from collections.abc import Mapping
from typing import Any

from unmask.api.fields import Body
from unmask.api.spelling import spell
from unmask.errors import InvalidRequest

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "add_generation_prompt": (True,),
    "annotations": ([],),
    "audio": (),
    "bad_words": ([],),
    "cache_control": (),
    "cache_salt": (),
    "chat_template": (),
    "chat_template_kwargs": ({},),
    "continue_final_message": (False,),
    "documents": ([],),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": ([],),
    "guided_choice": ([],),
    "guided_grammar": (),
    "guided_json": (),
    "guided_regex": (),
    "include_obfuscation": (False,),
    "include_stop_str_in_output": (False,),
    "length_penalty": (1,),
    "max_completion_tokens": (),
    "metadata": ({},),
    "min_p": (0,),
    "min_tokens": (0,),
    "modalities": (["text"],),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0,),
    "priority": (0,),
    "prompt_cache_retention": (),
    "prompt_logprobs": (),
    "reasoning": (),
    "reasoning_content": (),
    "reasoning_effort": ("none",),
    "refusal": (),
    "repetition_penalty": (1,),
    "response_format": ({"type": "text"},),
    "return_tokens_as_token_ids": (False,),
    "service_tier": ("auto", "default"),
    "skip_special_tokens": (True,),
    "spaces_between_special_tokens": (True,),
    "store": (False,),
    "structured_outputs": (),
    "suffix": ("",),  # of a chat
    "tool_calls": ([],),
    "tool_choice": ("none",),
    "tools": ([],),
    "top_logprobs": (),
    "truncate_prompt_tokens": (),
    "use_beam_search": (False,),
    "verbosity": (),
    "web_search_options": (),
}
"""Values that ask for nothing, besides null; a field that is absent here is not known at all."""

HINTS = frozenset({"prompt_cache_key", "safety_identifier"})
"""Strings that name a caller or a cache; answers do not depend on them."""


def refuse_unsupported(body: Body, path: str = "") -> None:
    """Raise `InvalidRequest` for a field that we lack, unless its value is neutral."""
    for name, value in (body.model_extra or {}).items():
        _check_extra(f"{path}{name}", name, value)
    for name in type(body).model_fields:
        value = getattr(body, name)
        if isinstance(value, Body):
            refuse_unsupported(value, f"{path}{name}.")
        elif isinstance(value, tuple):
            for i, item in enumerate(value):
                if not isinstance(item, Body):
                    break
                refuse_unsupported(item, f"{path}{name}[{i}].")


def _check_extra(field: str, name: str, value: Any) -> None:
    if name in HINTS and (value is None or isinstance(value, str)):
        return
    if name in HINTS:
        raise InvalidRequest(f"{field} must be a string", field=field)
    if name not in NEUTRAL:
        raise InvalidRequest(f"unknown field: {field}", field=field, code="unknown_parameter")
    if value is None or any(_is_same(value, neutral) for neutral in NEUTRAL[name]):
        return
    accepted = " or ".join(spell(neutral) for neutral in (*NEUTRAL[name], None))
    raise InvalidRequest(
        f"{field} is not supported; the only value accepted is {accepted}, got {spell(value)}",
        field=field,
        code="unsupported_parameter",
    )


def _is_same(value: Any, neutral: Any) -> bool:
    return isinstance(value, bool) == isinstance(neutral, bool) and bool(value == neutral)
