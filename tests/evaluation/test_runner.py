"""Evaluation: requests sent to the model, and results counted."""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import pytest

from unmask.errors import InvalidConfig, InvalidRequest, context_exceeded
from unmask.evaluation.runner import Setting, run_evaluation
from unmask.evaluation.suite import EvalProblem, load_suite
from unmask.llm import LLM, Completion
from unmask.templates import Blank
from unmask.types import Finish, FinishReason, SamplingParams, Usage

CONTEXT_LEN = 261


class KnowsOneAnswer:
    """Answers "4" to everything: 2 tokens in 4 denoising steps and 5 forward passes."""

    def __init__(self) -> None:
        self.seen: list[SamplingParams] = []

    def chat(
        self, conversations: Sequence[object], sampling: Sequence[SamplingParams]
    ) -> list[Completion]:
        self.seen += sampling
        usage = Usage(
            prompt_tokens=3,
            cached_tokens=1,
            completion_tokens=2,
            denoising_steps=4,
            forward_passes=5,
            query_tokens=64,
            block_length=16,
        )
        finish = Finish(FinishReason.STOP, usage)
        return [Completion((7,), (4, 0), "4", finish) for _ in conversations]

    @property
    def tokenizer(self) -> Self:
        return self

    def apply_chat(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        return list(map(ord, messages[0]["content"]))

    def stream(self, ids: list[int], sampling: SamplingParams) -> None:
        if sampling.policy == "remdm_cap":
            raise InvalidRequest("not for this model", field="policy")
        if len(ids) + (sampling.max_tokens or 0) > CONTEXT_LEN:
            raise context_exceeded(CONTEXT_LEN, f"you sent {len(ids)}", "messages")


def problem(
    task: str, reference: str, phrasing: str | None = None, *, memorised: bool = False
) -> EvalProblem:
    messages = ({"role": "user", "content": "?"},)
    return EvalProblem(task, messages, "exact", reference, phrasing, memorised)


PROBLEMS = [problem("add", "4"), problem("add", "5"), problem("fact", "4", memorised=True)]


def test_accuracy_leaves_memorised_tasks_out() -> None:
    fake = KnowsOneAnswer()
    calls: list[tuple[str, int, int]] = []
    [result] = run_evaluation(
        cast(LLM, fake),
        PROBLEMS,
        [Setting("one", SamplingParams(policy="threshold", threshold=0.9))],
        lambda *call: calls.append(call),
    )
    assert result.accuracy == 0.5
    assert [(t.task, t.num_correct, t.num_prompts, t.memorised) for t in result.tasks] == [
        ("add", 1, 2, False),
        ("fact", 1, 1, True),
    ]
    assert result.tokens_per_step == 6 / 12
    assert result.tokens_per_forward == 6 / 15
    assert result.rows_per_token == (3 * 64 - 3 * 2) / 6
    assert result.block_lengths == {16: 3}
    assert calls == [("one", 3, 3)]
    assert fake.seen[0].threshold == 0.9
    assert fake.seen[0].max_tokens is not None


def test_accuracy_is_told_apart_by_phrasing() -> None:
    problems = [
        problem("add", "4", "seen"),
        problem("fact", "5", "seen", memorised=True),
        problem("add", "4", "held out"),
        problem("add", "5", "held out"),
        problem("fact", "4", "held out"),
    ]
    settings = [Setting("one", SamplingParams())]
    [result] = run_evaluation(cast(LLM, KnowsOneAnswer()), problems, settings)
    assert result.by_phrasing == {"seen": 1.0, "held out": 2 / 3}
    assert result.accuracy == 3 / 4
    assert [(t.task, t.phrasing, t.num_correct, t.num_prompts) for t in result.tasks] == [
        ("add", "seen", 1, 1),
        ("fact", "seen", 0, 1),
        ("add", "held out", 1, 2),
        ("fact", "held out", 1, 1),
    ]


def test_a_suite_is_filtered_by_task_and_limited_per_task(tmp_path: Path) -> None:
    path = tmp_path / "suite.jsonl.gz"
    lines = [
        {"task": task, "messages": [], "checker": "exact", "reference": str(i)}
        for task in ("add", "sort")
        for i in range(3)
    ]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
    assert [p.reference for p in load_suite(path, limit=2)] == ["0", "1", "0", "1"]
    assert {p.task for p in load_suite(path, tasks=["sort"])} == {"sort"}
    both = [line | {"phrasing": name} for line in lines for name in ("seen", "held out")]
    path.write_bytes(gzip.compress("\n".join(map(json.dumps, both)).encode()))
    assert len(load_suite(path, limit=2)) == 8
    with pytest.raises(InvalidConfig, match="no task 'rhyme'; there are add, sort"):
        load_suite(path, tasks=["rhyme"])
    with pytest.raises(InvalidConfig, match="no evaluation suite"):
        load_suite(tmp_path / "absent.jsonl")


def test_schemas_and_templates_are_kept_to(tmp_path: Path) -> None:
    lines: list[dict[str, object]] = [
        {"task": "plain", "messages": [{"role": "user", "content": "Hello"}]},
        {
            "task": "schema",
            "messages": [{"role": "user", "content": "How old is Nina?"}],
            "schema": '{"type": "object", "properties": {"age": {"const": 34}}, '
            '"required": ["age"], "additionalProperties": false}',
            "checker": "json",
            "reference": '{"age": 34}',
        },
        {
            "task": "hole",
            "messages": [{"role": "user", "content": "Count from 1 to 3."}],
            "template": ["1, ", 1, ", 3"],
        },
    ]
    path = tmp_path / "suite.jsonl"
    usual = {"checker": "exact", "reference": "never said"}
    path.write_text("\n".join(json.dumps(usual | line) for line in lines))
    problems = load_suite(path)
    setting = Setting("one", SamplingParams(temperature=0.0))
    with LLM() as llm:
        [result] = run_evaluation(llm, problems, [setting])
        assert [task.num_correct for task in result.tasks] == [0, 1, 0]
        ids = llm.tokenizer.apply_chat(problems[2].messages)
        (filled,) = llm.fill(["1, ", Blank(1), ", 3"], setting.sampling, prompts=ids)
        right = replace(problems[2], reference=filled.text)
        [result] = run_evaluation(llm, [right, problems[1]], [setting])
        several = Setting("several", SamplingParams(temperature=0.0, open_blocks=2))
        [alike] = run_evaluation(llm, [right, problems[1]], [several])  # held to it as well
    assert result.accuracy == alike.accuracy == 1.0


def test_a_template_that_does_not_fit_is_named_before_any_is_answered() -> None:
    seen = list[int]()
    fits = replace(PROBLEMS[0], messages=({"role": "user", "content": "?"},), template=("1, ", 1))
    setting = Setting("one", SamplingParams(temperature=0.0))
    with LLM() as llm:
        for wrong in (("1, ", 4096), ("1, ", 0), ("1, ",)):
            with pytest.raises(InvalidRequest, match="problem 2, of task add: "):
                run_evaluation(
                    llm,
                    [fits, replace(fits, template=wrong)],
                    [setting],
                    lambda _, num_done, __: seen.append(num_done),
                )
    assert not seen


def test_a_problem_that_does_not_fit_is_named_before_any_is_answered() -> None:
    fake = KnowsOneAnswer()
    long = replace(PROBLEMS[0], messages=({"role": "user", "content": "123456"},))
    with pytest.raises(InvalidRequest, match=r"problem 3, of task add: .* length is 261"):
        run_evaluation(cast(LLM, fake), [*PROBLEMS[:2], long], [Setting("one", SamplingParams())])
    assert fake.seen == []


def test_a_setting_that_is_refused_is_told_before_any_is_answered() -> None:
    fake = KnowsOneAnswer()
    settings = [Setting("a", SamplingParams()), Setting("b", SamplingParams(policy="remdm_cap"))]
    with pytest.raises(InvalidRequest, match="not for this model"):
        run_evaluation(cast(LLM, fake), PROBLEMS, settings)
    assert fake.seen == []


def test_messages_that_the_template_refuses_are_named_by_their_line(tmp_path: Path) -> None:
    good = {"task": "add", "messages": [{"role": "user", "content": "?"}]}
    good |= {"checker": "exact", "reference": "4"}
    odd = good | {"messages": [{"role": "wizard", "content": "?"}]}
    file = tmp_path / "suite.jsonl"
    file.write_text("\n".join(map(json.dumps, [good, good, good, odd | {"task": "cast"}])))
    problems = load_suite(file, limit=1)
    with LLM() as llm, pytest.raises(InvalidRequest, match=r"line 4, of task cast: .* wizard"):
        run_evaluation(llm, problems, [Setting("one", SamplingParams(max_tokens=1))])


def test_messages_are_read_as_chat_reads_them() -> None:
    parts: Any = [{"type": "text", "text": "2 + 3?"}]
    turns = {"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}
    asked = replace(PROBLEMS[0], messages=turns)
    setting = Setting("one", SamplingParams(temperature=0.0, max_tokens=4))
    with LLM() as llm:
        [result] = run_evaluation(llm, [asked, replace(asked, template=("5", 1))], [setting])
    assert result.num_tokens > 0


def test_a_phrasing_of_memorised_problems_has_no_accuracy() -> None:
    problems = [problem("fact", "4", "seen", memorised=True), problem("add", "4", "held out")]
    settings = [Setting("one", SamplingParams())]
    [result] = run_evaluation(cast(LLM, KnowsOneAnswer()), problems, settings)
    assert result.by_phrasing == {"held out": 1.0}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"messages": "hi"}, "messages must be a list"),
        ({"messages": ["hi"]}, "messages must be a list of objects with a role"),
        ({"messages": [{"content": "hi"}]}, "messages must be a list of objects with a role"),
        ({"task": None}, "task must be a str, got None"),
        ({"reference": 4}, "reference must be a str, got 4"),
        ({"checker": "exactly"}, "checker must be exact, final, json, story or python, got"),
        ({"checker": "final", "reference": " "}, "the reference is empty"),
        ({"checker": "json", "reference": "{"}, "the reference is not JSON"),
        ({"checker": "story", "reference": "1"}, "the reference must be an object"),
        ({"checker": "python", "reference": "[[1]]"}, "the reference must be a list of"),
        ({"template": ["a", 1.5]}, "template must be a list of texts and numbers"),
        ({"schema": {}}, "schema must be a str"),
        ({"schema": "{"}, "the schema is not JSON"),
    ],
)
def test_a_line_that_is_no_problem_is_named(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    good = {"task": "add", "messages": [{"role": "user", "content": "?"}]}
    good |= {"checker": "exact", "reference": "4"}
    file = tmp_path / "suite.jsonl"
    file.write_text(f"{json.dumps(good)}\n\n{json.dumps(good | change)}\n")
    with pytest.raises(InvalidConfig, match=rf"suite\.jsonl, line 3: {message}"):
        load_suite(file)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 9999])
def test_a_line_that_is_no_object_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "suite.jsonl"
    file.write_text(text)
    with pytest.raises(InvalidConfig, match=r"suite\.jsonl, line 1: "):
        load_suite(file)


def test_a_suite_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(b"{}" * 99)[:-9])
    (tmp_path / "odd.jsonl").write_bytes(b"\xff")
    for name in ("cut.jsonl.gz", "odd.jsonl"):
        with pytest.raises(InvalidConfig, match="no evaluation suite at"):
            load_suite(tmp_path / name)
