"""Padding of steps to a graph's size changes no bit on Triton's kernels."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.engines import make_engine, run_all
from tests.support.golden import load_golden
from tests.support.graphs import (
    Captured,
    Recordings,
    assert_padded_is_the_same,
    in_turn,
    noisy_cache,
    some_step,
)
from unmask.config import DecodingConfig, EngineConfig, ModelConfig
from unmask.engine.run.graphs import sizes as graph_sizes
from unmask.models.kv_cache import KVCache
from unmask.models.registry import LoadedModel, load_model
from unmask.types import Request, SamplingParams
from unmask_kernels import dispatch
from unmask_kernels.attention import ops as attention
from unmask_kernels.attention.tiles import TileConfig
from unmask_kernels.moe.reference import align_block_size
from unmask_kernels.moe.routing import route_sigmoid, route_softmax

PAGE = 16
CONFIG = EngineConfig(page_size=PAGE, max_batch_tokens=64, max_num_seqs=4, graphs=True)
TILES = TileConfig(rows=16, keys=16, chunk=32, grain=16, num_warps=1, num_stages=1)


@pytest.fixture(scope="module")
def short(tiny: LoadedModel) -> LoadedModel:
    """The tiny model with contexts of a few chunks."""
    return replace(tiny, info=replace(tiny.info, max_model_len=2 * TILES.chunk))


@pytest.fixture(scope="module")
def captured(short: LoadedModel) -> Iterator[tuple[Captured, Recordings, KVCache]]:
    """Graphs, how often they were replayed, and their cache; tiles are small for all tests."""
    recordings, cache = Recordings(), noisy_cache(short, 40, PAGE)
    with pytest.MonkeyPatch.context() as patch, dispatch.backend("triton"):
        for module in (attention, graph_sizes):
            patch.setattr(module, "tile_config", lambda *_: TILES)
        patch.setattr(graph_sizes, "ROWS", (24,))
        result = Captured.from_config(CONFIG, short, cache, recordings)
        assert result is not None
        yield result, recordings, cache


@pytest.mark.exhaustive
@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_padding_a_step_keeps_every_bit(
    captured: tuple[Captured, Recordings, KVCache], short: LoadedModel, triton_kernels: None
) -> None:
    result, recordings, cache = captured
    random = np.random.default_rng(0)
    with torch.inference_mode():
        for seed in range(2):
            recordings.num_replays = 0
            num_rows, num_sequences = int(random.integers(1, 27)), int(random.integers(1, 5))
            reach = int(random.choice([20, 40, 60]))
            step = some_step(short, cache, num_rows, num_sequences, reach, seed)
            assert_padded_is_the_same(result.forward, short, step)
            assert recordings.num_replays == 1, (num_rows, num_sequences, reach)


@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_padding_a_step_of_two_kinds_of_layers_keeps_every_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, triton_kernels: None
) -> None:
    """Full layers, and layers with a window to both sides, have plans of their own."""
    loaded = load_golden("modernbert", tmp_path)
    loaded = replace(loaded, info=replace(loaded.info, max_model_len=2 * TILES.chunk))
    for module in (attention, graph_sizes):
        monkeypatch.setattr(module, "tile_config", lambda *_: TILES)
    monkeypatch.setattr(graph_sizes, "ROWS", (24,))
    recordings, cache = Recordings(), noisy_cache(loaded, 40, PAGE)
    result = Captured.from_config(CONFIG, loaded, cache, recordings)
    assert result is not None
    with torch.inference_mode():
        for seed, (num_rows, num_sequences, reach) in enumerate([(26, 1, 60), (17, 3, 40)]):
            recordings.num_replays = 0
            step = some_step(loaded, cache, num_rows, num_sequences, reach, seed)
            assert_padded_is_the_same(result.forward, loaded, step)
            assert recordings.num_replays == 1


@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_a_step_of_more_tiles_than_any_graph_is_eager(
    captured: tuple[Captured, Recordings, KVCache], short: LoadedModel, triton_kernels: None
) -> None:
    result, recordings, cache = captured
    recordings.num_replays = 0
    with torch.inference_mode():
        step = some_step(short, cache, 24, 24, 120, 0)  # a row each, so a tile each
        assert torch.equal(result.forward(step), short.model.forward(step))
        assert recordings.num_replays == 0


@pytest.mark.exhaustive
@pytest.mark.skipif(torch.cuda.is_available(), reason="the model is on the CPU")
def test_answers_with_graphs_of_forwards_and_decisions_are_those_of_torch(
    tiny_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    triton_kernels: None,
) -> None:
    loaded = load_model(ModelConfig(path=str(tiny_folder), dtype="float32"), DecodingConfig())
    short = replace(loaded, info=replace(loaded.info, max_model_len=TILES.chunk))
    sampled = Recordings()
    for module in (attention, graph_sizes):
        monkeypatch.setattr(module, "tile_config", lambda *_: TILES)
    monkeypatch.setattr(graph_sizes, "ROWS", (16,))
    params = SamplingParams(max_tokens=3, block_length=4, ignore_eos=True, policy="factor")
    batch = [
        Request("greedy", (5, 6, 7), params),
        Request("drawn", (8, 9), replace(params, temperature=0.8, seed=3, policy="entropy")),
    ]
    engine = make_engine(
        short,
        max_batch_tokens=24,
        graphs=True,
        overlap=True,
        recorder=in_turn(Recordings(), sampled),
    )
    assert engine.runner.sampling_graphs is not None, caplog.text
    sampled.num_replays = 0
    answers = run_all(engine, batch)
    assert sampled.num_replays > 0
    with dispatch.backend("torch"):
        plain = run_all(make_engine(short, max_batch_tokens=24), batch)
    for name, answer in answers.items():
        assert answer.token_ids == plain[name].token_ids


def test_routing_and_aligning_rows_to_experts_asks_the_device_for_no_number() -> None:
    """The meta device has shapes only, so code that needs a value raises."""
    logits = torch.empty(9, 16, device="meta")
    bias = torch.empty(16, device="meta")
    for ids, topk_weights in (
        route_softmax(logits, 4, renormalise=True),
        route_sigmoid(logits, bias, 4, groups=4, top_groups=2, scale=1.0),
    ):
        row_of, expert_of = align_block_size(ids, 16, 8)
        assert topk_weights.shape == ids.shape == (9, 4)
        assert len(row_of) == 8 * len(expert_of) >= 36
