"""Many workers at once: prompts spread over them, and the monitors of all of them to every tab."""
import contextlib
import json
import random

import pytest
from crowd import Crowd
from farm import Seat, Worker
from servers import Relay, free_port, packed, until
from story import Story
from ws import TEXT, Client

WORKERS, SESSIONS, PROMPTS = 8, 200, 3  # of each session


# ---- prompts ---------------------------------------------------------------------------------------------------------

@contextlib.contextmanager
def farm(redis_server):
    workers = [Worker(redis_server, f"w{i}") for i in range(WORKERS)]
    try:
        yield workers
    finally:
        for w in workers:
            w.kill()


def take_seats(crowd, relays):
    for i in range(SESSIONS):
        member = crowd.join(f"s{i}", Story(), [relays[i % len(relays)].address])
        member.viewer = Seat(member.sid, [f"p{i}.{n}" for n in range(PROMPTS)], crowd.faults, flagged=i % 3 == 0)
    crowd.run(lambda: all(m.viewer.frames and m.viewer.is_answered >= m.viewer.flagged for m in crowd.members),
              "every session to be open, with its flags answered", 60)


def test_sessions_see_their_own_prompts_only_complete_and_in_order_from_a_farm(redis_server, publisher):
    """Of a session's prompts several may run at the same time, on different workers."""
    chance = random.Random(8)
    with Relay(redis_server) as one, Relay(redis_server) as two, Crowd() as crowd, farm(redis_server) as workers:
        take_seats(crowd, [one, two])
        jobs = [(m.sid, prompt) for m in crowd.members for prompt in m.viewer.events]
        chance.shuffle(jobs)
        spread = [chance.choice(workers) for _ in jobs]
        for worker, (sid, prompt) in zip(spread, jobs):
            worker.run(sid, prompt)
        crowd.run(crowd.all_have_all, "everybody's prompts to end", 120)
        crowd.run(lambda: all(m.viewer.queue == 0 for m in crowd.members), "the queue of all to be told empty", 60)
        publisher.emit("test.mark", None)
        crowd.run(lambda: all(m.viewer.marks for m in crowd.members), "the last event", 60)

        crowd.check()
        seats = [m.viewer for m in crowd.members]
        assert len(set(spread)) == WORKERS, "not all workers had something to do"
        lost = sum(len(s.story.kept) - s.kept for s in seats)
        assert (lost, sum(s.foreign for s in seats)) == (0, 0), "events that were lost, and those of others"
        assert [r.dropped() for r in (one, two)] == [{}, {}]
        assert [r.metric("lost_workers_total") for r in (one, two)] == [0, 0]
        assert [r.metric("workers") for r in (one, two)] == [WORKERS, WORKERS]
        for w in workers:
            w.leave()
        until(lambda: one.metric("workers") == two.metric("workers") == 0, "all workers to have left")
        print(f"{len(jobs)} prompts, {sum(s.kept for s in seats)} kept events, {sum(s.frames for s in seats)} frames")


# ---- monitors --------------------------------------------------------------------------------------------------------

TABS, ROUNDS, GPUS = 200, 50, [{"gpu_utilization": 50, "name": "x" * 200}] * 8


class Tab(Client):
    """One that takes what there is when it is asked to."""

    def begin(self):
        self.frames, self.monitors = 0, []
        self.note(self.early)
        while not self.frames:
            self.take()

    def note(self, data):
        for opcode, payload in self.parser.feed(data):
            self.frames += 1
            if opcode == TEXT and payload.startswith(b'{"type":"crystools.monitor"'):
                told = json.loads(payload)["data"]
                self.monitors.append((told["worker"], told["round"]))

    def take(self):
        data = self.sock.recv(262144)
        assert data, f"closed after {self.frames} frames"
        self.note(data)

    def until(self, last):
        while last not in self.monitors[-WORKERS:]:
            self.take()


@pytest.fixture
def tabs(redis_server, tmp_path):
    """(relay, tabs that will read, tabs that will not)."""
    port, path = free_port(), str(tmp_path / "relay.sock")
    # The slow half comes over a unix socket: there the kernel takes least before the relay feels it.
    with Relay(redis_server, listen=f"127.0.0.1:{port},unix:{path}", log__level="info", status__interval="10m") as relay:
        opened = [Tab(("127.0.0.1", port) if i % 2 else path, f"/ws?clientId=t{i}", read=False) for i in range(TABS)]
        for tab in opened:
            tab.begin()
        yield relay, opened[1::2], opened[0::2]
        for tab in opened:
            tab.drop()


def monitor(worker, n):
    return {"type": "crystools.monitor", "worker": f"w{worker}", "data": {"worker": worker, "round": n, "gpus": GPUS}}


def publish_round(publisher, n):
    pipe = publisher.client.pipeline(transaction=False)
    for worker in range(WORKERS):
        pipe.publish("comfy:events", packed(monitor(worker, n)))
    pipe.execute()


def newest():
    return [(worker, ROUNDS - 1) for worker in range(WORKERS)]


def test_monitors_of_many_workers_cost_a_slow_tab_no_more_than_the_newest_of_each(tabs, publisher):
    relay, reading, slow = tabs
    everything = [(worker, n) for n in range(ROUNDS) for worker in range(WORKERS)]
    for n in range(ROUNDS):
        publish_round(publisher, n)
        for tab in reading:
            tab.until((WORKERS - 1, n))
    assert [t.monitors for t in reading] == [everything] * len(reading), "a tab that keeps up gets all"

    # The slow ones have what the kernel took for them; beyond that a log of one entry for each worker.
    m = relay.metrics()
    entry = len(json.dumps({"type": "crystools.monitor", "data": monitor(0, ROUNDS)["data"]})) + 64
    assert 0 < m["log_events"] <= len(slow) * WORKERS
    assert m["log_bytes"] <= len(slow) * WORKERS * entry, f"entries of at most {entry} bytes"
    assert m["conflated_total"] > len(slow) * WORKERS * ROUNDS / 2
    assert m["connections"] == TABS, "a slow socket stays open"

    for tab in slow:
        for last in newest():
            tab.until(last)
    seen = [t.monitors for t in slow]
    assert [s[-WORKERS:] for s in seen] == [newest()] * len(slow), "each ends with the newest of each worker"
    assert all(s == sorted(set(s), key=lambda m: (m[1], m[0])) for s in seen), "in order, none twice"
    assert relay.metric("conflated_total") == sum(len(everything) - len(s) for s in seen), "all else was replaced by newer"
    until(lambda: relay.metric("log_bytes") == 0, "the logs to be empty again")


def test_monitors_are_not_replayed_to_a_tab_that_comes_later(relay, connect, publisher):
    early = connect("early")
    publish_round(publisher, 0)
    early.wait_for('"worker":7')
    late = connect("late")
    publish_round(publisher, 1)
    late.wait_for('"worker":7')
    early.close()
    again = connect("early")
    publisher.emit("test.mark", None)
    again.wait_for("test.mark")
    rounds = [json.loads(m)["data"]["round"] for m in late.messages if "crystools" in m]
    assert rounds == [1] * WORKERS, rounds
    assert not any("crystools" in m for m in again.messages), again.messages
