"""The queue between ComfyUI and the thread that publishes: bounded, in order, never in anybody's way."""
import os
import random
import signal
import threading
import time
import timeit

import extension
import pytest

outbox = extension.module("outbox")
MANY = 1 << 40


class Item:
    def __init__(self, name, key=None, sid="s", size=10):
        self.name, self.key, self.sid, self.size = name, key, sid, size


def filled(*items, events=1000, size=1 << 20):
    box = outbox.Outbox(events, size)
    for item in items:
        box.put(item)
    return box


def names(box):
    return [item.name for item in box.take(MANY, MANY)]


def state(box):
    """What it kept, what was conflated, what was lost."""
    return names(box), box.conflated, box.lost


def test_items_come_out_in_the_order_of_put():
    assert state(filled(*map(Item, range(100)))) == (list(range(100)), 0, 0)


def test_a_queue_that_is_not_full_conflates_nothing():
    assert state(filled(*(Item(n, "progress") for n in range(5)))) == ([0, 1, 2, 3, 4], 0, 0)


def test_a_full_queue_gives_up_what_was_superseded_first_and_keeps_the_newest_at_its_place():
    box = filled(Item("p1", "p"), Item("k1"), Item("q1", "q"), Item("q2", "q"), Item("p2", "p"), Item("k2"), events=5)
    assert state(box) == (["p1", "k1", "q2", "p2", "k2"], 1, 0)


def test_a_full_queue_of_one_key_holds_its_newest():
    assert state(filled(*(Item(n, "p") for n in range(10)), events=1)) == ([9], 9, 0)


def test_a_new_value_takes_the_place_of_its_own_older_one_before_anything_is_lost():
    box = filled(Item("k1"), Item("p1", "p"), Item("k2"), Item("p2", "p"), events=3)
    assert state(box) == (["k1", "k2", "p2"], 1, 0)


def test_keep_is_lost_oldest_first_only_when_nothing_can_be_conflated():
    box = filled(Item("k1"), Item("p1", "p"), Item("p2", "p"), Item("k2"), Item("k3"), Item("k4"), events=4)
    assert state(box) == (["p2", "k2", "k3", "k4"], 1, 1)


def test_sessions_do_not_supersede_each_other():
    box = filled(Item("a", "p", sid="s1"), Item("b", "p", sid="s2"), Item("c", "p", sid=None), Item("k"), events=3)
    assert state(box) == (["b", "c", "k"], 0, 1)


def test_what_was_taken_supersedes_nothing():
    box = filled(Item("p1", "p"), events=2)
    assert names(box) == ["p1"]
    for item in (Item("p2", "p"), Item("k1"), Item("k2")):
        box.put(item)
    assert state(box) == (["k1", "k2"], 0, 1)


def test_take_stops_at_either_bound_but_takes_one():
    box = filled(*(Item(n, size=100) for n in range(5)))
    taken = [[i.name for i in box.take(*bounds)] for bounds in ((2, MANY), (MANY, 250), (MANY, 1))]
    assert taken == [[0, 1], [2, 3], [4]]


def test_bytes_are_bounded_and_counted_exactly():
    box = filled(*(Item(n, size=100) for n in range(50)), size=1000)
    assert (box._bytes, box.lost) == (1000, 40)
    assert names(box) == list(range(40, 50))
    assert box._bytes == 0


def test_two_items_of_any_size_fit_and_do_not_push_each_other_out():
    box = filled(Item("a", size=10**9), Item("b", size=10**9), size=1000)
    assert state(box) == (["a", "b"], 0, 0)


def test_an_item_whose_size_changes_later_is_counted_once():
    item = Item("a", size=600)
    box = filled(item, size=2000)
    item.size = 5
    assert (names(box), box._bytes) == (["a"], 0)


def test_an_item_that_cannot_be_queued_is_lost_and_the_rest_goes_on():
    box = filled(Item("a"), object(), Item("b", key=["unhashable"]), Item("c"))
    assert state(box) == (["a", "c"], 0, 2)


def test_whether_an_item_waits_is_known_until_it_is_taken():
    box = filled(Item("p1", "p"), Item("p2", "p"))
    assert (box.holds("s", "p"), box.holds("t", "p")) == (True, False)
    names(box)
    assert not box.holds("s", "p")


def test_the_books_are_right_after_any_history():
    """Against a plain model: nothing newest is conflated, order holds, sums are exact, nothing is kept of what has gone."""
    for seed in range(30):
        rng = random.Random(seed)
        box, put, taken = outbox.Outbox(20, 3000), [], []
        for n in range(2000):
            item = Item(n, rng.choice([None, None, "p", "q", "r"]), rng.choice("st"), rng.randrange(1, 400))
            box.put(item)
            put.append(item)
            assert len(box) <= 20 and box._bytes <= 3000, (seed, n, len(box), box._bytes)
            assert box._bytes == sum(size for _, size in box._items.values()), (seed, n)
            if rng.random() < 0.02:
                taken += box.take(rng.randrange(1, 30), MANY)
        taken += box.take(MANY, MANY)
        got = [item.name for item in taken]
        assert got == sorted(set(got)), seed
        assert len(put) == len(taken) + box.conflated + box.lost, seed
        assert not (box._items or box._newest or box._superseded or box._bytes), seed


def test_a_long_outage_costs_no_more_per_event_at_its_end():
    box = outbox.Outbox(8192, 64 << 20)
    began = filled_for(box, 20_000)
    ended = min(filled_for(box, 20_000) for _ in range(5))
    assert ended < 5 * began, f"20000 events took {began:.3f} s, and {ended:.3f} s when the queue was long full"
    assert len(box._newest) <= 8192 and len(box._superseded) <= 8192


def filled_for(box, count):
    items = [Item(n, (n % 7, "p") if n % 3 else None) for n in range(count)]
    begin = time.perf_counter()
    for item in items:
        box.put(item)
    return time.perf_counter() - begin


def test_put_costs_microseconds():
    box, item = outbox.Outbox(8192, 64 << 20), Item("x", "p")
    cost = min(timeit.repeat(lambda: box.put(item), number=10_000, repeat=5)) / 10_000
    print(f"put: {cost * 1e6:.2f} us")
    assert cost < 10e-6, f"{cost * 1e6:.2f} us"


def test_put_never_waits_for_who_holds_the_queue():
    box = outbox.Outbox(10, 1000)
    with box._lock:
        box.put(Item("a"))
        box.put(Item("b"))
        assert len(box) == 2
    assert names(box) == ["a", "b"]


def test_what_came_while_the_queue_was_being_released_is_not_left_behind():
    box = outbox.Outbox(10, 1000)

    class LateComer:
        """A lock at whose release another thread has just found it taken."""

        def __init__(self, lock, late):
            self.lock, self.late, self.acquire = lock, late, lock.acquire

        def release(self):
            box._incoming.extend(self.late)
            self.late = []
            self.lock.release()
    box._lock = LateComer(box._lock, [Item("late")])
    box.put(Item("a"))
    assert (len(box._items), len(box._incoming)) == (2, 0)


def test_put_in_a_signal_handler_does_not_deadlock_with_the_put_it_interrupts():
    box, before = outbox.Outbox(10, 1000), signal.getsignal(signal.SIGUSR1)

    class Interrupting(Item):
        @property
        def size(self):  # read while the queue is held
            signal.raise_signal(signal.SIGUSR1)
            return 10

        @size.setter
        def size(self, value):
            pass
    signal.signal(signal.SIGUSR1, lambda *_: box.put(Item("inner")))
    try:
        box.put(Interrupting("outer"))
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert sorted(names(box)) == ["inner", "outer"]


def test_take_gives_up_when_its_own_thread_holds_the_queue():
    box = filled(Item("a"))
    with box._lock:
        assert box.take(10, 10) == []
    assert names(box) == ["a"]


@pytest.mark.parametrize("events", [100_000, 50])
def test_from_many_threads_each_ones_order_is_kept_and_nothing_is_forgotten(events):
    box, done, taken = outbox.Outbox(events, MANY), threading.Event(), []

    def produce(name):
        for n in range(5000):
            box.put(Item((name, n)))

    def consume():
        while not done.is_set() or len(box):
            box.bell.wait(0.05)
            taken.extend(item.name for item in box.take(256, MANY))
    consumer = threading.Thread(target=consume)
    producers = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for t in [consumer, *producers]:
        t.start()
    for t in producers:
        t.join()
    done.set()
    consumer.join()
    assert len(taken) + box.lost == 20_000, (len(taken), box.lost)
    for name in range(4):
        mine = [n for who, n in taken if who == name]
        assert mine == sorted(set(mine)), name


def test_the_bell_wakes_who_waits_and_is_remembered_once():
    box = outbox.Outbox(10, 1000)
    ringer = threading.Timer(0.05, box.put, [Item("a")])
    ringer.start()
    assert box.bell.wait(20) is True
    ringer.join()
    box.bell.ring()
    box.bell.ring()
    assert (box.bell.wait(0), box.bell.wait(0), box.bell.wait(-1)) == (True, False, False)


def test_a_forked_child_holds_nothing():
    box = filled(Item("a"))
    pid = os.fork()
    if pid == 0:
        box.close_in_child()
        before = len(box)
        for n in range(100):
            box.put(Item(n))
        os._exit(0 if len(box) == before else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert names(box) == ["a"]
