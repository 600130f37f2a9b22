"""Templates of `/v1/completions`: parts of a body to token ids, and holes to their answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.backend import Backend
from unmask.api.prompts import encode_prompts
from unmask.api.response_models import FilledHole
from unmask.api.sampling import renamed
from unmask.api.structured import options_of
from unmask.api.template_bodies import HoleBody, Parts
from unmask.grammar import Grammar
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


async def encode_template(
    parts: Parts, backend: Backend, *, add_special_tokens: bool
) -> EncodedTemplate:
    """Tokenize a template, and compile the grammars of its holes; raises `InvalidRequest`."""
    model, made = backend.client.model, list[Part]()
    for i, part in enumerate(parts):
        if part.hole is not None:
            made.append(await _blank(part.hole, f"template[{i}].hole", backend))
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
    return EncodedTemplate(prompt, template, suffix, pieces.before, pieces.behind)


async def _blank(hole: HoleBody, field: str, backend: Backend) -> Blank:
    structured = options_of(hole, field)
    if structured is None:
        return Blank(hole.max_tokens)
    with renamed({"grammar": structured.field}):
        await _compile(backend, structured.grammar)
    return Blank(hole.max_tokens, structured.grammar)


def filled_holes(
    template: Template, token_ids: Sequence[int], eos_ids: Sequence[int], tokenizer: Tokenizer
) -> list[FilledHole]:
    """The answer's `holes`."""
    return [
        {"text": hole.text, "finish_reason": "stop" if hole.has_ended else "length"}
        for hole in fillings(template, token_ids, eos_ids, tokenizer)
    ]


async def _compile(backend: Backend, grammar: Grammar) -> None:
    sampling = SamplingParams(grammar=grammar)
    await backend.workers.compile(lambda: backend.client.compile(sampling))
