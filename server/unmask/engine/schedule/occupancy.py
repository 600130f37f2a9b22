"""Sequences that wait and sequences that run, with the pages and table rows that they hold."""

from collections import Counter
from itertools import chain

from unmask.config import EngineConfig
from unmask.engine.schedule.fair_queue import FairQueue
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.prefix_cache import PrefixCache, shares_prefixes
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.shares import page_victim
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.table import SequenceTable
from unmask.types import ModelInfo


def may_be_preempted(sequence: Sequence) -> bool:
    """True if passes that are computed again lead to the same tokens.

    Kept keys of full attention depend on the canvas as it was when its block was opened.
    """
    return not sequence.is_full or sequence.decoding.cache == "none"


class Occupancy:
    """Running sequences, at most `max_num_seqs`, each with a row of the table, and waiting ones.

    A preempted sequence gives its pages up at once, and its row when its last results have come;
    its tokens are kept.
    """

    def __init__(
        self, config: EngineConfig, limits: EngineLimits, pool: PagePool, model: ModelInfo
    ) -> None:
        self._limits, self._pool = limits, pool
        self.prefixes = PrefixCache(pool, is_enabled=shares_prefixes(config, model))
        self.waiting = FairQueue[Sequence]()
        self.running: list[Sequence] = []  # in the order of their admission
        self._leaving: list[Sequence] = []  # preempted, but with a row
        num_rows = limits.num_table_rows
        self.table = SequenceTable.sized(
            num_rows, model.max_model_len, pool.num_pages, pool.page_size
        )
        self.last_spans: list[Span | None] = [None] * num_rows  # of each row
        self.num_preempted = 0

    @property
    def sequences(self) -> chain[Sequence]:
        """Every sequence, running or waiting."""
        return chain(self.running, self.waiting)

    def add(self, sequence: Sequence) -> None:
        """Put a sequence into its client's queue."""
        self.waiting.add(sequence, sequence.request.client, sequence.request.priority)

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence, and free what it holds."""
        is_running = sequence in self.running
        if is_running:
            self.running.remove(sequence)
            self.release(sequence)
        self.waiting.remove(sequence, is_running=is_running)
        self.table.leave(sequence)

    def start(self, sequence: Sequence) -> None:
        """Let a waiting sequence, which has its pages, run."""
        self.waiting.take(sequence)
        self.running.append(sequence)
        if sequence.table_row is not None:
            self._leaving.remove(sequence)
        self.table.enter(sequence)

    def cover(self, sequence: Sequence, end: int) -> bool:
        """Give a sequence pages for its positions before `end`; False if there are too few."""
        missing = sequence.num_pages(end, self._pool.page_size) - len(sequence.pages)
        if missing > 0:
            pages = self._pool.allocate(missing)
            if pages is None:
                return False
            sequence.pages += pages
            self.table.note_pages(sequence, missing)
        return True

    def cover_or_preempt(self, sequence: Sequence, end: int) -> bool:
        """The same, with pages of others if need be; False if it was preempted itself."""
        while not self.cover(sequence, end):
            victim = page_victim(self.running)
            self.preempt(victim)
            if victim is sequence:
                return False
        return True

    def preempt(self, sequence: Sequence) -> None:
        """Let a running sequence wait, without pages."""
        self.running.remove(sequence)
        self.release(sequence)
        self.waiting.put_back(sequence)
        self._leaving.append(sequence)
        self.num_preempted += 1

    def release(self, sequence: Sequence) -> None:
        """Free the pages of a sequence, whose keys are computed again if it goes on."""
        self._pool.release(sequence.pages)
        sequence.pages = []
        sequence.repeats = False
        if sequence.table_row is not None:
            self.last_spans[sequence.table_row] = None
        sequence.num_computed = sequence.num_published = 0

    def make_room(self, sequence: Sequence, num_spare: int = 0) -> None:
        """Preempt sequences of clients that run more, if one of this client can run then.

        `num_spare` pages are to be left.
        """
        needed = num_spare + sequence.num_pages(sequence.next_horizon, self._pool.page_size)
        has_row = self.has_row(sequence) or bool(self._leaving)
        if has_row and self._pool.num_available >= needed:
            self.free_rows()
            return
        self.prefixes.take(sequence)  # these pages are there already, whoever else holds them
        needed -= len(sequence.pages)
        victims, holds, num_pages = list[Sequence](), Counter[int](), self._pool.num_available
        candidates = filter(may_be_preempted, reversed(self.running))
        for victim in self.waiting.victims(candidates, sequence.request.client):
            if has_row and num_pages >= needed:
                break
            victims.append(victim)
            holds.update(victim.pages)
            has_row, num_pages = True, num_pages + self._pool.num_released(victim.pages, holds)
        self.release(sequence)
        if has_row and num_pages >= needed:
            for victim in victims:
                self.preempt(victim)
            self.free_rows()

    def has_row(self, sequence: Sequence) -> bool:
        """True if there is a row of the table for a sequence that waits."""
        num_rows = len(self.running) + len(self._leaving)
        return sequence.table_row is not None or num_rows < self._limits.max_num_seqs

    def free_rows(self) -> None:
        """Take the rows of preempted sequences whose results have all come."""
        if not self._leaving:
            return
        for sequence in self._leaving:
            if not sequence.in_flight:
                self.table.leave(sequence)
        self._leaving = [s for s in self._leaving if s.table_row is not None]
