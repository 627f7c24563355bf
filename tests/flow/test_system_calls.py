"""How many writes an event takes, by the kernel's count: what is paid for with most of a relay's time. What waits for company."""
import signal

import pytest
from servers import AS_BY_DEFAULT, Relay

STEPS = 20


@pytest.fixture
def relay(redis_server):
    """What waits for company waits long here, so that a slow machine changes nothing."""
    with Relay(redis_server, ws__coalesce="1s", **AS_BY_DEFAULT) as r:
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


def expect_writes(took, events):
    """One each, but for a few of the relay's own."""
    assert events <= took <= events + events // 4, f"{took} writes where {events} were enough"


def test_the_events_of_a_samplers_step_share_a_write(relay, publisher, connect):
    c = live(relay, connect, "steps")
    before = writes(relay)
    for step in range(STEPS):
        node = {"prompt_id": "p", "node": "3"}
        publisher.session("steps", {"type": "progress_state", "data": {"prompt_id": "p", "nodes": {}, "step": step}})
        publisher.session("steps", {"type": 4, "data": [["JPEG", b"\xff\xd8", 512], {"node_id": "3", "prompt_id": "p"}]})
        publisher.session("steps", {"type": "progress", "data": {**node, "value": step, "max": STEPS}})
        publisher.session("steps", {"type": "note", "data": step})  # does not wait, and takes the others along
        c.wait_count(2 + 4 * (step + 1))
    expect_writes(writes(relay) - before, STEPS)


def test_what_waits_for_company_goes_before_a_drain_closes_its_socket(relay, publisher, connect):
    c = live(relay, connect, "drained")
    publisher.session("drained", {"type": "progress", "data": {"node": "3", "prompt_id": "p", "value": 1, "max": 2}})
    relay.wait_metric("events_total", 1)
    relay.signal(signal.SIGTERM)
    c.wait_closed(1012)
    assert c.find('"type":"progress"') is not None, c.messages
    relay.wait_exit()


def test_an_event_that_must_not_be_lost_takes_one_write_and_its_ping_goes_along(relay, publisher, connect):
    clients = {f"kept-{n}": live(relay, connect, f"kept-{n}") for n in range(STEPS)}
    relay.wait_metric("acks_stored_total", STEPS)
    before = writes(relay)
    for sid, c in clients.items():
        publisher.session(sid, {"type": "executed", "data": {"node": "3"}})
        c.wait_count(3)
        c.wait(lambda: c.pinged_at, "a ping")
    expect_writes(writes(relay) - before, STEPS)
