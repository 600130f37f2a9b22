"""Counts steps and their results in the metrics."""

from unmask.engine.apply.session import Applied
from unmask.engine.schedule.batch import StepBatch
from unmask.engine.schedule.sequence import Sequence
from unmask.metrics import Metrics


def record_started(
    metrics: Metrics, sequence: Sequence, queue_s: float, *, shares_prefixes: bool
) -> None:
    """Count a sequence that waited `queue_s` for its first step."""
    metrics.queue_s.observe(queue_s)
    metrics.block_length.observe(sequence.decoding.block_len)
    if shares_prefixes:
        metrics.prefix_cache_queries.inc(sequence.num_prompt)
        metrics.prefix_cache_hits.inc(sequence.num_cached)


def record_step(metrics: Metrics, batch: StepBatch, elapsed_s: float) -> None:
    """Count a step, `elapsed_s` from its launch to its applied result."""
    metrics.forward_passes.inc()
    metrics.query_tokens.inc(batch.num_tokens)
    metrics.canvas_positions.inc(len(batch.hidden_rows))
    metrics.masked_rows.observe(len(batch.hidden_rows))
    own = [s for s in batch.spans if not s.without_prompt and s.sequence.speculates_for is None]
    metrics.batch_sequences.observe(len(own))
    metrics.step_s.observe(elapsed_s)


def record_progress(metrics: Metrics, applied: Applied) -> None:
    """Count what a result made of the sequences' blocks."""
    for session in applied.started:
        assert session.sequence.first_token_s is not None, "it was noted before"
        metrics.first_token_s.observe(session.sequence.first_token_s)
    metrics.steps_per_block.observe(applied.block_steps)
    metrics.inter_token_s.observe(applied.gaps_s)
    metrics.denoising_steps.inc(applied.num_steps)
    metrics.block_positions.inc(applied.num_block_positions)
    metrics.final_block_positions.inc(applied.num_final_block_positions)
    metrics.committed_tokens.inc(applied.num_committed)
    metrics.generated_tokens.inc(applied.num_final)
