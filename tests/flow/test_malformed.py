"""Whatever breaks the contract is dropped whole and counted by reason; no client ever sees any of it."""
import itertools

import msgpack
import pytest
from recording import golden
from servers import Relay
from ws import short

pack, NUMBERS = msgpack.packb, itertools.count()


def nested(levels):
    x = 1
    for _ in range(levels):
        x = [x]
    return x


# name: (bytes, reasons that may be given)
BROKEN = {
    "never used byte": (b"\xc1", {"malformed"}),
    "never used byte in data": (b"\x82\xa4type\xa1x\xa4data\xc1", {"malformed"}),
    "empty message": (b"", {"truncated", "malformed", "not_a_map"}),
    "an array": (pack([1, 2]), {"not_a_map"}),
    "an integer": (pack(5), {"not_a_map"}),
    "nil": (pack(None), {"not_a_map"}),
    "empty map": (pack({}), {"no_type"}),
    "no type": (pack({"data": 1}), {"no_type"}),
    "type nil": (pack({"type": None}), {"bad_type", "no_type"}),
    "type negative": (pack({"type": -1, "data": b""}), {"bad_type"}),
    "type beyond 32 bits": (pack({"type": 2**32, "data": b""}), {"bad_type"}),
    "type a float": (pack({"type": 1.0, "data": b""}), {"bad_type"}),
    "type true": (pack({"type": True}), {"bad_type"}),
    "type a list": (pack({"type": ["x"]}), {"bad_type"}),
    "type bin": (pack({"type": b"x"}), {"bad_type"}),
    "sid a number": (pack({"type": "x", "sid": 5}), {"bad_sid"}),
    "sid with braces": (pack({"type": "x", "sid": "a{b}"}), {"bad_sid"}),
    "sid with a control character": (pack({"type": "x", "sid": "a\nb"}), {"bad_sid"}),
    "sid of 129 bytes": (pack({"type": "x", "sid": "s" * 129}), {"bad_sid"}),
    "sid not UTF-8": (b"\x82\xa4type\xa1x\xa3sid\xa1\xff", {"bad_sid"}),
    "sid of nobody": (pack({"type": "x", "sid": ""}), {"nobody"}),
    "worker a number": (pack({"type": "x", "worker": 5}), {"bad_envelope"}),
    "keep a number": (pack({"type": "x", "keep": 1}), {"bad_envelope"}),
    "ts a string": (pack({"type": "x", "ts": "now"}), {"bad_envelope"}),
    "trailing bytes": (pack({"type": "x"}) + b"\0", {"trailing_bytes"}),
    "two events": (pack({"type": "x"}) * 2, {"trailing_bytes"}),
    "nesting of 65": (pack({"type": "x", "data": nested(64)}), {"too_deep"}),
    "nesting of 65 in an unknown key": (pack({"type": "x", "more": nested(64)}), {"too_deep"}),
    "declared array beyond the end": (b"\x82\xa4type\xa1x\xa4data\xdd\xff\xff\xff\xff", {"truncated"}),
    "declared map beyond the end": (b"\x82\xa4type\xa1x\xa4data\xdf\xff\xff\xff\xff", {"truncated"}),
    "declared str beyond the end": (b"\x82\xa4type\xa1x\xa4data\xdb\xff\xff\xff\xffab", {"truncated"}),
    "declared bin beyond the end": (b"\x82\xa4type\xa1x\xa4data\xc6\x00\x01\x00\x00ab", {"truncated"}),
    "declared ext beyond the end": (b"\x82\xa4type\xa1x\xa4data\xc9\xff\xff\xff\xff\x01", {"truncated"}),
    "code 1 with a str": (pack({"type": 1, "data": "text"}), {"bad_data"}),
    "code 1 with one element": (pack({"type": 1, "data": ["JPEG"]}), {"bad_data"}),
    "code 1 with an image that is a str": (pack({"type": 1, "data": ["JPEG", "image"]}), {"bad_data"}),
    "code 2 with bin": (pack({"type": 2, "data": b"x"}), {"bad_data"}),
    "code 3 with numbers": (pack({"type": 3, "data": [1, 2]}), {"bad_data"}),
    "code 4 flat": (pack({"type": 4, "data": ["JPEG", b"x", 64]}), {"bad_data"}),
    "code 4 with metadata that is a list": (pack({"type": 4, "data": [["JPEG", b"x", 64], [1]]}), {"bad_data"}),
    "code 10 with a str": (pack({"type": 10, "data": "text"}), {"bad_data"}),
    "code 10 without data": (pack({"type": 10}), {"bad_data"}),
    "status without a number": (pack({"type": "status", "data": {"status": {}}}), {"bad_data"}),
    "status with a str": (pack({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": "1"}}}}),
                          {"bad_data"}),
    "heartbeat without data": (pack({"type": "relay.worker", "worker": "w"}), {"bad_data"}),
}
ON_EVENTS_ONLY = {"an id on the events channel": (pack("1-1") + pack({"type": "x"}), {"bad_id"}),
                  "sid of nobody": BROKEN.pop("sid of nobody")}
ON_EVENTS_ONLY.update({k: BROKEN.pop(k) for k in [k for k in BROKEN if k.startswith("sid ")]})
ON_SESSION_ONLY = {
    "an id that is no stream id": (pack("yesterday") + pack({"type": "x"}), {"bad_id"}),
    "an id beyond 64 bits": (pack("18446744073709551616-0") + pack({"type": "x"}), {"bad_id"}),
    "an id and nothing": (pack("1-1"), {"truncated", "malformed", "not_a_map"}),
    "an id and an array": (pack("1-1") + pack([1]), {"not_a_map"}),
    "an id that is a number": (pack(1) + pack({"type": "x"}), {"not_a_map", "bad_id"}),
}


@pytest.fixture(scope="module")
def one_relay(shared_redis):
    shared_redis.client.flushall()
    with Relay(shared_redis, log__level="info") as r:
        yield r


@pytest.fixture
def victim():
    """Another sid for each test: a client that comes back is told what it missed."""
    return f"victim-{next(NUMBERS)}"


def drops_of(relay, send, client):
    """What `send` made the relay drop, by reason; nothing of it, and the good event after it, reaches the client."""
    before, seen = relay.dropped(), len(client.messages)
    send()
    client.wait_count(seen + 1)
    assert client.messages[seen:] == ['{"type":"good","data":1}'], [short(m) for m in client.messages[seen:]]
    after = relay.dropped()
    return {k: after[k] - before.get(k, 0) for k in after if after[k] != before.get(k, 0)}


@pytest.mark.parametrize("name", [*BROKEN, *ON_EVENTS_ONLY])
def test_broken_event_on_the_events_channel_is_dropped_and_counted(name, one_relay, victim, connect, publisher):
    message, reasons = {**BROKEN, **ON_EVENTS_ONLY}[name]
    client = connect(victim, to=one_relay)

    def send():
        publisher.events(message)
        publisher.emit("good", 1, victim)

    drops = drops_of(one_relay, send, client)
    assert sum(drops.values()) == 1 and set(drops) <= reasons, f"counted {drops}, expected one of {reasons}"


@pytest.mark.parametrize("name", [*BROKEN, *ON_SESSION_ONLY])
def test_broken_event_on_a_sessions_channel_is_dropped_and_counted(name, one_relay, victim, connect, publisher):
    message, reasons = {**BROKEN, **ON_SESSION_ONLY}[name]
    client = connect(victim, to=one_relay)

    def send():
        publisher.session(victim, message)
        publisher.session(victim, {"type": "good", "data": 1})

    drops = drops_of(one_relay, send, client)
    assert sum(drops.values()) == 1 and set(drops) <= reasons, f"counted {drops}, expected one of {reasons}"


@pytest.mark.parametrize("sid", [5, "a{b}", "", "other", "s" * 129])
def test_event_on_a_sessions_channel_is_for_it_whatever_sid_it_carries(sid, one_relay, victim, connect, publisher):
    client = connect(victim, to=one_relay)
    publisher.session(victim, {"type": "mine", "sid": sid, "data": 1})
    client.wait_count(2)
    assert client.messages[1] == '{"type":"mine","data":1}'


def test_event_with_its_stream_id_in_front_arrives(one_relay, victim, connect, publisher):
    client = connect(victim, to=one_relay)
    publisher.session(victim, pack("1795310970064-0") + pack({"type": "logged", "data": 1}))
    client.wait_count(2)
    assert client.messages[1] == '{"type":"logged","data":1}'


@pytest.mark.parametrize("scenario, which", [("d_error", "execution_error"), ("b_success_flags", 4), ("n_custom", "golden.keys")])
@pytest.mark.parametrize("channel", ["events", "session"])
def test_event_cut_at_any_byte_is_dropped_whole(scenario, which, channel, redis_server, connect, publisher):
    event, envelope = next((e, raw) for e, raw in zip(golden.events(scenario), golden.envelopes(scenario))
                           if e["type"] == which)
    sid = event["sid"] or "anyone"
    with Relay(redis_server, log__level="info") as relay:
        client = connect(sid, to=relay)
        publish = publisher.events if channel == "events" else lambda m: publisher.session(sid, m)
        for n in range(1, len(envelope)):
            publish(envelope[:n])
        publish(envelope)
        client.wait_count(2, 60)
        drops = relay.dropped()
    assert len(client.messages) == 2, [short(m) for m in client.messages]
    assert sum(drops.values()) == len(envelope) - 1, f"counted {drops} of {len(envelope) - 1}"
    assert set(drops) == {"truncated"}, drops


def test_event_beyond_the_size_limit_is_dropped(redis_server, connect, publisher):
    with Relay(redis_server, limits__message_bytes="2000") as relay:
        client = connect("victim", to=relay)

        def send():
            publisher.emit("large", "x" * 2000, "victim")
            publisher.emit("large", "x" * 5_000_000, "victim")
            publisher.emit("good", 1, "victim")

        assert drops_of(relay, send, client) == {"too_large": 2}


def test_types_of_the_contract_never_reach_a_client(one_relay, victim, connect, publisher):
    client = connect(victim, to=one_relay)

    def send():
        publisher.emit("relay.anything", {"x": 1}, victim)
        publisher.session(victim, {"type": "relay.later", "data": None})
        publisher.emit("good", 1, victim)

    assert drops_of(one_relay, send, client) == {}


def test_ten_thousand_broken_events_are_logged_at_a_bounded_rate(redis_server, connect, publisher):
    with Relay(redis_server, log__level="info") as relay:
        client = connect("victim", to=relay)
        lines = relay.stderr.count("\n")
        pipe = publisher.client.pipeline(transaction=False)
        for _ in range(10_000):
            pipe.publish("comfy:events", b"\xc1")
        pipe.execute()
        publisher.emit("good", 1, "victim")
        client.wait_count(2, 60)
        assert relay.dropped() == {"malformed": 10_000}
        assert relay.stderr.count("\n") - lines < 200, "a line for every one of them"
