"""Templates of `/v1/completions`: parts of a body to token ids, and holes to their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.backend import Backend
from unmask.api.prompts import encode_prompts
from unmask.api.response_models import FilledHole
from unmask.api.sampling import renamed
from unmask.api.structured import options_of
from unmask.api.template_bodies import HoleBody, Parts
from unmask.templates import SEES_AHEAD, Blank, Part, Pieces, fillings
from unmask.tokenizer import Tokenizer
from unmask.types import SamplingParams, Template


@dataclass(frozen=True, slots=True)
class EncodedTemplate:
    """A template in token ids, with the text before and behind its holes."""

    prompt_token_ids: tuple[int, ...]
    template: Template
    suffix_token_ids: tuple[int, ...]
    before: str
    behind: str
    compiled: tuple[object, ...]  # grammars of holes


async def encode_template(
    parts: Parts,
    backend: Backend,
    *,
    add_special_tokens: bool,
    allowed_token_ids: tuple[int, ...] | None,
) -> EncodedTemplate:
    """Tokenize a template, and compile the grammars of its holes; raises `InvalidRequest`."""
    model, made, compiled = backend.client.model, list[Part](), list[object]()
    for i, part in enumerate(parts):
        if part.hole is not None:
            field = f"template[{i}].hole"
            blank, automaton = await _blank(part.hole, field, backend, allowed_token_ids)
            made.append(blank)
            compiled.append(automaton)
        elif part.text is not None:
            made.append(part.text)
    pieces = Pieces.of(made)
    (prompt,) = await encode_prompts(
        backend, [pieces.before], add_special_tokens=add_special_tokens, field="template"
    )
    *between, behind = await encode_prompts(
        backend, pieces.texts, add_special_tokens=False, field="template"
    )
    # A longer hole is refused by the engine.
    template = pieces.template(between, model.max_model_len + 1)
    suffix = behind if model.attention in SEES_AHEAD else ()
    texts = pieces.before, pieces.behind
    return EncodedTemplate(prompt, template, suffix, *texts, tuple(compiled))


async def _blank(
    hole: HoleBody, field: str, backend: Backend, allowed_token_ids: tuple[int, ...] | None
) -> tuple[Blank, object]:
    """A hole, and its compiled grammar if it has one."""
    structured = options_of(hole, field)
    if structured is None:
        return Blank(hole.max_tokens), None
    sampling = SamplingParams(grammar=structured.grammar, allowed_token_ids=allowed_token_ids)
    with renamed({"grammar": structured.field}):
        compiled = await backend.workers.compile(
            lambda seconds: backend.client.compile(sampling, seconds)
        )
    return Blank(hole.max_tokens, structured.grammar), compiled


def filled_holes(
    template: Template, token_ids: Sequence[int], eos_ids: Sequence[int], tokenizer: Tokenizer
) -> list[FilledHole]:
    """The answer's `holes`."""
    return [
        {"text": hole.text, "finish_reason": "stop" if hole.has_ended else "length"}
        for hole in fillings(template, token_ids, eos_ids, tokenizer)
    ]
