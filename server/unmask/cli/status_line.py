"""Status line of the server's log: rates since the last line, queue and cache usage."""

import time
from collections.abc import Callable

from unmask.metrics import Metrics, value_of
from unmask.types import EngineStatus

PERCENT = 100


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
            "committed": metrics.committed_tokens,
            "prompt": metrics.prompt_tokens,
            "cache_queries": metrics.prefix_cache_queries,
            "cache_hits": metrics.prefix_cache_hits,
            "passes": metrics.forward_passes,
        }
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
        if not (delta["passes"] or status.num_running or status.num_waiting):
            return None
        parts = [
            f"{status.num_running} running, {status.num_waiting} waiting",
            f"{delta['tokens'] / elapsed_s:,.1f} tokens/s",
            f"prompts {delta['prompt'] / elapsed_s:,.1f} tokens/s",
        ]
        if delta["steps"]:
            parts.append(f"{delta['committed'] / delta['steps']:.2f} tokens a step")
        if delta["cache_queries"]:
            hits_percent = PERCENT * delta["cache_hits"] / delta["cache_queries"]
            parts.append(f"prefix cache hits {hits_percent:.0f}%")
        if status.num_pages:
            parts.append(f"KV pages {PERCENT * status.num_pages_used / status.num_pages:.0f}%")
        num_up = sum(load.is_up for load in status.engines)
        if num_up < len(status.engines):
            parts.append(f"{num_up} of {len(status.engines)} engines up")
        return ", ".join(parts)

    def _read(self) -> dict[str, float]:
        return {name: value_of(counter) for name, counter in self._counters.items()}
