"""Levenshtein editing of an open block, as LLaDA2.2 is decoded.

A step fills masked positions and replaces tokens, as of LLaDA2.1, and two more tokens are commands:
DELETE removes its position, SPLIT inserts a mask before the token that it would have replaced. The
block keeps its length: it is cut at its end, or filled up with masks.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]
BoolArray = npt.NDArray[np.bool_]

MOST_ESCAPES = 5  # tries of a step to leave a state that was seen before
NUM_CANDIDATES = 3  # one of which is no command
STEPS = 32  # over which the authors spread the first masks of a block


@dataclass(frozen=True, slots=True)
class EditRules:
    """Parameters of the editing of a block; the defaults are those of LLaDA2.2's authors."""

    mask_token_id: int
    delete_token_id: int
    split_token_id: int
    threshold: float = 0.5  # confidence above which a mask is filled
    editing_threshold: float = 0.0  # confidence above which a token is replaced
    steps: int = STEPS  # over which the first masks are spread
    max_post_steps: int = 16  # after the last of the first masks
    max_steps: int = 1000

    @property
    def command_ids(self) -> tuple[int, int]:
        """DELETE and SPLIT."""
        return self.delete_token_id, self.split_token_id

    def is_command(self, token_ids: IntArray) -> BoolArray:
        """True where a token is DELETE or SPLIT."""
        return np.isin(token_ids, self.command_ids)


@dataclass(frozen=True, slots=True)
class Candidates:
    """Best tokens of every position of a block, of which none is the mask token."""

    token_ids: IntArray  # [L, NUM_CANDIDATES], the most likely first
    confidence: FloatArray  # [L], probability of the most likely

    def without_commands(self, rules: EditRules) -> IntArray:
        """The best of each position [L] that is no command."""
        first = rules.is_command(self.token_ids).argmin(1)
        return np.take_along_axis(self.token_ids, first[:, None], 1)[:, 0]


@dataclass(frozen=True, slots=True)
class Edits:
    """Changes of a step: positions that it filled or replaced, and moves by its commands.

    A mask that a command made has the number of some position, and is not fresh.
    """

    num_written: int  # commands too
    moved_from: IntArray  # [L], place of each position before the commands
    is_fresh: BoolArray  # [L], True for tokens of this step


@dataclass(frozen=True, slots=True)
class EditedBlock:
    """Open block between two steps. The first `num_given` positions are the prompt's, never edited.

    `is_original` is True for positions that were masked when the block was opened, wherever they
    have moved since. `seen` has the tokens of every step before its commands were carried out.
    """

    token_ids: IntArray  # [L]
    is_original: BoolArray  # [L]
    num_given: int
    num_masks: int  # when the block was opened
    is_final: bool = False
    step: int = 0
    post_steps: int = 0  # since the last of the first masks
    seen: frozenset[bytes] = field(default_factory=frozenset)
    edits: Edits | None = None  # of the last step

    @classmethod
    def opened(cls, token_ids: IntArray, num_given: int, rules: EditRules) -> "EditedBlock":
        """Block before its first step; final if nothing is masked."""
        is_masked = token_ids == rules.mask_token_id
        is_masked[:num_given] = False
        num_masks = int(np.count_nonzero(is_masked))
        return cls(token_ids, is_masked, num_given, num_masks, is_final=num_masks == 0)


def edit_block(block: EditedBlock, candidates: Candidates, rules: EditRules) -> EditedBlock:
    """Block after a step whose forward pass had its tokens.

    It is final once a step that began without masks changes nothing, and after the last step
    allowed. That one fills every mask and carries out no command.
    """
    assert not block.is_final, "a final block is not edited"
    old, best = block.token_ids, candidates.token_ids[:, 0]
    is_given = np.arange(len(old)) < block.num_given
    is_masked = (old == rules.mask_token_id) & ~is_given
    is_first_mask = is_masked & block.is_original
    post_steps = 0 if is_first_mask.any() else block.post_steps + 1
    num_new = int(np.count_nonzero(is_masked & ~block.is_original))
    filled = _filled(block, candidates.confidence, is_masked, num_new, rules)
    replaced = ~is_masked & ~is_given & (best != old)
    replaced &= candidates.confidence > rules.editing_threshold
    if rules.max_post_steps:
        is_last = post_steps >= rules.max_post_steps
    else:
        is_last = not (is_first_mask & ~filled).any()
    if is_last or block.step >= rules.max_steps - 1:
        is_last, filled = True, is_masked
        best = candidates.without_commands(rules)
    written = np.where(filled | replaced, best, old)
    if not is_last:
        written = _new_state(block, written, candidates)
    token_ids, moved_from, is_new = _carried_out(old, written, is_given, rules)
    is_unchanged = not is_masked.any() and np.array_equal(token_ids, old)
    return EditedBlock(
        token_ids,
        (block.is_original & ~is_given)[moved_from] & ~is_new,
        block.num_given,
        block.num_masks,
        is_final=is_last or is_unchanged,
        step=block.step + 1,
        post_steps=post_steps,
        seen=block.seen | {written.tobytes()},
        edits=Edits(
            int(np.count_nonzero(written != old)),
            moved_from,
            (written != old)[moved_from] & (token_ids == written[moved_from]) & ~is_new,
        ),
    )


def _filled(
    block: EditedBlock,
    confidence: FloatArray,
    is_masked: BoolArray,
    num_new: int,
    rules: EditRules,
) -> BoolArray:
    """Masks above the threshold, or as many of the most confident as the step fills at least.

    That is the step's share of the first masks, and every mask that edits made.
    """
    if block.step >= rules.steps:
        return is_masked
    share, rest = divmod(block.num_masks, rules.steps)
    fewest = share + (block.step < rest) + num_new
    confident = is_masked & (confidence > rules.threshold)
    if np.count_nonzero(confident) >= fewest:
        return confident
    filled = np.zeros_like(is_masked)
    masked = is_masked.nonzero()[0]
    filled[masked[np.argsort(-confidence[masked], kind="stable")[:fewest]]] = True
    return filled


def _new_state(block: EditedBlock, written: IntArray, candidates: Candidates) -> IntArray:
    """Tokens `written` [L], changed at the least confident position while they were seen before.

    The authors change a position at random.
    """
    written = written.copy()
    for _ in range(MOST_ESCAPES):
        is_changed = written != block.token_ids
        if written.tobytes() not in block.seen or not is_changed.any():
            break
        position = int(np.where(is_changed, candidates.confidence, np.inf).argmin())
        best, second = candidates.token_ids[position, :2]
        written[position] = second if written[position] == best else best
    return written


def _carried_out(
    old: IntArray, written: IntArray, is_given: BoolArray, rules: EditRules
) -> tuple[IntArray, IntArray, BoolArray]:
    """Tokens [L] without commands, the place of each before, and True for masks of commands."""
    length = len(written)
    is_delete = (written == rules.delete_token_id) & ~is_given
    is_split = (written == rules.split_token_id) & ~is_given
    moved_from, is_new = np.arange(length), np.zeros(length, np.bool_)
    if not (is_delete.any() or is_split.any()):
        return written, moved_from, is_new
    source = moved_from.repeat(np.where(is_delete, 0, np.where(is_split, 2, 1)))[:length]
    count = len(source)
    moved_from[:count] = source
    is_new[:count] = is_split[source] & np.append(True, source[1:] != source[:-1])[:count]
    is_new[count:] = True
    token_ids = np.where(is_split, old, written)[moved_from]
    token_ids[is_new] = rules.mask_token_id
    return token_ids, moved_from, is_new
