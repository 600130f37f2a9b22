"""Policies are measured at settings that a model takes, and the best are told."""

from dataclasses import replace
from xml.etree import ElementTree

from unmask.evaluation.frontier import draw
from unmask.evaluation.policies import (
    PolicyResult,
    default_settings,
    policy_results,
    policy_settings,
)
from unmask.evaluation.runner import Setting, SettingResult, TaskResult
from unmask.types import AUTO, POLICY_NAMES, CanvasSchedule, ModelInfo, SamplingParams
from unmask_kernels.policies.table import POLICIES

SVG = "{http://www.w3.org/2000/svg}"
MODEL = ModelInfo(
    "tiny",
    100,
    50,
    49,
    (48,),
    SamplingParams(temperature=0.0, block_length=16),
    created_s=0,
)


def result(setting: str, num_correct: int, num_forwards: int) -> SettingResult:
    """Of ten answers and 120 tokens."""
    task = TaskResult("add", "seen", False, 10, num_correct)
    return SettingResult(setting, (task,), 120, num_forwards, num_forwards, 0, 0, {16: 10}, 1.0)


def found() -> list[PolicyResult]:
    settings = [
        Setting("a", SamplingParams(policy="threshold", threshold=0.9)),
        Setting("b", SamplingParams(policy="threshold", threshold=0.5)),
        Setting("c", SamplingParams(policy="hierarchical", threshold=0.9, low_threshold=0.4)),
        Setting("d", SamplingParams(policy="random", steps=4)),
    ]
    numbers = (9, 60), (7, 20), (8, 30), (7, 30)  # the last one is only less accurate
    pairs = zip(settings, numbers, strict=True)
    return policy_results(settings, [result(setting.name, *number) for setting, number in pairs])


def test_each_policy_has_settings_with_numbers_or_steps_of_its_own() -> None:
    model = replace(MODEL, attention="full", can_mix=True)
    settings = policy_settings(SamplingParams(block_length=16), model)
    assert {setting.sampling.policy for setting in settings} == set(POLICY_NAMES)
    assert len({setting.sampling for setting in settings}) == len(settings)
    for setting in settings:
        assert (setting.sampling.temperature, setting.sampling.seed) == (0.0, 0)
    steps = [s.sampling.steps for s in settings if s.sampling.policy == "margin"]
    assert steps == [16, 8, 4, 2]
    longer = policy_settings(SamplingParams(), replace(MODEL, attention="full"))
    assert {s.sampling.steps for s in longer if s.sampling.policy == "margin"} == {16, 8, 4, 2}
    for block_length, most in ((8, 8), (AUTO, 16)):
        asked = policy_settings(SamplingParams(block_length=block_length), model)
        assert max(s.sampling.steps for s in asked if s.sampling.policy == "margin") == most


def test_the_default_settings_are_one_token_a_step_the_model_s_own_and_thresholds() -> None:
    settings = default_settings(SamplingParams(), MODEL)
    assert settings[0].sampling.policy == "low_confidence"
    assert settings[1].sampling == SamplingParams(temperature=0.0)
    assert [s.sampling.threshold for s in settings[2:]] == [0.95, 0.9, 0.7, 0.5]
    assert all(s.sampling.temperature == 0.0 for s in settings)


def test_answers_that_are_held_to_something_leave_out_policies_that_remask() -> None:
    full = replace(MODEL, attention="full", can_mix=True)
    held = policy_settings(SamplingParams(), full, are_held=True)
    remasking = {policy.name for policy in POLICIES if policy.remasks or policy.mixes}
    assert {one.sampling.policy for one in held} == set(POLICY_NAMES) - remasking


def test_default_settings_of_policies_that_a_model_lacks_are_left_out() -> None:
    canvas = replace(MODEL, canvas=CanvasSchedule(8, 0.1, 0.9))
    assert [one.name for one in default_settings(SamplingParams(), canvas)] == ["the model's own"]
    sampling = SamplingParams(editing_threshold=0.5)
    moving = replace(MODEL, edit_commands=(1, 2), default_sampling=sampling)
    names = {one.sampling.policy for one in default_settings(SamplingParams(), moving)}
    assert names == {None, "threshold"}


def test_models_are_not_asked_for_policies_that_they_refuse() -> None:
    remasking = {policy.name for policy in POLICIES if policy.remasks or policy.mixes}
    for model, refused in (
        (MODEL, remasking),
        (replace(MODEL, shift=True), {*remasking, "ancestral"}),
        (replace(MODEL, attention="causal_window"), {*remasking, "ancestral"}),
    ):
        names = {setting.sampling.policy for setting in policy_settings(SamplingParams(), model)}
        assert names == set(POLICY_NAMES) - refused
    canvas = replace(MODEL, canvas=CanvasSchedule(8, 0.1, 0.9))
    names = {setting.sampling.policy for setting in policy_settings(SamplingParams(), canvas)}
    assert names == {"entropy_bound"}
    sampling = SamplingParams(editing_threshold=0.5)
    moving = replace(MODEL, edit_commands=(1, 2), default_sampling=sampling)
    names = {setting.sampling.policy for setting in policy_settings(SamplingParams(), moving)}
    assert names == {"threshold"}


def test_a_setting_is_best_if_none_is_more_accurate_at_as_many_tokens_a_forward() -> None:
    assert [one.is_best for one in found()] == [True, True, True, False]
    assert [one.label for one in found()] == [
        "threshold=0.9",
        "threshold=0.5",
        "threshold=0.9 low_threshold=0.4",
        "steps=4",
    ]


def test_the_picture_has_a_line_a_policy_and_one_through_the_best() -> None:
    picture = ElementTree.fromstring(draw(found(), "a <model>"))
    lines = picture.findall(f"{SVG}polyline")
    points = [line.attrib["points"].split() for line in lines]
    assert [len(of_line) for of_line in points] == [3, 2, 1, 1]
    xs = [float(point.split(",")[0]) for point in points[0]]
    ys = [float(point.split(",")[1]) for point in points[0]]
    assert xs == sorted(xs)
    assert ys == sorted(ys), "more tokens per forward are less accurate, and y grows downward"
    filled = [dot.attrib["fill"] != "#ffffff" for dot in picture.findall(f"{SVG}circle")]
    assert filled == [True, True, True, False]
    texts = [text.text or "" for text in picture.findall(f"{SVG}text")]
    assert {"threshold", "hierarchical", "random", "a <model>", "90 %", "0"} <= set(texts)
    assert all(0 < float(x) < float(picture.attrib["width"]) for x in xs)


def test_results_that_are_all_alike_have_a_picture_too() -> None:
    one = found()[0]
    picture = ElementTree.fromstring(draw([one, one], "model"))
    assert len(picture.findall(f"{SVG}circle")) == 2
