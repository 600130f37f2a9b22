"""Requests whose blocks are mixed with the mask token: what they cannot have, and defaults."""

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import make_engine, run_alone
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.grammar import Regex
from unmask.likelihood import likelihood_request
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Hole, Request, SamplingParams, Template

LIMITS = EngineLimits(max_batch_tokens=64, num_pages=40, page_size=16)
DMAX = SamplingParams(max_tokens=20, policy="dmax", threshold=0.5)


# Asked for beside the policy.
BESIDE: list[tuple[dict[str, Any], str]] = [
    ({"editing_threshold": 0.5}, "editing_threshold"),
    ({"sub_block_length": 4}, "sub_block_length"),
    ({"cache": "block"}, "cache"),
    ({"grammar": Regex("[a-z]+")}, "grammar"),
    ({"bad_words": ("a",)}, "bad_words"),
    ({"max_thinking_tokens": 3}, "max_thinking_tokens"),
    ({"eos_last": True}, "eos_last"),
]


def served(folder: Path, decoding: DecodingConfig | None = None) -> LoadedModel:
    """The golden checkpoint under another name."""
    folder.mkdir(exist_ok=True)
    raw = json.loads((GOLDEN / "dmax" / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw))
    shutil.copy(GOLDEN / "dmax" / "model.safetensors", folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511, max_model_len=200)
    return load_model(config, decoding or DecodingConfig())


@pytest.fixture(scope="module")
def dmax(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    return served(tmp_path_factory.mktemp("served") / "DMax-Math-16B")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        *BESIDE,
        ({"cfg_scale": 1.0}, "cfg_scale"),
        ({"alg_temp": 0.5}, "alg_temp"),
        ({"radius": 2}, "radius"),
    ],
)
def test_what_blocks_that_are_mixed_cannot_have_is_refused_by_name(
    dmax: LoadedModel, changes: dict[str, Any], field: str
) -> None:
    engine = make_engine(dmax)
    engine.check(Request("x", (1, 2), DMAX))
    with pytest.raises(InvalidRequest) as refused:
        engine.check(Request("x", (1, 2), replace(DMAX, **changes)))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [case for case in BESIDE if case[1] not in ("editing_threshold", "max_thinking_tokens")],
)
def test_a_default_gives_way_to_what_a_request_asks_for(
    dmax: LoadedModel, changes: dict[str, Any], field: str
) -> None:
    params = SamplingParams(max_tokens=20, **changes)
    decoding = resolve(Request("x", (1, 2), params), dmax.info, LIMITS)
    assert (decoding.policy, decoding.threshold, decoding.mixes) == ("threshold", 0.9, False)
    assert decoding.sampling.temperature == 0.0
    with pytest.raises(InvalidRequest, match="but for threshold") as refused:
        resolve(Request("x", (1, 2), replace(params, policy="dmax")), dmax.info, LIMITS)
    assert refused.value.field == field


def test_a_default_gives_way_to_templates_and_grammars(dmax: LoadedModel) -> None:
    template = Template((None, None, 5), (Hole(0, 2, None),))
    for request in (
        Request("x", (1, 2), SamplingParams(), template=template),
        Request("x", (1, 2), SamplingParams(max_tokens=5, grammar=Regex("[a-z]+"))),
    ):
        assert run_alone(dmax, request).finish is not None
        assert resolve(request, dmax.info, LIMITS).policy == "threshold"


def test_text_behind_an_answer_and_templates_are_refused_by_name(dmax: LoadedModel) -> None:
    engine = make_engine(dmax)
    template = Template((None, None, 5), (Hole(0, 2, None),))
    for field, given in (("suffix_token_ids", (3,)), ("template", template)):
        with pytest.raises(InvalidRequest) as refused:
            engine.check(Request("x", (1, 2), replace(DMAX, max_tokens=None), **{field: given}))
        assert refused.value.field == field.removesuffix("_token_ids")


def test_models_that_were_not_trained_for_it_refuse_the_policy(dmax: LoadedModel) -> None:
    info = replace(dmax.info, can_mix=False, default_sampling=SamplingParams(temperature=0.0))
    engine = make_engine(replace(dmax, info=info))
    with pytest.raises(InvalidRequest, match="as DMax") as refused:
        engine.check(Request("x", (1, 2), DMAX))
    assert refused.value.field == "policy"


@pytest.mark.parametrize(
    ("name", "preset", "threshold"),
    [
        ("DMax-Math-16B", None, 0.5),
        ("DMax-Coder-16B", None, 0.65),
        ("DMax-16B", None, 0.5),
        ("zigeng_dmax-16b", "code", 0.65),
        ("DMax-16B", "speed", 0.0),
    ],
)
def test_a_checkpoint_of_that_name_has_its_published_settings(
    tmp_path: Path, name: str, preset: str | None, threshold: float
) -> None:
    info = served(tmp_path / name, DecodingConfig(preset=preset)).info
    decoding = resolve(Request("x", (1, 2), SamplingParams()), info, LIMITS)
    assert (decoding.policy, decoding.threshold) == ("dmax", pytest.approx(threshold))
    assert (decoding.block_len, decoding.steps, decoding.open_blocks) == (32, 32, 1)


def test_other_parameters_of_a_request_keep_the_policy_or_name_another(dmax: LoadedModel) -> None:
    def policy(**params: Any) -> tuple[str, float]:
        request = Request("x", (1, 2), SamplingParams(**params))
        decoding = resolve(request, dmax.info, LIMITS)
        return decoding.policy, decoding.threshold

    assert policy(threshold=0.25) == ("dmax", 0.25)
    assert policy(policy="spd") == ("dmax", 0.5)
    assert policy(policy="threshold") == ("threshold", 0.9)  # not DMax's, which means another thing
    assert policy(steps=8)[0] == "dmax"
    assert policy(factor=0.5) == ("factor", 0.5)


def test_the_likelihood_of_a_prompt_is_not_mixed(dmax: LoadedModel) -> None:
    request = likelihood_request("x", (1, 2, 3, 4), 0, dmax.info)
    assert request is not None
    decoding = resolve(request, dmax.info, LIMITS)
    assert not decoding.mixes


def test_a_temperature_is_that_of_the_request_or_the_server(tmp_path: Path) -> None:
    for config, params, expected in (
        (None, SamplingParams(), 0.0),
        (None, SamplingParams(temperature=1.0), 1.0),
        (DecodingConfig(temperature=0.3), SamplingParams(), 0.3),
    ):
        loaded = served(tmp_path / "DMax-16B", config)
        decoding = resolve(Request("x", (1, 2), params), loaded.info, LIMITS)
        assert (decoding.policy, decoding.sampling.temperature) == ("dmax", expected)


@pytest.mark.parametrize(
    ("decoding", "message"),
    [
        (DecodingConfig(cache="block"), "cache"),
        (DecodingConfig(sub_block_length=8), "sub_block_length"),
        (DecodingConfig(editing_threshold=0.5), "editing_threshold"),
        (DecodingConfig(preset="quality"), "preset"),
    ],
)
def test_defaults_that_every_request_would_be_refused_for_end_the_start(
    tmp_path: Path, decoding: DecodingConfig, message: str
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        served(tmp_path / "DMax-16B", decoding)


def test_a_model_of_another_family_ends_the_start(tiny_folder: str) -> None:
    with pytest.raises(InvalidConfig, match="as DMax"):
        load_model(ModelConfig(str(tiny_folder)), DecodingConfig(policy="dmax"))


def test_the_start_warns_of_weights_that_are_not_known_to_be_trained_for_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "unmask"):
        served(tmp_path / "DMax-16B")
        assert "not known to be trained" not in caplog.text
        served(tmp_path / "LLaDA2.0-mini", DecodingConfig(policy="dmax"))
    assert "decoding.policy is dmax, but LLaDA2.0-mini is not known" in caplog.text
