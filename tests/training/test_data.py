"""Training rows: attention mask, targets, and equality with serving."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from training import data
from training.data import IGNORED, Batch, Sample, collate, lay_out, pack
from training.export import export
from training.growth import grown
from training.model import Model, Shape
from training.tokenizer import END_ID, MASK_ID, load
from training.train import Schedule
from unmask.config import Config, DecodingConfig, EngineConfig, ModelConfig
from unmask.engine.engine import Engine
from unmask.metrics import Metrics
from unmask.models.inputs import ForwardInputs, plan_layers
from unmask.models.kv_cache import KVCache
from unmask.models.registry import load_model
from unmask.types import Request, SamplingParams


class OldTokenizer:
    """A vocabulary alone."""

    all_special_ids: tuple[int, ...] = ()

    def __init__(self, vocabulary: dict[str, int]) -> None:
        self.vocabulary = vocabulary

    def get_vocab(self) -> dict[str, int]:
        return self.vocabulary


SMALL = Shape(hidden=64, layers=2, heads=2, kv_heads=1, head_dim=32, intermediate=96)


def row_length(sample: Sample, block_len: int) -> int:
    """Length of the segment of a sample."""
    total = -(-(len(sample.prompt) + len(sample.answer)) // block_len) * block_len
    return total - block_len + 2 * (total - len(sample.prompt) // block_len * block_len)


def sample(num_prompt: int = 9, num_answer: int = 13) -> Sample:
    return Sample(list(range(20, 20 + num_prompt)), [*range(50, 49 + num_answer), END_ID])


def one_row(one: Sample, block_len: int) -> Batch:
    segment = lay_out(one, block_len, np.random.default_rng(0))
    return collate([[segment]], row_length(one, block_len))


@pytest.mark.parametrize("block_len", [4, 8, 16, 32])
def test_the_copies_hide_each_answer_token_exactly_once(block_len: int) -> None:
    one = sample()
    batch = one_row(one, block_len)
    assert batch.ids.shape[1] == row_length(one, block_len)
    asked = batch.targets[0] != IGNORED
    assert (batch.ids[0][asked] == MASK_ID).all()
    assert (batch.ids[0][~asked] != MASK_ID).all()
    visible = sorted(
        zip(batch.positions[0][asked].tolist(), batch.targets[0][asked].tolist(), strict=True)
    )
    total = -(-22 // block_len) * block_len
    answer = one.answer + [END_ID] * (total - 22)
    assert visible == list(zip(range(9, total), answer, strict=True))


def test_noisy_blocks_see_clean_blocks_before_them_and_themselves() -> None:
    batch = one_row(sample(), 4)
    num_clean, first, total = 20, 8, 24
    size = total - first
    mask = batch.mask[0, 0]
    for copy in (0, 1):
        for i in range(size):
            row = num_clean + copy * size + i
            block = (first + i) // 4
            seen = set(mask[row].nonzero().flatten().tolist())
            open_start = num_clean + copy * size + block * 4 - first
            assert seen == {*range(block * 4), *range(open_start, open_start + 4)}
    for i in range(num_clean):
        assert set(mask[i].nonzero().flatten().tolist()) == set(range((i // 4 + 1) * 4))


def test_holes_have_text_on_both_sides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "HOLES_SHARE", 1.0)
    whole = Sample([], list(range(50, 114)))
    num_inner = 0
    for seed in range(20):
        segment = lay_out(whole, 16, np.random.default_rng(seed))
        first_copy = segment.ids[48:112].reshape(4, 16) == MASK_ID
        for hidden in first_copy:
            [where] = hidden.nonzero()
            assert len(where) >= 1
            assert (np.diff(where) == 1).all()  # one hole
            num_inner += bool(where[0] > 0 and where[-1] < 15)
    assert num_inner > 20


def test_a_grown_model_computes_what_the_smaller_one_does() -> None:
    torch.manual_seed(0)
    small, tokenizer = Model(SMALL), load()
    large = Model(replace(SMALL, layers=5))
    weights = grown(large.state_dict(), small.state_dict(), tokenizer, tokenizer)
    large.load_state_dict(weights)
    batch = one_row(sample(), 8)
    hidden = [model.hidden(batch.ids, batch.positions, batch.mask) for model in (small, large)]
    torch.testing.assert_close(hidden[1], hidden[0])


def test_a_new_token_begins_as_the_mean_of_its_pieces() -> None:
    tokenizer = load()
    old = {"model.embed_tokens.weight": torch.rand(5, 8), "model.layers.0.x": torch.zeros(1)}
    known = OldTokenizer({"a": 0, "b": 1, "bc": 2, "<|end|>": 3, "c": 4})
    fresh = {"model.embed_tokens.weight": torch.zeros(len(tokenizer), 8)} | {
        "model.layers.0.x": torch.zeros(1)
    }
    vocabulary = OldTokenizer({"abc": 0, "<|end|>": 1, "cb": 2, "<|tool|>": 3})
    rows = grown(fresh, old, vocabulary, known)["model.embed_tokens.weight"]
    before = old["model.embed_tokens.weight"]
    torch.testing.assert_close(rows[0], (before[0] + before[2]) / 2)
    torch.testing.assert_close(rows[1], before[3])
    torch.testing.assert_close(rows[2], (before[4] + before[1]) / 2)
    assert not rows[3].any()


def test_the_rate_warms_up_stays_and_falls_to_zero() -> None:
    steps = Schedule(steps=1000, decay_share=0.2)
    assert steps.rate(0, steps.progress(0, 5.0)) < 0.1
    assert steps.rate(700, steps.progress(700, 5.0)) == 1.0
    assert steps.rate(900, steps.progress(900, 5.0)) == pytest.approx(0.5)
    assert steps.rate(1000, steps.progress(1000, 5.0)) == 0.0
    timed = Schedule(steps=1000, decay_share=0.2, seconds=100.0)
    assert timed.rate(900, timed.progress(900, 50.0)) == 1.0
    assert timed.rate(900, timed.progress(900, 90.0)) == pytest.approx(0.5)


def test_samples_of_a_row_do_not_see_each_other() -> None:
    torch.manual_seed(0)
    model = Model(SMALL)
    rng = np.random.default_rng(0)
    segments = [lay_out(sample(), 8, rng), lay_out(sample(3, 6), 4, rng)]
    together = collate([segments], 96)
    hidden = model.hidden(together.ids, together.positions, together.mask)
    assert hidden.isfinite().all()
    start = 0
    for segment in segments:
        length = len(segment.ids)
        alone = collate([[segment]], length)
        torch.testing.assert_close(
            hidden[:, start : start + length],
            model.hidden(alone.ids, alone.positions, alone.mask),
        )
        start += length


def test_rows_are_packed_without_loss() -> None:
    rng = np.random.default_rng(0)
    samples = [sample(5 + i % 40, 4 + i % 23) for i in range(300)]
    segments = [lay_out(one, 16, rng) for one in samples]
    rows = list(pack(segments, (128, 160)))
    assert sorted(id(s) for row in rows for s in row) == sorted(map(id, segments))
    assert all(sum(len(segment.ids) for segment in row) <= 160 for row in rows)
    assert sum(map(len, (s.ids for s in segments))) > 0.85 * 128 * len(rows)


def test_an_exported_model_computes_in_the_engine_what_it_does_in_training(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Model(SMALL)
    state = {"preset": {"shape": {f: getattr(SMALL, f) for f in SMALL.__dataclass_fields__}}}
    torch.save(state | {"master": model.state_dict()}, tmp_path / "run.pt")
    folder = export(tmp_path / "run.pt", tmp_path / "out")
    loaded = load_model(ModelConfig(path=str(folder), dtype="float32"), DecodingConfig())
    model.load_state_dict({k: v.bfloat16().float() for k, v in model.state_dict().items()})
    batch = one_row(sample(), 8)
    # The row's clean part and its first noisy copy of the last block are a canvas of the engine.
    hidden = model.hidden(batch.ids, batch.positions, batch.mask)
    size = 16  # from the block where the answer begins to the end
    last = slice(16 + size - 8, 16 + size)
    expected = model.logits(hidden[0, last])
    ids = torch.cat((batch.ids[0, :16], batch.ids[0, last])).long()
    positions = torch.arange(24)
    plans = plan_layers(
        loaded.model.layers,
        [0, 24],
        ((np.arange(24) // 8) + 1) * 8,
        np.arange(2),
        [0, 2],
        16,
        device=loaded.device,
        dtype=loaded.dtype,
    )
    cache = KVCache.empty(loaded.model.layers, 2, 16, loaded.dtype, loaded.device)
    out = loaded.model.forward(ForwardInputs(ids, positions, positions, plans, cache))
    got = loaded.model.lm_head(loaded.model.final_norm(out[16:]))
    torch.testing.assert_close(got, expected, rtol=1e-3, atol=1e-3)
    engine = Engine(Config(engine=EngineConfig(num_pages=16)), loaded, Metrics())
    engine.add(Request("a", (20, 21), SamplingParams(max_tokens=5)))
    while engine.has_work:
        engine.step()


def test_any_text_survives_the_tokenizer() -> None:
    tokenizer = load()
    for text in ("Hello, 123!", "naïve 日本語 🙂\n\n\tdef f(x):\n    return x", " a  b "):
        ids = tokenizer.encode(text, add_special_tokens=False)
        assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == text
    assert len(tokenizer.encode("1234", add_special_tokens=False)) == 4


def test_a_hole_with_room_to_spare_is_all_that_is_asked_for() -> None:
    answer = [50, 51, 52, 53, END_ID, END_ID, END_ID, 54, 55, END_ID]
    segment = lay_out(Sample([20, 21], answer, (2, 7)), 4, np.random.default_rng(0))
    first_copy = segment.targets[8:20]
    assert np.flatnonzero(first_copy != IGNORED).tolist() == [4, 5, 6, 7, 8]
    assert first_copy[4:9].tolist() == answer[2:7]
    weights = segment.weights[8:20]
    assert weights[4] == weights[5] == weights[6], "the first end says how long the text is"
    assert weights[7] < weights[6], "and the next ones only follow it"
    second_copy = segment.targets[20:]
    assert set(np.flatnonzero(second_copy != IGNORED)) <= {4, 5, 6, 7, 8}


def test_text_around_a_hole_is_tokenized_by_itself() -> None:
    tokenizer = load()
    before = behind = 0
    for seed in range(20):
        one = data.with_hole(Random(seed), tokenizer, "", "def add(first, second):<|end|>")
        assert one.hole is not None
        start, end = one.hole
        parts = [tokenizer.decode(part) for part in np.split(one.answer, one.hole)]
        filled = parts[1].replace("<|end|>", "")
        assert parts[0] + filled + parts[2] == "def add(first, second):<|end|>"
        assert parts[1] == filled + "<|end|>" * parts[1].count("<|end|>"), "ends come last"
        assert one.answer[:start] == tokenizer.encode(parts[0], add_special_tokens=False)
        before += start > 0
        behind += end < len(one.answer) - 1
    assert before > 5
    assert behind > 5
