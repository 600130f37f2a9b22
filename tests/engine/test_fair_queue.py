"""A queue for each client: turns between clients, order within one, and room for those behind."""

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from unmask.engine.schedule.fair_queue import FairQueue


@dataclass(frozen=True)
class Item:
    client: str
    priority: int
    number: int


CLIENTS = st.sampled_from("abcd")
ITEMS = st.lists(st.tuples(CLIENTS, st.integers(-2, 2)), min_size=1, max_size=40)


def queue_of(pairs: list[tuple[str, int]]) -> tuple[FairQueue[Item], list[Item]]:
    queue, items = FairQueue[Item](), list[Item]()
    for number, (client, priority) in enumerate(pairs):
        items.append(Item(client, priority, number))
        queue.add(items[-1], client, priority)
    return queue, items


def take_all(queue: FairQueue[Item]) -> list[Item]:
    taken = []
    while (item := queue.first()) is not None:
        queue.take(item)
        taken.append(item)
    return taken


@given(pairs=ITEMS)
def test_a_client_is_served_by_priority_then_in_order_of_arrival(
    pairs: list[tuple[str, int]],
) -> None:
    queue, items = queue_of(pairs)
    taken = take_all(queue)
    assert sorted(taken, key=lambda i: i.number) == items
    for client in "abcd":
        own = [item for item in taken if item.client == client]
        assert own == sorted(own, key=lambda i: (i.priority, i.number))


@given(pairs=ITEMS)
def test_clients_take_turns_whatever_their_number_of_requests(pairs: list[tuple[str, int]]) -> None:
    """Nobody gets a second turn while another with a request has had one less."""
    queue, items = queue_of(pairs)
    left = {c: sum(item.client == c for item in items) for c in "abcd"}
    had = dict.fromkeys("abcd", 0)
    for item in take_all(queue):
        assert had[item.client] == min(had[c] for c in "abcd" if left[c])
        left[item.client] -= 1
        had[item.client] += 1


@given(num_slots=st.integers(1, 8), num_others=st.integers(1, 4), times=st.integers(1, 60))
def test_one_request_waits_for_one_of_each_other_client(
    num_slots: int, num_others: int, times: int
) -> None:
    """Slots are freed and filled again under floods; then one request comes."""
    others = [str(i) for i in range(num_others)]
    queue, running = FairQueue[Item](), list[Item]()
    for number in range(600):
        client = others[number % num_others]
        queue.add(Item(client, 0, number), client)

    def fill() -> Item:
        item = queue.first()
        assert item is not None
        queue.take(item)
        running.append(item)
        return item

    while len(running) < num_slots:
        fill()
    for _ in range(times):
        queue.remove(running.pop(0), is_running=True)
        fill()
    queue.add(Item("new", 0, 1000), "new", 5)
    for _ in range(num_others + 1):
        queue.remove(running.pop(0), is_running=True)
        if fill().client == "new":
            break
    else:
        raise AssertionError(f"not served in {num_others + 1} turns")


@given(pairs=ITEMS, num=st.integers(0, 40), data=st.data())
def test_what_is_put_back_has_its_old_place(
    pairs: list[tuple[str, int]], num: int, data: st.DataObject
) -> None:
    queue, items = queue_of(pairs)
    usual = list(queue)
    taken = usual[:num]
    for item in taken:
        queue.take(item)
    assert len(queue) == len(items) - len(taken)
    for item in data.draw(st.permutations(taken)):
        queue.put_back(item)
    for client in "abcd":
        before = [item for item in usual if item.client == client]
        assert [item for item in queue if item.client == client] == before
    gone = data.draw(st.sets(st.sampled_from(items)))
    for item in gone:
        queue.remove(item, is_running=False)
    assert set(queue) == set(items) - gone
    assert len(queue) == len(items) - len(gone)
    assert queue.is_shared == (len({item.client for item in set(items) - gone}) > 1)


@given(pairs=ITEMS, is_old=st.booleans())
@settings(max_examples=50)
def test_room_is_made_by_those_that_have_most_and_keep_as_much(
    pairs: list[tuple[str, int]], is_old: bool
) -> None:
    queue, items = queue_of(pairs)
    take_all(queue)
    if is_old:
        queue.add(Item("new", 0, 99), "new")
        first = queue.first()
        assert first is not None
        queue.take(first)
    counts = {c: queue.num_running(c) for c in "abcd"}
    victims = list(queue.victims(reversed(items), "new"))
    for victim in victims:
        assert counts[victim.client] == max(counts.values()) >= is_old + 2
        counts[victim.client] -= 1
        own = [item for item in items if item.client == victim.client]
        assert victim == own[counts[victim.client]], "the newest one"
    assert max(counts.values()) <= is_old + 1


def test_a_client_is_behind_if_it_runs_nothing_or_two_less() -> None:
    queue, items = queue_of([("a", 0), ("b", 0)] * 3)
    for item in items[::2]:
        queue.take(item)
    assert queue.is_behind("b")
    assert queue.is_ahead("a")
    queue.take(items[1])
    assert queue.is_behind("b")
    queue.take(items[3])
    assert not queue.is_behind("b")
    assert not queue.is_ahead("b")
