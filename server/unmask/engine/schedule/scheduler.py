"""Chooses the sequences of the next step and their pages; imports no torch."""

from collections.abc import Iterable

from unmask.config import EngineConfig
from unmask.engine.schedule.active_rows import active_rows
from unmask.engine.schedule.batch import StepBatch, build_batch
from unmask.engine.schedule.block_entries import with_block_entries
from unmask.engine.schedule.block_lengths import index_under_load
from unmask.engine.schedule.limits import EngineLimits
from unmask.engine.schedule.modes import DRAFTING_LOAD
from unmask.engine.schedule.occupancy import Occupancy
from unmask.engine.schedule.pages import PagePool
from unmask.engine.schedule.passes import least_rows, next_pass
from unmask.engine.schedule.query_range import QueryRange
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.shares import in_shares, in_turns, overdue, rows_per_step, rows_wanted
from unmask.engine.schedule.span import Span
from unmask.engine.schedule.speculation import can_speculate, speculated
from unmask.engine.schedule.step_rows import StepRows
from unmask.engine.schedule.turns import MAX_PASSED, Turns
from unmask.types import ModelInfo


class Scheduler:
    """Step-level continuous batching under a budget of query tokens.

    Running sequences are served in the order of their admission, those with an open block to
    denoise before those still reading their prompt; where a step cannot hold all, the one that ran
    longest ago is first. Sequences with long passes take turns with the others. When pages run
    out, the sequence admitted last gives its pages up and is computed again later; its tokens are
    kept. Several clients share the sequences that run, the rows of a step and the pages. Block
    lengths that follow the load are chosen as a sequence first runs, by the rows that every
    sequence, running or waiting, would take in blocks of its usual length.
    """

    def __init__(
        self, config: EngineConfig, limits: EngineLimits, pool: PagePool, model: ModelInfo
    ) -> None:
        self._limits = limits
        self._pool = pool
        self._model = model
        self._seats = Occupancy(config, limits, pool, model)
        self.table = self._seats.table
        self._turns = Turns(limits.max_batch_tokens, limits.saturation_rows)
        self._lacked_budget = False  # True if a step had no rows left for a sequence
        self._block_rows = 0  # of every sequence, in blocks of its usual length

    @property
    def num_preempted(self) -> int:
        """Times that a sequence gave its pages up."""
        return self._seats.num_preempted

    @property
    def num_running(self) -> int:
        """Sequences that hold pages."""
        return len(self._seats.running)

    @property
    def num_waiting(self) -> int:
        """Sequences in the queue."""
        return len(self._seats.waiting)

    @property
    def sequences(self) -> Iterable[Sequence]:
        """Every sequence, running or waiting."""
        return self._seats.sequences

    def add(self, sequence: Sequence) -> None:
        """Put a sequence at the end of the queue."""
        self._seats.add(sequence)
        self._block_rows += sequence.usual_block_len

    def remove(self, sequence: Sequence) -> None:
        """Forget a sequence and free its pages."""
        self._block_rows -= sequence.usual_block_len
        self._seats.remove(sequence)

    def schedule(self) -> StepBatch | None:
        """The next step, or None when there is nothing to do."""
        speculates = self._note_speculation()
        spans, budget, num_repeats = self._choose()
        if not spans:
            return None
        spare = 0
        if speculates:
            num_rows = sum(span.query.num_rows for span in spans)
            spare = min(self._limits.speculation_rows - num_rows, budget)
        with speculated(spans, self.table, self._pool, spare) as states:
            batch = build_batch(
                [*spans, *states],
                self.table,
                self._pool.page_size,
                attention=self._model.attention,
                shift=self._model.shift,
                num_repeats=num_repeats,
                has_images=self._model.images is not None,
            )
        return with_block_entries(active_rows(batch))

    def _choose(self) -> tuple[list[Span], int, int]:
        """Spans of the next step, query tokens that are left, and how many spans are repeats."""
        turns, spans, num_preempted = self._turns, list[Span](), self.num_preempted
        turns.begin()
        self._seats.free_rows()
        rows = StepRows(self._limits.max_batch_tokens)
        limit, running, is_shared = rows.budget, self._seats.running, self._seats.waiting.is_shared
        if is_shared:
            self._admit_behind(rows, spans)
            limit, running = min(rows.budget, self._rows_per_step()), self._without_span(running)
        num_begun = rows.light
        repeats, decoding, reading, heavy = self._sorted_by_kind(running, limit)
        light, reserved = decoding + reading, 0
        if self._lacked_budget:
            light, reserved = turns.longest_waiting(light), self._rows_to_admit()
        self._lacked_budget = False
        late = turns.kept_waiting(running) if heavy and not turns.is_heavy_due else None
        is_due = turns.is_heavy_due or (late is not None and turns.is_heavy(late))
        heavy = in_turns(heavy) if len(heavy) > 1 else heavy
        if heavy and is_due and not rows.heavy:
            first = next((s for s in heavy if not s.must_wait), heavy[0])
            rows.take_heavy(self._run([first], rows.budget, spans))
        rows.limit = min(limit, rows.budget)
        if light and reserved:
            first = (overdue(light, turns.step) if is_shared else None) or light[0]
            reserved = min(reserved, rows.limit // 2, max(rows.limit - least_rows(first), 0))
        usual = rows.limit - reserved
        repeated = self._repeat(repeats, spans)
        run = self._run_in_shares if is_shared else self._run
        rows.take_light(repeated + run(light, usual - repeated, spans))
        # A sequence that was just preempted must not come back in the step that needed its pages.
        if self.num_preempted == num_preempted:
            is_alone = not (light or repeats or num_begun)
            num_heavy = self._limits.max_num_seqs if is_alone else int(is_due and not rows.heavy)
            self._admit_waiting(rows, spans, num_heavy)
        if reserved:  # as much of it as is left goes to those that run
            rows.take_light(self._run(self._without_span(light), rows.limit, spans))
        if not spans or not (light or rows.light):
            rows.take_heavy(self._run(self._without_span(heavy), rows.budget, spans))
        turns.end(rows.light, rows.heavy)
        if self.num_preempted != num_preempted:
            repeats = [sequence for sequence in repeats if sequence.pages]
        return spans, rows.budget, len(repeats)

    def _without_span(self, sequences: list[Sequence]) -> list[Sequence]:
        """Sequences that are not in the step yet."""
        return [sequence for sequence in sequences if sequence.last_step != self._turns.step]

    def _sorted_by_kind(
        self, running: list[Sequence], budget: int
    ) -> tuple[list[Sequence], list[Sequence], list[Sequence], list[Sequence]]:
        """Sequences that repeat their last pass, and others: decoding, reading and heavy ones.

        None repeats where the budget might not do for all others too: then their order counts.
        """
        if not self._lacked_budget:
            repeats = [sequence for sequence in running if sequence.repeats]
            if not repeats:
                return [], *self._kinds(running)
            others = [sequence for sequence in running if not sequence.repeats]
            num_rows = sum([sequence.open_len for sequence in repeats])
            num_rows += sum([sequence.most_rows for sequence in others if not sequence.must_wait])
            if num_rows <= budget:
                kinds = self._kinds(others)
                if not kinds[2]:
                    return repeats, *kinds
        return [], *self._kinds(running)

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
        """Put the last spans of sequences before those of the step; returns their query tokens."""
        repeated, num_rows, step = list[Span](), 0, self._turns.step
        for sequence in sequences:
            assert sequence.table_row is not None, "a sequence that ran has a row"
            span = self._seats.last_spans[sequence.table_row]
            assert span is not None, "a pass that repeats has a span"
            repeated.append(span)
            sequence.last_step = step
            num_rows += sequence.open_len
        spans[:0] = repeated
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

    def _run_in_shares(self, sequences: list[Sequence], budget: int, spans: list[Span]) -> int:
        """The same, with equal shares of the budget for the clients; returns the rows used."""
        if sum(map(rows_wanted, sequences)) <= budget:
            return self._run(sequences, budget, spans)
        left, groups = budget, in_shares(sequences)
        first = overdue(sequences, self._turns.step)
        if first is not None:
            share = max(left // len(groups), least_rows(first))
            left -= self._run([first], min(left, share), spans)
        for i, own in enumerate(groups):
            rest = [sequence for sequence in own if sequence is not first]
            left -= self._run(rest, left // (len(groups) - i), spans)
        rest = [sequence for sequence in sequences if sequence.last_step != self._turns.step]
        return budget - left + self._run(in_turns(rest), left, spans)

    def _rows_per_step(self) -> int:
        """Query tokens of a step that clients share: more of them for a long pass that is due."""
        light = [s for s in self._seats.running if not self._turns.is_heavy(s)]
        per_client, most = self._limits.rows_per_client, self._limits.max_batch_tokens
        shared = rows_per_step(light, self._seats.waiting, per_client, most)
        first = overdue(light, self._turns.step) if shared < most else None
        needed = 0 if first is None else least_rows(first)
        return min(most, shared if needed <= shared else shared + needed)

    def _rows_to_admit(self) -> int:
        """Query tokens that the first waiting sequence would take, if one more may run."""
        first = self._seats.waiting.first()
        if first is None or len(self._seats.running) >= self._limits.max_num_seqs:
            return 0
        if self._seats.waiting.is_ahead(first.request.client):
            return 0
        return first.rows_per_pass + (0 if first.is_full else first.num_prompt)

    def _admit_behind(self, rows: StepRows, spans: list[Span]) -> None:
        """Start sequences of clients that have too few, before others run.

        Where there is no room for one, others' sequences are preempted. Light ones take at most
        half of a step, and only one heavy sequence is started, in its turn, and none takes the rows
        of one that is kept waiting.
        """
        waiting, turns, most = self._seats.waiting, self._turns, rows.budget
        late = turns.kept_waiting(self._seats.running)
        of_late, is_late = (0, False) if late is None else (least_rows(late), turns.is_heavy(late))
        is_due = not is_late and turns.may_be_heavy(self._seats.running)
        while (first := waiting.first()) is not None and waiting.is_behind(first.request.client):
            is_heavy = turns.is_heavy(first)
            if is_heavy and (rows.heavy or not is_due):
                break
            self._seats.make_room(first, self._pool.num_pages // 4 if is_heavy else 0)
            kept = 0 if is_heavy else min(most - most // 2, max(most - least_rows(first), 0))
            taken = self._admit(first, rows.budget - max(kept, of_late), spans)
            if taken == 0:
                break
            rows.take(taken, is_heavy=is_heavy)

    def _admit_waiting(self, rows: StepRows, spans: list[Span], num_heavy: int) -> None:
        """Start waiting sequences while they fit, at most `num_heavy` of them heavy.

        Light ones pass a heavy one that has to wait, but only so many of them.
        """
        while len(self._seats.running) < self._limits.max_num_seqs:
            first = self._seats.waiting.first()
            if first is None:
                break
            passed = None
            if self._turns.is_heavy(first):
                taken = self._admit(first, rows.limit, spans) if num_heavy else 0
                if taken:
                    rows.take_heavy(taken)
                    num_heavy -= 1
                    continue
                num_heavy, passed = 0, first
                light = next((s for s in self._seats.waiting if not self._turns.is_heavy(s)), None)
                if light is None or passed.num_passed >= MAX_PASSED:
                    break
                first = light
            taken = self._admit(first, rows.limit, spans)
            if taken == 0:
                break
            rows.take_light(taken)
            if passed is not None:
                passed.num_passed += 1

    def _note_speculation(self) -> bool:
        """Have sequences keep their scores for speculation while a step has rows left for it."""
        if not self._limits.speculation_rows:
            return False
        block_rows = sum(s.decoding.block_len for s in self._seats.running)
        speculates = 2 * block_rows <= self._limits.speculation_rows
        for sequence in self._seats.running:
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
                self._seats.prefixes.publish(sequence)
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
        last = None if sequence.table_row is None else self._seats.last_spans[sequence.table_row]
        if last is not None and last.query is query:  # once more, on pages that it has
            spans.append(last)
            return query.end - query.start
        if not self._seats.cover_or_preempt(sequence, query.horizon):
            return 0
        return self._append(sequence, query, spans)

    def _admit(self, sequence: Sequence, budget: int, spans: list[Span]) -> int:
        """Start the first waiting sequence if it fits; returns the query tokens used."""
        if sequence.in_flight or not self._seats.has_row(sequence):
            return 0  # preempted, and its result is still to come
        sequence.resume()
        if not sequence.was_admitted:
            self._choose_block_length(sequence)
        if sequence.structure is not None and not sequence.structure.is_open:
            sequence.structure.begin(sequence)
        self._seats.prefixes.take(sequence)
        needed = sequence.num_pages(sequence.next_horizon, self._pool.page_size)
        needed -= len(sequence.pages)
        query = next_pass(sequence, budget)
        lacks_pages = needed > self._pool.num_available
        if query is None or lacks_pages or not self._leaves_pages(sequence, needed):
            self._lacked_budget |= query is None
            self._seats.release(sequence)
            return 0
        self._turns.ran(sequence)
        covered = self._seats.cover(
            sequence, sequence.longest if sequence.is_full else query.horizon
        )
        assert covered
        if not sequence.was_admitted:
            sequence.was_admitted = True
            sequence.num_cached = sequence.num_computed
        self._seats.start(sequence)
        return self._append(sequence, query, spans)

    def _leaves_pages(self, sequence: Sequence, needed: int) -> bool:
        """True if enough pages for light sequences are left beside one more heavy one."""
        is_heavy = self._turns.is_heavy
        if not is_heavy(sequence) or not any(map(is_heavy, self._seats.running)):
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

    def _append(self, sequence: Sequence, query: QueryRange, spans: list[Span]) -> int:
        """Add a pass of a sequence to the step; returns the query tokens used."""
        span = Span.from_pass(sequence, query)
        spans.append(span)
        if sequence.num_branches == 2:
            spans.append(Span.from_pass(sequence, query, without_prompt=True))
        else:
            self._seats.last_spans[span.row] = span
        return sequence.num_branches * query.num_rows
