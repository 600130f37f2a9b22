"""Units of positions whose keys are final together: blocks, or single positions."""

from unmask.engine.schedule.sequence import Sequence


def unit_len(sequence: Sequence) -> int:
    """Positions of a unit; a prompt that sees all of itself is another one, before the rest."""
    is_causal = sequence.is_canvas or sequence.has_causal_prefix
    return 1 if is_causal else sequence.decoding.block_len


def first_unit(sequence: Sequence) -> int:
    """Position from which units are counted."""
    return sequence.num_prompt if sequence.has_prompt_block else 0


def end_of_unit(sequence: Sequence, position: int) -> int:
    """End of the tokens that the keys of positions before `position` depend on."""
    first, unit = first_unit(sequence), unit_len(sequence)
    return first - -max(0, position - first) // unit * unit


def last_end(sequence: Sequence, limit: int) -> int:
    """End of the last unit that ends at or before `limit`; zero if none does."""
    first, unit = first_unit(sequence), unit_len(sequence)
    return 0 if limit < first else first + (limit - first) // unit * unit
