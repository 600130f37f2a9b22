"""Modes beside their authors' loops: the same weights, the same tokens, and rates of pairs."""

import json
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import Qwen3Config, Qwen3ForCausalLM

from benchmarks import mode_models, modes
from tests.golden.make.causal_copying import FIELDS, PERIOD, set_weights, text
from tests.golden.make.idlm import Strides

SMALL = {"hidden_size": 48, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
SMALL |= {"num_hidden_layers": 2, "intermediate_size": 64}
IDLM = next(shape for shape in mode_models.SHAPES if shape.name == "idlm")
TINY = replace(IDLM, config=IDLM.config | SMALL)


@pytest.fixture(scope="module")
def copying() -> Qwen3ForCausalLM:
    """A model that copies periodic text, so that some guesses are right and some wrong."""
    sizes = {name: value for name, value in FIELDS.items() if name != "rope_theta"}
    rope = {"rope_type": "default", "rope_theta": FIELDS["rope_theta"]}
    model = Qwen3ForCausalLM(Qwen3Config(**sizes, rope_parameters=rope)).train(mode=False)
    set_weights(model, PERIOD - 1, torch.Generator().manual_seed(5))
    return model


@pytest.mark.parametrize(("prompt_len", "stride"), [(1, 4), (23, 4), (31, 8), (15, 3), (9, 1)])
def test_a_cache_changes_no_token_and_no_pass_of_the_strides(
    copying: Qwen3ForCausalLM, prompt_len: int, stride: int
) -> None:
    prompt = text(prompt_len, torch.Generator().manual_seed(prompt_len))
    plain = Strides(copying, prompt, stride)
    cached = mode_models.CachedStrides(copying, prompt, stride)
    for strides in (plain, cached):
        strides.decode(30, ignore_eos=True)
    assert cached.answer == plain.answer
    assert cached.emitted == plain.emitted


def test_a_pass_computes_the_rows_without_keys_only(
    copying: Qwen3ForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths: list[int] = []
    forward = copying.forward

    def counted(**inputs: Any) -> Any:
        widths.append(inputs["input_ids"].shape[1])
        return forward(**inputs)

    monkeypatch.setattr(copying, "forward", counted)
    prompt = text(40, torch.Generator().manual_seed(2))
    strides = mode_models.CachedStrides(copying, prompt, 4)
    strides.decode(24, ignore_eos=True)
    first, *others = widths
    assert first == 40
    # A seed, guesses of the last pass and masks; the first of them has the prompt's last row too.
    assert max(others) <= 2 * 4
    assert min(others) >= 4


@pytest.mark.parametrize("kind", ["random", "peaked"])
def test_both_have_the_same_weights_and_so_the_same_tokens(kind: mode_models.Kind) -> None:
    published = mode_models.Idlm(TINY.config)
    loaded = modes.load(TINY, mode_models.draw_weights(published.module, TINY, kind))
    for work in modes.works(TINY, kind, [1, 2], 32):
        engine = modes.make_engine(loaded, work.batch)
        pair = modes.measure(published, TINY, engine, work, ours_first=kind == "peaked")
        assert pair.is_same
        assert min(pair.ours.cpu_s, pair.published.cpu_s) > 0
        if work.mode == "self_speculation" and kind == "peaked":
            # The prompt's token, one of a pass without guesses, then four of each.
            assert pair.our_passes <= pair.published_passes <= 2 + 32 // 4 + 1


def test_all_modes_are_measured_and_one_with_both_kinds_of_weights() -> None:
    nemotron = next(shape for shape in mode_models.SHAPES if shape.name == "nemotron")
    random = [
        (work.mode, work.batch, work.new) for work in modes.works(nemotron, "random", [1], 64)
    ]
    assert random == [("ar", 1, 64), ("diffusion", 1, 64), ("self_speculation", 1, 16)]
    peaked = [
        (work.mode, work.batch, work.new) for work in modes.works(nemotron, "peaked", [8], 64)
    ]
    assert peaked == [("self_speculation", 8, 64)]


def test_a_ratio_is_of_a_pair_and_one_at_a_time_is_compared_by_its_rate() -> None:
    published = mode_models.Idlm(TINY.config)
    work = modes.Work("self_speculation", 8, 64, "peaked")
    # The machine is half as fast in the second pair; tokens a second differ, ratios do not.
    pairs = [
        modes.Pair(modes.Elapsed(2.0, 9.0), modes.Elapsed(4.0, 9.0), 20, 16, True),
        modes.Pair(modes.Elapsed(4.0, 9.0), modes.Elapsed(8.0, 9.0), 20, 16, True),
    ]
    row = modes.row_of(TINY, published, work, pairs)
    assert row["published_tokens_per_s"] == {"median": 24.0, "min": 16.0, "max": 32.0}
    assert row["tokens_per_s"] == {"median": 96.0, "min": 64.0, "max": 128.0}
    assert row["ratio"] == {"median": 4.0, "min": 4.0, "max": 4.0}
    assert row["wall_ratio"]["median"] == 8.0
    assert (row["published_batch"], row["met"], row["same_tokens"]) == (1, True, True)
    assert (row["tokens_per_forward"], row["published_tokens_per_forward"]) == (4.0, 3.2)


def test_figures_of_the_page_are_those_of_the_result() -> None:
    result = json.loads(modes.OUT.read_text("utf-8"))
    page = (modes.ROOT / "docs" / "reference" / "performance.md").read_text("utf-8")
    assert modes.table(result["rows"]) in page, "copy the table that benchmarks.modes prints"
    assert all(row["same_tokens"] for row in result["rows"])
