"""Numbers of rounds in which settings take turns."""

import statistics
from collections.abc import Sequence


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(values: Sequence[float], others: Sequence[float]) -> dict[str, float]:
    """Spread of the ratios of each round's two values."""
    return spread([value / other for value, other in zip(values, others, strict=True)])
