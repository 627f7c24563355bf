"""What /metrics says of memory, beside what the allocator says."""
import pytest
from servers import Relay, until
from ws import connect_tcp, read_head, socket_with_buffer, upgrade_request

SESSIONS, EVENTS, TEXT_BYTES = 300, 40, 150
SLOW, PICTURES, PICTURE_BYTES = 8, 12, 1 << 20
TOLERANCE = 0.1   # of what was allocated since the warm-up: what of it no kind counts
LIBRARIES = 32768  # what they may allocate for themselves meanwhile


def join(relay, sid, s=None):
    s = s or connect_tcp(relay.address)
    s.sendall(upgrade_request(f"/ws?clientId={sid}"))
    assert read_head(s)[0].startswith(b"HTTP/1.1 101 ")
    return s


def memory(relay):
    """({kind: bytes}, what the allocator has given out)"""
    m = relay.metrics()
    kinds = {k.split('"')[1]: v for k, v in m.items() if k.startswith("memory_bytes{")}
    return kinds, m["heap_allocated_bytes"]


class Growth:
    """Of memory since the first client has come and gone: with it the libraries have what they keep."""

    def __init__(self, relay):
        self.relay = relay
        join(relay, "first").close()
        until(lambda: relay.metric("sessions") == 0, "the first session to be forgotten")
        self.kinds, self.allocated = memory(relay)

    def expect_to_add_up(self):
        kinds, allocated = memory(self.relay)
        counted = sum(kinds.values()) - sum(self.kinds.values())
        assert counted == pytest.approx(allocated - self.allocated, rel=TOLERANCE, abs=LIBRARIES), (kinds, self.allocated, allocated)
        return kinds


@pytest.fixture
def patient(redis_server):
    """Waits for clients that answer no ping, and forgets them soon when they have gone."""
    with Relay(redis_server, ws__ping_interval="5m", ws__ping_timeout="5m", session__ttl="1s") as r:
        yield r


def test_kinds_of_memory_add_up_to_what_is_allocated(patient, publisher):
    growth = Growth(patient)
    sids = [f"memory-{n:03}" for n in range(SESSIONS)]
    sockets = [join(patient, sid) for sid in sids]
    until(lambda: patient.metric("sessions_reading") == 0, "all sessions to be caught up")
    kinds = growth.expect_to_add_up()
    assert kinds["connections"] > SESSIONS * 400 and kinds["sessions"] > SESSIONS * 300 and kinds["frames"] == 0, kinds
    for sid in sids:
        publisher.emit("execution_start", {"prompt_id": "p", "timestamp": 1}, sid)
        for n in range(EVENTS):
            publisher.emit("executed", {"prompt_id": "p", "node": str(n), "output": "x" * TEXT_BYTES}, sid)
    patient.wait_metric("events_total", SESSIONS * (EVENTS + 1))
    kinds = growth.expect_to_add_up()
    assert kinds["frames"] > SESSIONS * EVENTS * TEXT_BYTES and kinds["logs"] > SESSIONS * EVENTS * 64, kinds
    for s in sockets:
        s.close()
    until(lambda: patient.metric("sessions") == 0, "all sessions to be forgotten")
    kinds = growth.expect_to_add_up()
    assert kinds["frames"] == kinds["logs"] == 0 and kinds["connections"] < 10000, kinds


def test_what_slow_sockets_have_not_taken_is_counted_too(patient, publisher):
    growth = Growth(patient)
    sids = [f"slow-{n:02}" for n in range(SLOW)]
    sockets = [join(patient, sid, socket_with_buffer(patient.address, 4096)) for sid in sids]
    until(lambda: patient.metric("sessions_reading") == 0, "all sessions to be caught up")
    for n in range(PICTURES):
        for sid in sids:
            publisher.emit(4, [["JPEG", bytes([n]) * PICTURE_BYTES, 512], {"node_id": "3", "prompt_id": "p"}], sid)
    patient.wait_metric("events_total", SLOW * PICTURES)
    kinds = growth.expect_to_add_up()
    assert kinds["frames"] >= SLOW * PICTURE_BYTES, kinds
    assert kinds["connections"] >= SLOW * PICTURE_BYTES, "each has begun with a picture that others have replaced"
    for s in sockets:
        s.close()
    until(lambda: patient.metric("sessions") == 0, "all sessions to be forgotten")
    kinds = growth.expect_to_add_up()
    assert kinds["connections"] < PICTURE_BYTES, kinds
