"""One line of the log on the engine's work since the last one: operators live by it."""

import time
from collections.abc import Callable

from unmask.metrics import Metrics, value_of
from unmask.types import EngineStatus

PERCENT = 100


class StatusLine:
    """Differences of counters between two calls, beside what runs and waits now."""

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
            "looked_up": metrics.prefix_cache_queries,
            "found": metrics.prefix_cache_hits,
            "passes": metrics.forward_passes,
        }
        self._status = status
        self._clock_s = clock_s
        self._before = self._read()
        self._before_s = clock_s()

    def line(self) -> str | None:
        """The line, or None where nothing ran, runs or waits."""
        now, now_s, status = self._read(), self._clock_s(), self._status()
        did = {name: now[name] - self._before[name] for name in now}
        elapsed_s = max(now_s - self._before_s, 1e-9)
        self._before, self._before_s = now, now_s
        if not (did["passes"] or status.num_running or status.num_waiting):
            return None
        parts = [
            f"{status.num_running} running, {status.num_waiting} waiting",
            f"{did['tokens'] / elapsed_s:,.1f} tokens/s",
            f"prompts {did['prompt'] / elapsed_s:,.1f} tokens/s",
        ]
        if did["steps"]:
            parts.append(f"{did['committed'] / did['steps']:.2f} tokens a step")
        if did["looked_up"]:
            parts.append(f"prefix cache hits {PERCENT * did['found'] / did['looked_up']:.0f}%")
        if status.num_pages:
            parts.append(f"KV pages {PERCENT * status.num_pages_used / status.num_pages:.0f}%")
        return ", ".join(parts)

    def _read(self) -> dict[str, float]:
        return {name: value_of(counter) for name, counter in self._counters.items()}
