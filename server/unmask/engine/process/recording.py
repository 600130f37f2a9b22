"""Metrics that are recorded in one process and counted in another."""

from typing import Any

from prometheus_client import Counter, Histogram

from unmask.engine.process.messages import Labels, Recorded
from unmask.metrics import BatchHistogram, Metrics


class _Recorder:
    """The calls of a metric by which values are counted."""

    def __init__(self, owner: "RecordedMetrics", name: str, labels: Labels = ()) -> None:
        self._owner, self._key = owner, (name, labels)
        self._labelled: dict[Labels, _Recorder] = {}

    def labels(self, *values: str) -> "_Recorder":
        known = self._labelled.get(values)
        if known is None:
            known = self._labelled[values] = _Recorder(self._owner, self._key[0], values)
            self._owner.recorded.added.setdefault((self._key[0], values), 0.0)
        return known

    def inc(self, amount: float = 1.0) -> None:
        if amount:
            added = self._owner.recorded.added
            added[self._key] = added.get(self._key, 0.0) + amount

    def observe(self, value: Any) -> None:
        values = value if isinstance(value, list | tuple) else [value]
        if values:
            self._owner.recorded.observed.setdefault(self._key, []).extend(values)


class RecordedMetrics(Metrics):
    """Metrics of an engine that keep values until `take`; call it from the engine's thread."""

    def __init__(self) -> None:
        super().__init__()
        self.recorded = Recorded()
        for name, metric in list(vars(self).items()):
            if isinstance(metric, Counter | Histogram | BatchHistogram):
                setattr(self, name, _Recorder(self, name))

    def take(self) -> Recorded:
        """Values since the last call."""
        taken, self.recorded = self.recorded, Recorded()
        return taken


def count(metrics: Metrics, recorded: Recorded) -> None:
    """Count what was recorded elsewhere."""
    for (name, labels), amount in recorded.added.items():
        metric = getattr(metrics, name)
        metric = metric.labels(*labels) if labels else metric
        if amount:  # labels alone are exported from the start
            metric.inc(amount)
    for (name, labels), values in recorded.observed.items():
        histogram = getattr(metrics, name)
        if isinstance(histogram, BatchHistogram):
            histogram.observe(values)
            continue
        for value in values:
            (histogram.labels(*labels) if labels else histogram).observe(value)
