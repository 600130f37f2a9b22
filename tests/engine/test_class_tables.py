"""Tables of classes on the device: of the grammars used last, which they do not keep alive."""

import gc
import weakref

import numpy as np
import torch

from tests.support.automata import automaton_of
from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.run.class_tables import MOST_TABLES, ClassTables
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.structure import RowClasses


def rows_of(*automata: TokenAutomaton) -> RowClasses:
    masks = [(one, slice(i, i + 1), one.leaving[1:2]) for i, one in enumerate(automata)]
    return RowClasses.from_masks(masks, len(automata))


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
