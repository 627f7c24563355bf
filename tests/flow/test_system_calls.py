"""How many writes an event takes, by the kernel's count: what is paid for with most of a relay's time."""
import time

import pytest
from servers import Relay

STEPS = 20


@pytest.fixture
def relay(redis_server):
    """What waits for company waits long here, so that a slow machine changes nothing."""
    with Relay(redis_server, ws__coalesce="1s") as r:
        yield r


def writes(relay):
    """write(), writev() and their like, so far: those to Redis and to the log, too."""
    with open(f"/proc/{relay.process.pid}/io", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("syscw:"))


def live(relay, connect, sid):
    """Its place is stored, so nothing of its arrival is still to be written."""
    c = connect(sid)
    c.flags(True)
    c.wait_count(2)
    relay.wait_metric("acks_stored_total", 1)
    return c


def expect_writes(took, events, began):
    """One each, but for a ping that found no event to go along with, every two seconds at most."""
    lone_pings = int((time.monotonic() - began) / 2)
    assert events <= took <= events + lone_pings, f"{took} writes where {events} were enough"


def test_the_events_of_a_samplers_step_share_a_write(relay, publisher, connect):
    c = live(relay, connect, "steps")
    before, began = writes(relay), time.monotonic()
    for step in range(STEPS):
        node = {"prompt_id": "p", "node": "3"}
        publisher.session("steps", {"type": "progress_state", "data": {"prompt_id": "p", "nodes": {}, "step": step}})
        publisher.session("steps", {"type": 4, "data": [["JPEG", b"\xff\xd8", 512], {"node_id": "3", "prompt_id": "p"}]})
        publisher.session("steps", {"type": "progress", "data": {**node, "value": step, "max": STEPS}})
        publisher.session("steps", {"type": "note", "data": step})  # does not wait, and takes the others along
        c.wait_count(2 + 4 * (step + 1))
    expect_writes(writes(relay) - before, STEPS, began)


def test_an_event_that_must_not_be_lost_takes_one_write_and_its_ping_goes_along(relay, publisher, connect):
    c = live(relay, connect, "kept")
    before, began = writes(relay), time.monotonic()
    for number in range(STEPS):
        publisher.session("kept", {"type": "executed", "data": {"node": str(number)}})
        c.wait_count(2 + number + 1)
    expect_writes(writes(relay) - before, STEPS, began)
