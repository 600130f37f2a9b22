"""Runs a suite at several decoding settings: accuracy, parallelism and speed of each."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from unmask.errors import InvalidRequest
from unmask.evaluation.checkers import check_all
from unmask.evaluation.suite import EvalProblem
from unmask.grammar import JsonSchema
from unmask.llm import LLM, Completion
from unmask.prompts import as_turn
from unmask.templates import Blank, Part
from unmask.types import SamplingParams

CHUNK = 512
MAX_TOKENS = 256  # of an answer, if not given
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Setting:
    """Named sampling parameters."""

    name: str
    sampling: SamplingParams


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Correct answers of one task in one phrasing."""

    task: str
    phrasing: str | None
    memorised: bool
    num_prompts: int
    num_correct: int

    @property
    def accuracy(self) -> float:
        return self.num_correct / self.num_prompts


@dataclass(frozen=True, slots=True)
class SettingResult:
    """Results of one setting; token counts and times include memorised tasks."""

    setting: str
    tasks: tuple[TaskResult, ...]
    num_tokens: int
    num_denoising_steps: int
    num_forward_passes: int
    num_prompt_tokens: int  # not cached
    num_query_tokens: int
    block_lengths: dict[int, int]  # number of requests by block length
    elapsed_s: float

    @property
    def accuracy(self) -> float:
        """Accuracy over all held-out prompts, without memorised tasks."""
        return _accuracy(self.tasks)

    @property
    def by_phrasing(self) -> dict[str, float]:
        """Accuracy over the held-out prompts of each phrasing that has any."""
        counted = [task for task in self.tasks if not task.memorised]
        names = dict.fromkeys(task.phrasing for task in counted if task.phrasing is not None)
        return {
            name: _accuracy([task for task in counted if task.phrasing == name]) for name in names
        }

    @property
    def tokens_per_step(self) -> float:
        """Answer tokens per denoising step of a request (TPF)."""
        return self.num_tokens / self.num_denoising_steps

    @property
    def tokens_per_forward(self) -> float:
        """Answer tokens per forward pass of a request, prompt passes included."""
        return self.num_tokens / self.num_forward_passes

    @property
    def rows_per_token(self) -> float:
        """Rows through the model per answer token, without prompt rows."""
        return (self.num_query_tokens - self.num_prompt_tokens) / self.num_tokens

    @property
    def tokens_per_s(self) -> float:
        """Answer tokens per second over all requests."""
        return self.num_tokens / self.elapsed_s


def run_evaluation(
    llm: LLM,
    problems: Sequence[EvalProblem],
    settings: Sequence[Setting],
    progress: Progress | None = None,
) -> list[SettingResult]:
    """Answer all problems at each setting; `progress` gets setting, prompts done and total.

    Raises `InvalidRequest` before any is answered, with the problem's line or number.
    """
    settings = [replace(one, sampling=_limited(one.sampling)) for one in settings]
    first_of = dict[tuple[bool, bool], int]()
    for number, problem in enumerate(problems, start=1):
        _check(llm, problem, settings[0].sampling, number)
        first_of.setdefault((problem.schema is not None, bool(problem.template)), number)
    for setting in settings[1:]:
        for number in first_of.values():
            _check(llm, problems[number - 1], setting.sampling, number)
    return [_run(llm, problems, setting, progress) for setting in settings]


def _run(
    llm: LLM, problems: Sequence[EvalProblem], setting: Setting, progress: Progress | None
) -> SettingResult:
    completions: list[Completion] = []
    started_s = time.perf_counter()
    for start in range(0, len(problems), CHUNK):
        some = problems[start : start + CHUNK]
        completions += _answers(llm, some, setting.sampling)
        if progress is not None:
            progress(setting.name, len(completions), len(problems))
    elapsed_s = time.perf_counter() - started_s
    pairs = list(zip(problems, completions, strict=True))
    verdicts = check_all([(p.checker, c.text, p.reference) for p, c in pairs])
    usages = [completion.finish.usage for completion in completions]
    return SettingResult(
        setting=setting.name,
        tasks=_by_task(problems, verdicts),
        num_tokens=sum(usage.completion_tokens for usage in usages),
        num_denoising_steps=sum(usage.denoising_steps for usage in usages),
        num_forward_passes=sum(usage.forward_passes for usage in usages),
        num_prompt_tokens=sum(usage.prompt_tokens - usage.cached_tokens for usage in usages),
        num_query_tokens=sum(usage.query_tokens for usage in usages),
        block_lengths=dict(sorted(Counter(usage.block_length for usage in usages).items())),
        elapsed_s=elapsed_s,
    )


def _limited(sampling: SamplingParams) -> SamplingParams:
    """Parameters with a length of answers, the default if there is none."""
    return replace(sampling, max_tokens=MAX_TOKENS) if sampling.max_tokens is None else sampling


def _check(llm: LLM, problem: EvalProblem, sampling: SamplingParams, number: int) -> None:
    own = _sampling_of(problem, sampling)
    try:
        ids = _prompt(llm, problem)
        if problem.template:
            llm.check_fill(_parts(problem), own, prompts=ids)
        else:
            llm.stream(ids, own)  # runs as it is read
    except InvalidRequest as error:
        is_own = problem.schema is not None or error.field in ("messages", "template")
        if not is_own and error.code != "context_length_exceeded":
            raise  # every problem has these parameters
        place = f"problem {number}" if problem.line is None else f"line {problem.line}"
        raise InvalidRequest(f"{place}, of task {problem.task}: {error}") from error


def _prompt(llm: LLM, problem: EvalProblem) -> list[int]:
    """Token ids of the conversation, as `LLM.chat` reads it."""
    return llm.tokenizer.apply_chat([as_turn(message) for message in problem.messages])


def _parts(problem: EvalProblem) -> list[Part]:
    return [Blank(part) if isinstance(part, int) else part for part in problem.template]


def _answers(
    llm: LLM, problems: Sequence[EvalProblem], sampling: SamplingParams
) -> list[Completion]:
    """Completions in the order of the problems; that of a template has all its text."""
    answers: dict[int, Completion] = {}
    plain = [i for i, problem in enumerate(problems) if not problem.template]
    holed = [i for i, problem in enumerate(problems) if problem.template]
    each = [_sampling_of(problem, sampling) for problem in problems]
    if plain:
        conversations = [problems[i].messages for i in plain]
        found = llm.chat(conversations, [each[i] for i in plain])
        answers |= zip(plain, found, strict=True)
    if holed:
        templates = [_parts(problems[i]) for i in holed]
        prompts = [_prompt(llm, problems[i]) for i in holed]
        filled = llm.fill(templates, [each[i] for i in holed], prompts=prompts)
        whole = [replace(one.completion, text=one.text) for one in filled]
        answers |= zip(holed, whole, strict=True)
    return [answers[i] for i in range(len(problems))]


def _sampling_of(problem: EvalProblem, sampling: SamplingParams) -> SamplingParams:
    """Parameters of a problem; answers that are held to something have one open block."""
    if not problem.is_held:
        return sampling
    grammar = None if problem.schema is None else JsonSchema(problem.schema)
    return replace(
        sampling,
        grammar=grammar,
        open_blocks=None,
        add_block_threshold=None,
        semi_complete_threshold=None,
    )


def _by_task(problems: Sequence[EvalProblem], verdicts: Sequence[bool]) -> tuple[TaskResult, ...]:
    of_kind: dict[tuple[str, str | None, bool], list[bool]] = defaultdict(list)
    for problem, verdict in zip(problems, verdicts, strict=True):
        of_kind[problem.task, problem.phrasing, problem.memorised].append(verdict)
    return tuple(TaskResult(*kind, len(right), sum(right)) for kind, right in of_kind.items())


def _accuracy(tasks: Sequence[TaskResult]) -> float:
    counted = [task for task in tasks if not task.memorised]
    total = sum(task.num_prompts for task in counted)
    return sum(task.num_correct for task in counted) / total if total else 0.0
