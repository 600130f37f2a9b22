"""Parts of a template of `/v1/completions`: texts, and holes with a limit and maybe a structure."""

from typing import Annotated, Any

from pydantic import BeforeValidator

from unmask.api.fields import Body, Int
from unmask.api.structured import StructuredOutputs
from unmask.errors import InvalidRequest

MAX_PARTS = 1024


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

    max_tokens: Int


class PartBody(Body):
    """Text or a hole."""

    text: str | None = None
    hole: HoleBody | None = None


Parts = Annotated[
    tuple[Annotated[PartBody, BeforeValidator(_as_part)], ...], BeforeValidator(_as_list)
]


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
