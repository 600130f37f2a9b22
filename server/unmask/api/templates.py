"""Templates of `/v1/completions`: text with holes, each with a limit and maybe a structure."""

from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.backend import Backend
from unmask.api.prompts import encode_prompts
from unmask.api.response_models import FilledHole
from unmask.api.sampling import renamed
from unmask.api.structured import options_of
from unmask.api.template_bodies import Parts
from unmask.grammar import Grammar
from unmask.tokenizer import Tokenizer
from unmask.types import AttentionPattern, Hole, SamplingParams, Template

# Attention with which a hole sees text behind the last of them.
SEES_AHEAD: tuple[AttentionPattern, ...] = ("full", "block_causal", "causal_prefix")


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
    parts: Parts, backend: Backend, *, add_special_tokens: bool
) -> EncodedTemplate:
    """Tokenize a template, and compile the grammars of its holes; raises `InvalidRequest`."""
    model, pieces = backend.client.model, list[str | int]()  # texts, and indices of holes
    for i, part in enumerate(parts):
        if part.text is None:
            pieces.append(i)
        elif pieces and isinstance(last := pieces[-1], str):
            pieces[-1] = last + part.text
        else:
            pieces.append(part.text)
    if not isinstance(pieces[0], str):
        pieces.insert(0, "")
    behind = pieces.pop() if isinstance(pieces[-1], str) else ""
    before, *rest = pieces
    assert isinstance(before, str), "the first piece is text"
    assert isinstance(behind, str), "the last piece is text"
    (prompt,) = await encode_prompts(
        backend, [before], add_special_tokens=add_special_tokens, field="template"
    )
    texts = [piece for piece in (*rest, behind) if isinstance(piece, str)]
    encoded = iter(await encode_prompts(backend, texts, add_special_tokens=False, field="template"))
    token_ids, holes, compiled = list[int | None](), list[Hole](), list[object]()
    for piece in rest:
        if isinstance(piece, str):
            token_ids += next(encoded)
            continue
        hole = parts[piece].hole
        assert hole is not None, "the piece is a hole"
        structured = options_of(hole, f"template[{piece}].hole")
        grammar = None if structured is None else structured.grammar
        if structured is not None:
            with renamed({"grammar": structured.field}):
                compiled.append(await _compile(backend, structured.grammar))
        start = len(token_ids)
        room = min(hole.max_tokens, model.max_model_len + 1)  # more is refused by the engine
        token_ids += [None] * room
        holes.append(Hole(start, start + room, grammar))
    template = Template(tuple(token_ids), tuple(holes))
    suffix = next(encoded)
    suffix = suffix if model.attention in SEES_AHEAD else ()
    return EncodedTemplate(prompt, template, suffix, before, behind, tuple(compiled))


def filled_holes(
    template: Template, token_ids: Sequence[int], eos_ids: Sequence[int], tokenizer: Tokenizer
) -> list[FilledHole]:
    """Text of each hole up to its end, and whether it ended before its limit."""
    filled: list[FilledHole] = []
    for hole in template.holes:
        own = list(token_ids[hole.start : hole.end])
        ends = [i for i, token_id in enumerate(own) if token_id in eos_ids]
        size = ends[0] if ends else len(own)
        has_ended = size < hole.end - hole.start
        filled.append(
            {
                "text": tokenizer.decode(own[:size]),
                "finish_reason": "stop" if has_ended else "length",
            }
        )
    return filled


async def _compile(backend: Backend, grammar: Grammar) -> object:
    sampling = SamplingParams(grammar=grammar)
    return await backend.workers.compile(lambda seconds: backend.client.compile(sampling, seconds))
