"""Many clients, half of which do not keep up: nobody waits for them, and they cost no more than their logs."""
import json
import selectors
import struct
import time

import pytest
from servers import Relay, free_port, packed
from ws import BINARY, TEXT, Client, short

CLIENTS = 1000
ROUNDS = 150
PREVIEW = b"\xff\xd8" + b"x" * 12_000


class Reader:
    """All sockets in one thread: a thousand threads would be slower than the relay."""

    def __init__(self, clients):
        self.clients, self.selector = clients, selectors.DefaultSelector()
        for c in clients:
            c.sock.setblocking(False)
            c.got = [f for f in c.parser.feed(c.early)]
            self.selector.register(c.sock, selectors.EVENT_READ, c)

    def until(self, done, timeout):
        end, left = time.monotonic() + timeout, set(map(id, self.clients))
        left -= {id(c) for c in self.clients if done(c.got)}
        while left:
            assert time.monotonic() < end, f"{len(left)} of {len(self.clients)} do not have everything after {timeout} s"
            for key, _ in self.selector.select(1):
                c = key.data
                data = c.sock.recv(262144)
                assert data, f"a socket was closed after {len(c.got)} frames"
                c.got += c.parser.feed(data)
                if id(c) in left and done(c.got):
                    left.discard(id(c))


def is_last(frames):
    return bool(frames) and frames[-1] == (TEXT, b'{"type":"last","data":null}')


def is_first_status(frames):
    return bool(frames)


def preview(i):
    return [["JPEG", struct.pack(">I", i) + PREVIEW, 512], {"node_id": "7", "prompt_id": "p"}]


def kept(frames):
    return [json.loads(p)["data"] for op, p in frames if op == TEXT and p.startswith(b'{"type":"keep"')]


def previews(frames):
    return [struct.unpack(">I", p[8:12])[0] for op, p in frames if op == BINARY]


def progress(frames):
    return [json.loads(p)["data"]["value"] for op, p in frames if op == TEXT and p.startswith(b'{"type":"progress"')]


@pytest.fixture
def crowd(redis_server, tmp_path):
    # The sanitizer holds freed memory back; here what the relay itself holds is measured.
    env = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8:malloc_context_size=2"}
    port, path = free_port(), str(tmp_path / "relay.sock")
    # The slow half comes over a unix socket: there the kernel takes least before the relay feels it.
    with Relay(redis_server, env=env, listen=f"127.0.0.1:{port},unix:{path}", log__level="info") as relay:
        clients = [Client(("127.0.0.1", port) if i % 2 else path, f"/ws?clientId=c{i}", read=False)
                   for i in range(CLIENTS)]
        yield relay, clients[1::2], clients[0::2]
        for c in clients:
            c.drop()


def test_those_who_read_do_not_wait_for_those_who_do_not(crowd, publisher):
    relay, reading, slow = crowd
    fast = Reader(reading)
    fast.until(is_first_status, 60)
    before = relay.rss()

    pipe = publisher.client.pipeline(transaction=False)
    for i in range(ROUNDS):
        pipe.publish("comfy:events", packed({"type": "keep", "data": i}))
        pipe.publish("comfy:events", packed({"type": "progress", "data": {"value": i, "max": ROUNDS, "prompt_id": "p",
                                                                         "node": "7"}}))
        pipe.publish("comfy:events", packed({"type": 4, "data": preview(i)}))
        if i % 10 == 9:
            pipe.execute()
    pipe.publish("comfy:events", packed({"type": "last", "data": None}))
    pipe.execute()

    # The readers have everything while the slow ones have not read a byte.
    fast.until(is_last, 120)
    grown = relay.rss() - before
    for c in reading:
        assert kept(c.got) == list(range(ROUNDS)), f"kept {short(str(kept(c.got)))}"
        assert previews(c.got)[-1] == ROUNDS - 1 and progress(c.got)[-1] == ROUNDS - 1

    one_client = ROUNDS * len(PREVIEW)
    assert grown < len(slow) * one_client / 8, \
        f"it grew by {grown >> 20} MiB; what the slow ones did not take is {len(slow) * one_client >> 20} MiB"
    assert relay.metric("conflated_total") > 0
    assert relay.metric("connections") == CLIENTS, "a slow socket must stay open"

    late = Reader(slow)
    late.until(is_last, 120)
    for c in slow:
        assert kept(c.got) == list(range(ROUNDS)), f"kept {short(str(kept(c.got)))}"
        seen = previews(c.got)
        assert seen == sorted(set(seen)) and seen[-1] == ROUNDS - 1, f"previews {seen}"
        assert len(seen) < ROUNDS, "nothing was conflated"
        assert progress(c.got) == sorted(set(progress(c.got))) and progress(c.got)[-1] == ROUNDS - 1


def test_slow_client_gets_only_the_newest_preview_when_it_reads_again(relay, publisher):
    client = Client(relay.address, "/ws?clientId=slow", read=False, receive_buffer=4096)
    big = b"x" * 400_000
    for i in range(60):
        publisher.emit(4, [["JPEG", struct.pack(">I", i) + big, 512], {"node_id": "7"}], "slow")
        publisher.emit("executed", {"node": str(i)}, "slow")
    publisher.emit("last", None, "slow")
    relay.wait_metric("events_total", 121)
    client.start_reading()
    client.wait_for('{"type":"last"', 60)
    nodes = [json.loads(m)["data"]["node"] for m in client.messages if isinstance(m, str) and '"executed"' in m]
    seen = [struct.unpack(">I", m[8:12])[0] for m in client.messages if isinstance(m, bytes)]
    client.drop()
    assert nodes == [str(i) for i in range(60)], "an event that matters is missing or out of order"
    assert seen[-1] == 59 and seen == sorted(set(seen)) and len(seen) < 60, f"previews {seen}"
    # Conflated in place: the newest preview stands right before the event that followed it.
    assert client.messages[client.find('"node":"59"') - 1][8:12] == struct.pack(">I", 59)


def test_kernel_holds_no_megabytes_of_old_previews_for_a_slow_client(relay, publisher):
    client = Client(relay.address, "/ws?clientId=slow", read=False, receive_buffer=4096)
    for i in range(400):
        publisher.emit(4, [["JPEG", struct.pack(">I", i) + b"x" * 20_000, 512], {"node_id": "7"}], "slow")
    publisher.emit("last", None, "slow")
    relay.wait_metric("events_total", 401)
    client.start_reading()
    client.wait_for('{"type":"last"', 60)
    seen = [struct.unpack(">I", m[8:12])[0] for m in client.messages if isinstance(m, bytes)]
    client.drop()
    old = sum(len(m) for m in client.messages if isinstance(m, bytes))
    assert seen[-1] == 399 and seen == sorted(set(seen)), f"previews {seen}"
    assert old < 1 << 20, f"{len(seen)} previews, {old} bytes, of which only the newest mattered"


def test_client_that_keeps_up_gets_every_preview(relay, connect, publisher):
    client = connect("quick")
    publisher.emit("first", None, "quick")
    client.wait_for('{"type":"first"')  # until then previews wait, and a newer one replaces an older
    for i in range(300):
        publisher.emit(4, [["JPEG", struct.pack(">I", i) + b"x" * 3000, 512], {"node_id": "7"}], "quick")
    publisher.emit("last", None, "quick")
    client.wait_for('{"type":"last"')
    seen = [struct.unpack(">I", m[8:12])[0] for m in client.messages if isinstance(m, bytes)]
    assert seen == list(range(300)), f"{len(seen)} of 300 previews"


def test_log_of_a_client_that_never_reads_is_trimmed_and_its_socket_stays_open(redis_server, publisher):
    env = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99:quarantine_size_mb=8"}
    with Relay(redis_server, env=env, session__log_bytes="1MiB", limits__socket_bytes="64KiB", log__level="info") as relay:
        client = Client(relay.address, "/ws?clientId=stuck", read=False, receive_buffer=4096)
        before = relay.rss()
        for i in range(400):
            publisher.emit("keep", [i, "x" * 200_000], "stuck")
        publisher.emit("last", None, "stuck")
        relay.wait_metric("events_total", 401)
        grown = relay.rss() - before
        assert relay.metric("log_bytes") <= 1024 * 1024 + 300_000
        assert grown < 40 << 20, f"it grew by {grown >> 20} MiB for 80 MB that nobody took"
        client.start_reading()
        client.wait_for('{"type":"last"', 60)
        numbers = [json.loads(m)["data"][0] for m in client.messages if m.startswith('{"type":"keep"')]
        client.drop()
        assert numbers == sorted(numbers) and numbers[-1] == 399, numbers
        assert relay.metric("replay_gaps_total") >= 1
