"""A server's policy gives way to the model's own, and only then to `threshold`, in every family."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny import GOLDEN, MASK_ID, save_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.engine.schedule.admission import check_defaults, resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidConfig, InvalidRequest
from unmask.grammar import Regex
from unmask.models.registry import load_model
from unmask.types import ModelInfo, PolicyName, Request, SamplingParams
from unmask_kernels.policies.table import BY_NAME, POLICIES

FAMILIES = sorted(path.parent.name for path in GOLDEN.glob("*/model.safetensors"))
ATTENTIONS: dict[str, AttentionName] = {
    "a2d_bd3lm": "block",
    "a2d_llama": "full",
    "a2d_mdlm": "full",
}
LIMITS = EngineLimits(max_batch_tokens=256, num_pages=40, page_size=16)
ASKED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "grammar": ({}, {"grammar": Regex("[a-z]+")}),
    "suffix": ({"suffix_token_ids": (3, 4)}, {}),
    "temperature": ({}, {"temperature": 0.7}),
    "cfg_scale": ({}, {"cfg_scale": 1.5}),
    "cache": ({}, {"cache": "prefix"}),
    "sub_block_length": ({}, {"sub_block_length": 2}),
    "open_blocks": ({}, {"open_blocks": 2}),
}


def load(name: str, folder: Path, decoding: DecodingConfig | None = None) -> ModelInfo:
    for file in ("config.json", "model.safetensors"):
        shutil.copy(GOLDEN / name / file, folder / file)
    save_tokenizer(folder)
    attention = ATTENTIONS.get(name)
    config = ModelConfig(str(folder), mask_token_id=MASK_ID, attention=attention)
    return load_model(config, decoding or DecodingConfig()).info


def policy_of(model: ModelInfo, name: str, policy: PolicyName | None = None) -> PolicyName | None:
    """The policy that serves a request; None if it is refused."""
    request, params = ASKED[name]
    sampling = SamplingParams(max_tokens=20, policy=policy, **params)
    try:
        return resolve(Request("r", (1, 2), sampling, **request), model, LIMITS).policy
    except InvalidRequest:
        return None


def has(model: ModelInfo) -> bool:
    try:
        check_defaults(model, LIMITS)
    except InvalidConfig:
        return False
    return True


@pytest.mark.usual_cases(10)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_policy_of_the_server_gives_way_to_the_model_s_own(family: str, tmp_path: Path) -> None:
    model = load(family, tmp_path)
    own: PolicyName = model.default_sampling.policy or "threshold"
    for policy in POLICIES:
        server = replace(model.default_sampling, policy=policy.name)
        plain = model.plain_sampling and replace(model.plain_sampling, policy=policy.name)
        served = replace(model, default_sampling=server, plain_sampling=plain)
        if policy.mixes or not has(served):
            continue
        for name in ASKED:
            # Its own numbers count for a policy that is asked for by name, as for a default.
            turn = (served, policy.name), (model, own), (model, "threshold")
            expected = next((p for m, p in turn if policy_of(m, name, p) == p), None)
            assert policy_of(served, name) == expected, (policy.name, name)


def test_what_the_server_sets_is_not_the_model_s_own(tmp_path: Path) -> None:
    setting = DecodingConfig(policy="remdm_cap", eta=0.02, temperature=0.3)
    model = load("coda", tmp_path, setting)
    assert model.own_sampling is not None
    assert (model.own_sampling.policy, model.own_sampling.eta) == ("entropy", None)
    assert policy_of(model, "cache") == policy_of(model, "grammar") == "entropy"
    assert policy_of(model, "open_blocks") == "threshold", "entropy is for one block"


def test_a_checkpoint_without_a_policy_has_its_number_for_threshold(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"threshold": 0.95}')
    model = load("llada", tmp_path, DecodingConfig(policy="remdm_cap"))
    request = Request("r", (1, 2), SamplingParams(max_tokens=20, grammar=Regex("[a-z]+")))
    decoding = resolve(request, model, LIMITS)
    assert (decoding.policy, decoding.threshold) == ("threshold", 0.95)


def test_a_policy_that_mixes_gives_way_to_that_of_the_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "generation_config.json").write_text('{"policy": "factor", "factor": 1.5}')
    model = load("dmax", tmp_path, DecodingConfig(policy="dmax"))
    request = Request("r", (1, 2), SamplingParams(max_tokens=20, grammar=Regex("[a-z]+")))
    decoding = resolve(request, model, LIMITS)
    assert (decoding.policy, decoding.threshold) == ("factor", 1.5)
    assert BY_NAME[model.default_sampling.policy or "threshold"].mixes
