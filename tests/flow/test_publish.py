"""comfy-publish, and the library that it stands on, with a real relay."""
import base64
import collections
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import msgpack
import pytest
from recording import NAMES, golden, is_status, queue_number
from servers import PUBLISH, ROOT, SANITIZERS, Redis, Relay, start, until
from ws import Client

GOLDEN = os.path.join(ROOT, "tests", "golden")
ENVIRONMENT = {**{k: v for k, v in os.environ.items() if not k.startswith("COMFY_RELAY_")}, **SANITIZERS}
BARRIER = '{"type":"test.barrier","data":null}'
OWN = ("{\"type\":\"test.barrier\"", "{\"type\":\"status\"")


def recording(name):
    return os.path.join(GOLDEN, f"{name}.events.msgpack")


def publish(server, *args, lines=None, env=None, seconds=60):
    """Runs it to its end. lines: its input; a dict is written as JSON."""
    text = "".join((json.dumps(x) if isinstance(x, dict) else x) + "\n" for x in lines or [])
    return subprocess.run([PUBLISH, "--redis.url", server.url, *args], input=text, capture_output=True, text=True,
                          timeout=seconds, env={**ENVIRONMENT, **(env or {})})


class Running:
    """One that goes on until it is told to stop."""

    def __init__(self, server, *args, **options):
        self.process = start([PUBLISH, "--redis.url", server.url, *args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                             text=True, env=ENVIRONMENT, **options)

    def __enter__(self):
        return self

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        output, _ = self.process.communicate(timeout=30)
        return self.process.returncode, output

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def commands(stream):
    """As clients of Redis write them."""
    while head := stream.readline():
        yield [stream.read(int(stream.readline()[1:]) + 2)[:-2] for _ in range(int(head[1:]))]


class Impostor:
    """In place of Redis: answer(arguments) is what it says to a command."""

    def __init__(self, answer):
        self.answer, self.listener = answer, socket.create_server(("127.0.0.1", 0))
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                with connection, connection.makefile("rb") as stream:
                    for arguments in commands(stream):
                        connection.sendall(self.answer(arguments))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.thread.join()
        self.listener.close()


class SlowLine:
    """To Redis, so many bytes a second; what comes back is not slowed. One connection after the other."""

    def __init__(self, server, rate):
        self.server, self.rate, self.connections = server, rate, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.url = "redis://127.0.0.1:%d" % self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self.listener.accept()
                self.connections += 1
                with near, socket.socket(socket.AF_UNIX) as far:
                    far.connect(self.server.path)
                    back = threading.Thread(target=self._pass_on, args=(far, near, 0))
                    back.start()
                    self._pass_on(near, far, 1 / self.rate)
                    back.join()

    @staticmethod
    def _pass_on(source, to, seconds_a_byte):
        with contextlib.suppress(OSError):
            while data := source.recv(20_000):
                to.sendall(data)
                time.sleep(len(data) * seconds_a_byte)
        for s in source, to:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)

    __enter__, __exit__ = Impostor.__enter__, Impostor.__exit__


def payload(messages):
    """What came of events, without what the relay and the test say of themselves."""
    return [m for m in messages if isinstance(m, bytes) or not m.startswith(OWN)]


def barrier(publisher, client):
    """All that was published before this has come."""
    before = client.messages.count(BARRIER)
    publisher.emit("test.barrier", None)
    client.wait(lambda: client.messages.count(BARRIER) > before, "the barrier")


# ---- lines -----------------------------------------------------------------------------------------------------------

def b64(data):
    return base64.b64encode(data).decode()


def test_lines_become_the_frames_of_their_events(redis_server, relay, connect, publisher):
    client = connect("s")
    client.flags()
    client.wait_for("feature_flags")
    data = {"seed": 18446744073709551615, "cfg": 7.0, "text": "\u00e9\n"}
    done = publish(redis_server, lines=[
        {"type": "executing", "sid": "s", "data": data},
        {"type": "custom", "data": None},
        {"type": "of another", "sid": "t", "data": 1},
        {"type": "for nobody", "sid": "", "data": 1},
        {"type": 10, "sid": "s", "data": b64(b"\0opaque")},
        {"type": 1, "sid": "s", "data": ["PNG", b64(b"one")]},
        {"type": 2, "sid": "s", "data": ["JPEG", b64(b"two"), 512]},
        {"type": 3, "sid": "s", "data": ["7", "some text"]},
        {"type": 4, "sid": "s", "data": [["JPEG", b64(b"four"), None], {"node_id": "7"}]}])
    assert (done.returncode, done.stderr) == (0, "")
    barrier(publisher, client)
    assert payload(client.messages)[1:] == [
        golden.frame({"type": "executing", "data": data}, True), '{"type":"custom","data":null}',
        b"\0\0\0\x0a\0opaque", golden.code1("PNG", b"one"), golden.code1("JPEG", b"two"),
        golden.frame({"type": 3, "data": ["7", "some text"]}, True),
        golden.frame({"type": 4, "data": [["JPEG", b"four", None], {"node_id": "7"}]}, True)]


BAD_LINES = {
    "nonsense": "not JSON, byte 1", '{"type":"a",}': "not JSON, byte 13", "[1]": "one JSON object", '{"data":1}': "type must be",
    '{"type":true}': "type must be", '{"type":4294967296}': "type must be", '{"type":"a","sid":7}': "sid must be",
    '{"type":"a","sid":"a{b"}': "a sid is", '{"type":"a","keep":1}': "keep must be", '{"type":"a","worker":1}': "worker must be",
    '{"type":10,"data":"!!!!"}': "base64", '{"type":10,"data":"AAAAA"}': "base64", '{"type":10,"data":7}': "wrong shape",
    '{"type":4,"data":[["JPEG"],{}]}': "base64", '{"type":4,"data":["JPEG","AAAA",null]}': "base64",
    '{"type":1,"data":["JPEG",7]}': "base64", '{"type":2,"data":"AAAA"}': "wrong shape", '{"type":"relay.worker","data":{}}': "relay.",
    '{"type":"status","data":{}}': "wrong shape", '{"type":"a","data":' + "[" * 70 + "]" * 70 + "}": "nested",
    '{"type":"a","data":"\\ud8"}': "hexadecimal"}


@pytest.mark.parametrize("line", BAD_LINES, ids=range(len(BAD_LINES)))
def test_bad_line_costs_only_itself_and_is_named(line, redis_server):
    good = {"type": "executed", "sid": "s", "data": {}}
    done = publish(redis_server, lines=[good, "", line, good])
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0].startswith("comfy-publish: line 3: ") and BAD_LINES[line] in said[0], done.stderr
    assert said[1:] == ["comfy-publish: 1 of 4 lines were not published"]
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 2


def test_last_line_needs_no_end_and_keep_and_worker_are_taken_over(redis_server):
    line = '{"type":"executed","sid":"s","keep":false,"worker":"other","data":{"node":"1"}}'
    done = subprocess.run([PUBLISH, f"--redis.url={redis_server.url}"], input=line, capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    (stored,) = redis_server.client.hvals("comfy:sid:{s}:latest")
    event = msgpack.unpackb(stored)
    assert (event["keep"], event["worker"], event["data"]) == (False, "other", {"node": "1"})


def test_more_lines_than_the_queue_holds_all_arrive_in_order(redis_server):
    lines = [{"type": "executed", "sid": "s", "data": {"n": n}} for n in range(20000)]
    done = publish(redis_server, "--session.log_events=100000", lines=lines)
    assert (done.returncode, done.stderr) == (0, "")
    stored = [msgpack.unpackb(fields[b"e"])["data"]["n"] for _, fields in redis_server.client.xrange("comfy:sid:{s}:log")]
    assert stored == list(range(20000))


def test_script_that_redis_learns_in_mid_way_costs_no_order():
    """Of calls that are under way together, the first finds no script, and the others do."""
    refused, done = [], []

    def answer(arguments):
        if arguments[0] == b"EVALSHA" and not refused:
            refused.append(arguments)
            return b"-NOSCRIPT No matching script. Please use EVAL.\r\n"
        if arguments[0].startswith(b"EVAL"):
            done.append(msgpack.unpackb(arguments[6])["data"])
            return b"$3\r\n1-1\r\n"
        return b"+OK\r\n"

    with Impostor(answer) as server:
        ran = publish(server, lines=[{"type": "executed", "sid": "s", "data": n} for n in range(4)])
    assert (ran.returncode, ran.stderr) == (0, "")
    assert done == [0, 1, 2, 3]


def test_large_event_on_a_slow_line_is_sent_once_and_arrives(redis_server):
    """It takes longer than a Redis may be silent, 5 s."""
    with SlowLine(redis_server, 250_000) as line:
        began = time.monotonic()
        done = publish(line, "--timeout=50s", lines=[{"type": "a", "sid": "s"}, {"type": "b", "sid": "s", "data": "x" * 2_000_000},
                                                     {"type": "c", "sid": "s"}])
        took = time.monotonic() - began
    assert (done.returncode, done.stderr) == (0, "")
    assert took > 6, f"only {took:.1f} s"
    assert (line.connections, redis_server.client.xlen("comfy:sid:{s}:log")) == (1, 3)


@pytest.mark.parametrize("limit", ["proto-max-bulk-len", "client-query-buffer-limit"])
def test_event_that_redis_ends_the_connection_for_is_exit_1_and_costs_no_other(limit, redis_server):
    before = redis_server.client.config_get(limit)[limit]
    redis_server.client.config_set(limit, "1mb")
    try:
        done = publish(redis_server, lines=[{"type": "executed", "sid": "s", "data": d} for d in ("first", "x" * 3_000_000, "last")])
    finally:
        redis_server.client.config_set(limit, before)
    assert done.returncode == 1 and done.stderr.count("a command of 30") == 1 and "given up" in done.stderr, done
    stored = [msgpack.unpackb(fields[b"e"])["data"] for _, fields in redis_server.client.xrange("comfy:sid:{s}:log")]
    assert stored == ["first", "last"]


def test_line_is_published_when_it_comes_and_no_later(redis_server):
    with Running(redis_server, stdin=subprocess.PIPE) as p:
        for n in range(3):
            p.process.stdin.write('{"type":"executed","sid":"s"}\n')
            p.process.stdin.flush()
            until(lambda n=n: redis_server.client.xlen("comfy:sid:{s}:log") == n + 1, "the event to be published")
        assert p.stop()[0] == 0


# ---- recordings ------------------------------------------------------------------------------------------------------

def without_ids(messages):
    """Messages with numbers in place of prompt ids, in the order in which they come up, and no times."""
    ids = {}

    def number(match):
        return b"prompt %d" % ids.setdefault(match[0], len(ids))

    out = []
    for m in messages:
        plain = m.encode() if isinstance(m, str) else m
        plain = re.sub(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", number, plain)
        out.append(re.sub(rb'"timestamp":\d{13}', b'"timestamp":0', plain))
    return out


def frames_of(sids, redis_server, publisher, play):
    """{sid: what a client with flags gets while play() publishes}, with a relay of its own."""
    redis_server.client.flushall()
    with Relay(redis_server, status__interval="0ms", log__level="info") as relay:
        clients = {sid: Client(relay.address, f"/ws?clientId={sid}").wait_count(1) for sid in sids}
        for c in clients.values():
            c.flags()
            c.wait_for("feature_flags")
            barrier(publisher, c)  # it is live: nothing is conflated while its place is looked for
        play()
        for c in clients.values():
            barrier(publisher, c)
        got = {sid: [m for m in payload(c.messages) if not str(m).startswith('{"type":"feature_flags"')] for sid, c in clients.items()}
        for c in clients.values():
            c.drop()
    return got


@pytest.mark.parametrize("name", NAMES)
def test_played_recording_gives_the_frames_of_its_events_published_by_python(name, redis_server, publisher):
    """Between the two are only the prompts' ids and the times, which are new."""
    sids = sorted({e["sid"] for e in golden.events(name) if e.get("sid") and not set("{}") & set(e["sid"])}) or ["watcher"]

    def by_python():
        for envelope in golden.envelopes(name):
            publisher.script(envelope)

    def by_playing():
        if golden.events(name):
            done = publish(redis_server, "--play", recording(name), "--speed", "0")
            assert [x for x in done.stderr.splitlines() if "of the recording" not in x] == [], done.stderr
            assert done.returncode == bool(done.stderr), done.stderr

    wanted = frames_of(sids, redis_server, publisher, by_python)
    got = frames_of(sids, redis_server, publisher, by_playing)
    for sid in sids:
        mine, theirs = without_ids(got[sid]), without_ids(wanted[sid])
        for i, (a, b) in enumerate(zip(mine, theirs)):
            assert len(a) == len(b) and a == b, f"{name}, frame {i}:\n  comfy-publish {a[:200]}\n  Python        {b[:200]}"
        assert len(mine) == len(theirs)


def starts(messages):
    return [json.loads(m)["data"] for m in messages if isinstance(m, str) and m.startswith('{"type":"execution_start"')]


def test_each_run_has_a_prompt_and_times_of_its_own(redis_server, relay, connect, publisher):
    client = connect("s")
    before = int(redis_server.client.time()[0]) * 1000
    done = publish(redis_server, "--play", recording("a_success_noflags"), "--sid=s", "--speed=0", "--times=3", "--pause=0ms")
    assert done.returncode == 0, done.stderr
    barrier(publisher, client)
    prompts = [s["prompt_id"] for s in starts(client.messages)]
    assert len(set(prompts)) == 3, prompts
    assert done.stdout.splitlines() == [f"prompt {p} for s" for p in prompts]
    assert all(before <= s["timestamp"] <= before + 120_000 for s in starts(client.messages))
    recorded = next(e["data"]["prompt_id"] for e in golden.events("a_success_noflags") if e["type"] == "execution_start")
    assert not any(recorded in (m if isinstance(m, str) else repr(m)) for m in client.messages), "the recorded prompt's id"


def test_speed_is_a_multiple_of_the_recorded_pace(redis_server, relay, connect, publisher):
    client = connect("s")
    events = golden.events("f_reconnect")
    length_s = (events[-1]["ts"] - events[0]["ts"]) / 1000
    assert length_s > 1, "the recording is too short for this test"
    publish(redis_server, "--play", recording("f_reconnect"), "--sid=s", "--speed=2")
    barrier(publisher, client)
    first, last = client.find("execution_start"), client.find('"executing","data":{"node":null')
    took = client.times[last] - client.times[first]
    assert length_s / 2 * 0.8 < took < length_s, f"it took {took} s, at the recorded pace {length_s} s"


def entry(server, worker):
    packed = server.client.hget("comfy:workers", worker)
    return packed and msgpack.unpackb(packed)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_player_is_a_worker_until_it_is_stopped_and_says_goodbye(number, redis_server, relay, connect):
    client = connect("s")
    with Running(redis_server, "--play", recording("f_reconnect"), "--sid=s", "--worker=w7", "--loop", "--pause=0ms", "--speed=4") as p:
        client.wait(lambda: len(starts(client.messages)) >= 2, "a second run", 60)
        until(lambda: (entry(redis_server, "w7") or {}).get("prompt_id"), "its entry to have a prompt")
        told = entry(redis_server, "w7")
        assert told["sid"] == "s" and told["queue_remaining"] == 1 and told["prompt_id"] in p_ids(client), told
        relay.wait_metric("workers", 1)
        code, output = p.stop(number)
    assert code == 0, output
    assert entry(redis_server, "w7") is None
    until(lambda: relay.metric("workers") == 0, "the relay to know that it has gone")
    assert relay.metric("lost_workers_total") == 0


def p_ids(client):
    return [s["prompt_id"] for s in starts(client.messages)]


def test_heartbeat_of_a_player_comes_every_five_seconds(redis_server):
    with redis_server.client.pubsub() as listener:
        listener.subscribe("comfy:events")
        with Running(redis_server, "--play", recording("b2_core_nodes"), "--sid=s", "--pause=1h", "--worker=w", "--loop", "--speed=0"):
            beats, until_ms = [], None
            for message in listener.listen():
                if message["type"] != "message":
                    continue
                event = msgpack.unpackb(message["data"])
                if event["type"] != "relay.worker":
                    continue
                beats.append(event["data"]["at"])
                if event["data"]["prompt_id"] is None and len(beats) > 2:
                    until_ms = until_ms or beats[-1]
                if until_ms and beats[-1] > until_ms:
                    break
    assert 4500 <= beats[-1] - until_ms, beats


@pytest.fixture
def record(tmp_path):
    """Writes a recording of events."""
    def write(*events):
        path = tmp_path / "events.msgpack"
        path.write_bytes(b"".join(map(msgpack.packb, events)))
        return path
    return write


def test_event_without_a_time_has_that_of_the_one_before(redis_server, record):
    now = int(time.time() * 1000)
    path = record({"type": "executed", "sid": "s"}, {"type": "executed", "sid": "s", "ts": now},
                  {"type": "executed", "sid": "s", "ts": float("nan")}, {"type": "executed", "sid": "s", "ts": now + 1})
    done = publish(redis_server, "--play", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 4


@pytest.mark.parametrize("ts", [1e300, 1e18, 2**64 - 1])
def test_event_of_the_far_future_is_waited_for_until_a_signal_comes(ts, redis_server, record):
    path = record({"type": "executed", "sid": "s", "ts": 0}, {"type": "executed", "sid": "s", "ts": ts})
    with Running(redis_server, "--play", path, "--speed=0.001", "--worker=w") as p:
        until(lambda: redis_server.client.xlen("comfy:sid:{s}:log") == 1, "the first event")
        assert p.stop() == (0, "")
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 1


@pytest.mark.parametrize("event, why", [({"type": "a", "sid": "a{b"}, "bad_sid"), ({"data": 1}, "no_type"), ({"type": "a", "keep": 1}, "bad_envelope")])
def test_recording_with_an_event_that_breaks_the_contract_is_refused_by_its_number(event, why, redis_server, record):
    path = record({"type": "executed", "sid": "s"}, event)
    done = publish(redis_server, "--play", path)
    assert (done.returncode, done.stderr) == (1, f"comfy-publish: {path}: event 2: {why}\n")
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 0


def test_event_of_a_recording_that_is_not_published_is_exit_1(redis_server, record):
    done = publish(redis_server, "--play", record({"type": "executed", "sid": "s"}, {"type": 2, "sid": "s", "data": b"x"}))
    assert done.returncode == 1 and "event 2 of the recording: the data has the wrong shape" in done.stderr, done
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 1


def test_full_queue_of_a_player_is_waited_for_no_longer_than_the_timeout(own_redis, record):
    path = record(*[{"type": "executed", "sid": "s"}] * 9000)
    own_redis.kill()
    done = publish(own_redis, "--play", path, "--timeout=300ms")
    assert done.returncode == 1 and "event 8193 of the recording: the queue is full" in done.stderr, done


def test_load_is_spread_over_workers_and_each_session_gets_its_own_prompts_whole(redis_server, relay, connect, publisher):
    sessions, times = 20, 2
    clients = [connect(f"load-{i + 1}") for i in range(sessions)]
    args = ["--play", recording("b2_core_nodes"), "--sid=load", f"--sessions={sessions}", f"--times={times}", "--workers=8",
            "--worker=w", "--speed=0", "--pause=0ms", "--seed=3"]
    done = publish(redis_server, *args)
    assert (done.returncode, done.stderr) == (0, "")
    told = dict(re.findall(r"^prompt (\S+) for (\S+)$", done.stdout, re.M))
    assert collections.Counter(told.values()) == {f"load-{i + 1}": times for i in range(sessions)}
    mine = [e for e in golden.events("b2_core_nodes") if e["sid"]]
    for i, client in enumerate(clients):
        barrier(publisher, client)
        seen = set(re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", "".join(m for m in client.messages if isinstance(m, str))))
        assert seen == {p for p, sid in told.items() if sid == f"load-{i + 1}"}
        stored = [msgpack.unpackb(f[b"e"], strict_map_key=False) for _, f in redis_server.client.xrange(f"comfy:sid:{{load-{i + 1}}}:log")]
        for prompt in seen:
            types = [e["type"] for e in stored if isinstance(e["data"], dict) and e["data"].get("prompt_id") == prompt]
            assert types == [e["type"] for e in mine if isinstance(e["data"], dict) and e["data"].get("prompt_id")
                             and e["type"] not in ("progress", "progress_state")]
        client.wait(lambda c=client: [queue_number(m) for m in c.messages if is_status(m)][-1] == 0, "the queue to be empty")
        workers = {e["worker"] for e in stored}
        assert workers <= {f"w-{n + 1}" for n in range(8)}
    assert relay.metric("lost_workers_total") == 0 and relay.dropped() == {}


def spread(redis_server, seed):
    """{sid: the workers that played for it} of a load."""
    redis_server.client.flushall()
    publish(redis_server, "--play", recording("b2_core_nodes"), "--sid=load", "--sessions=10", "--workers=8", "--worker=w",
            "--speed=0", f"--seed={seed}")
    out = {}
    for i in range(10):
        ((_, fields),) = redis_server.client.xrange(f"comfy:sid:{{load-{i + 1}}}:log", count=1)
        out[i] = msgpack.unpackb(fields[b"e"], strict_map_key=False)["worker"]
    return out


def test_chance_of_a_load_is_the_same_with_the_same_seed(redis_server):
    first = spread(redis_server, 3)
    assert spread(redis_server, 3) == first and len(set(first.values())) > 2
    assert spread(redis_server, 4) != first


@pytest.fixture
def durable_redis():
    server = Redis("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()


def test_player_goes_on_when_redis_was_killed_and_no_kept_event_is_lost(durable_redis):
    wanted = [e["type"] for e in golden.events("a_success_noflags") if e["sid"] and e["type"] not in ("progress", "progress_state", 4)]
    with Running(durable_redis, "--play", recording("a_success_noflags"), "--sid=s", "--times=1") as p:
        until(lambda: durable_redis.client.xlen("comfy:sid:{s}:log") >= 3, "it to have begun")
        durable_redis.kill()
        durable_redis.start()
        output, _ = p.process.communicate(timeout=60)
        assert p.process.returncode == 0, output
    stored = [msgpack.unpackb(f[b"e"], strict_map_key=False)["type"] for _, f in durable_redis.client.xrange("comfy:sid:{s}:log")]
    at = 0
    for t in stored:  # some may stand there twice
        at += at < len(wanted) and t == wanted[at]
    assert at == len(wanted), f"missing from {wanted[at:]}: {stored}"


# ---- exits -----------------------------------------------------------------------------------------------------------

BAD_ARGUMENTS = {
    ("--nonsense",): "--nonsense", ("--sid",): "--sid", ("--sid=x",): "--play", ("--loop=1", "--play=x"): "--loop",
    ("--play=x", "--speed=-1"): "speed", ("--play=x", "--speed=fast"): "speed", ("--play=x", "--speed=1e-320"): "speed", ("--play=x", "--times=0"): "times",
    ("--play=x", "--pause=1"): "pause", ("--play=x", "--workers=0"): "workers", ("--play=x", "--sessions=2"): "--sid",
    ("--times=1",): "--times: there is nothing to play", ("--speed=2",): "--speed", ("--pause", "1s"): "--pause", ("--loop",): "--loop",
    ("--workers=1",): "--workers: there is nothing to play", ("--sessions=2",): "missing --play", ("--seed=1",): "--seed",
    ("--play=x", "--times=1000001"): "allowed: a number, 1 to 1000000", ("--play=x", "--workers=9999"): "1 to 1024",
    ("--play=x", "--seed=-1"): "0 to 18446744073709551615", ("--session.ttl=999ms",): "1000ms to",
    ("--play=x", "--sid=a{b"): "sid", ("--session.ttl=1",): "session.ttl", ("stray",): "stray", ("--timeout", "x"): "timeout"}


@pytest.mark.parametrize("args", BAD_ARGUMENTS, ids=" ".join)
def test_bad_argument_is_exit_2_and_names_it(args, redis_server):
    done = publish(redis_server, *args)
    assert done.returncode == 2 and BAD_ARGUMENTS[args] in done.stderr and len(done.stderr.splitlines()) == 1, done


@pytest.mark.parametrize("args, said", [
    (["--play", "/nowhere"], "/nowhere: No such file"), (["--play", PUBLISH], "not a recording"), (["--play", "/dev/null"], "without an event"),
    (["--redis.password_file", "/nowhere"], "/nowhere: No such file"), (["--redis.url=rediss://x"], "rediss://"),
    (["--redis.url=http://x"], "redis://"), (["--redis.prefix="], "prefix"), (["--worker", "x" * 300], "worker")])
def test_what_cannot_be_used_is_exit_1_and_one_line(args, said, redis_server):
    done = publish(redis_server, *args)
    assert done.returncode == 1 and said in done.stderr and len(done.stderr.splitlines()) == 1, done


def test_redis_that_is_not_there_is_exit_1_after_the_timeout(own_redis):
    own_redis.kill()
    done = publish(own_redis, "--timeout=300ms", lines=[{"type": "executed", "sid": "s"}])
    assert done.returncode == 1, done
    assert "1 events were not published" in done.stderr and own_redis.path in done.stderr, done.stderr
    assert "s}" not in done.stderr


def told_until(running, end):
    """What it says on its standard error, up to a line with that."""
    told, patience = [], threading.Timer(20, running.process.kill)
    patience.start()
    while not told or end not in told[-1]:
        line = running.process.stdout.readline()
        assert line, f"no \"{end}\" in {told}"
        if line.startswith("comfy-publish: "):
            told.append(line)
    patience.cancel()
    return told


def test_redis_that_is_away_is_told_of_once_and_once_when_it_is_back(own_redis):
    """Also while a player fills its queue, and its heartbeats are due."""
    with Running(own_redis, "--play", recording("b2_core_nodes"), "--sid=s", "--worker=w", "--loop", "--speed=0", "--pause=1ms",
                 "--timeout=60s") as p:
        for _ in range(2):
            until(lambda: own_redis.client.hlen("comfy:workers") == 1, "it to work")
            own_redis.kill()
            told = told_until(p, "Redis at")
            time.sleep(3)  # tens of attempts
            own_redis.start()
            told += told_until(p, "back")
            assert len(told) == 2 and told[1] == "comfy-publish: w: Redis is back\n", told
        code, output = p.stop()
    assert code == 0 and "comfy-publish: " not in output, output


def stop_in_time(running, number, seconds):
    """Its exit code and output; it had that long."""
    began = time.monotonic()
    code, output = running.stop(number)
    took = time.monotonic() - began
    assert took < seconds, f"{took:.1f} s:\n{output}"
    return code, output


def test_waiting_at_the_end_is_cut_short_by_a_signal(own_redis):
    own_redis.kill()
    with Running(own_redis, "--timeout=60s", stdin=subprocess.PIPE) as p:
        p.process.stdin.write('{"type":"executed","sid":"s"}\nno event\n')
        p.process.stdin.close()
        p.process.stdin = None
        while "line 2" not in p.process.stdout.readline():  # so the first one waits for Redis
            pass
        code, output = stop_in_time(p, signal.SIGTERM, 20)
    assert code == 1 and "1 events were not published" in output, output


def test_workers_that_redis_has_left_wait_for_it_together(own_redis):
    """For two seconds from the signal on, the same ones for all."""
    with Running(own_redis, "--play", recording("f_reconnect"), "--sid=load", "--sessions=16", "--workers=16", "--loop", "--pause=0ms",
                 "--timeout=60s") as p:
        until(lambda: own_redis.client.hlen("comfy:workers") == 16, "all of them")
        own_redis.kill()
        while "Redis at" not in p.process.stdout.readline():
            pass
        code, output = stop_in_time(p, signal.SIGINT, 12)
    assert code == 1, output


def test_error_of_redis_is_told_once_and_exit_1(redis_server):
    redis_server.client.set("comfy:sid:{s}:log", "not a stream")
    done = publish(redis_server, lines=[{"type": "executed", "sid": "s"}] * 3)
    assert done.returncode == 1 and done.stderr.count("WRONGTYPE") == 1 and len(done.stderr.splitlines()) == 1, done


def test_input_that_cannot_be_read_is_exit_1_and_told(redis_server, tmp_path):
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        done = subprocess.run([PUBLISH, "--redis.url", redis_server.url], stdin=folder, capture_output=True, text=True, timeout=30,
                              env=ENVIRONMENT)
    finally:
        os.close(folder)
    assert done.returncode == 1 and "Is a directory" in done.stderr, done


def test_closed_input_is_exit_1_and_told(redis_server):
    done = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&-', PUBLISH, "--redis.url", redis_server.url], capture_output=True, text=True,
                          timeout=30, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (1, "comfy-publish: standard input: Bad file descriptor\n")


def test_options_stand_in_the_environment_too(redis_server):
    env = {"COMFY_RELAY_REDIS_URL": redis_server.url, "COMFY_RELAY_REDIS_PREFIX": "other", "COMFY_RELAY_WORKER_ID": "w9"}
    done = subprocess.run([PUBLISH], input='{"type":"executed","sid":"s"}\n', capture_output=True, text=True, timeout=30,
                          env={**ENVIRONMENT, **env})
    assert (done.returncode, done.stderr) == (0, "")
    ((_, fields),) = redis_server.client.xrange("other:sid:{s}:log")
    assert msgpack.unpackb(fields[b"e"])["worker"] == "w9"


def test_password_comes_from_a_file(redis_server, tmp_path):
    redis_server.client.execute_command("ACL SETUSER default >word")
    try:
        (tmp_path / "password").write_text("word\n")
        line = {"type": "executed", "sid": "s"}
        with_it = publish(redis_server, "--redis.password_file", str(tmp_path / "password"), lines=[line])
        without = publish(redis_server, "--timeout=300ms", "--redis.url", f"redis://:wrong@127.0.0.1:{redis_server.port}", lines=[line])
    finally:
        redis_server.client.execute_command("ACL SETUSER default nopass")
    assert (with_it.returncode, with_it.stderr) == (0, "")
    assert without.returncode == 1 and "WRONGPASS" in without.stderr and ":wrong@" not in without.stderr, without.stderr


def test_help_and_version_are_told(redis_server):
    done = publish(redis_server, "--help")
    assert done.returncode == 0 and "Usage: comfy-publish" in done.stdout and "--play FILE" in done.stdout, done
    done = publish(redis_server, "--version")
    assert done.returncode == 0 and re.fullmatch(r"comfy-publish \d+\.\d+\.\d+\n", done.stdout), done


# ---- the library, installed ------------------------------------------------------------------------------------------

PROGRAM = """
#include <comfy_publisher.h>
int log_append; /* a name of the relay's own */
int main(int argc, char **argv)
{
    struct comfy_publisher_options options = {.redis_url = argv[argc - 1]};
    struct comfy_publisher *p;
    if (comfy_publisher_open(&options, &p, 0) < 0)
        return 1;
    if (comfy_publisher_json(p, "s", "executing", "{\\"node\\":\\"3\\",\\"prompt_id\\":\\"p1\\"}") < 0)
        return 2;
    return -comfy_publisher_close(p, 5000) + log_append;
}
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A prefix with a release build, without the relay's directories."""
    folder = tmp_path_factory.mktemp("installed")
    for command in (["cmake", "-S", ROOT, "-B", folder / "build", f"-DCMAKE_INSTALL_PREFIX={folder / 'ignored'}"],
                    ["cmake", "--build", folder / "build", "-j", "2"],
                    ["cmake", "--install", folder / "build", "--prefix", folder / "prefix"]):
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    shutil.rmtree(folder / "build")
    return folder / "prefix"


def flags(prefix, *options):
    (pc,) = prefix.rglob("comfy-publisher.pc")
    return subprocess.run(["pkg-config", *options, "comfy-publisher"], env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent)},
                          capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize("language", ["c", "c++"])
@pytest.mark.parametrize("kind", ["shared", "static"])
def test_installed_library_compiles_links_and_runs(kind, language, installed, redis_server, tmp_path):
    if language == "c++" and not shutil.which("g++"):
        pytest.skip("there is no g++")
    (library,) = installed.rglob("libcomfy-publisher." + ("so" if kind == "shared" else "a"))
    link = flags(installed, "--cflags", "--libs", *(["--static"] if kind == "static" else []))
    if kind == "static":
        link = [str(library) if f == "-lcomfy-publisher" else f for f in link]
    (tmp_path / "program.c").write_text(PROGRAM)
    compiler = ["gcc", "-std=c11"] if language == "c" else ["g++", "-std=c++20", "-Wno-missing-field-initializers", "-x", "c++"]
    done = subprocess.run([compiler[0], "-Wall", "-Wextra", "-pedantic", "-Werror", *compiler[1:], tmp_path / "program.c", "-x", "none", "-o",
                           tmp_path / "program", *link], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    ran = subprocess.run([tmp_path / "program", redis_server.url], timeout=30, env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)})
    assert ran.returncode == 0
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 1


def test_installed_library_shows_only_its_own_names(installed):
    (shared,) = installed.rglob("libcomfy-publisher.so")
    (static,) = installed.rglob("libcomfy-publisher.a")
    for args in (["-D", shared], ["-g", static]):
        listed = subprocess.run(["nm", "--defined-only", *args], capture_output=True, text=True, check=True).stdout
        names = re.findall(r"^[0-9a-f]+ [A-Z] (\S+)$", listed, re.M)
        assert names and all(n.startswith("comfy_publisher_") for n in names), names


def test_installed_command_line_runs(installed, redis_server):
    done = subprocess.run([installed / "bin" / "comfy-publish", "--redis.url", redis_server.url], input='{"type":"executed","sid":"s"}\n',
                          capture_output=True, text=True, timeout=30, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (0, "")
    assert redis_server.client.xlen("comfy:sid:{s}:log") == 1
