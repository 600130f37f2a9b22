"""Status line of the log."""

from unmask.cli.status_line import StatusLine
from unmask.metrics import Metrics
from unmask.types import EngineStatus


def test_a_line_tells_rates_since_the_last_one_and_nothing_where_nothing_ran() -> None:
    metrics, now_s = Metrics(), [100.0]
    status = EngineStatus("ready", 0, 0, 0, 50)
    lines = StatusLine(metrics, lambda: status, lambda: now_s[0])
    now_s[0] += 10
    assert lines.line() is None

    metrics.forward_passes.inc(4)
    metrics.generated_tokens.inc(12_345)
    metrics.committed_tokens.inc(30)
    metrics.denoising_steps.inc(12)
    metrics.prompt_tokens.inc(200)
    metrics.prefix_cache_queries.inc(200)
    metrics.prefix_cache_hits.inc(50)
    status = EngineStatus("ready", 3, 1, 20, 50)
    now_s[0] += 10
    assert lines.line() == (
        "3 running, 1 waiting, 1,234.5 tokens/s, prompts 20.0 tokens/s, 2.50 tokens a step, "
        "prefix cache hits 25%, KV pages 40%"
    )
    now_s[0] += 5
    assert lines.line() == (
        "3 running, 1 waiting, 0.0 tokens/s, prompts 0.0 tokens/s, KV pages 40%"
    ), "what waits is told of although nothing was done"
    status = EngineStatus("ready", 0, 0, 0, 0)
    assert lines.line() is None
