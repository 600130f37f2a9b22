"""Sizes of the engine, derived once at start."""

from dataclasses import dataclass

from unmask.engine.schedule.block_lengths import GPU_SATURATION_ROWS

MAX_STATES = 8  # speculative states of a step


@dataclass(frozen=True, slots=True)
class EngineLimits:
    """Sizes that follow from the configuration, the model and the device.

    A step holds `max_batch_tokens` query tokens of `max_num_seqs` sequences. Beyond
    `saturation_rows` its time grows with its rows. Where several clients share steps, these have
    `rows_per_client`, or what the least demanding client wants, for each of them. `kv_dtype` is a
    name in `torch`. With `overlaps` a step is launched before the result of the last one is known.
    """

    max_batch_tokens: int
    num_pages: int
    page_size: int
    max_num_seqs: int = 64
    speculation_rows: int = 0
    saturation_rows: int = GPU_SATURATION_ROWS
    rows_per_client: int = GPU_SATURATION_ROWS
    kv_dtype: str = "float32"
    overlaps: bool = False
    has_graphs: bool = False

    @property
    def num_table_rows(self) -> int:
        """Sequences that run at once, and speculative states of them."""
        return self.max_num_seqs + (MAX_STATES if self.speculation_rows else 0)
