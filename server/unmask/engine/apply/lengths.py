"""Carries out the commands of a step that make an answer longer or shorter (DreamOn)."""

from dataclasses import replace

import numpy as np

from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.table import SequenceTable
from unmask.types import TokenLogprob


def carry_out(
    sequence: Sequence, filled: IntArray, logprobs: dict[int, TokenLogprob], table: SequenceTable
) -> int:
    """Carry out commands that were just written to `filled` positions; returns how many.

    The suffix, log-probabilities and the draft move with the positions. Commands are neither
    guesses nor alternatives of a token.
    """
    lengths = sequence.lengths
    assert lengths is not None, "the answer has commands"
    command_ids = lengths.rules.command_ids
    if sequence.request.refinements is not None:
        sequence.guess[np.isin(sequence.guess, command_ids)] = sequence.mask_token_id
    for position in filled.tolist() if logprobs else ():
        noted = logprobs[position]
        tokens = [pair for pair in noted.top if pair[0] not in command_ids]
        num_listed = sequence.decoding.logprobs or 0
        logprobs[position] = replace(noted, top=tuple(tokens[:num_listed]))
    places = lengths.places(sequence.tokens, sequence.masked, filled)
    if places is None:
        return 0
    commands = filled[np.isin(sequence.tokens[filled], command_ids)]
    sequence.tokens[commands], sequence.masked[commands] = sequence.mask_token_id, True
    for position in commands.tolist():
        logprobs.pop(position, None)
    moved = {i: logprobs[place] for i, place in enumerate(places.tolist()) if place in logprobs}
    logprobs.clear()
    logprobs.update(moved)
    added = len(places) - len(sequence.tokens)
    table.rearrange(sequence, places)
    sequence.guess, sequence.confidence = sequence.guess[places], sequence.confidence[places]
    sequence.accepted = sequence.accepted[places]
    sequence.last_end += added
    sequence.fill_end += added
    sequence.block_end = sequence.closes_at = sequence.final_end = sequence.last_end
    sequence.open_len += added
    sequence.rows_per_pass += added
    return len(commands)
