"""Subprocesses that measure other engines and the HTTP server, including their failures."""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.device import http, peer_lmdeploy, peer_transformers, peers, serving
from benchmarks.device.apart import last_lines, run_apart
from benchmarks.device.families import SHAPES, TINY
from benchmarks.device.fixed_work import LOADS, Work


@pytest.mark.exhaustive
@pytest.mark.slow
def test_http_and_the_engine_alone_do_the_same_work() -> None:
    rows = http.measure_apart(small=True)
    assert [row["concurrency"] for row in rows] == [1, 4]
    for row in rows:
        assert row["http"]["output_tokens"] == row["engine"]["num_requests"] * 16
        assert row["http"]["prompt_tokens"] == row["engine"]["num_requests"] * 24
        assert row["http"]["tokens_per_forward"] == pytest.approx(4.0)
        assert set(row["cpu_us_a_token"]) >= {"MainThread", "engine"}
        share = row["http"]["output_tokens_per_s"] / row["engine"]["overall_tokens_per_s"]
        assert row["share_of_engine"] == pytest.approx(share)


def test_http_s_goal_is_judged_at_the_most_requests() -> None:
    def row(concurrency: int, share: float) -> dict[str, Any]:
        ttft_ms = {"p50": 1.0}
        engine = {"overall_tokens_per_s": 100.0, "ttft_ms": ttft_ms}
        sent = {"output_tokens_per_s": 100 * share, "ttft_ms": ttft_ms}
        return {
            "concurrency": concurrency,
            "engine": engine,
            "http": sent,
            "share_of_engine": share,
        }

    result = {"model": "m", "problems": [], "loads": [row(1, 0.95), row(128, 0.89)]}
    assert "missed (89.0%)" in list(serving.table(result))[-1]
    result["loads"][1] = row(128, 0.91)
    assert "met (91.0%)" in list(serving.table(result))[-1]


@pytest.mark.exhaustive
@pytest.mark.skipif("lmdeploy" in sys.modules, reason="it is installed")
def test_a_peer_that_is_not_installed_is_a_row_with_its_error() -> None:
    rows = peers.measure_apart("lmdeploy", small=True)
    assert len(rows) == 1
    assert rows[0]["peer"] == "LMDeploy"
    assert "No module named 'lmdeploy'" in rows[0]["error"]
    assert "model" not in rows[0]  # so that no target reads it


def test_a_module_that_takes_too_long_is_ended_and_says_so() -> None:
    result = run_apart("peers", ["lmdeploy"], timeout_s=0.01)
    assert result["error"][-1] == "not done after 0.01 s"


def test_the_last_lines_have_no_colours() -> None:
    text = "\n".join(["first", *(f"line {i}" for i in range(20)), "", "\x1b[31mred\x1b[0m"])
    lines = last_lines(text)
    assert lines[-1] == "red"
    assert "first" not in lines


def test_parts_are_offered_by_name_without_starting_anything() -> None:
    device, ceilings = torch.device("cpu"), None
    offered = [
        *peers.parts(device, ceilings, small=True),
        *http.parts(device, ceilings, small=True),
    ]
    assert [(part.name, part.into) for part in offered] == [
        ("peer LMDeploy: SDAR-8B", "peers"),
        ("peer transformers: DiffusionGemma-26B-A4B", "peers"),
        ("HTTP beside the engine", "http"),
    ]


def test_lmdeploy_has_pages_and_graphs_for_every_load() -> None:
    settings = peer_lmdeploy.engine_settings(LOADS)
    most = LOADS[-1]
    pages = -(-(most.context + most.num_tokens) // settings["block_size"])
    assert settings["num_gpu_blocks"] > most.concurrency * pages
    assert settings["cudagraph_capture_batch_sizes"] == [1, 8, 32, 128]
    assert settings["dllm_block_length"] // settings["dllm_denoising_steps"] == 4


def test_lmdeploy_s_files_are_a_checkpoint_without_weights(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoTokenizer

    peer_lmdeploy.register_config()
    peer_lmdeploy.write_files(SHAPES["SDAR-8B"], tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    assert (config.model_type, config.head_dim, config.num_hidden_layers) == ("sdar", 128, 36)
    assert config.sliding_window is None
    assert config.rope_parameters["rope_theta"] == 1e6
    assert len(AutoTokenizer.from_pretrained(tmp_path)) == config.vocab_size


class Status(Enum):
    """Stand-in of LMDeploy's `ResponseType`."""

    SUCCESS = 0
    FINISH = 1
    CANCEL = 2


class FakeInstance:
    """Streams an answer block by block, like LMDeploy."""

    def __init__(self, engine: "FakeEngine") -> None:
        self._engine = engine

    async def async_stream_infer(
        self, session: int, ids: list[int], config: Any
    ) -> AsyncIterator[Any]:
        engine = self._engine
        engine.prompts.append(tuple(ids))
        engine.open.add(session)
        engine.most_open = max(engine.most_open, len(engine.open))
        for left in reversed(range(config.max_new_tokens // engine.block)):
            await engine.executor.forward_async(None)
            status = Status.SUCCESS if left else engine.last
            metrics = SimpleNamespace(token_timestamp=float(next(engine.clock)))
            yield SimpleNamespace(status=status, token_ids=[1] * engine.block, req_metrics=metrics)

    async def async_end(self, session: int) -> None:
        self._engine.open.remove(session)


class FakeEngine:
    """Stand-in with the interface of LMDeploy's engine."""

    block = 8

    def __init__(self, last: Status = Status.FINISH) -> None:
        self.last = last
        self.open: set[int] = set()
        self.most_open = 0
        self.prompts: list[tuple[int, ...]] = []
        self.calls: list[str] = []
        self.clock = itertools.count(2_000_000_000)
        self.executor = SimpleNamespace(forward_async=self._forward)

    async def _forward(self, _: Any) -> None:
        await asyncio.sleep(0)

    def create_instance(self) -> FakeInstance:
        return FakeInstance(self)

    def start(self) -> None:
        self.calls.append("start")

    def stop(self) -> None:
        self.calls.append("stop")


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins of the names imported from LMDeploy."""
    module = ModuleType("lmdeploy.messages")
    module.GenerationConfig = SimpleNamespace  # type: ignore[attr-defined]
    module.ResponseType = Status  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lmdeploy", ModuleType("lmdeploy"))
    monkeypatch.setitem(sys.modules, "lmdeploy.messages", module)


WORK = Work(concurrency=2, num_requests=5, context=4, num_tokens=16, block=8, steps=2)


@pytest.mark.usefixtures("messages")
def test_lmdeploy_gets_every_request_of_every_load_a_few_at_a_time() -> None:
    engine, rows, saved = FakeEngine(), [], []
    asyncio.run(peer_lmdeploy.run_loads(engine, [WORK], 100, rows, lambda: saved.append(len(rows))))
    assert engine.calls == ["start", "stop"]
    assert engine.prompts[2:] == WORK.prompts(100)  # after a warm-up of two
    assert engine.most_open == 2
    assert not engine.open
    assert rows[0]["num_forwards"] == 5 * 2
    assert saved == [1]


@pytest.mark.usefixtures("messages")
def test_an_answer_that_lmdeploy_gives_up_is_an_error() -> None:
    with pytest.raises(ExceptionGroup) as raised:
        asyncio.run(
            peer_lmdeploy.run_loads(FakeEngine(Status.CANCEL), [WORK], 100, [], lambda: None)
        )
    assert raised.group_contains(RuntimeError, match="CANCEL")


def test_transformers_model_has_the_buffers_and_ties_of_its_own_making() -> None:
    from transformers import DiffusionGemmaConfig, DiffusionGemmaForBlockDiffusion

    shape = TINY["tiny DiffusionGemma"]
    model = peer_transformers.build(shape, torch.device("cpu"))
    config = DiffusionGemmaConfig(**shape.raw, **peer_transformers.VISION)
    usual = DiffusionGemmaForBlockDiffusion(config)
    for name, buffer in usual.named_buffers():
        assert torch.equal(buffer, model.get_buffer(name)), name
    assert [n for n, _ in usual.named_parameters()] == [n for n, _ in model.named_parameters()]
    for name, weight in usual.named_parameters():
        spread = float(weight.detach().std())
        assert float(model.get_parameter(name).std()) == pytest.approx(spread, rel=0.3, abs=1e-3)


@pytest.mark.exhaustive
def test_transformers_does_fixed_work() -> None:
    rows = peers.measure_apart("transformers", small=True)
    assert [row.get("error") for row in rows] == [None, None]
    for row, batch in zip(rows, peer_transformers.TINY, strict=True):
        assert row["num_tokens"] == batch.concurrency * batch.num_canvases * 8
        assert row["num_forwards"] == batch.num_canvases * batch.steps
        assert row["tokens_per_s"] > 0
