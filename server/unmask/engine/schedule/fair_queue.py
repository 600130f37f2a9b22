"""Waiting requests in a queue for each client, served in turns; no torch."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(slots=True)
class _Client(Generic[T]):
    """Requests of one client: those that wait, by priority and arrival, and how many run."""

    name: str
    last_turn: int
    waiting: list[tuple[int, int, T]] = field(default_factory=list)
    num_running: int = 0

    @property
    def turn(self) -> tuple[int, int]:
        """Place among clients: few running requests first, then a long time without a turn."""
        return self.num_running, self.last_turn


class FairQueue(Generic[T]):
    """Max-min fair queue: the next request is of the client that has the fewest running.

    Of clients with equally many, the one that was served longest ago is next, so a client with one
    request waits for at most one of each other client. Within a client lower priorities go first,
    then earlier ones; a request that is put back has its old place.
    """

    def __init__(self) -> None:
        self._clients: dict[str, _Client[T]] = {}
        self._entries: dict[T, tuple[_Client[T], int, int]] = {}
        self._num_added = self._num_turns = self._num_waiting = 0

    def __len__(self) -> int:
        return self._num_waiting

    def __bool__(self) -> bool:
        return self._num_waiting > 0

    def __iter__(self) -> Iterator[T]:
        """Waiting requests, those of the next client first."""
        for client in sorted(self._with_waiting(), key=lambda client: client.turn):
            for _, _, item in client.waiting:
                yield item

    @property
    def is_shared(self) -> bool:
        """True if several clients have requests, running or waiting."""
        return len(self._clients) > 1

    def add(self, item: T, client: str = "", priority: int = 0) -> None:
        """Append a request to its client's queue, behind others of its priority."""
        owner = self._clients.get(client)
        if owner is None:
            # A new client is before the one that was served last, and behind the others.
            owner = self._clients[client] = _Client(client, self._num_turns - 1)
        self._num_added += 1
        self._entries[item] = owner, priority, self._num_added
        self._wait(item)

    def take(self, item: T) -> None:
        """Note that a waiting request runs now."""
        self._unwait(item)
        owner = self._entries[item][0]
        self._num_turns += 2
        owner.num_running, owner.last_turn = owner.num_running + 1, self._num_turns

    def put_back(self, item: T) -> None:
        """Let a running request wait again."""
        self._entries[item][0].num_running -= 1
        self._wait(item)

    def remove(self, item: T, *, is_running: bool) -> None:
        """Forget a request, and its client if that has no other."""
        if not is_running:
            self._unwait(item)
        owner = self._entries.pop(item)[0]
        owner.num_running -= is_running
        if not (owner.waiting or owner.num_running):
            del self._clients[owner.name]

    def first(self) -> T | None:
        """The next request; None if none waits."""
        if not self._num_waiting:
            return None
        client = min(self._with_waiting(), key=lambda client: client.turn)
        return client.waiting[0][2]

    def num_running(self, client: str) -> int:
        """Running requests of a client."""
        owner = self._clients.get(client)
        return 0 if owner is None else owner.num_running

    def num_waiting(self, client: str) -> int:
        """Waiting requests of a client."""
        owner = self._clients.get(client)
        return 0 if owner is None else len(owner.waiting)

    def first_of(self, client: str) -> T | None:
        """The next request of one client; None if none of it waits."""
        owner = self._clients.get(client)
        return owner.waiting[0][2] if owner and owner.waiting else None

    def is_behind(self, client: str) -> bool:
        """True if a client runs nothing beside others, or two requests less than one of them."""
        own = self.num_running(client)
        least = own + 2 if own else 1
        return any(other.num_running >= least for other in self._clients.values())

    def is_ahead(self, client: str) -> bool:
        """True if another client has fewer running requests."""
        own = self.num_running(client)
        return any(other.num_running < own for other in self._clients.values())

    def victims(self, running: Iterable[T], client: str) -> Iterator[T]:
        """Running requests that would make room for one more of `client`, in order.

        `running` are those that may be preempted, the newest first. Each victim is the newest one
        of the client with the most, as long as it has at least two more than `client`: so nobody
        ends up with less than the one whom it made room for, and no two preempt each other.
        """
        counts = {name: other.num_running for name, other in self._clients.items()}
        own, candidates = counts.pop(client, 0), list(running)
        while candidates:
            most = max(counts.values(), default=0)
            if most < own + 2:
                return
            richest = {name for name, count in counts.items() if count == most}
            victim = next((c for c in candidates if self._entries[c][0].name in richest), None)
            if victim is None:
                return
            counts[self._entries[victim][0].name] -= 1
            candidates.remove(victim)
            yield victim

    def _with_waiting(self) -> Iterator[_Client[T]]:
        return (client for client in self._clients.values() if client.waiting)

    def _wait(self, item: T) -> None:
        owner, priority, number = self._entries[item]
        insort(owner.waiting, (priority, number, item), key=lambda entry: entry[:2])
        self._num_waiting += 1

    def _unwait(self, item: T) -> None:
        owner, priority, number = self._entries[item]
        place = bisect_left(owner.waiting, (priority, number), key=lambda entry: entry[:2])
        assert place < len(owner.waiting), "the request waits"
        assert owner.waiting[place][2] is item, "the request waits"
        del owner.waiting[place]
        self._num_waiting -= 1
