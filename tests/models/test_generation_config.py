"""Decoding defaults of the checkpoint's files are checked and logged with their source."""

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import make_engine
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.engine.schedule.admission import resolve
from unmask.engine.schedule.limits import EngineLimits
from unmask.errors import InvalidCheckpoint, InvalidConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import ModelInfo, Request, SamplingParams


def load(
    folder: Path,
    source: str = "sdar",
    *,
    generation: dict[str, Any] | None = None,
    decoding: DecodingConfig | None = None,
    **fields: Any,
) -> LoadedModel:
    """Golden checkpoint with extra fields and a generation configuration."""
    folder.mkdir(exist_ok=True, parents=True)
    raw = json.loads((GOLDEN / source / "config.json").read_text()) | fields
    (folder / "config.json").write_text(json.dumps(raw))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    shutil.copy(GOLDEN / source / "model.safetensors", folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511)
    return load_model(config, decoding or DecodingConfig())


def defaults(info: ModelInfo) -> tuple[float | None, float | None, int | None]:
    sampling = info.default_sampling
    return sampling.temperature, sampling.top_p, sampling.top_k


PUBLISHED = {"do_sample": True, "temperature": 0.6, "top_k": 20, "top_p": 0.95}


@pytest.mark.parametrize(
    ("generation", "expected"),
    [
        (PUBLISHED, (0.6, 0.95, 20)),
        ({"temperature": 0.7, "top_p": 0.8}, (0.7, 0.8, None)),
        ({"do_sample": True}, (1.0, None, None)),
        ({"do_sample": True, "top_k": 5, "temperature": None}, (1.0, None, 5)),
        (PUBLISHED | {"do_sample": False}, (0.0, None, None)),
        ({}, (0.0, None, None)),
        (None, (0.0, None, None)),
    ],
)
def test_temperature_top_p_and_top_k_are_taken_together(
    generation: dict[str, Any] | None, expected: tuple[float, float, int], tmp_path: Path
) -> None:
    assert defaults(load(tmp_path, generation=generation).info) == expected


def test_what_chooses_positions_is_read(tmp_path: Path) -> None:
    """Names are those of requests, and every policy has its numbers."""
    chosen = {"policy": "hierarchical", "threshold": 0.95, "low_threshold": 0.8, "radius": 2}
    chosen |= {"sub_block_length": 4, "eos_last": True, "alg_temp": 0.5}
    sampling = load(tmp_path, generation=chosen | {"do_sample": False}).info.default_sampling
    assert {name: getattr(sampling, name) for name in chosen} == chosen


def test_a_repetition_penalty_that_only_autoregressive_loops_have_is_no_default(
    tmp_path: Path,
) -> None:
    info = load(tmp_path, generation={"repetition_penalty": 1.05, "do_sample": True}).info
    assert info.default_sampling.repetition_penalty is None


UNTOLD = {"alg": "origin", "alg_temp": None, "eps": 0.001, "steps": 512}


@pytest.mark.parametrize(
    ("source", "generation", "expected"),
    [
        ("dream", {"alg": "topk_margin", "eps": 0.01, "steps": 64}, ("margin", 0.01, 64)),
        ("dream", {"alg": "entropy", "policy": "random"}, ("random", None, None)),
        ("dream", {"alg": "origin", "steps": 64}, ("ancestral", None, 64)),
        ("dream", UNTOLD, (None, 0.001, None)),
        ("dream", {"alg": "confidence_threshold"}, ("threshold", None, None)),
        ("sdar", {"alg": "maskgit_plus", "eps": 0.001}, ("low_confidence", None, None)),
    ],
)
def test_dreams_names_are_read_where_they_were_chosen(
    source: str, generation: dict[str, Any], expected: tuple[str, float, int], tmp_path: Path
) -> None:
    """Every file that Dream's classes write has `alg` and `steps`; untouched, they say nothing."""
    sampling = load(tmp_path, source, generation=generation).info.default_sampling
    assert (sampling.policy, sampling.eps, sampling.steps) == expected


def test_an_alg_that_no_policy_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """CoDA's file has one that its own loop refuses."""
    published = {"alg": "original", "alg_temp": 0.2, "diffusion_steps": 10, "max_tokens": 256}
    sampling = load(tmp_path, "coda", generation=published).info.default_sampling
    assert (sampling.policy, sampling.alg_temp, sampling.max_tokens) == ("entropy", None, None)
    assert "alg original is no policy" in caplog.text


def test_what_other_loops_would_heed_is_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    said = {"suppress_tokens": [7], "num_beams": 4, "min_length": 0, "guidance_scale": 1.0}
    load(tmp_path, generation=said | {"stop_strings": None, "use_cache": True})
    (line,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert line == "generation_config.json: not read: suppress_tokens [7], num_beams 4"


def test_a_request_replaces_each_default_on_its_own(tmp_path: Path) -> None:
    loaded = load(tmp_path, generation=PUBLISHED)
    limits = make_engine(loaded).limits

    def cut(**asked: Any) -> tuple[float, float, int]:
        decoding = resolve(Request("r", (1,), SamplingParams(**asked)), loaded.info, limits)
        return decoding.sampling.temperature, round(decoding.sampling.top_p, 3), decoding.top_k

    assert cut() == (0.6, 0.95, 20)
    assert cut(temperature=1.2) == (1.2, 0.95, 20)
    assert cut(top_p=1.0) == (0.6, 1.0, 20)
    assert cut(top_k=0) == (0.6, 0.95, loaded.info.vocab_size)
    assert cut(top_k=7, temperature=0.0) == (0.0, 0.95, 7)


def test_a_family_whose_authors_decode_greedily_does_so(tmp_path: Path) -> None:
    assert defaults(load(tmp_path, "fast_dllm", generation=PUBLISHED).info) == (0.0, None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("temperature", "0.6"),
        ("temperature", -1),
        ("temperature", True),
        ("temperature", [0.6]),
        ("top_p", 0),
        ("top_p", 1.5),
        ("top_p", {}),
        ("top_k", 20.5),
        ("top_k", -3),
        ("top_k", "all"),
        ("threshold", "high"),
        ("threshold", 2),
        ("policy", "psychic"),
        ("policy", 3),
        ("block_length", 0),
        ("block_length", "32"),
        ("block_length", 4096),
        ("steps", 0),
        ("low_threshold", 1.5),
        ("sub_block_length", 0),
        ("eos_last", 1),
        ("do_sample", "yes"),
    ],
)
def test_odd_values_are_an_error_of_the_checkpoint_that_names_file_and_field(
    field: str, value: Any, tmp_path: Path
) -> None:
    with pytest.raises(InvalidCheckpoint, match=rf"generation_config\.json: .*{field}"):
        load(tmp_path, generation={"do_sample": True} | {field: value})


def test_numbers_that_json_has_no_name_for_are_refused_too(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "generation_config.json").write_text('{"do_sample": true, "temperature": NaN}')
    with pytest.raises(InvalidCheckpoint, match=r"temperature is nan, which is not finite"):
        load_model(ModelConfig(str(tmp_path), mask_token_id=511), DecodingConfig())


@pytest.mark.parametrize("content", ["[]", "3", '"text"', "{", "null"])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_a_file_that_holds_no_object_is_told_in_one_line(
    file: str, content: str, tmp_path: Path
) -> None:
    load(tmp_path, generation={})
    (tmp_path / file).write_text(content)
    with pytest.raises(InvalidCheckpoint, match=file) as caught:
        load_model(ModelConfig(str(tmp_path), mask_token_id=511), DecodingConfig())
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("generation", "config", "expected"),
    [
        ({"eos_token_id": [3, 4]}, 5, {3, 4, 5, 510}),
        ({"eos_token_id": None}, None, {510}),
        ({}, [7, 8], {7, 8, 510}),
        (None, 510, {510}),
    ],
)
def test_the_ends_of_all_files_are_joined(
    generation: dict[str, Any] | None, config: Any, expected: set[int], tmp_path: Path
) -> None:
    loaded = load(tmp_path, generation=generation, eos_token_id=config)
    assert set(loaded.info.eos_token_ids) == expected
    assert len(loaded.info.eos_token_ids) == len(expected)


@pytest.mark.parametrize("eos", [512, -1, "2", 2.0, True, [3, 600], [[3]]])
@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
def test_an_end_that_is_no_token_is_refused(file: str, eos: Any, tmp_path: Path) -> None:
    files: dict[str, Any] = (
        {"eos_token_id": eos} if file == "config.json" else {"generation": {"eos_token_id": eos}}
    )
    with pytest.raises(InvalidCheckpoint, match=rf"eos_token_id .* of {file}"):
        load(tmp_path, **files)


@pytest.mark.parametrize(
    ("folder", "preset", "expected"),
    [
        ("LLaDA2.1-mini", None, (0.7, 0.5)),
        ("llada2_1-flash-fp8", None, (0.7, 0.5)),
        ("LLaDA2.1-mini", "speed", (0.5, 0.0)),
        ("LLaDA2.1-mini", "quality", (0.7, 0.5)),
        ("LLaDA2.0-mini", None, (None, None)),
        ("LLaDA2.10", None, (None, None)),
    ],
)
def test_llada21_is_known_by_its_name_and_edits_by_its_authors_settings(
    folder: str, preset: str | None, expected: tuple[float | None, ...], tmp_path: Path
) -> None:
    decoding = DecodingConfig(preset=preset)
    info = load(tmp_path / folder, "llada2", decoding=decoding).info
    sampling = info.default_sampling
    assert (sampling.threshold, sampling.editing_threshold) == expected


@pytest.mark.parametrize(
    ("source", "folder", "decoding", "expected"),
    [
        ("llada2", "LLaDA2.1-mini", {}, (None, None)),
        ("llada2", "LLaDA2.1-mini", {"threshold": 0.8, "editing_threshold": 0.3}, (None, 0.8)),
        ("llada22", "LLaDA2.2-flash", {}, (None, 0.95)),
        ("llada2", "DMax-Math-16B", {}, (None, None)),
        ("llada2", "DMax-Math-16B", {"threshold": 0.8}, (None, None)),
        ("llada2", "LLaDA2.0-mini", {"policy": "dmax"}, (None, None)),
    ],
)
def test_defaults_without_revised_tokens_leave_out_what_was_published_for_them(
    source: str,
    folder: str,
    decoding: dict[str, Any],
    expected: tuple[str | None, float | None],
    tmp_path: Path,
) -> None:
    info = load(tmp_path / folder, source, decoding=DecodingConfig(**decoding)).info
    plain = info.plain_sampling
    assert plain is not None
    assert (plain.policy, plain.threshold) == expected
    assert (plain.editing_threshold, plain.open_blocks) == (None, None)


@pytest.mark.parametrize(
    ("policy", "own"), [("spd", None), ("low_confidence_dynamic", "threshold")]
)
def test_a_policy_of_the_file_may_have_another_name(
    policy: str, own: str | None, tmp_path: Path
) -> None:
    server = DecodingConfig(policy="dmax")
    info = load(tmp_path / "a", "dmax", generation={"policy": policy}, decoding=server).info
    assert info.plain_sampling is not None
    assert info.plain_sampling.policy == own


def test_the_server_may_set_another_value_than_one_that_is_wrong(tmp_path: Path) -> None:
    wrong = {"policy": "unheard_of", "threshold": 1.5}
    with pytest.raises(InvalidCheckpoint, match="policy"):
        load(tmp_path / "a", generation=wrong)
    server = DecodingConfig(policy="low_confidence", threshold=0.8)
    info = load(tmp_path / "a", generation=wrong, decoding=server).info
    assert info.own_sampling is None
    assert (info.default_sampling.policy, info.default_sampling.threshold) == (server.policy, 0.8)


def test_a_policy_that_gives_way_with_the_edits_has_no_number_of_their_preset(
    tmp_path: Path,
) -> None:
    info = load(
        tmp_path / "LLaDA2.1-mini", "llada21", decoding=DecodingConfig(policy="credit")
    ).info
    assert info.default_sampling.threshold == 0.7
    params = SamplingParams(max_tokens=20, temperature=0.7)
    limits = EngineLimits(max_batch_tokens=256, num_pages=40, page_size=16)
    request = Request("r", (1, 2), params, suffix_token_ids=(3, 4))
    decoding = resolve(request, info, limits)
    assert (decoding.policy, decoding.threshold) == ("threshold", 0.9)
    assert decoding.editing_threshold is None


def test_defaults_that_revise_nothing_are_plain_already(tmp_path: Path) -> None:
    assert load(tmp_path / "LLaDA2.0-mini", "llada2").info.plain_sampling is None


def test_a_model_that_does_not_edit_has_no_confidence_that_replaces_tokens(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"decoding\.editing_threshold is for models"):
        load(tmp_path / "sdar", decoding=DecodingConfig(editing_threshold=0.5))
    read = load(tmp_path / "read", generation={"editing_threshold": 0.5}).info
    assert read.plain_sampling is None


def test_a_setting_of_the_server_comes_before_a_preset(tmp_path: Path) -> None:
    decoding = DecodingConfig(preset="speed", threshold=0.8)
    sampling = load(tmp_path, "llada21", decoding=decoding).info.default_sampling
    assert (sampling.threshold, sampling.editing_threshold) == (0.8, 0.0)


@pytest.mark.parametrize(
    ("source", "preset", "message"),
    [("llada21", "fastest", "one of quality, speed"), ("sdar", "speed", "has no presets")],
)
def test_a_preset_that_is_not_there_is_an_error_of_the_configuration(
    source: str, preset: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        load(tmp_path, source, decoding=DecodingConfig(preset=preset))


@pytest.mark.parametrize(
    ("name", "block_size", "expected"),
    [
        ("SDAR-1.7B-Chat-b32", None, 32),
        ("SDAR-8B-Chat-b8-fp8", None, 8),
        ("sdar_block_length_16", None, 16),
        ("SDAR-4B-block-size=64", None, 64),
        ("SDAR-1.7B-Chat-b32", 8, 8),
        ("SDAR-1.7B-b3stof", None, 4),
        ("SDAR-1.7B-Chat", None, 4),
    ],
)
def test_a_block_length_of_the_name_is_taken_where_the_files_have_none(
    name: str, block_size: int | None, expected: int, tmp_path: Path
) -> None:
    loaded = load(tmp_path / name, block_size=block_size)
    assert loaded.info.default_sampling.block_length == expected


def test_dream_has_the_context_that_its_authors_state(tmp_path: Path) -> None:
    assert load(tmp_path, "dream", max_position_embeddings=131072).info.max_model_len == 2048


def test_the_log_says_which_default_is_whose(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        load(tmp_path, generation=PUBLISHED, decoding=DecodingConfig(threshold=0.8))
    (line,) = [record.getMessage() for record in caplog.records if "defaults" in record.msg]
    assert "top_k 20 (generation_config.json)" in line
    assert "threshold 0.8 (the server's configuration)" in line
    assert "block_length 4 (its family)" in line
