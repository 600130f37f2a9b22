"""Tables of classes on the device: of the grammars used last, which they do not keep alive."""

import gc
import weakref

import numpy as np
import torch

from tests.support.automata import automaton_of
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.decoding.automata.blocks import Block, StepBlocks
from unmask.decoding.automata.sets import MASKED
from unmask.engine.run.class_tables import MOST_TABLES, ClassTables
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.structure import RowClasses


def rows_of(*automata: TokenAutomaton) -> RowClasses:
    """A row of each automaton, in a block of one mask."""
    blocks = [Block(one, 1, np.full(1, MASKED, np.int32), 99) for one in automata]
    numbers = np.arange(len(automata))
    table = np.zeros((len(automata), 5), np.int64)
    table[:, 0], table[:, 2] = [block.address for block in blocks], numbers
    table[:, 3], table[:, 4] = numbers + 1, numbers
    grammars = np.full(len(automata), -1, np.int32)
    words = np.zeros((len(automata), max(one.num_words for one in automata)), np.uint32)
    step = StepBlocks(blocks, table)
    step.write_masks(np.zeros(len(automata), np.int64), words, grammars)
    return RowClasses(automata, grammars, words, step, numbers)


def test_tables_are_those_of_the_rows_in_any_order() -> None:
    tables = ClassTables(Staging(torch.device("cpu")))
    made = [automaton_of(f"a{{{i}}}b") for i in range(MOST_TABLES + 3)]
    for chosen in ((0, 1), (1, 0), (2,), range(len(made)), (0, len(made) - 1)):
        automata = [made[i] for i in chosen]
        masks = tables.masks(rows_of(*automata))
        assert masks.grammar_of_row.tolist() == list(range(len(automata)))
        for table, automaton in zip(masks.class_of, automata, strict=True):
            assert np.array_equal(table.numpy(), automaton.class_of)


def test_a_grammar_that_nobody_uses_is_forgotten() -> None:
    tables = ClassTables(Staging(torch.device("cpu")))
    automaton = automaton_of("(ab)*")
    tables.masks(rows_of(automaton))
    known = weakref.ref(automaton)
    del automaton
    tables.masks(rows_of(automaton_of("(ba)*")))
    gc.collect()
    assert known() is None
