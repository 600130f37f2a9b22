"""Small engines and the answers of their requests."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from unmask.config import Config, EngineConfig
from unmask.engine.engine import Engine
from unmask.engine.run.graphs.recorder import Recorder, cuda_recorder
from unmask.metrics import Metrics
from unmask.models.registry import LoadedModel
from unmask.types import (
    Delta,
    Event,
    Failure,
    Finish,
    Refinement,
    RefinementOptions,
    Request,
    SamplingParams,
    TokenLogprob,
)

ROOMY = EngineConfig(num_pages=400, page_size=16, max_batch_tokens=2048, overlap_rows=0)


@dataclass
class Answer:
    """Contents of one request's events."""

    token_ids: list[int] = field(default_factory=list)
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    refinements: list[Refinement] = field(default_factory=list)
    finish: Finish | None = None
    failure: str | None = None

    def take(self, event: Event) -> None:
        assert self.finish is None, "nothing follows the end"
        assert self.failure is None, "nothing follows a failure"
        if isinstance(event, Delta):
            self.token_ids += event.token_ids
            self.text += event.text
            self.logprobs += event.logprobs
            self.finish = event.finish
        elif isinstance(event, Refinement):
            self.refinements.append(event)
        else:
            assert isinstance(event, Failure)
            self.failure = event.message

    @property
    def essence(self) -> tuple[tuple[int, ...], str, str | None, str | int | None]:
        """Parts of an answer that batching, caching, chunking and streaming must not change."""
        assert self.finish is not None
        return tuple(self.token_ids), self.text, self.finish.reason, self.finish.stop_reason


def make_engine(
    loaded: LoadedModel, *, recorder: Recorder = cuda_recorder, **changes: object
) -> Engine:
    """An engine with many pages, but for `changes` of its `EngineConfig`."""
    config = Config(engine=replace(ROOMY, **changes))
    return Engine(config, loaded, Metrics(), recorder=recorder)


def collect(answers: dict[str, Answer], events: Iterable[Event]) -> None:
    """Add events to the answers of their requests."""
    for event in events:
        answers.setdefault(event.request_id, Answer()).take(event)


def run_all(engine: Engine, requests: Iterable[Request]) -> dict[str, Answer]:
    """Run requests together until they end; checks the pages after each step."""
    answers: dict[str, Answer] = {}
    for request in requests:
        engine.check(request)
        engine.add(request)
    while engine.has_work:
        collect(answers, engine.step())
        engine.check_integrity()
    assert engine.pool.num_held == 0
    return answers


def plain_requests(num: int, **sampling: object) -> list[Request]:
    """Requests of different lengths whose blocks are filled in three steps, but for `sampling`."""
    values = {"block_length": 8, "steps": 3, "policy": "low_confidence", **sampling}
    prompts = [tuple(range(7 * i, 7 * i + 9 * i + 1)) for i in range(num)]
    return [Request(f"r{i}", prompt, SamplingParams(**values)) for i, prompt in enumerate(prompts)]


def assert_same_in_company(
    loaded: LoadedModel, requests: Sequence[Request], num_alone: int | None = None
) -> None:
    """Check that requests get alone what they get together, by default each of them."""
    together = run_all(make_engine(loaded), requests)
    for request in requests[:num_alone]:
        alone = run_all(make_engine(loaded), [request])[request.request_id]
        assert alone.essence == together[request.request_id].essence


def run_alone(loaded: LoadedModel, request: Request) -> Answer:
    """Answer of a fresh engine without caching and other requests."""
    engine = make_engine(loaded, prefix_cache=False)
    return run_all(engine, [request])[request.request_id]


def run_noting_ends(engine: Engine, request: Request) -> tuple[Answer, list[int]]:
    """Answer of a request, and the positions up to which its tokens were sent each time."""
    engine.add(request)
    answer, ends = Answer(), []
    while engine.has_work:
        for event in engine.step():
            before = len(answer.token_ids)
            answer.take(event)
            if len(answer.token_ids) > before:
                ends.append(len(request.prompt_token_ids) + len(answer.token_ids))
    return answer, ends


def refined_requests(prompts: Sequence[tuple[int, ...]], params: SamplingParams) -> list[Request]:
    """Requests of which the second has refinements."""
    refined = RefinementOptions(tokens=True)
    return [
        Request(f"r{i}", prompt, params, refined if i == 1 else None)
        for i, prompt in enumerate(prompts)
    ]
