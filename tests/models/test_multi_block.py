"""Checkpoints trained for several open blocks are known by their names, others are warned about."""

import json
import logging
import shutil
from pathlib import Path

import pytest

from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import DecodingConfig, ModelConfig
from unmask.errors import InvalidConfig
from unmask.models.registry import load_model
from unmask.types import SamplingParams


def defaults_of(
    folder: Path,
    source: str = "sdar",
    decoding: DecodingConfig | None = None,
    generation: dict[str, object] | None = None,
) -> SamplingParams:
    """Decoding defaults of a golden checkpoint under another name, without a block length."""
    folder.mkdir()
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    raw.pop("block_size", None)
    (folder / "config.json").write_text(json.dumps(raw))
    (folder / "generation_config.json").write_text(json.dumps(generation or {}))
    shutil.copy(GOLDEN / source / "model.safetensors", folder / "model.safetensors")
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(str(folder), dtype="float32", mask_token_id=511)
    return load_model(config, decoding or DecodingConfig()).info.default_sampling


def settings_of(sampling: SamplingParams) -> tuple[int | None, float | None, float | None]:
    return sampling.open_blocks, sampling.add_block_threshold, sampling.semi_complete_threshold


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("MBD-Math-LLaDA2-mini-16B", "llada2", (2, 0.1, 0.9)),
        ("MBD-Code-LLaDA2-mini-16B", "llada2", (2, 0.9, 0.9)),
        ("MBD-Math-SDAR-8B-Chat-b32", "sdar", (4, 0.1, 0.9)),
        ("MBD-Coder-SDAR-8B-Chat-b32", "sdar", (4, 0.9, 0.9)),
        ("mbd_math_sdar-8b-b4", "sdar", (4, 0.1, 0.25)),
        ("MBD-Code-SDAR-8B-Chat-b4", "sdar", (4, 0.75, 0.75)),
        ("SDAR-8B-Chat-b32", "sdar", (None, None, None)),
        ("LLaDA2.0-mini", "llada2", (None, None, None)),
        ("Lambda-8B", "sdar", (None, None, None)),
    ],
)
def test_a_checkpoint_trained_for_several_blocks_has_its_published_settings(
    name: str, source: str, expected: tuple[int, float, float], tmp_path: Path
) -> None:
    sampling = defaults_of(tmp_path / name, source)
    assert settings_of(sampling) == expected
    assert (sampling.threshold == 0.95) == (expected[0] is not None)


@pytest.mark.parametrize(
    ("name", "preset", "expected"),
    [
        ("MBD-Math-LLaDA2-mini-DMax-16B", None, (0.5, 0.1)),
        ("MBD-Coder-LLaDA2-mini-DMax-16B", None, (0.65, 0.9)),
        ("MBD-Math-LLaDA2-mini-DMax-16B", "code", (0.65, 0.9)),
    ],
)
def test_a_checkpoint_made_of_dmax_is_edited_in_two_open_blocks(
    name: str, preset: str | None, expected: tuple[float, float], tmp_path: Path
) -> None:
    sampling = defaults_of(tmp_path / name, "llada2", DecodingConfig(preset=preset))
    assert (sampling.threshold, sampling.add_block_threshold) == expected
    assert (sampling.policy, sampling.editing_threshold) == ("threshold", 0.0)
    assert (sampling.open_blocks, sampling.semi_complete_threshold) == (2, None)


def test_the_server_chooses_another_preset_or_one_block_at_a_time(tmp_path: Path) -> None:
    name = "MBD-Math-SDAR-8B-Chat-b32"
    code = defaults_of(tmp_path / name, decoding=DecodingConfig(preset="code"))
    assert settings_of(code) == (4, 0.9, 0.9)
    (tmp_path / "other").mkdir()
    one = defaults_of(tmp_path / "other" / name, decoding=DecodingConfig(open_blocks=1))
    assert one.open_blocks == 1


@pytest.mark.parametrize(
    ("name", "open_blocks", "message"),
    [
        ("D2F-LLaDA", None, "trained for D2F: block-causal attention"),
        ("DMax-Math-16B", None, None),
        ("MBD-Code-LLaDA2-mini-DMax-16B", None, None),
        ("LLaDA2.0-mini", 3, "decoding.open_blocks is 3, but LLaDA2.0-mini is not known"),
        ("MBD-Math-LLaDA2-mini-16B", 3, None),
        ("LLaDA2.0-mini", None, None),
    ],
)
def test_the_start_warns_of_settings_that_a_checkpoint_was_not_trained_for(
    name: str,
    open_blocks: int | None,
    message: str | None,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "unmask"):
        sampling = defaults_of(tmp_path / name, "llada2", DecodingConfig(open_blocks=open_blocks))
    warnings = [r.getMessage() for r in caplog.records if "trained" in r.getMessage()]
    assert len(warnings) == (message is not None)
    assert message is None or message in warnings[0]
    if "DMax" in name:
        assert sampling.open_blocks == (2 if "MBD" in name else None)


@pytest.mark.parametrize(
    ("source", "decoding", "message"),
    [
        ("wedlm", DecodingConfig(open_blocks=2), "full attention, or with block-causal"),
        ("fast_dllm", DecodingConfig(open_blocks=2), "logits in place"),
        ("llada", DecodingConfig(open_blocks=2, cache="prefix"), "cache prefix"),
        ("llada22", DecodingConfig(open_blocks=2), "deletes and inserts"),
        ("sdar", DecodingConfig(open_blocks=2, cache="block"), "cache block"),
        ("sdar", DecodingConfig(open_blocks=2, sub_block_length=2), "sub_block_length"),
    ],
)
def test_a_default_that_a_model_cannot_have_ends_the_start(
    source: str, decoding: DecodingConfig, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        defaults_of(tmp_path / source, source, decoding)


def test_open_blocks_of_the_server_are_whole_where_the_checkpoint_fills_parts(
    tmp_path: Path,
) -> None:
    """A default of the file ends no start of a server that is asked for several open blocks."""
    parts = {"sub_block_length": 4}
    one = defaults_of(tmp_path / "one", "sdar", DecodingConfig(), generation=parts)
    several = defaults_of(
        tmp_path / "several", "sdar", DecodingConfig(open_blocks=2), generation=parts
    )
    assert (one.sub_block_length, several.sub_block_length) == (4, None)
