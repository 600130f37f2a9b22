"""In-process API without HTTP: completions in the caller's thread."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from typing import Any, Self

from unmask.config import Config
from unmask.engine.engine import Engine
from unmask.engine.event_queues import EventQueues
from unmask.errors import InvalidRequest
from unmask.likelihood import likelihood_request, mean_logprob
from unmask.models.weights import Progress
from unmask.prompts import (
    Conversation,
    Prompt,
    as_conversations,
    as_ids,
    as_prompts,
    as_templates,
    check_template_options,
    encode_chat,
)
from unmask.templates import SEES_AHEAD, Filling, Part, Pieces, fillings
from unmask.tokenizer import Tokenizer
from unmask.types import (
    Delta,
    Event,
    Finish,
    ModelInfo,
    RefinementOptions,
    Request,
    SamplingParams,
    TokenLogprob,
)


@dataclass(frozen=True, slots=True)
class Completion:
    """Finished answer; `token_ids` includes the end-of-sequence token, `text` does not."""

    prompt_token_ids: tuple[int, ...]
    token_ids: tuple[int, ...]
    text: str
    finish: Finish
    logprobs: tuple[TokenLogprob, ...] = ()
    prompt_logprobs: tuple[TokenLogprob | None, ...] | None = None  # None for the first token


@dataclass(frozen=True, slots=True)
class Filled:
    """A template with its holes filled; `text` has all of it, without the prompt."""

    text: str
    holes: tuple[Filling, ...]
    completion: Completion


class LLM:
    """In-process diffusion language model; not thread-safe.

    `model` is a checkpoint folder or hub repository, by default the embedded model. `adapter` is a
    LoRA adapter in PEFT's layout, or several. Raises `InvalidCheckpoint`.
    """

    def __init__(
        self,
        model: str | PathLike[str] | None = None,
        *,
        config: Config | None = None,
        adapter: str | PathLike[str] | Sequence[str | PathLike[str]] = (),
        progress: Progress | None = None,
    ) -> None:
        config = config or Config()
        if adapter:
            several = (adapter,) if isinstance(adapter, str | PathLike) else adapter
            adapters = tuple(fspath(one) for one in several)
            config = replace(config, model=replace(config.model, adapter=adapters))
        if model is not None:
            config = replace(config, model=replace(config.model, path=fspath(model)))
        self._engine = Engine.load(config, progress=progress)
        self._queues = EventQueues(self._engine)
        self._ids = itertools.count()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def model(self) -> ModelInfo:
        return self._engine.loaded.info

    @property
    def tokenizer(self) -> Tokenizer:
        return self._engine.loaded.tokenizer

    def close(self) -> None:
        """Drop all unfinished requests; the last event of an open stream is a `Failure`."""
        self._queues.fail_all("closed")

    def generate(
        self,
        prompts: Prompt | Sequence[Prompt],
        sampling: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        suffix: Prompt | None = None,
        best_of: int = 1,
    ) -> list[Completion]:
        """Complete prompts (texts or token ids) in one batch; results are in their order.

        `suffix` follows each answer: models with full attention see all of it, those with blocks
        what is in the answer's last one. Of `best_of` answers, with seeds from the request's on,
        the one with the highest mean log-probability is taken. Raises `InvalidRequest` before any
        computation if a request can never be served.
        """
        behind = self._encode_suffix(suffix)
        encoded = [self._encode(prompt, has_gap=bool(behind)) for prompt in as_prompts(prompts)]
        each = _each(sampling, len(encoded))
        if best_of == 1:
            return self._run(encoded, each, behind)
        if best_of < 1:
            raise InvalidRequest(f"best_of must be at least 1, got {best_of}", field="best_of")
        found = self._run(
            [ids for ids in encoded for _ in range(best_of)],
            [_candidate(params, i) for params in each for i in range(best_of)],
            behind,
        )
        groups = [found[i : i + best_of] for i in range(0, len(found), best_of)]
        best = [
            # The first one of each has its prompt's log-probabilities.
            replace(
                max(group, key=lambda one: mean_logprob(one.logprobs)),
                prompt_logprobs=group[0].prompt_logprobs,
            )
            for group in groups
        ]
        return [
            one if params.logprobs is not None else replace(one, logprobs=())
            for one, params in zip(best, each, strict=True)
        ]

    def chat(
        self,
        conversations: Conversation | Sequence[Conversation],
        sampling: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        chat_template_kwargs: Mapping[str, Any] | None = None,
        continue_final_message: bool = False,
    ) -> list[Completion]:
        """Answer conversations, each a list of messages with `role` and `content`.

        Content is text or a list of text parts, which newlines join. For models that take images,
        parts of users and tools may be OpenAI's `image_url` with a data: URL, or
        `{"type": "image", "image": ...}` with a file's bytes or `Path`, or an `Image` of Pillow.
        `tools` and what else the chat template reads are for all of them; calls of tools are in an
        answer's text. An answer may continue the final message. Raises `InvalidRequest`, and
        `OSError` for a path that cannot be read.
        """
        options = dict(chat_template_kwargs or {})
        check_template_options(options)
        if tools:
            options["tools"] = list(tools)
        encoded = [
            encode_chat(
                self.tokenizer,
                messages,
                self.model.images,
                continue_final_message=continue_final_message,
                template_options=options,
            )
            for messages in as_conversations(conversations)
        ]
        requests = [
            replace(self._request(ids, params, ()), images=images)
            for (ids, images), params in zip(encoded, _each(sampling, len(encoded)), strict=True)
        ]
        return self._run_all(requests)

    def fill(
        self,
        templates: Sequence[Part] | Sequence[Sequence[Part]],
        sampling: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        prompts: Prompt | Sequence[Prompt] = "",
    ) -> list[Filled]:
        """Fill the holes of templates, each seeing the text on both its sides, in one batch.

        A template is a list of texts and of `Blank`s. Models see text behind a hole as they see a
        suffix: all of it with full attention, others as much of it as is in a hole's block. A
        prompt comes before each, or one before all. Limits and grammars are those of the holes:
        `max_tokens` has no effect, a grammar is refused. Raises `InvalidRequest`.
        """
        many, requests = self._template_requests(templates, sampling, prompts)
        completions = self._run_all(requests)
        return [
            self._filled(pieces, request, completion)
            for pieces, request, completion in zip(many, requests, completions, strict=True)
        ]

    def check_fill(
        self,
        templates: Sequence[Part] | Sequence[Sequence[Part]],
        sampling: SamplingParams | Sequence[SamplingParams] | None = None,
        *,
        prompts: Prompt | Sequence[Prompt] = "",
    ) -> None:
        """Raise `InvalidRequest` where `fill` would."""
        for request in self._template_requests(templates, sampling, prompts)[1]:
            self._engine.check(request)

    def stream(
        self,
        prompt: Prompt,
        sampling: SamplingParams | None = None,
        *,
        refinements: RefinementOptions | None = None,
        suffix: Prompt | None = None,
    ) -> Iterator[Event]:
        """Events of one completion as they occur; closing the iterator aborts the request.

        Other requests, streams too, may run while it is open: its events are kept until they are
        read. If a step of theirs raises an error, its last event is a `Failure`.
        """
        behind = self._encode_suffix(suffix)
        ids = self._encode(prompt, has_gap=bool(behind))
        request = self._request(ids, sampling or SamplingParams(), behind, refinements)
        self._engine.check(request)
        return self._events(request)

    def _events(self, request: Request) -> Iterator[Event]:
        with self._queues.opened([request]):
            yield from self._queues.read(request)
        self._queues.settle()

    def _encode_suffix(self, suffix: Prompt | None) -> list[int]:
        if not isinstance(suffix, str):
            return [] if suffix is None else as_ids(suffix, "suffix")
        if not suffix:
            return []
        commands = self.model.length_commands
        return [*self.tokenizer.encode(suffix), *(commands.end if commands else ())]

    def _encode(self, prompt: Prompt, *, has_gap: bool = False) -> list[int]:
        """Token ids of a prompt; texts get the tokenizer's special tokens, such as BOS."""
        if not isinstance(prompt, str):
            return as_ids(prompt, "prompt")
        commands = self.model.length_commands
        begin = commands.begin if commands and has_gap else ()
        return [*begin, *self.tokenizer.encode(prompt, add_special_tokens=True)]

    def _request(
        self,
        token_ids: Sequence[int],
        sampling: SamplingParams,
        suffix: Sequence[int],
        refinements: RefinementOptions | None = None,
    ) -> Request:
        name = str(next(self._ids))
        return Request(name, tuple(token_ids), sampling, refinements, tuple(suffix))

    def _template_requests(
        self,
        templates: Sequence[Part] | Sequence[Sequence[Part]],
        sampling: SamplingParams | Sequence[SamplingParams] | None,
        prompts: Prompt | Sequence[Prompt],
    ) -> tuple[list[Pieces], list[Request]]:
        many = [Pieces.of(template) for template in as_templates(templates)]
        before = as_prompts(prompts)
        before = before * len(many) if len(before) == 1 else before
        if len(before) != len(many):
            raise ValueError(f"{len(many)} templates, but {len(before)} prompts")
        rows = zip(many, before, _each(sampling, len(many)), strict=True)
        return many, [self._template_request(*row) for row in rows]

    def _template_request(self, pieces: Pieces, prompt: Prompt, params: SamplingParams) -> Request:
        if isinstance(prompt, str):
            before = self._encode(prompt + pieces.before)
        else:
            before = as_ids(prompt, "prompt") + self.tokenizer.encode(pieces.before)
        *between, behind = [self.tokenizer.encode(text) for text in pieces.texts]
        # A longer hole is refused by the engine.
        template = pieces.template(between, self.model.max_model_len + 1)
        suffix = behind if self.model.attention in SEES_AHEAD else ()
        return replace(self._request(before, params, suffix), template=template)

    def _filled(self, pieces: Pieces, request: Request, completion: Completion) -> Filled:
        assert request.template is not None, "it was made of one"
        eos_ids = self.model.eos_token_ids
        holes = fillings(request.template, completion.token_ids, eos_ids, self.tokenizer)
        text = pieces.before + completion.text + pieces.behind
        return Filled(text, tuple(holes), completion)

    def _run(
        self,
        prompts: list[list[int]],
        sampling: SamplingParams | Sequence[SamplingParams] | None,
        suffix: Sequence[int] = (),
    ) -> list[Completion]:
        pairs = zip(prompts, _each(sampling, len(prompts)), strict=True)
        return self._run_all([self._request(ids, params, suffix) for ids, params in pairs])

    def _run_all(self, requests: Sequence[Request]) -> list[Completion]:
        """Run requests, and with them those that read a prompt for its log-probabilities."""
        readings = [self._reading(request) for request in requests]
        own = [
            replace(request, sampling=replace(request.sampling, prompt_logprobs=None))
            for request in requests
        ]
        deltas = self._deltas([*own, *(reading for reading in readings if reading is not None)])
        found = [_completion(request, deltas[request.request_id]) for request in requests]
        for i, (request, reading) in enumerate(zip(requests, readings, strict=True)):
            if request.sampling.prompt_logprobs is None:
                continue
            read = deltas[reading.request_id] if reading is not None else ()
            logprobs = (None, *(item for delta in read for item in delta.logprobs))
            found[i] = replace(found[i], prompt_logprobs=logprobs)
        return found

    def _reading(self, request: Request) -> Request | None:
        num_top = request.sampling.prompt_logprobs
        if num_top is None:
            return None
        if request.images:
            raise InvalidRequest(
                "prompt_logprobs cannot be combined with images", field="prompt_logprobs"
            )
        name = f"{request.request_id}-prompt"
        return likelihood_request(name, request.prompt_token_ids, num_top, self.model)

    def _deltas(self, requests: Sequence[Request]) -> dict[str, list[Delta]]:
        """Run requests until they end; their deltas by their ids."""
        for request in requests:
            self._engine.check(request)
        with self._queues.opened(requests):
            deltas = {
                request.request_id: [e for e in self._queues.read(request) if isinstance(e, Delta)]
                for request in requests
            }
        self._queues.settle()
        return deltas


def _each(
    sampling: SamplingParams | Sequence[SamplingParams] | None, count: int
) -> Sequence[SamplingParams]:
    """Parameters of each of so many prompts."""
    if sampling is None or isinstance(sampling, SamplingParams):
        return [sampling or SamplingParams()] * count
    if len(sampling) != count:
        raise ValueError(f"{count} prompts, but {len(sampling)} sampling parameters")
    return sampling


def _candidate(params: SamplingParams, index: int) -> SamplingParams:
    """Parameters of one of several answers of which the likeliest is taken.

    The first one alone reads the prompt.
    """
    seed = None if params.seed is None else params.seed + index
    num_read = None if index else params.prompt_logprobs
    return replace(params, seed=seed, logprobs=params.logprobs or 0, prompt_logprobs=num_read)


def _completion(request: Request, deltas: list[Delta]) -> Completion:
    finish = deltas[-1].finish
    assert finish is not None
    return Completion(
        request.prompt_token_ids,
        tuple(token_id for delta in deltas for token_id in delta.token_ids),
        "".join(delta.text for delta in deltas),
        finish,
        tuple(logprob for delta in deltas for logprob in delta.logprobs),
    )
