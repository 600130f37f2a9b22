"""Evaluation: requests sent to the model, and results counted."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest

from unmask.errors import InvalidConfig
from unmask.evaluation.runner import Setting, default_settings, run_evaluation
from unmask.evaluation.suite import EvalProblem, load_suite
from unmask.llm import LLM, Completion
from unmask.types import Finish, FinishReason, SamplingParams, Usage


class KnowsOneAnswer:
    """Answers "4" to everything: 2 tokens in 4 denoising steps and 5 forward passes."""

    def __init__(self) -> None:
        self.seen: list[SamplingParams] = []

    def chat(
        self, conversations: Sequence[object], sampling: SamplingParams | None = None
    ) -> list[Completion]:
        assert sampling is not None
        self.seen.append(sampling)
        usage = Usage(
            prompt_tokens=3,
            cached_tokens=0,
            completion_tokens=2,
            denoising_steps=4,
            forward_passes=5,
            query_tokens=64,
            block_length=16,
        )
        finish = Finish(FinishReason.STOP, usage)
        return [Completion((7,), (4, 0), "4", finish) for _ in conversations]


def problem(task: str, reference: str, *, memorised: bool = False) -> EvalProblem:
    return EvalProblem(task, ({"role": "user", "content": "?"},), "exact", reference, memorised)


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
    assert result.rows_per_token == (3 * 64 - 3 * 3) / 6
    assert result.block_lengths == {16: 3}
    assert calls == [("one", 3, 3)]
    assert fake.seen[0].threshold == 0.9
    assert fake.seen[0].max_tokens is not None


def test_the_default_settings_are_one_token_a_step_and_four_thresholds() -> None:
    settings = default_settings()
    assert settings[0].sampling.policy == "low_confidence"
    assert [s.sampling.threshold for s in settings[1:]] == [0.95, 0.9, 0.7, 0.5]
    assert all(s.sampling.temperature == 0.0 for s in settings)


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
    with pytest.raises(InvalidConfig, match="no task 'rhyme'; there are add, sort"):
        load_suite(path, tasks=["rhyme"])
    with pytest.raises(InvalidConfig, match="no evaluation suite"):
        load_suite(tmp_path / "absent.jsonl")
