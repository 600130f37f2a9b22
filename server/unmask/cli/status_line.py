"""Status line of the server's log: rates since the last line, queue, cache usage and trouble."""

import time
from collections.abc import Callable

from unmask.metrics import Metrics, value_of
from unmask.types import EngineStatus

PERCENT = 100
TROUBLE = ("refused", "failed", "aborted", "preempted", "restarts")  # told only if there is any


class StatusLine:
    """Formats rates from counter differences, and the engine's current queue."""

    def __init__(
        self,
        metrics: Metrics,
        status: Callable[[], EngineStatus],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._counters = {
            "tokens": metrics.generated_tokens,
            "steps": metrics.denoising_steps,
            "prompt": metrics.prompt_tokens,
            "cache_queries": metrics.prefix_cache_queries,
            "cache_hits": metrics.prefix_cache_hits,
            "passes": metrics.forward_passes,
            "finished": metrics.finished,
            "refused": metrics.refused,
            "failed": metrics.failed,
            "aborted": metrics.aborted,
            "preempted": metrics.preempted,
            "restarts": metrics.engine_restarts,
        }
        self._first_token_s = metrics.first_token_s
        self._status = status
        self._clock_s = clock_s
        self._before = self._read()
        self._before_s = clock_s()

    def line(self) -> str | None:
        """The status line, or None if the engine was idle since the last one."""
        now, now_s, status = self._read(), self._clock_s(), self._status()
        delta = {name: now[name] - self._before[name] for name in now}
        elapsed_s = max(now_s - self._before_s, 1e-9)
        self._before, self._before_s = now, now_s
        trouble = [f"{delta[name]:.0f} {name}" for name in TROUBLE if delta[name]]
        if not (delta["passes"] or status.num_running or status.num_waiting or trouble):
            return None
        parts = [
            f"{status.num_running} running, {status.num_waiting} waiting",
            f"{delta['finished'] - delta['aborted']:.0f} finished",
            f"{delta['tokens'] / elapsed_s:,.1f} tokens/s",
            f"prompts {delta['prompt'] / elapsed_s:,.1f} tokens/s",
        ]
        if delta["steps"]:
            parts.append(f"{delta['tokens'] / delta['steps']:.2f} tokens a step")
        if delta["firsts"]:
            parts.append(f"first token after {1e3 * delta['first_s'] / delta['firsts']:,.0f} ms")
        if delta["cache_queries"]:
            hits_percent = PERCENT * delta["cache_hits"] / delta["cache_queries"]
            parts.append(f"prefix cache hits {hits_percent:.0f}%")
        if status.num_pages:
            parts.append(f"KV pages {PERCENT * status.num_pages_used / status.num_pages:.0f}%")
        num_up = sum(load.is_up for load in status.engines)
        if num_up < len(status.engines):
            parts.append(f"{num_up} of {len(status.engines)} engines up")
        return ", ".join(parts + trouble)

    def _read(self) -> dict[str, float]:
        values = {name: value_of(counter) for name, counter in self._counters.items()}
        values["firsts"] = value_of(self._first_token_s, "_count")
        values["first_s"] = value_of(self._first_token_s, "_sum")
        return values
