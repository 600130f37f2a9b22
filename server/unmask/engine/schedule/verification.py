"""Keeps of a drafted block the tokens that a causal model would have written."""

from unmask.engine.schedule.query_range import IntArray
from unmask.engine.schedule.sequence import Sequence


def note_verified(sequence: Sequence, tokens: IntArray) -> int:
    """Keep the draft of the block up to its first wrong token; returns how many are known now.

    `tokens` [N] are the right ones of the positions after its first, each as if the draft were
    right before it; the one that ends the run is right in any case. Those after a draft that is
    right as a whole are the next guesses (I-DLM). Thoughts end where their budget does.
    """
    first, guesses = sequence.block_start + 1, tokens[:0]
    num_drafted = sequence.num_guesses if sequence.guesses_ahead else sequence.open_len - 1
    drafted = sequence.tokens[first : first + num_drafted]
    wrong = (drafted != tokens[: len(drafted)]).nonzero()[0]
    count = int(wrong[0]) + 1 if len(wrong) else min(num_drafted + 1, len(tokens))
    if sequence.guesses_ahead and not len(wrong):
        guesses = tokens[count:]
    end = first + count
    written = max(end, sequence.block_end)  # one token may be behind the block
    sequence.tokens[first:end] = tokens[:count]
    budget = sequence.thinking
    if budget is not None and budget.ends_in(sequence.tokens, budget.position, end):
        end, guesses = budget.position + 1, tokens[:0]
        sequence.end_thinking(budget)
    sequence.num_guesses = len(guesses)  # none where a draft has a pass of its own
    sequence.final_end, sequence.is_verified = end, True
    sequence.masked[first:end] = False
    sequence.tokens[end:written] = sequence.mask_token_id
    sequence.masked[end:written] = True
    guessed = slice(end, end + len(guesses))
    sequence.tokens[guessed], sequence.masked[guessed] = guesses, False
    return end - first
