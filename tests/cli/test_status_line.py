"""Status line of the log."""

from unmask.cli.status_line import StatusLine
from unmask.metrics import Metrics
from unmask.types import EngineStatus, FinishReason, Usage


def test_a_line_tells_rates_since_the_last_one_and_nothing_where_nothing_ran() -> None:
    metrics, now_s = Metrics(), [100.0]
    status = EngineStatus("ready", 0, 0, 0, 50)
    lines = StatusLine(metrics, lambda: status, lambda: now_s[0])
    now_s[0] += 10
    assert lines.line() is None

    metrics.forward_passes.inc(4)
    metrics.generated_tokens.inc(12_345)
    metrics.committed_tokens.inc(20_000)  # some behind the end of their answers
    metrics.denoising_steps.inc(4_938)
    metrics.prompt_tokens.inc(200)
    metrics.prefix_cache_queries.inc(200)
    metrics.prefix_cache_hits.inc(50)
    status = EngineStatus("ready", 3, 1, 20, 50)
    now_s[0] += 10
    assert lines.line() == (
        "3 running, 1 waiting, 0 finished, 1,234.5 tokens/s, prompts 20.0 tokens/s, "
        "2.50 tokens a step, prefix cache hits 25%, KV pages 40%"
    )
    now_s[0] += 5
    assert lines.line() == (
        "3 running, 1 waiting, 0 finished, 0.0 tokens/s, prompts 0.0 tokens/s, KV pages 40%"
    ), "what waits is told of although nothing was done"
    status = EngineStatus("ready", 0, 0, 0, 0)
    assert lines.line() is None


def test_a_line_tells_of_trouble_even_while_nothing_runs() -> None:
    metrics = Metrics()
    lines = StatusLine(metrics, lambda: EngineStatus("ready", 0, 0, 0, 0))
    metrics.refused.labels("queue_full").inc(3)
    metrics.refused.labels("invalid").inc(1)
    metrics.failed.labels("engine_failure").inc(2)
    line = lines.line()
    assert line is not None
    assert line.endswith("prompts 0.0 tokens/s, 4 refused, 2 failed")
    assert lines.line() is None


def test_a_line_tells_ends_and_the_mean_time_to_first_tokens() -> None:
    metrics = Metrics()
    lines = StatusLine(metrics, lambda: EngineStatus("ready", 1, 0, 0, 0))
    for first_token_s in (0.01, 0.05):
        metrics.first_token_s.observe(first_token_s)
    for reason in FinishReason:
        usage = Usage(1, 0, 1, 1, 1, 1, 1)
        metrics.record_finish(reason, usage, first_token_s=None, latency_s=1.0)
    line = lines.line()
    assert line is not None
    assert "0 waiting, 2 finished, " in line
    assert "first token after 30 ms" in line
    assert line.endswith(", 1 aborted")
