"""Shares of steps and pages for clients that run beside each other; no torch."""

from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Sequence as Many
from itertools import zip_longest

from unmask.engine.schedule.fair_queue import FairQueue
from unmask.engine.schedule.sequence import Sequence
from unmask.engine.schedule.turns import longest_idle


def rows_wanted(sequence: Sequence) -> int:
    """Query tokens of a pass over the open block and over all that has no keys yet."""
    unread = 0 if sequence.is_full else max(sequence.block_start - sequence.num_computed, 0)
    return sequence.rows_per_pass + unread


def by_client(sequences: Iterable[Sequence]) -> dict[str, list[Sequence]]:
    """Sequences of each client, in their order."""
    groups: dict[str, list[Sequence]] = defaultdict(list)
    for sequence in sequences:
        groups[sequence.request.client].append(sequence)
    return groups


def rows_per_step(
    running: Iterable[Sequence], queue: FairQueue[Sequence], rows_per_client: int, most: int
) -> int:
    """Query tokens of a step that several clients share, `most` of one that only one client has.

    No step is longer than if each client wanted as much as the least demanding one, or
    `rows_per_client` if that is more. Beside any number of requests of another client, one of a
    client that wants little takes the time of a fair share of the device.
    """
    wanted = {name: sum(map(rows_wanted, own)) for name, own in by_client(running).items()}
    if len(wanted) < 2:
        return most
    for name in wanted:
        first = queue.first_of(name)
        if first is not None:
            wanted[name] += queue.num_waiting(name) * rows_wanted(first)
    return min(most, len(wanted) * max(rows_per_client, min(wanted.values())))


def in_turns(sequences: Iterable[Sequence]) -> list[Sequence]:
    """One of each client, then another of each: clients and their own by the step they last had."""
    groups = [sorted(own, key=lambda s: s.last_step) for own in by_client(sequences).values()]
    groups.sort(key=lambda own: own[-1].last_step)
    return [s for turn in zip_longest(*groups) for s in turn if s is not None]


def overdue(sequences: Many[Sequence], step: int) -> Sequence | None:
    """The first sequence in turn, if its client did not run in the last step that another had.

    It is the first one too if none ran in the last step, and else the one that has waited for more
    steps than there are sequences. So a pass that is longer than its client's share has its turn.
    """
    last = {name: max(s.last_step for s in own) for name, own in by_client(sequences).items()}
    if not last:
        return None
    newest = max(last.values())
    if min(last.values()) < newest or newest < step - 1:
        return in_turns(sequences)[0]
    return longest_idle(sequences, step - len(sequences))


def in_shares(sequences: Iterable[Sequence]) -> list[list[Sequence]]:
    """Sequences of each client in turn; clients that want least are first.

    With an equal share of what is left for each, the first ones leave their rest to the others.
    """
    groups = by_client(in_turns(sequences))
    wanted = {name: sum(map(rows_wanted, own)) for name, own in groups.items()}
    return [groups[name] for name in sorted(groups, key=lambda name: wanted[name])]


def page_victim(running: Many[Sequence]) -> Sequence:
    """The sequence that gives its pages up when there are no more.

    It is the newest of the client that holds most, but beside others' never the one that arrived
    first: that one goes on, so all come to their end.
    """
    held: dict[str, int] = defaultdict(int)
    for sequence in running:
        held[sequence.request.client] += len(sequence.pages)
    if len(held) == 1:
        return running[-1]
    first = min(running, key=lambda sequence: sequence.arrival_s)
    others = [sequence for sequence in reversed(running) if sequence is not first]
    return max(others, key=lambda sequence: held[sequence.request.client])
