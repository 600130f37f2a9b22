"""Units of positions whose keys are final together: blocks, images, or single positions."""

from unmask.engine.schedule.sequence import Sequence
from unmask.images import ImageRows


def unit_len(sequence: Sequence) -> int:
    """Positions of a unit; a prompt that sees all of itself is another one, before the rest."""
    is_causal = sequence.is_canvas or sequence.has_causal_prefix
    return 1 if is_causal else sequence.decoding.block_len


def first_unit(sequence: Sequence) -> int:
    """Position from which units are counted."""
    return sequence.num_prompt if sequence.has_prompt_block else 0


def end_of_unit(sequence: Sequence, position: int) -> int:
    """End of the tokens that the keys of positions before `position` depend on."""
    if (image := _image_at(sequence, position)) is not None:
        return image.end
    first, unit = first_unit(sequence), unit_len(sequence)
    return first - -max(0, position - first) // unit * unit


def last_end(sequence: Sequence, limit: int) -> int:
    """End of the last unit that ends at or before `limit`; zero if none does."""
    if (image := _image_at(sequence, limit)) is not None:
        return image.start
    first, unit = first_unit(sequence), unit_len(sequence)
    return 0 if limit < first else first + (limit - first) // unit * unit


def _image_at(sequence: Sequence, position: int) -> ImageRows | None:
    """The image that sees itself and is cut in two before `position`; None if there is none."""
    for image in sequence.request.images:
        if image.sees_itself and image.start < position < image.end:
            return image
    return None
