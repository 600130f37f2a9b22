"""Door of the endpoints: what clients have left, room in the queue, and when to try again."""

from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from unmask.api.clients import Client
from unmask.api.gate import Gate
from unmask.api.limits import Allowance
from unmask.api.service_rate import MAX_RETRY_S, ServiceRate
from unmask.errors import InvalidRequest, QueueFull, RateLimited
from unmask.metrics import Metrics
from unmask.types import EngineStatus
from unmask.usage import NO_LIMITS, ClientLimits, Use


class Clock:
    """Time that tests set, and a queue of so many requests."""

    def __init__(self, max_queue: int | None = None) -> None:
        self.now_s, self.num_waiting, self.max_queue = 0.0, 0, max_queue

    def time(self) -> float:
        return self.now_s

    def status(self) -> EngineStatus:
        return EngineStatus("ready", 0, self.num_waiting, 0, 1, max_queue=self.max_queue)

    @property
    def gate(self) -> Gate:
        return Gate(self.status, Metrics(), now=self.time)


def test_limits_that_a_key_gets_hold_from_its_next_request() -> None:
    gate = Clock().gate
    few, many = ClientLimits(requests_per_minute=2), ClientLimits(requests_per_minute=100)
    open_visit = gate.enter(Client("a", few))
    gate.enter(Client("a", few)).leave()
    with pytest.raises(RateLimited):
        gate.enter(Client("a", few))
    for _ in range(100):
        gate.enter(Client("a", many)).leave()
    with pytest.raises(RateLimited, match="100 requests per minute"):
        gate.enter(Client("a", many))
    open_visit.leave()


def test_a_request_that_began_with_other_limits_gives_none_back_at_its_end() -> None:
    gate = Clock().gate
    before, now = ClientLimits(requests_per_minute=9), ClientLimits(requests_per_minute=1)
    gate.take(Use("a", before, num_open=1, num_requests=1))  # in another process
    gate.enter(Client("a", now)).leave()
    gate.take(Use("a", before, num_open=-1, num_tokens=5))
    with pytest.raises(RateLimited):
        gate.enter(Client("a", now))


def test_a_client_may_have_only_so_many_requests_open() -> None:
    gate = Clock().gate
    client = Client("a", ClientLimits(max_concurrent=2))
    first, second = (gate.enter(client) for _ in range(2))
    with pytest.raises(RateLimited, match="2 requests of this client are open"):
        gate.enter(client)
    gate.enter(Client("b", client.limits))
    second.leave(1)
    second.leave(1)
    third = gate.enter(client)
    first.leave()
    third.leave()


def test_choices_count_as_requests_of_their_client() -> None:
    gate = Clock().gate
    client = Client("a", ClientLimits(max_queue=10))
    visit, other = gate.enter(client), gate.enter(client)
    visit.reserve(8, "n")
    with pytest.raises(RateLimited, match="8 choices of this client run or wait"):
        other.reserve(3, "n")
    other.reserve(2, "n")
    with pytest.raises(InvalidRequest, match="at most 10 may wait"):
        gate.enter(client).reserve(11, "n")
    visit.leave(1)
    gate.enter(client).reserve(8, "n")


def test_a_request_with_more_choices_than_may_ever_wait_is_wrong() -> None:
    clock = Clock(max_queue=8)
    gate = clock.gate
    with pytest.raises(InvalidRequest, match="16 choices, but at most 8 may wait") as wrong:
        gate.enter(Client("a", NO_LIMITS)).reserve(16, "n")
    assert wrong.value.field == "n"
    gate.enter(Client("a", NO_LIMITS)).reserve(8, "n")


def test_a_request_that_takes_the_whole_queue_is_let_in_while_nothing_waits() -> None:
    clock = Clock(max_queue=32)  # two of which are kept for others
    gate, client = clock.gate, Client("a", NO_LIMITS)
    gate.enter(client).reserve(32, "n")
    clock.num_waiting = 1
    with pytest.raises(QueueFull):
        clock.gate.enter(client).reserve(31, "n")


def test_a_request_is_refused_whole_if_the_queue_has_no_room_for_a_part() -> None:
    clock = Clock(max_queue=8)
    gate, clock.num_waiting = clock.gate, 5
    with pytest.raises(QueueFull):
        gate.enter(Client("a", NO_LIMITS)).reserve(4, "n")
    visit = gate.enter(Client("a", NO_LIMITS))
    visit.reserve(3, "n")
    with pytest.raises(QueueFull):
        gate.enter(Client("b", NO_LIMITS)).reserve(1, "prompt")
    visit.leave()
    gate.enter(Client("b", NO_LIMITS)).reserve(1, "prompt")


def test_a_flood_leaves_room_in_the_queue_for_others() -> None:
    clock = Clock(max_queue=320)
    gate, flood = clock.gate, Client("flood", NO_LIMITS)
    visits = [gate.enter(flood) for _ in range(301)]
    for visit in visits[:300]:
        visit.reserve(1, "prompt")
    with pytest.raises(QueueFull):
        visits[300].reserve(1, "prompt")
    others = [gate.enter(Client(name, NO_LIMITS)) for name in "abcde"]
    for visit in others[:4]:
        visit.reserve(5, "n")
    with pytest.raises(QueueFull):
        others[4].reserve(1, "n")


def test_retry_after_is_the_time_that_the_queue_takes() -> None:
    clock = Clock(max_queue=100)
    gate, client = clock.gate, Client("a", NO_LIMITS)
    for _ in range(20):
        visit = gate.enter(client)
        visit.reserve(1, "prompt")
        visit.submitted(3)
        clock.now_s += 0.5
        visit.leave(7)
    clock.num_waiting = 100
    with pytest.raises(QueueFull) as full:
        gate.enter(client).reserve(1, "prompt")
    assert 45 <= full.value.retry_after_s <= 55, "100 requests at 2 a second"


def test_the_rate_is_that_of_choices_that_ended_in_the_last_minute() -> None:
    clock = Clock(max_queue=100)
    gate, client = clock.gate, Client("a", NO_LIMITS)
    for gap_s in (0.0, 1000.0, 0.0, 10.0):
        clock.now_s += gap_s
        visit = gate.enter(client)
        visit.reserve(4, "n")
        visit.leave(1)
    clock.num_waiting = 99
    with pytest.raises(QueueFull) as full:
        gate.enter(client).reserve(4, "n")
    assert full.value.retry_after_s == 90, "eleven choices followed the first one in 10 s"


@given(times=st.lists(st.floats(0, 200), max_size=40), num=st.integers(0, 10**6))
def test_retry_after_is_bounded(times: list[float], num: int) -> None:
    rate = ServiceRate()
    for at_s in sorted(times):
        rate.note(at_s)
    assert 1 <= rate.retry_after_s(num, max(times, default=0.0)) <= MAX_RETRY_S


@example(takes=[(0.0, 1), (0.0, 1), (1.4095630287699414, 1), (0.0, 1)], per_minute=1)
@given(
    takes=st.lists(st.tuples(st.floats(0, 30), st.integers(1, 20)), max_size=30),
    per_minute=st.integers(1, 100),
)
def test_an_allowance_gives_no_more_than_a_minute_of_it_and_its_rate(
    takes: list[tuple[float, int]], per_minute: int
) -> None:
    now_s, used, last = 0.0, 0, 0
    allowance = Allowance(per_minute, now_s)
    for gap_s, amount in takes:
        now_s += gap_s
        wait_s = allowance.wait_s(now_s)
        if wait_s == 0:
            allowance.take(amount, now_s)
            used, last = used + amount, amount
        else:
            assert allowance.wait_s(now_s + wait_s) == 0
            now_s += wait_s
        assert used - last <= per_minute * (1 + now_s / 60) + 1e-6


def test_idle_clients_are_forgotten_but_not_their_debts() -> None:
    clock = Clock()
    gate = clock.gate
    client = Client("a", ClientLimits(tokens_per_minute=10))
    gate.enter(client).leave(40)
    clock.now_s += 70
    with pytest.raises(RateLimited):
        gate.enter(replace(client, limits=client.limits))
    clock.now_s += 300
    gate.enter(Client("b", NO_LIMITS))
    gate.enter(client)


def test_a_client_is_not_forgotten_while_it_has_a_request_open() -> None:
    clock = Clock()
    gate, client = clock.gate, Client("a", ClientLimits(max_concurrent=1))
    visit = gate.enter(client)
    clock.now_s += 3600
    with pytest.raises(RateLimited) as limited:
        gate.enter(client)
    assert limited.value.retry_after_s >= 1
    visit.leave()
    gate.enter(client)
