"""Tables of the classes of tokens, kept on the device for as long as grammars are used."""

import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import torch
from torch import Tensor

from unmask.decoding.automata.automaton import TokenAutomaton
from unmask.engine.run.staging import Staging
from unmask.engine.schedule.structure import RowClasses
from unmask_kernels.scoring.constraints import ClassMasks

MOST_TABLES = 64  # of 2 bytes a token

T = TypeVar("T")


class PerGrammar(Generic[T]):
    """Tables of each of the grammars used last; keeps no automaton alive.

    An automaton may be a thousand times as large as its tables, and others bound their memory.
    """

    def __init__(self, make: Callable[[TokenAutomaton], T]) -> None:
        self._make = make
        self._made: OrderedDict[weakref.ref[TokenAutomaton], T] = OrderedDict()

    def of(self, automaton: TokenAutomaton, num_used: int = 1) -> T:
        """The grammar's; `num_used` grammars are used together, so at least as many are kept."""
        key = weakref.ref(automaton)
        found = self._made[key] if key in self._made else self._make(automaton)
        self._made[key] = found
        self._made.move_to_end(key)
        while len(self._made) > max(MOST_TABLES, num_used):
            self._made.popitem(last=False)
        return found


class ClassTables:
    """Class of each token in each of the grammars used last; keeps none alive but a step's."""

    def __init__(self, staging: Staging) -> None:
        self._staging = staging
        self._tables = PerGrammar(self._table)
        self._stacked: tuple[tuple[TokenAutomaton, ...], Tensor] | None = None

    def masks(self, classes: RowClasses) -> ClassMasks:
        """Masks of a step's rows on the device."""
        words = classes.words.view("<i4")
        grammars, masks = self._staging.to_device([classes.grammar_of_row, words])
        return ClassMasks(grammars, self._stack(classes.automata), masks)

    def _stack(self, automata: tuple[TokenAutomaton, ...]) -> Tensor:
        if self._stacked is None or self._stacked[0] != automata:
            tables = [self._tables.of(one, len(automata)) for one in automata]
            self._stacked = automata, torch.stack(tables)
        return self._stacked[1]

    def _table(self, automaton: TokenAutomaton) -> Tensor:
        [table] = self._staging.to_device([automaton.class_of.astype("<i2")])
        return table
