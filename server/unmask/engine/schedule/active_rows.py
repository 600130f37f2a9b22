"""Removes rows from a step whose keys and values stay as they are."""

from dataclasses import replace

import numpy as np

from unmask.engine.schedule.batch import StepBatch


def active_rows(batch: StepBatch) -> StepBatch:
    """The batch without the inactive rows of its spans; pages and horizons are the same."""
    if not any(span.query.active is not None for span in batch.spans):
        return batch
    kept = np.ones(batch.num_tokens, np.bool_)
    for i, span in enumerate(batch.spans):
        if span.query.active is not None:
            kept[batch.query_starts[i] : batch.query_starts[i + 1]] = span.query.active
    before = np.concatenate(([0], kept.cumsum()))
    assert kept[batch.hidden_rows].all(), "rows that are read are computed"
    assert not len(batch.guided), "blocks that see only those before them have no CFG"
    return replace(
        batch,
        token_ids=batch.token_ids[kept],
        positions=batch.positions[kept],
        slots=batch.slots[kept],
        horizons=batch.horizons[kept],
        token_slots=batch.token_slots[kept],
        is_known=batch.is_known[kept],
        adapted=batch.adapted[kept],
        shares=None if batch.shares is None else batch.shares[kept],
        images=None if batch.images is None else batch.images.of_rows(kept),
        rotary=None if batch.rotary is None else batch.rotary[kept],
        query_starts=before[batch.query_starts],
        hidden_rows=before[batch.hidden_rows],
    )
