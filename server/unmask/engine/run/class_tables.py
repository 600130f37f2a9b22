"""Tables of the classes of tokens, kept on the device for as long as grammars are used."""

import weakref
from collections import OrderedDict

import torch
from torch import Tensor

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.structure import RowClasses
from unmask_kernels.scoring.constraints import ClassMasks

MOST_TABLES = 64  # of 2 bytes a token


class ClassTables:
    """Class of each token in each of the grammars used last; keeps no automaton alive but a step's.

    An automaton may be a thousand times as large as its table, and others bound their memory.
    """

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._tables: OrderedDict[weakref.ref[TokenAutomaton], Tensor] = OrderedDict()
        self._stacked: tuple[tuple[TokenAutomaton, ...], Tensor] | None = None

    def masks(self, classes: RowClasses) -> ClassMasks:
        """Masks of a step's rows on the device."""
        words = classes.words.view("<i4")
        grammars, masks = self._staging.to_device([classes.grammar_of_row, words])
        return ClassMasks(grammars, self._stack(classes.automata), masks)

    def _stack(self, automata: tuple[TokenAutomaton, ...]) -> Tensor:
        if self._stacked is None or self._stacked[0] != automata:
            self._stacked = automata, torch.stack([self._table(one) for one in automata])
            while len(self._tables) > max(MOST_TABLES, len(automata)):
                self._tables.popitem(last=False)
        return self._stacked[1]

    def _table(self, automaton: TokenAutomaton) -> Tensor:
        key = weakref.ref(automaton)
        table = self._tables.get(key)
        if table is None:
            [table] = self._staging.to_device([automaton.class_of.astype("<i2")])
            self._tables[key] = table
        self._tables.move_to_end(key)
        return table
