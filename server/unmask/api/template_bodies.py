"""Parts of a template of `/v1/completions`: texts, and holes with a limit and maybe a structure."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict
from pydantic.config import JsonDict

from unmask.api.fields import Body, Int, bounded, items
from unmask.api.structured import StructuredOutputs
from unmask.errors import InvalidRequest

MAX_PARTS = 1024
# Fields that a template has in its parts, or has no meaning for, and their neutral values.
ALONE: dict[str, object] = {
    "prompt": ("",),
    "suffix": "",
    "echo": False,
    "max_tokens": None,
    "prompt_logprobs": None,
}
TEMPLATED: JsonDict = {
    "required": ["template"],
    "properties": {
        "template": {
            "type": "array",
            "contains": {
                "type": "object",
                "required": ["hole"],
                "properties": {"hole": {"type": "object"}},
            },
        },
        **{
            name: {"enum": [None, *(value for value in ("", False) if value == neutral)]}
            for name, neutral in (ALONE | {"prompt": ""}).items()  # a body may have text
        },
    },
}
PROMPTED: JsonDict = {
    "required": ["prompt"],
    "properties": {"prompt": {"type": ["string", "array"]}, "template": {"type": "null"}},
}
"""The two kinds of completions, for the schema."""


def _as_list(value: Any) -> Any:
    if not isinstance(value, list):
        raise ValueError("must be a list of texts and holes")
    return value


def _as_part(value: Any) -> Any:
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        raise ValueError("must be text or an object with a hole")
    return value


class HoleBody(StructuredOutputs):
    """A hole of at most `max_tokens` tokens, with vLLM's options of a structure."""

    max_tokens: Annotated[Int, bounded(1)]


class PartBody(Body):
    """Text or a hole."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": [name], "properties": {name: {"type": kind}, other: {"type": "null"}}}
                for name, kind, other in (("text", "string", "hole"), ("hole", "object", "text"))
            ]
        }
    )

    text: str | None = None
    hole: HoleBody | None = None


Part = Annotated[PartBody, BeforeValidator(_as_part, json_schema_input_type=str | PartBody)]
Parts = Annotated[tuple[Part, ...], BeforeValidator(_as_list), items(1, MAX_PARTS)]


def check_parts(parts: Parts) -> None:
    """Raise `InvalidRequest` for parts that are neither or both, and for no hole at all."""
    if not 1 <= len(parts) <= MAX_PARTS:
        raise InvalidRequest(
            f"template must have from 1 to {MAX_PARTS} parts, got {len(parts)}", field="template"
        )
    for i, part in enumerate(parts):
        if (part.text is None) == (part.hole is None):
            raise InvalidRequest(
                f"template[{i}] must be text or have a hole", field=f"template[{i}]"
            )
        if part.hole is not None and part.hole.max_tokens < 1:
            field = f"template[{i}].hole.max_tokens"
            raise InvalidRequest(
                f"{field} must be at least 1, got {part.hole.max_tokens}", field=field
            )
    if all(part.hole is None for part in parts):
        raise InvalidRequest("template must have a hole", field="template")
