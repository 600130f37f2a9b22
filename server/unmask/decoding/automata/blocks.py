"""Open blocks: masks of their positions, the ordered check of choices, and what follows from them.

All blocks of a step are served by one call of C, which takes less time than a call for each.
"""

import ctypes
from collections.abc import Iterator, Sequence
from typing import Self

import numpy as np

from unmask.decoding.automata.automaton import Bools, Int32s, Int64s, TokenAutomaton, Words
from unmask.decoding.automata.sets import MASKED, BlockSets
from unmask_kernels.native import automata as native
from unmask_kernels.native.layout import pointer

MAX_WORK = 1 << 26  # states that the choices of one step may visit, some 0.1 s


class Block:
    """Open block of L positions: sets of states on both sides of each, renewed by choices."""

    __slots__ = ("_memory", "address", "automaton", "is_possible", "length", "sets")

    def __init__(
        self,
        automaton: TokenAutomaton,
        state: int,
        classes: Int32s,
        room: int,
        editable: Bools | None = None,
        *,
        uses_c: bool = True,
    ) -> None:
        """`classes` [L] are the tokens' own, `MASKED` for masks; `is_possible` if an answer is so.

        Of the tokens those that are `editable` [L] may be replaced. `room` may follow the block.
        """
        self.automaton, self.length = automaton, len(classes)
        library = native.automata_library() if uses_c else None
        self.sets: BlockSets | None = None  # without C
        self.address = 0  # of `Block` in C
        if library is None:
            self.sets = BlockSets(automaton, state, classes, room)
            self.is_possible = self.sets.is_possible
            return
        made = ctypes.byref(automaton.for_c)
        self._memory = np.empty(library.block_bytes(made, self.length), np.uint8)
        self.address = pointer(self._memory)
        edits = None if editable is None else pointer(editable)
        given = state, pointer(classes), edits, self.length, room
        found = library.open_block(self.address, made, *given)
        if found == native.FAILED:
            raise MemoryError
        self.is_possible = found == native.POSSIBLE

    @classmethod
    def of_tokens(
        cls,
        automaton: TokenAutomaton,
        state: int,
        tokens: Int64s,
        masked: Bools,
        room: int,
        editable: Bools | None = None,
    ) -> Self:
        """Block of tokens [L], of which some are masks [L]."""
        classes = automaton.class_of.take(tokens)
        classes[masked] = MASKED
        return cls(automaton, state, classes, room, editable)

    def masks(self) -> Words:
        """Bits of the classes that each position may take: [L, words].

        For masked positions and editable ones, in place of their own class; no others count.
        """
        masks = np.zeros((self.length, self.automaton.num_words), np.uint32)
        grammars = np.empty(self.length, np.int32)
        StepBlocks.of(self).write_masks(np.arange(self.length), masks, grammars)
        return masks

    def accept(self, positions: Int64s, tokens: Int64s, most_work: int = MAX_WORK) -> Bools:
        """Take tokens [K] in their order, if possible with all that are taken; True for those.

        The first is possible if its mask allowed it, so that each step takes one at least. The
        others are for later steps once `most_work` states were visited.
        """
        return StepBlocks.of(self, len(positions)).accept(positions, tokens, most_work)

    def fill_forced(self) -> tuple[Int64s, Int64s]:
        """Take all masked positions that only one token may fill; returns them and their tokens.

        They exclude nothing, as all answers have them.
        """
        return StepBlocks.of(self).fill_forced()[1:]


class StepBlocks:
    """Blocks of a step, each with some of the step's rows.

    `table` [P, 5] has their addresses, first positions, first rows, ends of rows, and grammars.
    """

    __slots__ = ("_blocks", "_library", "_size", "table")

    def __init__(self, blocks: Sequence[Block], table: Int64s) -> None:
        self._blocks, self.table = blocks, table
        has_sets = any(block.sets is not None for block in blocks)
        self._library = None if has_sets else native.automata_library()
        self._size = sum(block.length for block in blocks)

    @classmethod
    def of(cls, block: Block, num_rows: int | None = None) -> Self:
        """One block whose positions are counted from its start; all of them are rows by default."""
        past = block.length if num_rows is None else num_rows
        return cls((block,), np.array([(block.address, 0, 0, past, 0)], np.int64))

    def select(self, which: Bools, firsts: Int64s, pasts: Int64s) -> Self:
        """Some of the blocks with other rows, [first, past) for each of all."""
        table = self.table.copy()
        table[:, 2], table[:, 3] = firsts, pasts
        if which.all():
            return type(self)(self._blocks, table)
        blocks = [self._blocks[i] for i in which.nonzero()[0].tolist()]
        return type(self)(blocks, table[which])

    def write_masks(self, positions: Int64s, words: Words, grammars: Int32s) -> None:
        """Write the blocks' grammars [M], and bits of the classes that positions [M] may take.

        `words` [M, W] are zeros before.
        """
        if self._library is not None:
            given = pointer(self.table), len(self.table), pointer(positions), words.shape[1]
            self._library.block_masks(*given, pointer(words), pointer(grammars))
            return
        for i, rows, own in self._rows(positions):
            grammars[rows] = self.table[i, 4]
            for row, position in zip(rows.tolist(), own.tolist(), strict=True):
                mask = self._sets(i).mask(position)
                words[row, : len(mask)] = mask

    def accept(self, positions: Int64s, tokens: Int64s, most_work: int = MAX_WORK) -> Bools:
        """Take tokens [K] of each block in their order; see `Block.accept`.

        True for rows of no block.
        """
        accepted = np.ones(len(positions), np.bool_)
        if self._library is None:
            for i, rows, own in self._rows(positions):
                accepted[rows] = self._sets(i).accept(own, tokens[rows], most_work)
            return accepted
        positions, tokens = (np.ascontiguousarray(x, np.int64) for x in (positions, tokens))
        given = pointer(self.table), len(self.table), pointer(positions), pointer(tokens)
        if not self._library.accept_choices(*given, most_work, pointer(accepted)):
            raise MemoryError
        return accepted

    def fill_forced(self) -> tuple[Int64s, Int64s, Int64s]:
        """Blocks, positions and tokens of the step that could be nothing else; they are taken."""
        if not self._blocks:
            return (np.empty(0, np.int64),) * 3
        if self._library is None:
            found = [self._sets(i).fill_forced() for i in range(len(self._blocks))]
            counts = [len(tokens) for _, tokens in found]
            starts = np.repeat(self.table[:, 1], counts)
            positions, tokens = (np.concatenate(x) for x in zip(*found, strict=True))
            return np.repeat(np.arange(len(found)), counts), starts + positions, tokens
        forced = np.empty((3, self._size), np.int64)
        given = pointer(self.table), len(self.table), *map(pointer, forced)
        count = self._library.fill_forced(*given)
        if count < 0:
            raise MemoryError
        return forced[0, :count], forced[1, :count], forced[2, :count]

    def _sets(self, i: int) -> BlockSets:
        sets = self._blocks[i].sets
        assert sets is not None, "there is no C"
        return sets

    def _rows(self, positions: Int64s) -> Iterator[tuple[int, Int64s, Int64s]]:
        """Numbers of blocks, their rows, and the positions of these from the block's start on."""
        for i, (_, start, first, past, _) in enumerate(self.table.tolist()):
            own = positions[first:past] - start
            inside = ((own >= 0) & (own < self._blocks[i].length)).nonzero()[0]
            yield i, first + inside, own[inside]
