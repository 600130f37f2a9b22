"""Chooses the sequences of the next step and their pages; imports no torch."""

from collections import deque
from collections.abc import Iterator
from itertools import takewhile

from unmask.config import EngineConfig
from unmask.engine.schedule.active_rows import active_rows
from unmask.engine.schedule.batch import StepBatch, build_batch
from unmask.engine.schedule.block_lengths import index_under_load
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.modes import DRAFTING_LOAD
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.passes import next_pass
from unmask.engine.schedule.prefix_cache import PrefixCache
from unmask.engine.schedule.query_range import QueryRange
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.speculation import can_speculate, discard, speculate
from unmask.engine.schedule.table import SequenceTable
from unmask.engine.schedule.turns import MAX_PASSED, Turns
from unmask.types import ModelInfo


class Scheduler:
    """Step-level continuous batching under a budget of query tokens.

    Running sequences are served in the order of their admission, those with an open block to
    denoise before those still reading their prompt; where a step cannot hold all, the one that ran
    longest ago is first. Sequences with long passes take turns with the others. When pages run
    out, the sequence admitted last gives its pages up and is computed again later; its tokens are
    kept. Block lengths that follow the load are chosen as a sequence first runs, by the rows that
    every sequence, running or waiting, would take in blocks of its usual length.
    """

    def __init__(
        self, config: EngineConfig, limits: EngineLimits, pool: PagePool, model: ModelInfo
    ) -> None:
        self._limits = limits
        self._pool = pool
        self._model = model
        # With full attention, keys of a prompt depend on what follows it.
        is_shared = config.prefix_cache and model.attention != "full"
        self._prefixes = PrefixCache(pool, is_enabled=is_shared)
        self._waiting: deque[Sequence] = deque()
        self._running: list[Sequence] = []
        self._turns = Turns(limits.max_batch_tokens, limits.saturation_rows)
        self._lacked_budget = False  # True if a step had no rows left for a sequence
        self._block_rows = 0  # of every sequence, in blocks of its usual length
        num_rows = limits.num_table_rows
        self.table = SequenceTable.sized(
            num_rows, model.max_model_len, pool.num_pages, pool.page_size
        )
        self._spans: list[Span | None] = [None] * num_rows  # the last of each row
        self.num_preempted = 0

    @property
    def num_running(self) -> int:
        """Sequences that hold pages."""
        return len(self._running)

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._waiting)

    @property
    def sequences(self) -> Iterator[Sequence]:
        """Every sequence, running or waiting."""
        yield from self._running
        yield from self._waiting

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the queue."""
        self._waiting.append(sequence)
        self._block_rows += sequence.usual_block_len

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and free its pages."""
        self._block_rows -= sequence.usual_block_len
        if sequence in self._running:
            self._running.remove(sequence)
            self._release(sequence)
        else:
            self._waiting.remove(sequence)
        self.table.leave(sequence)

    def schedule(self) -> StepBatch | None:
        """The next step, or None when there is nothing to do."""
        speculates = self._note_speculation()
        spans, budget, num_repeats = self._choose()
        if not spans:
            return None
        states: list[Span] = []
        if speculates:
            num_rows = sum(span.query.num_rows for span in spans)
            spare = min(self._limits.speculation_rows - num_rows, budget)
            states = speculate(spans, self.table, self._pool, spare)
        batch = build_batch(
            [*spans, *states],
            self.table,
            self._pool.page_size,
            attention=self._model.attention,
            shift=self._model.shift,
            num_repeats=num_repeats,
        )
        discard(states, self.table, self._pool)
        return active_rows(batch)

    def _choose(self) -> tuple[list[Span], int, int]:
        """Spans of the next step, query tokens that are left, and how many spans are repeats."""
        turns, spans = self._turns, list[Span]()
        turns.begin()
        repeats, decoding, reading, heavy = self._sorted_by_kind()
        light, reserved = decoding + reading, 0
        if self._lacked_budget:
            light, reserved = turns.longest_waiting(light), self._rows_to_admit()
        self._lacked_budget = False
        num_preempted, is_due = self.num_preempted, turns.is_heavy_due
        heavy = turns.longest_waiting(heavy) if len(heavy) > 1 else heavy
        budget = self._limits.max_batch_tokens
        heavy_rows = light_rows = 0
        if heavy and is_due:
            first = next((s for s in heavy if not s.must_wait), heavy[0])
            heavy_rows = self._run([first], budget, spans)
        budget -= heavy_rows
        light_rows = self._repeat(repeats, spans)
        light_rows += self._run(light, budget - min(reserved, budget // 2) - light_rows, spans)
        budget -= light_rows
        # A sequence that was just preempted must not come back in the step that needed its pages.
        if self.num_preempted == num_preempted:
            num_heavy = self._limits.max_num_seqs
            if light or repeats:
                num_heavy = int(is_due and not heavy_rows)
            admitted = self._admit_waiting(budget, spans, num_heavy)
            light_rows, heavy_rows = light_rows + admitted[0], heavy_rows + admitted[1]
            budget -= sum(admitted)
        if reserved:  # as much of it as is left goes to those that run
            rest = [sequence for sequence in light if sequence.last_step != turns.step]
            used = self._run(rest, budget, spans)
            light_rows, budget = light_rows + used, budget - used
        if not spans or not (light or light_rows):
            rest = [sequence for sequence in heavy if sequence.last_step != turns.step]
            used = self._run(rest, budget, spans)
            heavy_rows, budget = heavy_rows + used, budget - used
        turns.end(light_rows, heavy_rows)
        if self.num_preempted != num_preempted:
            repeats = [sequence for sequence in repeats if sequence.pages]
        return spans, budget, len(repeats)

    def _sorted_by_kind(
        self,
    ) -> tuple[list[Sequence], list[Sequence], list[Sequence], list[Sequence]]:
        """Sequences that repeat their last pass, and others: decoding, reading and heavy ones.

        None repeats where the budget might not do for all others too: then their order counts.
        """
        if not self._lacked_budget:
            repeats = [sequence for sequence in self._running if sequence.repeats]
            if not repeats:
                return [], *self._kinds(self._running)
            others = [sequence for sequence in self._running if not sequence.repeats]
            num_rows = sum([sequence.open_len for sequence in repeats])
            num_rows += sum([sequence.most_rows for sequence in others if not sequence.must_wait])
            if num_rows <= self._limits.max_batch_tokens:
                kinds = self._kinds(others)
                if not kinds[2]:
                    return repeats, *kinds
        return [], *self._kinds(self._running)

    def _kinds(
        self, sequences: list[Sequence]
    ) -> tuple[list[Sequence], list[Sequence], list[Sequence]]:
        """Sequences that decode, that read their prompt, and heavy ones."""
        decoding: list[Sequence] = []
        reading: list[Sequence] = []
        heavy: list[Sequence] = []
        for sequence in sequences:
            if self._turns.is_heavy(sequence):
                heavy.append(sequence)
            else:
                (reading if sequence.is_reading else decoding).append(sequence)
        return decoding, reading, heavy

    def _repeat(self, sequences: list[Sequence], spans: list[Span]) -> int:
        """Add the last spans of sequences to the step once more; returns their query tokens."""
        num_rows, step = 0, self._turns.step
        for sequence in sequences:
            assert sequence.table_row is not None, "a sequence that ran has a row"
            span = self._spans[sequence.table_row]
            assert span is not None, "a pass that repeats has a span"
            spans.append(span)
            sequence.last_step = step
            num_rows += sequence.open_len
        return num_rows

    def _run(self, sequences: list[Sequence], budget: int, spans: list[Span]) -> int:
        """Add running sequences to the step while they fit; returns the query tokens used."""
        left, num_preempted = budget, self.num_preempted
        for sequence in sequences:
            if sequence.pages and not sequence.must_wait:  # may have been preempted just now
                left -= self._extend(sequence, left, spans)
        if self.num_preempted != num_preempted:
            spans[:] = [span for span in spans if span.sequence.pages]
        return budget - left

    def _rows_to_admit(self) -> int:
        """Query tokens that the first waiting sequence would take, if one more may run."""
        if not self._waiting or len(self._running) >= self._limits.max_num_seqs:
            return 0
        first = self._waiting[0]
        return first.rows_per_pass + (0 if first.is_full else first.num_prompt)

    def _admit_waiting(self, budget: int, spans: list[Span], num_heavy: int) -> tuple[int, int]:
        """Start waiting sequences while they fit, at most `num_heavy` of them heavy.

        Returns query tokens of light and of heavy ones. Light ones pass a heavy one that has to
        wait, but only so many of them.
        """
        light_rows = heavy_rows = 0
        while self._waiting and len(self._running) < self._limits.max_num_seqs:
            first, left = self._waiting[0], budget - light_rows - heavy_rows
            if self._turns.is_heavy(first):
                used = self._admit(first, left, spans) if num_heavy else 0
                if used:
                    heavy_rows, num_heavy = heavy_rows + used, num_heavy - 1
                    continue
                num_heavy = 0
                light = self._next_light()
                if light is None or first.num_passed >= MAX_PASSED:
                    break
                first.num_passed += 1
                first = light
            used = self._admit(first, left, spans)
            if used == 0:
                break
            light_rows += used
        return light_rows, heavy_rows

    def _next_light(self) -> Sequence | None:
        """The first waiting light sequence, if there is a row of the table for it.

        Preempted ones keep their rows, and are before all others in the queue.
        """
        light = next((s for s in self._waiting if not self._turns.is_heavy(s)), None)
        if light is None or light.table_row is not None:
            return light
        preempted = takewhile(lambda s: s.table_row is not None, self._waiting)
        num_rows = len(self._running) + sum(1 for _ in preempted)
        return light if num_rows < self._limits.max_num_seqs else None

    def _note_speculation(self) -> bool:
        """Have sequences keep their scores for speculation while a step has rows left for it."""
        if not self._limits.speculation_rows:
            return False
        block_rows = sum(s.decoding.block_len for s in self._running)
        speculates = 2 * block_rows <= self._limits.speculation_rows
        for sequence in self._running:
            keeps_scores = speculates and can_speculate(sequence)
            if keeps_scores != sequence.keeps_scores:
                sequence.keeps_scores = keeps_scores
                self.table.note_kind(sequence)
        return speculates

    def advance(self, batch: StepBatch) -> list[Sequence]:
        """Record that a step was launched; final pages are published for reuse.

        Returns the sequences whose first step it is.
        """
        started: list[Sequence] = []
        for span in batch.spans[: batch.num_repeats]:
            span.sequence.computed_again()
        for span in batch.spans[batch.num_repeats :]:
            sequence = span.sequence
            if sequence.speculates_for is not None:
                sequence.speculates_for.num_rows += span.query.num_rows
            elif not span.without_prompt:
                sequence.computed(span.query)
                if sequence.num_forwards == 1:
                    started.append(sequence)
                sequence.repeats = self._will_repeat(sequence, span.query)
                self._prefixes.publish(sequence)
        return started

    def _will_repeat(self, sequence: Sequence, query: QueryRange) -> bool:
        return (
            sequence.will_repeat(query)
            and not sequence.is_out
            and not self._limits.speculation_rows
            and not self._turns.is_heavy(sequence)
        )

    def _extend(self, sequence: Sequence, budget: int, spans: list[Span]) -> int:
        """Add a running sequence to the step; returns the query tokens used."""
        query = next_pass(sequence, budget)
        if query is None:
            self._lacked_budget = True
            return 0
        self._turns.ran(sequence)
        last = None if sequence.table_row is None else self._spans[sequence.table_row]
        if last is not None and last.query is query:  # once more, on pages that it has
            spans.append(last)
            return query.end - query.start
        while not self._cover(sequence, query.horizon):
            victim = self._running[-1]
            self._preempt(victim)
            if victim is sequence:
                return 0
        return self._append(sequence, query, spans)

    def _admit(self, sequence: Sequence, budget: int, spans: list[Span]) -> int:
        """Start the first waiting sequence if it fits; returns the query tokens used."""
        if sequence.in_flight:
            return 0  # preempted, and its result is still to come
        sequence.resume()
        if not sequence.was_admitted:
            self._choose_block_length(sequence)
        if sequence.structure is not None and not sequence.structure.is_open:
            sequence.structure.begin(sequence)
        self._prefixes.take(sequence)
        needed = sequence.num_pages(sequence.next_horizon, self._pool.page_size)
        needed -= len(sequence.pages)
        query = next_pass(sequence, budget)
        lacks_pages = needed > self._pool.num_available
        if query is None or lacks_pages or not self._leaves_pages(sequence, needed):
            self._lacked_budget |= query is None
            self._release(sequence)
            return 0
        self._turns.ran(sequence)
        covered = self._cover(sequence, sequence.longest if sequence.is_full else query.horizon)
        assert covered
        if not sequence.was_admitted:
            sequence.was_admitted = True
            sequence.num_cached = sequence.num_computed
        self._waiting.remove(sequence)
        self._running.append(sequence)
        self.table.enter(sequence)
        return self._append(sequence, query, spans)

    def _leaves_pages(self, sequence: Sequence, needed: int) -> bool:
        """True if enough pages for light sequences are left beside one more heavy one."""
        is_heavy = self._turns.is_heavy
        if not is_heavy(sequence) or not any(map(is_heavy, self._running)):
            return True
        return self._pool.num_available - needed >= self._pool.num_pages // 4

    def _choose_block_length(self, sequence: Sequence) -> None:
        """Fix block length or mode by the load, again and again until the sequence fits."""
        load = self._block_rows / self._limits.saturation_rows
        if sequence.choices[-1].mode == "ar":
            load /= DRAFTING_LOAD
        index = index_under_load(load)
        chosen = sequence.choices[min(index, len(sequence.choices) - 1)]
        if chosen is not sequence.decoding:
            sequence.decode_by(chosen)

    def _cover(self, sequence: Sequence, end: int) -> bool:
        missing = sequence.num_pages(end, self._pool.page_size) - len(sequence.pages)
        if missing > 0:
            pages = self._pool.allocate(missing)
            if pages is None:
                return False
            sequence.pages += pages
            self.table.note_pages(sequence, missing)
        return True

    def _preempt(self, sequence: Sequence) -> None:
        self._running.remove(sequence)
        self._release(sequence)
        self._waiting.appendleft(sequence)
        self.num_preempted += 1

    def _release(self, sequence: Sequence) -> None:
        self._pool.release(sequence.pages)
        sequence.pages = []
        sequence.repeats = False
        if sequence.table_row is not None:
            self._spans[sequence.table_row] = None
        sequence.num_computed = sequence.num_published = 0

    def _append(self, sequence: Sequence, query: QueryRange, spans: list[Span]) -> int:
        """Add a pass of a sequence to the step; returns the query tokens used."""
        span = Span.from_pass(sequence, query)
        spans.append(span)
        if sequence.num_branches == 2:
            spans.append(Span.from_pass(sequence, query, without_prompt=True))
        else:
            self._spans[span.row] = span
        return sequence.num_branches * query.num_rows
