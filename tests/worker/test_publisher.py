"""The thread that publishes, with a real Redis that is restarted, paused, full, cut off or not there."""
import ast
import contextlib
import glob
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
import timeit

import extension
import msgpack
import pytest
from servers import ROOT, Redis, free_port, until

publishing = extension.module("publisher")
settings = extension.module("settings")
link = extension.module("link")
notes = extension.module("notes")
posts = extension.module("posts")
ending = extension.module("ending")

SCRIPT = os.path.join(ROOT, "adapters", "redis", "publish.lua")
NEVER_S = 3600  # between heartbeats, where a test wants none but the first


class Item:
    """An event as the publisher takes it."""

    def __init__(self, data, sid="s", key=None, lua_key=None, ends=False, size=200):
        self.data, self.sid, self.key, self.ends, self.size = data, sid, key, ends, size
        self.lua_key = lua_key if lua_key is not None else key or ""

    def packed(self, worker_id):
        if isinstance(self.data, Exception):
            raise self.data
        return msgpack.packb({"type": "x", "sid": self.sid, "worker": worker_id, "data": self.data})


def options(server, **variables):
    return settings.read({"COMFY_RELAY_REDIS_URL": server if isinstance(server, str) else server.tcp_url,
                          "COMFY_RELAY_WORKER_ID": "w1", **{"COMFY_RELAY_" + k: v for k, v in variables.items()}})


@pytest.fixture
def publisher():
    """publisher(server, VARIABLE=value) starts one, already at work unless is_started is False; all are closed at the end."""
    made = []

    def start(server, heartbeat_s=NEVER_S, is_started=True, **variables):
        p = publishing.Publisher(options(server, **variables), heartbeat_s)
        made.append(p)
        if is_started:
            p.start()
        return p
    yield start
    for p in made:
        p.close(0.2)


class Channels:
    """Everything that is published, in the order in which Redis says it."""

    def __init__(self, server):
        self.pubsub = server.client.pubsub(ignore_subscribe_messages=True)
        self.pubsub.psubscribe("*")
        while not self.pubsub.subscribed or self.pubsub.get_message(timeout=5) is not None:
            pass
        self.seen = []

    def read(self):
        """[(channel, objects of the message), ...] so far."""
        while (m := self.pubsub.get_message(timeout=0.01)) is not None:
            unpacker = msgpack.Unpacker(strict_map_key=False)
            unpacker.feed(m["data"])
            self.seen.append((m["channel"].decode(), list(unpacker)))
        return self.seen

    def events(self):
        """The events of all channels, without ids."""
        return [objects[-1] for _, objects in self.read()]

    def data(self):
        """Of the events, heartbeats left out."""
        return [e["data"] for e in self.events() if e["type"] != "relay.worker"]

    def beats(self):
        return [e["data"] for e in self.events() if e["type"] == "relay.worker"]

    def until(self, condition, what):
        until(lambda: condition(self), what)
        return self


def kept(server, sid="s"):
    return [msgpack.unpackb(fields[b"e"])["data"] for _, fields in server.client.xrange(f"comfy:sid:{{{sid}}}:log")]


def entry(server, worker="w1"):
    value = server.client.hget("comfy:workers", worker)
    return value and msgpack.unpackb(value)


def wait_published(p, count):
    until(lambda: p.published + p.refused >= count, f"{count} to be published")
    return p


def first_of_each(values):
    return list(dict.fromkeys(values))


@contextlib.contextmanager
def paused(server):
    server.process.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.process.send_signal(signal.SIGCONT)


# ---- events -------------------------------------------------------------------------------------------------------


def test_events_reach_log_and_channel_in_order_with_their_ids(redis_server, publisher):
    channels = Channels(redis_server)
    p = publisher(redis_server)
    for n in range(600):
        p.put(Item(n))
    wait_published(p, 600)
    stream = redis_server.client.xrange("comfy:sid:{s}:log")
    told = [m for m in channels.until(lambda c: len(c.data()) == 600, "600 events").read() if m[0] == "comfy:sid:{s}"]
    assert [(i.decode(), msgpack.unpackb(f[b"e"])) for i, f in stream] == [tuple(m[1]) for m in told]
    assert kept(redis_server) == list(range(600))
    assert told[0][1][1] == {"type": "x", "sid": "s", "worker": "w1", "data": 0}


def test_of_latest_events_the_newest_is_kept_until_the_prompt_ends(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    for item in (Item(1, key="a"), Item(2), Item(3, key="b"), Item(4, key="a")):
        p.put(item)
    wait_published(p, 4)
    latest = {k: msgpack.unpackb(v)["data"] for k, v in redis_server.client.hgetall("comfy:sid:{s}:latest").items()}
    assert (latest, kept(redis_server)) == ({b"a": 4, b"b": 3}, [2])
    p.put(Item(5, ends=True))
    wait_published(p, 5)
    assert not redis_server.client.exists("comfy:sid:{s}:latest")
    channels.until(lambda c: c.data() == [1, 2, 3, 4, 5], "all five, in order")


def test_what_is_for_everybody_goes_to_the_channel_of_all_and_is_kept_nowhere(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    p.put(Item(1, sid=None))
    wait_published(p, 1)
    event = {"type": "x", "sid": None, "worker": "w1", "data": 1}
    channels.until(lambda c: ("comfy:events", [event]) in c.read(), "the event on comfy:events")
    assert redis_server.client.keys("comfy:sid:*") == []


def test_prefix_expiry_and_length_are_those_of_the_settings(redis_server, publisher):
    p = publisher(redis_server, REDIS_PREFIX="own", SESSION_TTL="77s", SESSION_LOG_EVENTS="100")
    for n in range(1000):
        p.put(Item(n))
    p.put(Item("newest", key="k"))
    wait_published(p, 1001)
    client = redis_server.client
    assert sorted(client.keys("*")) == [b"own:sid:{s}:latest", b"own:sid:{s}:log", b"own:workers"]
    ttls = [client.pttl("own:sid:{s}:" + which) for which in ("log", "latest")]
    assert all(70_000 < ttl <= 77_000 for ttl in ttls), ttls
    assert 100 <= client.xlen("own:sid:{s}:log") < 300


def test_sids_and_events_go_through_whatever_they_are_made_of(redis_server, publisher):
    p, sids = publisher(redis_server), ["ä ö", "a b\\n", "%", "日本"]
    for sid in sids:
        p.put(Item("☃", sid=sid))
    wait_published(p, 4)
    assert [kept(redis_server, sid) for sid in sids] == [["☃"]] * 4


def test_a_unix_socket_by_the_relays_url(redis_server, publisher):
    p = publisher(redis_server.url)
    p.put(Item(1))
    wait_published(p, 1)
    assert kept(redis_server) == [1]


def test_a_database_other_than_0(redis_server, publisher):
    for url in (f"redis://127.0.0.1:{redis_server.port}/3", redis_server.url + "?db=3"):
        wait_published(put(publisher(url), Item(1)), 1)
    redis_server.client.execute_command("SWAPDB", 0, 3)
    assert kept(redis_server) == [1, 1]


def put(p, *items):
    for item in items:
        p.put(item)
    return p


@pytest.mark.parametrize("url, wrong", [("redis://h?max_connections=3", "max_connections"), ("redis://h?db=abc", "db"),
                                        ("rediss://h?ssl_nope=1", "ssl_nope"), ("redis://h?ssl_ca_certs=/x", "ssl_ca_certs"),
                                        ("rediss://h?ssl_cert_reqs=some", "some")])
def test_an_option_of_the_url_that_is_not_known_is_refused_in_plain_words(url, wrong):
    with pytest.raises(ValueError) as caught:
        publishing.Publisher(options(url))
    said = str(caught.value)
    assert said.startswith("COMFY_RELAY_REDIS_URL: ") and wrong in said and "may be db=NUMBER" in said, said


def test_options_of_tls_are_taken():
    publishing.Publisher(options("rediss://h/1?ssl_ca_certs=/x&ssl_check_hostname=false"))


def test_an_event_that_cannot_be_packed_is_counted_and_the_rest_goes_on(redis_server, publisher, caplog):
    p = put(publisher(redis_server), Item(1), Item(ValueError("odd")), Item(2), Item(TypeError("odder")), Item(3))
    wait_published(p, 5)
    assert (kept(redis_server), p.published, p.refused) == ([1, 2, 3], 3, 2)
    assert [r.getMessage() for r in caplog.records if "an event cannot" in r.getMessage()] == [
        "[comfy-relay] an event cannot be published, and is dropped: ValueError: odd"]


def test_an_event_that_no_relay_takes_is_refused(redis_server, publisher, caplog):
    largest = posts.MESSAGE_BYTES - posts.ID_BYTES - len(Item(bytes(1 << 20)).packed("w1")) + (1 << 20)
    p = put(publisher(redis_server), Item(1), Item(bytes(largest + 1)), Item(2), Item(bytes(largest), sid="l"))
    wait_published(p, 4)
    assert (kept(redis_server), p.published, p.refused) == ([1, 2], 3, 1)
    assert "67108801 bytes, and relays take 67108864" in caplog.text


def test_an_event_that_redis_py_cannot_send_is_counted_and_the_rest_goes_on(redis_server, publisher):
    p = put(publisher(redis_server), Item(1), Item(2, lua_key=["no text"]), Item(3))
    wait_published(p, 3)
    assert (kept(redis_server), p.published, p.refused) == ([1, 3], 2, 1)


# ---- Redis in trouble ---------------------------------------------------------------------------------------------


def test_scripts_that_redis_forgets_all_the_time_cost_nothing(redis_server, publisher):
    p, stop, count = publisher(redis_server), threading.Event(), itertools.count()

    def disturb():
        client = type(redis_server.client)(unix_socket_path=redis_server.path)
        while not stop.is_set():
            client.script_flush()
    disturber = threading.Thread(target=disturb)
    disturber.start()
    try:
        for _ in range(20):
            put(p, *(Item(n) for n in itertools.islice(count, 100)))
            time.sleep(0.005)
        wait_published(p, 2000)
    finally:
        stop.set()
        disturber.join()
    assert (kept(redis_server), p.refused) == (list(range(2000)), 0)


def assert_kept_in_order(server, count, repeated=None):
    got = kept(server)
    assert first_of_each(got) == list(range(count))
    doubles = len(got) - count
    assert repeated is None or doubles <= repeated, f"{doubles} events twice"
    return doubles


def test_redis_away_for_ten_seconds_costs_no_keep_event(own_redis, publisher):
    p, stop, count = publisher(own_redis, SESSION_LOG_EVENTS="1000000"), threading.Event(), itertools.count()

    def run():
        while not stop.wait(0.003):
            p.put(Item(next(count)))
    runner = threading.Thread(target=run)
    runner.start()
    until(lambda: p.published > 200, "events on their way")
    own_redis.kill()
    time.sleep(10)  # what is promised
    own_redis.start()
    until(lambda: p.published > 2000, "events after the outage")
    stop.set()
    runner.join()
    total = next(count)
    wait_published(p, total)
    print(f"{total} events, {assert_kept_in_order(own_redis, total, publishing.BATCH_EVENTS)} twice")
    assert (p.published, p.lost, p.refused, p.conflated) == (total, 0, 0, 0)


def test_cut_connections_under_load_cost_nothing_and_repeat_only_what_was_unanswered(redis_server, publisher):
    p, cuts = publisher(redis_server, QUEUE_EVENTS="100000", SESSION_LOG_EVENTS="1000000"), 0
    for n in range(20_000):
        p.put(Item(n))
        if n % 500 == 499:
            cuts += redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            time.sleep(random.uniform(0, 0.05))
    wait_published(p, 20_000)
    assert cuts > 3
    print(f"{cuts} cuts, {assert_kept_in_order(redis_server, 20_000, cuts * publishing.BATCH_EVENTS)} twice")
    assert (p.published, p.lost, p.refused) == (20_000, 0, 0)


def test_an_event_that_redis_cuts_us_off_for_costs_only_itself(publisher, caplog):
    server = Redis("--proto-max-bulk-len", "1mb")
    try:
        p, channels = publisher(server, is_started=False), Channels(server)
        put(p, *(Item(n) for n in range(50)), Item("x" * 3_000_000), *(Item(n) for n in range(50, 100)))
        p.start()
        wait_published(p, 101)
        assert (first_of_each(kept(server)), p.published, p.refused) == (list(range(100)), 100, 1)
        wait_published(put(p, *(Item(n) for n in range(100, 200))), 201)
        assert (kept(server)[-101:], p._is_careful) == (list(range(99, 200)), False)
        channels.until(lambda c: c.data()[-1] == 199, "the last event")
    finally:
        server.stop()
    assert "cannot be published, and is dropped" in caplog.text


class Line:
    """Between the publisher and a Redis: `answers` is how often it hands on what it reads, `rate` how many bytes a second.
    Then whoever connects is cut off when he has sent something."""

    def __init__(self, server, answers=0, rate=None):
        self.listener, self.path = socket.create_server(("127.0.0.1", 0)), server.path
        self.answers, self.rate, self.cuts = answers, rate, 0
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        self.url = f"redis://127.0.0.1:{self.listener.getsockname()[1]}/0"
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, socket.socket(socket.AF_UNIX) as there, contextlib.suppress(OSError):
                    there.connect(self.path)
                    back = threading.Thread(target=self.copy, args=(there, client))
                    back.start()
                    self.hand_on(client, there)
                    there.shutdown(socket.SHUT_RDWR)
                    back.join()
                    self.cuts += 1

    def hand_on(self, client, there):
        answers = self.answers
        while (data := client.recv(1 << 16)) and answers != 0:
            there.sendall(data)
            answers -= 1
            time.sleep(len(data) / self.rate if self.rate else 0)

    @staticmethod
    def copy(there, client):
        with contextlib.suppress(OSError):
            while data := there.recv(1 << 16):
                client.sendall(data)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(20)


def test_a_proxy_before_a_dead_redis_costs_no_event(redis_server, publisher):
    with Line(redis_server) as line:
        p = put(publisher(line.url), *(Item(n) for n in range(10)))
        until(lambda: line.cuts > 3 * publishing.CUTS, "attempts")
        assert (p.published, p.refused) == (0, 0)
        line.answers = -1
        wait_published(p, 10)
        p.close()
    assert (kept(redis_server), p.refused) == (list(range(10)), 0)


def test_a_connection_is_told_of_when_redis_has_answered(redis_server, publisher, caplog):
    caplog.set_level("INFO")
    with Line(redis_server) as line:
        p = publisher(line.url)
        until(lambda: line.cuts > 1, "attempts")
        assert "connected to" not in caplog.text
        line.answers = -1
        until(lambda: "connected to" in caplog.text, "a connection")
        p.close()


def test_a_large_event_on_a_slow_line_is_sent_once(redis_server, publisher, monkeypatch):
    monkeypatch.setattr(link, "ANSWER_S", 1)
    with Line(redis_server, answers=-1, rate=2_000_000) as line:
        p = publisher(line.url, is_started=False)
        put(p, Item(1), Item("x" * 6_000_000), Item(2))
        p.start()
        wait_published(p, 3)
        p.close()
    assert ([str(data)[:3] for data in kept(redis_server)], line.cuts) == (["1", "xxx", "2"], 1)


def test_a_redis_that_hangs_for_a_while_loses_and_doubles_nothing(redis_server, publisher):
    p = wait_published(put(publisher(redis_server), Item(0)), 1)
    with paused(redis_server):
        put(p, *(Item(n) for n in range(1, 3000)))
        time.sleep(6)  # longer than a usual socket timeout, shorter than a worker is given up for lost
    wait_published(p, 3000)
    assert assert_kept_in_order(redis_server, 3000) == 0


def test_redis_absent_at_the_start(own_redis, publisher):
    own_redis.kill()
    p = put(publisher(own_redis), *(Item(n) for n in range(100)))
    until(lambda: p._failures > 2, "attempts to connect")
    own_redis.start()
    wait_published(p, 100)
    assert assert_kept_in_order(own_redis, 100) == 0


def test_a_wrong_password_that_becomes_right(publisher, tmp_path, caplog):
    (tmp_path / "password").write_text("sec-ret\n")
    server = Redis(password="other")
    try:
        for p in (publisher(server, REDIS_PASSWORD_FILE=str(tmp_path / "password")),
                  publisher(f"redis://:sec-ret@127.0.0.1:{server.port}/0", WORKER_ID="w2")):
            p.put(Item(1))
            until(lambda p=p: p._failures > 1, "attempts to connect")
        server.client.config_set("requirepass", "sec-ret")
        until(lambda: kept(server) == [1, 1], "both events")
    finally:
        server.stop()
    assert "invalid username-password pair" in caplog.text
    assert "sec-ret" not in caplog.text


def test_a_redis_that_quotes_the_password_does_not_bring_it_into_the_log(publisher, caplog):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        stop = threading.Event()
        server = threading.Thread(target=quote_everything, args=(listener, stop))
        server.start()
        p = publisher(f"redis://u:sec%2Fret@127.0.0.1:{listener.getsockname()[1]}/0")
        until(lambda: p._failures > 1, "attempts to connect")
        p.close(0.1)
        stop.set()
        server.join()
    assert "with args beginning with: `***`" in caplog.text and "sec/ret" not in caplog.text, caplog.text


def quote_everything(listener, stop):
    listener.settimeout(0.05)
    while not stop.is_set():
        with contextlib.suppress(OSError):
            client, _ = listener.accept()
            with client:
                client.recv(1000)
                client.sendall(b"-ERR unknown command `AUTH`, with args beginning with: `sec/ret`\r\n")


def test_no_memory_left_costs_only_the_event_and_clients_that_listen_have_it(redis_server, publisher, caplog):
    p, channels = wait_published(put(publisher(redis_server), Item(0)), 1), Channels(redis_server)
    redis_server.client.config_set("maxmemory-policy", "noeviction")
    redis_server.client.config_set("maxmemory", 1)
    wait_published(put(p, Item(1), Item(2)), 3)
    redis_server.client.config_set("maxmemory", 0)
    wait_published(put(p, Item(3)), 4)
    assert (kept(redis_server), p.published, p.refused) == ([0, 3], 2, 2)
    channels.until(lambda c: c.data() == [1, 2, 3], "all of them on the channel, once")
    assert "could not keep an event" in caplog.text


def test_a_key_of_another_type_costs_only_its_session(redis_server, publisher):
    redis_server.client.set("comfy:sid:{bad}:log", "text")
    p = publisher(redis_server)
    for n in range(100):
        put(p, Item(n, sid="bad"), Item(n, sid="good"))
    wait_published(p, 200)
    assert (kept(redis_server, "good"), p.published, p.refused) == (list(range(100)), 100, 100)


def test_a_master_that_is_a_replica_for_a_while_costs_no_keep_event(own_redis, publisher, caplog):
    p = wait_published(put(publisher(own_redis), Item(0)), 1)
    own_redis.client.replicaof("127.0.0.1", free_port())
    put(p, *(Item(n) for n in range(1, 100)))
    until(lambda: p._failures > 1, "attempts at a replica")
    own_redis.client.replicaof("NO", "ONE")
    wait_published(p, 100)
    assert (kept(own_redis), p.published, p.refused) == (list(range(100)), 100, 0)
    assert "read only replica" in caplog.text


def test_a_script_that_runs_long_delays_and_costs_nothing(redis_server, publisher):
    redis_server.client.config_set("busy-reply-threshold", 1)
    p = wait_published(put(publisher(redis_server), Item(0)), 1)
    slow = type(redis_server.client)(unix_socket_path=redis_server.path, socket_timeout=30)
    busy = threading.Thread(target=slow.eval, args=(
        "local t = redis.call('TIME'); repeat local n = redis.call('TIME') until n[1] - t[1] >= 2", 0))
    busy.start()
    try:
        while busy.is_alive():
            p.put(Item(int(p.published)))
            time.sleep(0.05)
    finally:
        busy.join()
    wait_published(p, 2)
    until(lambda: not len(p._outbox) and not p._batch, "the queue to be empty")
    assert p.refused == 0


def test_the_thread_survives_whatever_redis_py_raises(redis_server, publisher, monkeypatch):
    p = wait_published(put(publisher(redis_server), Item(0)), 1)
    redis_py = link.redis
    odd = iter([redis_py.InvalidResponse("Protocol Error"), redis_py.DataError("d"), ValueError("v"), RuntimeError("r"),
                redis_py.TimeoutError("t"), OSError(5, "io"), AttributeError("a"), redis_py.exceptions.LockError("l"),
                UnicodeDecodeError("utf-8", b"x", 0, 1, "u"), MemoryError()])
    for name in ("read_response", "send_packed_command", "connect"):
        monkeypatch.setattr(p._link._connection, name, failing_now_and_then(getattr(p._link._connection, name), odd))
    for n in range(1, 400):
        p.put(Item(n))
        if n % 20 == 0:
            wait_published(p, n)
    wait_published(p, 400)
    assert next(odd, None) is None, "some were never raised"
    assert_kept_in_order(redis_server, 400)
    assert p.published == 400


def failing_now_and_then(act, errors):
    calls = itertools.count(1)

    def wrapped(*args, **options):
        if next(calls) % 9 == 0:
            for error in itertools.islice(errors, 1):
                raise error
        return act(*args, **options)
    return wrapped


def test_a_fault_of_our_own_costs_no_more_than_a_pause(redis_server, publisher, monkeypatch, caplog):
    p = wait_published(put(publisher(redis_server), Item(0)), 1)
    connect, faults = p._connect, iter([KeyError("ours")])

    def faulty():
        for fault in faults:
            raise fault
        connect()
    monkeypatch.setattr(p, "_connect", faulty)
    wait_published(put(p, Item(1)), 2)
    assert kept(redis_server) == [0, 1] and "a fault in publishing, going on: KeyError('ours')" in caplog.text


def test_an_outage_is_logged_at_once_and_then_once_a_minute(redis_server, caplog):
    p, now = publishing.Publisher(options(redis_server)), [0]
    p._rarely = notes.Rarely(clock=lambda: now[0])
    for now[0] in range(600):
        p._on_lost(f"attempt {now[0]}")
    said = [r.getMessage().partition(p._settings.where)[2].partition(" (")[0] for r in caplog.records]
    assert said[:3] == [": attempt 0; trying again", ": attempt 1; still trying, 0 events wait",
                        ": attempt 61; still trying, 0 events wait"], said
    assert len(said) == 11, said


def test_an_outage_and_its_end_are_two_lines(own_redis, publisher, caplog):
    caplog.set_level("INFO")
    p = wait_published(put(publisher(own_redis), Item(0)), 1)
    p._rarely._next.clear()
    own_redis.kill()
    put(p, Item(1))
    until(lambda: p._failures > 4, "attempts to connect")
    own_redis.start()
    wait_published(p, 2)
    said = [r.getMessage().replace(p._settings.where, "REDIS") for r in caplog.records]
    assert said[0] == said[-1] == "[comfy-relay] connected to REDIS" and 3 <= len(said) <= 4, said
    assert all(line.startswith("[comfy-relay] REDIS: ") for line in said[1:-1]), said


# ---- a full queue -------------------------------------------------------------------------------------------------


def test_a_full_queue_conflates_then_loses_the_oldest_and_the_newest_values_survive(own_redis, publisher, caplog):
    own_redis.kill()
    p = publisher(own_redis, QUEUE_EVENTS="100")
    until(lambda: p._failures > 0, "the first attempt")  # a heartbeat is in the batch, all events stay in the queue
    for n in range(300):
        put(p, Item(n, sid="previews", key=f"node {n % 3}"))
    for n in range(150):
        put(p, Item(n, sid="results"))
    assert (len(p._outbox), p.conflated, p.lost) == (100, 297, 53)
    until(lambda: "events lost so far" in caplog.text, "a line in the log")
    own_redis.start()
    wait_published(p, 100)
    assert (kept(own_redis, "results"), p.published) == (list(range(50, 150)), 100)


def test_a_full_queue_keeps_the_newest_preview_of_each_node(own_redis, publisher):
    own_redis.kill()
    p = publisher(own_redis, QUEUE_EVENTS="100")
    until(lambda: p._failures > 0, "the first attempt")
    for n in range(3000):
        put(p, Item(n, key=f"node {n % 3}"))
    put(p, *(Item(n) for n in range(97)))
    own_redis.start()
    wait_published(p, 100)
    latest = own_redis.client.hgetall("comfy:sid:{s}:latest")
    newest = {k.decode(): msgpack.unpackb(v)["data"] for k, v in latest.items()}
    assert newest == {"node 0": 2997, "node 1": 2998, "node 2": 2999}
    assert (kept(own_redis), p.lost, p.conflated) == (list(range(97)), 0, 2997)


def test_losses_are_told_at_a_bounded_rate_and_by_no_caller(own_redis, publisher, caplog):
    own_redis.kill()
    p = publisher(own_redis, QUEUE_EVENTS="10")
    until(lambda: p._failures > 0, "the first attempt")
    me, before = threading.current_thread().name, len(caplog.records)
    for n in range(5000):
        put(p, Item(n))
    until(lambda: p._failures > 5, "turns of the thread")
    lines = [r for r in caplog.records[before:] if "events lost so far: the queue (10 events" in r.getMessage()]
    assert len(lines) == 1 and lines[0].threadName != me, caplog.text
    assert p.lost == 4990


def test_memory_of_the_queue_is_bounded_in_bytes(own_redis, publisher):
    own_redis.kill()
    p = publisher(own_redis, QUEUE_BYTES="2MiB", QUEUE_EVENTS="1000000")
    until(lambda: p._failures > 0, "the first attempt")
    for n in range(5000):
        put(p, Item(n, size=10_000))
    assert (len(p._outbox), p._outbox._bytes, p.lost) == (209, 2_090_000, 4791)


def test_put_never_waits_while_redis_hangs(redis_server, publisher):
    p = wait_published(put(publisher(redis_server), Item(0)), 1)
    with paused(redis_server):
        put(p, *(Item(n) for n in range(1, 300)))
        until(lambda: p._batch, "events on their way")
        begin = time.perf_counter()
        put(p, *(Item(n) for n in range(300, 5300)))
        took = time.perf_counter() - begin
    assert took < 1, f"5000 puts took {took:.2f} s"


def test_put_costs_less_than_ten_microseconds(own_redis, publisher):
    own_redis.kill()
    p, items = publisher(own_redis), [Item(n, key=n % 5 or None, lua_key="k") for n in range(20_000)]
    each = iter(items * 5)
    cost = min(timeit.repeat(lambda: p.put(next(each)), number=20_000, repeat=5)) / 20_000
    print(f"put: {cost * 1e6:.2f} us")
    assert cost < 10e-6, f"{cost * 1e6:.2f} us"


# ---- the worker itself --------------------------------------------------------------------------------------------


def test_a_start_is_told_and_stored(redis_server, publisher):
    channels = Channels(redis_server)
    before = int(time.time() * 1000)
    publisher(redis_server)
    channels.until(lambda c: c.beats(), "a heartbeat")
    told = channels.beats()[0]
    assert told == entry(redis_server)
    assert {**told, "boot": "", "at": 0} == {"boot": "", "queue_remaining": 0, "sid": None, "prompt_id": None, "at": 0}
    assert before <= told["at"] <= time.time() * 1000 and isinstance(told["boot"], str) and len(told["boot"]) == 32


def test_each_start_has_a_boot_of_its_own(redis_server, publisher):
    boots = set()
    for _ in range(3):
        p = publisher(redis_server)
        boots.add(until(lambda: entry(redis_server), "the entry")["boot"])
        p.close()
    assert len(boots) == 3


def test_heartbeats_come_again_and_again(redis_server, publisher):
    channels = Channels(redis_server)
    publisher(redis_server, heartbeat_s=0.2)
    channels.until(lambda c: len(c.beats()) >= 6, "six heartbeats")
    at = [beat["at"] for beat in channels.beats()]
    gaps = [b - a for a, b in zip(at, at[1:])]
    assert sum(gaps[1:]) / len(gaps[1:]) > 150, gaps
    assert publishing.HEARTBEAT_S == 5


def test_heartbeats_come_under_load_too(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server, heartbeat_s=0.05)
    end = time.monotonic() + 1
    while time.monotonic() < end:
        put(p, *(Item(n, size=10) for n in range(100)))
        time.sleep(0.005)
    assert len(channels.beats()) > 10, len(channels.beats())


def test_changes_are_told_in_order_with_the_events(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    p.queue_is(1)
    p.executes("P", "s")
    put(p, Item("begin"), Item("end", ends=True))
    p.executes(None, None)
    p.queue_is(0)
    put(p, Item("after", sid=None))
    channels.until(lambda c: "after" in c.data(), "the last event")
    got = [(e["data"]["queue_remaining"], e["data"]["sid"], e["data"]["prompt_id"]) if e["type"] == "relay.worker"
           else e["data"] for e in channels.events()]
    assert got[-7:] == [(1, None, None), (1, "s", "P"), "begin", "end", (1, None, None), (0, None, None), "after"]
    assert entry(redis_server)["prompt_id"] is None


def test_what_has_not_changed_is_not_told(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    for _ in range(5):
        p.queue_is(3)
        p.executes("P", None)
    put(p, Item("after"))
    channels.until(lambda c: "after" in c.data(), "the event")
    assert [(b["queue_remaining"], b["prompt_id"]) for b in channels.beats()][-2:] == [(3, None), (3, "P")]
    assert len(channels.beats()) <= 3


def test_a_heartbeat_renews_the_keys_of_the_session_that_executes(redis_server, publisher):
    p = publisher(redis_server, heartbeat_s=0.05, SESSION_TTL="100s")
    p.executes("P", "s")
    wait_published(put(p, Item(1), Item(2, key="k"), Item(3, sid="other")), 3)
    for sid, which in itertools.product(("s", "other"), ("log", "latest")):
        redis_server.client.pexpire(f"comfy:sid:{{{sid}}}:{which}", 30_000)
    until(lambda: all(redis_server.client.pttl("comfy:sid:{s}:" + w) > 90_000 for w in ("log", "latest")), "renewal")
    assert redis_server.client.pttl("comfy:sid:{other}:log") <= 30_000


def test_a_change_that_a_full_queue_lost_holds_all_the_same(own_redis, publisher):
    own_redis.kill()
    p = publisher(own_redis, heartbeat_s=0.2, QUEUE_EVENTS="10")
    until(lambda: p._failures > 0, "the first attempt")
    p.executes("P", "s")
    p.queue_is(7)
    put(p, *(Item(n) for n in range(20)))
    assert p.lost == 12
    own_redis.start()
    until(lambda: (entry(own_redis) or {}).get("prompt_id") == "P", "the entry to tell of the prompt")
    assert (entry(own_redis)["queue_remaining"], entry(own_redis)["sid"]) == (7, "s")


def test_a_periodic_heartbeat_does_not_run_ahead_of_the_events(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server, heartbeat_s=0.001, is_started=False)
    p.executes("P", "s")
    put(p, *(Item(n) for n in range(2000)))
    p.executes(None, None)
    p.start()
    wait_published(p, 2000)
    p.close()
    channels.until(lambda c: c.beats() and "gone" in c.beats()[-1], "all of them")
    told = [e["data"] if e["type"] == "x" else e["data"].get("prompt_id") for e in channels.events()]
    first, last = told.index(0), told.index(1999)
    during = [prompt for prompt in told[first:last] if not isinstance(prompt, int)]
    assert len(during) > 2 and set(during) == {"P"} and set(told[last + 1:]) == {None}, (during, told[last:])


def test_the_time_of_a_heartbeat_does_not_go_back_with_the_clock(redis_server, publisher, monkeypatch):
    channels, p = Channels(redis_server), publisher(redis_server)
    channels.until(lambda c: c.beats(), "a heartbeat")
    monkeypatch.setattr(posts.time, "time", lambda: 1234.5)
    p.queue_is(1)
    channels.until(lambda c: c.beats()[-1]["queue_remaining"] == 1, "the next one")
    assert channels.beats()[-1]["at"] == channels.beats()[-2]["at"] > 1234500


def test_a_redis_that_has_forgotten_the_worker_is_told_at_once(redis_server, publisher):
    p = publisher(redis_server)
    p.queue_is(4)
    wait_published(put(p, Item(1)), 1)
    redis_server.client.flushall()
    redis_server.client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    wait_published(put(p, Item(2)), 2)
    assert until(lambda: entry(redis_server), "the entry")["queue_remaining"] == 4


def test_who_listens_is_asked_with_the_heartbeat(redis_server, publisher):
    p = publisher(redis_server, heartbeat_s=0.05)
    assert p.has_listener("a") is None
    subscriber = redis_server.client.pubsub()
    subscriber.subscribe("comfy:sid:{a}")
    until(lambda: redis_server.client.pubsub_numsub("comfy:sid:{a}")[0][1], "the subscription")
    p.watch(["a", "b"])
    until(lambda: p.has_listener("b") is not None, "an answer")
    assert (p.has_listener("a"), p.has_listener("b"), p.has_listener("c")) == (True, False, None)
    subscriber.close()
    until(lambda: p.has_listener("a") is False, "the end of the subscription")
    asked = p.listeners_asked
    until(lambda: p.listeners_asked > asked, "the next answer")
    p.watch([])
    asked = until(lambda: p.listeners_asked, "answers")
    until(lambda: entry(redis_server), "heartbeats")
    assert p.listeners_asked <= asked + 1


def test_who_listens_is_not_known_while_redis_is_away(own_redis, publisher):
    p = publisher(own_redis, heartbeat_s=0.05)
    p.watch(["a"])
    until(lambda: p.has_listener("a") is False, "an answer")
    own_redis.kill()
    until(lambda: p.has_listener("a") is None, "it to be forgotten")


def test_no_more_is_needed_than_the_readme_says(redis_server, publisher, caplog):
    with open(os.path.join(extension.FOLDER, "README.md"), encoding="utf-8") as f:
        rule = next(line.strip() for line in f if line.strip().startswith("ACL SETUSER"))
    client = redis_server.client
    client.execute_command(*rule.replace("PASSWORD", "pw").split())
    try:
        p = publisher(f"redis://worker:pw@127.0.0.1:{redis_server.port}/1", heartbeat_s=0.05)
        p.watch(["s"])
        p.executes("P", "s")
        wait_published(put(p, Item(1), Item(2, key="k"), Item(3, sid=None), Item(4, ends=True)), 4)
        until(lambda: p.has_listener("s") is False, "an answer")
        p.close()
        assert p.refused == 0 and client.acl_log() == [], client.acl_log()
        assert "refused" not in caplog.text, caplog.text
    finally:
        client.acl_deluser("worker")


# ---- the end ------------------------------------------------------------------------------------------------------


def test_close_publishes_what_waits_then_says_goodbye(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    put(p, *(Item(n) for n in range(2000)))
    p.close()
    assert (kept(redis_server), entry(redis_server)) == (list(range(2000)), None)
    channels.until(lambda c: c.beats() and c.beats()[-1] == {"gone": True}, "the goodbye")
    assert channels.events()[-1] == {"type": "relay.worker", "worker": "w1", "data": {"gone": True}}
    assert not p._thread.is_alive()


def test_close_may_come_again_and_from_many_threads_and_events_after_it_do_no_harm(redis_server, publisher):
    channels, p = Channels(redis_server), publisher(redis_server)
    until(lambda: entry(redis_server), "the entry")
    closers = [threading.Thread(target=p.close) for _ in range(4)]
    for t in closers:
        t.start()
    for t in closers:
        t.join()
    p.close()
    put(p, Item(1))
    p.queue_is(9)
    assert [b for b in channels.beats() if "gone" in b] == [{"gone": True}]
    assert entry(redis_server) is None


def test_close_of_what_was_never_started_does_nothing(redis_server):
    channels, p = Channels(redis_server), publishing.Publisher(options(redis_server))
    put(p, Item(1))
    p.close()
    assert channels.read() == []


def test_close_flushes_for_its_time_and_then_says_goodbye(redis_server, publisher, monkeypatch):
    p = wait_published(put(publisher(redis_server, QUEUE_EVENTS="1000"), Item(0)), 1)
    connection = p._link._connection
    read = connection.read_response

    def slowly(*args, **named):
        time.sleep(0.005)
        return read(*args, **named)
    monkeypatch.setattr(publishing, "BATCH_EVENTS", 10)
    monkeypatch.setattr(connection, "read_response", slowly)
    put(p, *(Item(n) for n in range(1, 1000)))
    begin = time.monotonic()
    p.close(1)
    took = time.monotonic() - begin
    assert entry(redis_server) is None and not p._thread.is_alive()
    assert took <= 1.1 and 10 < p.published < 1000, (took, p.published)


@pytest.mark.parametrize("is_there", [True, False])
def test_close_with_a_redis_that_hangs_or_is_away_takes_its_time_and_no_more(own_redis, publisher, is_there):
    p = wait_published(put(publisher(own_redis), Item(0)), 1)
    with paused(own_redis) if is_there else contextlib.nullcontext():
        if not is_there:
            own_redis.kill()
        put(p, *(Item(n) for n in range(100)))
        begin = time.monotonic()
        p.close(0.5)
        took = time.monotonic() - begin
    if not is_there:
        own_redis.start()
    assert 0.4 < took < 0.9, took


WORKER = """
import os, signal, sys, threading, time
sys.path[:0] = [{support!r}, {here!r}]
import extension
settings, publisher = extension.module("settings"), extension.module("publisher")
from test_publisher import Item
def start():
    p = publisher.Publisher(settings.read())
    p.start()
    for n in range(50):
        p.put(Item(n))
    return p
def ready(p):
    while p.published < 50:
        time.sleep(0.01)
    print("ready", flush=True)
"""


class Worker:
    """An interpreter of its own that publishes 50 events, then runs `code`."""

    def __init__(self, server, code):
        here = os.path.dirname(os.path.abspath(__file__))
        text = WORKER.format(support=os.path.join(ROOT, "tests", "support"), here=here) + code
        environ = {**os.environ, "COMFY_RELAY_REDIS_URL": server.tcp_url, "COMFY_RELAY_WORKER_ID": "w1",
                   "PYTHONDONTWRITEBYTECODE": "1"}
        self.process = subprocess.Popen([sys.executable, "-c", text], env=environ, text=True, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def wait_ready(self):
        assert self.process.stdout.readline() == "ready\n", self.process.stderr.read()
        return self

    def end(self, number=None, timeout=20):
        """Its exit status, and how long it took."""
        begin = time.monotonic()
        if number is not None:
            self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        print(errors)
        self.errors = errors
        return self.process.returncode, time.monotonic() - begin


def test_the_interpreters_exit_says_goodbye(redis_server):
    channels = Channels(redis_server)
    status, _ = Worker(redis_server, "p = start()").end()
    assert (status, kept(redis_server), entry(redis_server)) == (0, list(range(50)), None)
    channels.until(lambda c: c.beats() and c.beats()[-1] == {"gone": True}, "the goodbye")


def test_an_exception_that_ends_the_interpreter_says_goodbye(redis_server):
    status, _ = Worker(redis_server, "p = start(); raise KeyboardInterrupt").end()
    assert (status, kept(redis_server), entry(redis_server)) == (-2, list(range(50)), None)


WAITS = "p = start(); p.put(Item(50)); ready(p); time.sleep(60)"


def test_sigterm_says_goodbye_and_the_exit_status_stays_the_signals(redis_server):
    channels, worker = Channels(redis_server), Worker(redis_server, WAITS).wait_ready()
    status, took = worker.end(signal.SIGTERM)
    assert (status, kept(redis_server), entry(redis_server)) == (-signal.SIGTERM, list(range(51)), None)
    channels.until(lambda c: c.beats()[-1] == {"gone": True}, "the goodbye")
    assert took < 1.5, took


def test_somebody_elses_handler_of_sigterm_stays(redis_server):
    worker = Worker(redis_server, "signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))\n" + WAITS).wait_ready()
    status, _ = worker.end(signal.SIGTERM)
    assert (status, entry(redis_server)) == (3, None)


def test_sigterm_with_a_redis_that_hangs_ends_within_about_two_seconds(own_redis):
    worker = Worker(own_redis, WAITS).wait_ready()
    with paused(own_redis):
        status, took = worker.end(signal.SIGTERM)
    assert status == -signal.SIGTERM and 1.5 < took < 4, (status, took)


def test_an_exit_with_a_redis_that_hangs_ends_within_about_two_seconds(own_redis):
    worker = Worker(own_redis, "p = start(); ready(p); sys.stdin.readline(); p.put(Item(1))").wait_ready()
    with paused(own_redis):
        status, took = worker.end()
    assert status == 0 and took < 4, (status, took)


def test_kill_says_nothing(redis_server):
    channels, worker = Channels(redis_server), Worker(redis_server, WAITS).wait_ready()
    status, _ = worker.end(signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert entry(redis_server) is not None and {"gone": True} not in channels.beats()


def test_a_forked_child_publishes_nothing_and_says_no_goodbye(redis_server):
    channels = Channels(redis_server)
    code = """
p = start(); ready(p)
pid = os.fork()
if pid == 0:
    p.put(Item("child"))
    p.queue_is(99)
    begin = time.monotonic()
    p.close()
    assert time.monotonic() - begin < 1
    sys.exit(7 if len(p._outbox) == 0 else 8)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
p.put(Item("parent"))
"""
    worker = Worker(redis_server, code)
    assert worker.end()[0] == 0, worker.errors
    assert kept(redis_server) == [*range(50), "parent"]
    assert [b for b in channels.beats() if "gone" in b] == [{"gone": True}]


def test_a_forked_child_dies_of_sigterm_without_a_word(redis_server):
    channels = Channels(redis_server)
    code = """
p = start(); ready(p)
at, to = os.pipe()
pid = os.fork()
if pid == 0:
    os.write(to, b"x")
    time.sleep(20)
    os._exit(9)
os.read(at, 1)
os.kill(pid, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -15
p.put(Item("parent"))
while p.published < 51:
    time.sleep(0.01)
p._link.close()
os._exit(0)
"""
    worker = Worker(redis_server, code)
    assert worker.end()[0] == 0, worker.errors
    assert entry(redis_server) is not None and {"gone": True} not in channels.beats()


def test_a_forked_child_handles_sigterm_as_python_does(redis_server):
    code = """
p = start(); ready(p)
pid = os.fork()
if pid == 0:
    os._exit(0 if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL else 9)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL
"""
    worker = Worker(redis_server, code)
    assert worker.end()[0] == 0, worker.errors
    assert entry(redis_server) is None


def test_what_does_not_die_of_its_signal_leaves_with_its_status(monkeypatch):
    """As PID 1 of a container."""
    done, before = [], signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(ending.os, "kill", lambda pid, number: done.append(("kill", pid, number)))
    try:
        with pytest.raises(SystemExit) as caught:
            ending.die_after(lambda: done.append("goodbye"))(signal.SIGTERM, None)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)
    assert (caught.value.code, done) == (143, ["goodbye", ("kill", os.getpid(), signal.SIGTERM)])


def test_after_close_signals_are_as_before(redis_server, publisher):
    before = signal.getsignal(signal.SIGTERM)
    p = publisher(redis_server)
    during = signal.getsignal(signal.SIGTERM)
    p.close()
    assert before == signal.SIG_DFL and during != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_started_from_another_thread_signals_are_left_alone(redis_server, publisher):
    t = threading.Thread(target=publisher, args=(redis_server,))
    t.start()
    t.join()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    until(lambda: entry(redis_server), "the entry")


def test_importing_it_starts_nothing():
    code = "\nassert threading.active_count() == 1 and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, 'started'"
    imports = WORKER.split("from test_publisher")[0].format(support=os.path.join(ROOT, "tests", "support"), here=".")
    subprocess.run([sys.executable, "-B", "-c", imports + code], check=True, timeout=60)


# ---- its text -----------------------------------------------------------------------------------------------------


def test_the_script_is_that_of_the_project():
    with open(SCRIPT, "rb") as ours, open(os.path.join(extension.FOLDER, "publish.lua"), "rb") as copy:
        assert copy.read() == ours.read()


def test_only_what_the_script_does_is_sent_with_each_event():
    script = posts.Contract(options("redis://h"), "b")._script.decode()
    assert "redis.call('PUBLISH'" in script and "--" not in script and "\n\n" not in script


def test_a_batch_is_written_at_once(redis_server, publisher, monkeypatch):
    p, writes = publisher(redis_server, is_started=False), []
    connection = p._link._connection
    send = connection.send_packed_command
    monkeypatch.setattr(connection, "send_packed_command", lambda pieces, **named: (writes.append(pieces), send(pieces, **named)))
    put(p, *(Item("x" * 10_000) for _ in range(100)))
    p.start()
    wait_published(p, 100)
    large = [[len(piece) for piece in pieces] for pieces in writes if len(pieces) > 3]
    assert [set(sizes[:-1]) for sizes in large] == [{link.SLICE_BYTES}] and sum(large[0]) > 1_000_000, large


def test_the_extension_is_written_for_python_3_9():
    files = glob.glob(os.path.join(extension.FOLDER, "*.py"))
    assert len(files) > 5, files
    for name in files:
        with open(name, encoding="utf-8") as f:
            ast.parse(f.read(), name, feature_version=(3, 9))


def test_rare_lines_tell_how_many_were_left_out(caplog):
    now = [0]
    rarely = notes.Rarely(10, clock=lambda: now[0])
    assert [rarely.say("a", "line %d", n) for n in range(4)] == [True, False, False, False]
    assert rarely.say("b", "other") is True
    now[0] = 10
    assert rarely.say("a", "line %d", 4) is True
    assert [r.getMessage() for r in caplog.records] == ["[comfy-relay] line 0", "[comfy-relay] other",
                                                        "[comfy-relay] line 4 (3 more like it before)"]
