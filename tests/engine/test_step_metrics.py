"""Counts of steps in the metrics."""

from dataclasses import replace

import pytest

from tests.support.engines import make_engine, plain_requests, run_all
from unmask.metrics import value_of
from unmask.models.registry import LoadedModel


@pytest.mark.parametrize(
    ("traits", "params", "settings"),
    [
        ({"attention": "full"}, {"cfg_scale": 1.0}, {}),
        ({}, {"steps": 8}, {"speculation_rows": 200}),
    ],
    ids=["both branches of guidance", "speculative states"],
)
def test_a_sequence_counts_once_in_a_step(
    tiny: LoadedModel,
    traits: dict[str, object],
    params: dict[str, object],
    settings: dict[str, object],
) -> None:
    loaded = replace(tiny, info=replace(tiny.info, **traits))
    engine = make_engine(loaded, **settings)
    run_all(engine, plain_requests(1, max_tokens=16, ignore_eos=True, seed=3, **params))
    metrics = engine.metrics
    assert value_of(metrics.batch_sequences, "_sum") == value_of(metrics.forward_passes)
    assert (value_of(metrics.speculative_states) > 0) == bool(settings)
