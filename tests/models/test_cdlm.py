"""LLaDA and Dream by CDLM: D2F's attention, and one open block."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.d2f import Pipeline, write_by_d2f
from tests.support.engines import run_alone
from tests.support.lora import draw_pairs, linear_modules, read_weights, write_adapter
from tests.support.tiny import GOLDEN, byte_tokenizer
from unmask.config import AttentionName, DecodingConfig, ModelConfig
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams

PROMPT = (9, 41, 77, 5, 300)


def load(
    folder: Path,
    source: str,
    attention: AttentionName | None = None,
    adapter: tuple[str, ...] = (),
) -> LoadedModel:
    folder.mkdir()
    shutil.copy(GOLDEN / source / "model.safetensors", folder)
    raw = json.loads((GOLDEN / source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(raw))
    byte_tokenizer().save_pretrained(folder)
    config = ModelConfig(
        str(folder), dtype="float32", mask_token_id=511, attention=attention, adapter=adapter
    )
    return load_model(config, DecodingConfig())


@pytest.mark.parametrize(
    ("name", "source"), [("CDLM-LLaDA", "llada"), ("cdlm_dream-merged", "dream")]
)
def test_a_name_brings_the_attention_and_the_published_settings(
    name: str, source: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "unmask.models.model_info"):
        info = load(tmp_path / name, source).info
    usual = info.default_sampling
    assert info.attention == "prompt_block"
    assert (usual.policy, usual.threshold, usual.temperature) == ("threshold", 0.9, 0.0)
    assert (usual.block_length, usual.open_blocks) == (32, None)
    assert any("those before it (CDLM)" in message for message in caplog.messages)


@pytest.mark.parametrize("name", ["CDLM", "llada-cdlm-8b", "acdlm-llada"])
def test_other_models_called_so_keep_their_attention(name: str, tmp_path: Path) -> None:
    """Corrective diffusion language models, and CD4LM's repository."""
    assert load(tmp_path / name, "llada").info.attention == "full"


def test_full_attention_is_kept_where_it_is_asked_for_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert load(tmp_path / "CDLM-LLaDA", "llada", "full").info.attention == "full"
    assert any("attention; it is served without" in m for m in caplog.messages)


def test_an_adapter_brings_its_attention_along(tmp_path: Path) -> None:
    """Tokens are those of D2F's loop where a block opens once the one before is full."""
    weights = read_weights(GOLDEN / "llada")
    pairs = draw_pairs(weights, linear_modules(weights))
    adapter = write_adapter(tmp_path / "CDLM-LLaDA", pairs)
    loaded = load(tmp_path / "base", "llada", adapter=(str(adapter),))
    assert loaded.info.attention == "prompt_block"
    assert loaded.info.default_sampling.open_blocks is None
    params = SamplingParams(max_tokens=24, ignore_eos=True, block_length=8, threshold=0.3)
    written = write_by_d2f(loaded, PROMPT, 24, Pipeline(8, 1.0, 1.0, 0.3))
    assert run_alone(loaded, Request("a", PROMPT, params)).token_ids == written.tokens
