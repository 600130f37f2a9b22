"""Templates of `/v1/completions`: parts of a body to token ids, and holes to their answers."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from unmask.api.backend import Backend
from unmask.api.prompts import encode_prompts
from unmask.api.response_models import FilledHole
from unmask.api.sampling import renamed
from unmask.api.structured import options_of
from unmask.api.template_bodies import HoleBody, Parts
from unmask.errors import InvalidRequest
from unmask.grammar import ANY_TEXT, Grammar
from unmask.templates import SEES_AHEAD, Blank, Part, Pieces, fillings
from unmask.tokenizer import Tokenizer
from unmask.types import SamplingParams, Template

MAX_COMPILE_S = 5.0  # as one grammar may take


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
    max_compile_s: float = MAX_COMPILE_S,
) -> EncodedTemplate:
    """Tokenize a template, and compile the grammars of its holes; raises `InvalidRequest`.

    All of them together take up to `max_compile_s` of a thread, and then the last one's time.
    """
    model, made = backend.client.model, list[Part]()
    compiler = _Compiler(backend, allowed_token_ids, max_compile_s)
    for i, part in enumerate(parts):
        if part.hole is not None:
            made.append(await compiler.blank(part.hole, f"template[{i}].hole"))
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
    return EncodedTemplate(prompt, template, suffix, *texts, tuple(compiler.compiled))


class _Compiler:
    """Compiles the grammars of a template's holes beside the event loop."""

    def __init__(
        self, backend: Backend, allowed_token_ids: tuple[int, ...] | None, max_s: float
    ) -> None:
        self.compiled = list[object]()
        self._backend = backend
        self._allowed = allowed_token_ids
        self._max_s, self._spent_s = max_s, 0.0  # of a thread

    async def blank(self, hole: HoleBody, field: str) -> Blank:
        """A hole; raises `InvalidRequest`. One without a structure is any text."""
        structured = options_of(hole, field)
        grammar = ANY_TEXT if structured is None else structured.grammar
        field = field if structured is None else structured.field
        with renamed({"grammar": field}):
            self.compiled.append(await self._compile(grammar, field))
        return Blank(hole.max_tokens, None if structured is None else grammar)

    async def _compile(self, grammar: Grammar, field: str) -> object:
        client = self._backend.client
        sampling = SamplingParams(grammar=grammar, allowed_token_ids=self._allowed)
        if client.has_compiled(sampling):  # it need not wait for other grammars
            return client.compile(sampling)
        if self._spent_s > self._max_s:
            raise InvalidRequest(
                f"{field}: the grammars before it took over {self._max_s:g} s to compile",
                field=field,
            )

        def work(seconds: float | None) -> object:
            begun_s = time.thread_time()
            try:
                return client.compile(sampling, seconds)
            finally:
                self._spent_s += time.thread_time() - begun_s

        return await self._backend.workers.compile(work)


def filled_holes(
    template: Template, token_ids: Sequence[int], eos_ids: Sequence[int], tokenizer: Tokenizer
) -> list[FilledHole]:
    """The answer's `holes`."""
    return [
        {"text": hole.text, "finish_reason": "stop" if hole.has_ended else "length"}
        for hole in fillings(template, token_ids, eos_ids, tokenizer)
    ]
