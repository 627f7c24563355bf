"""The programs in adapters/EXAMPLES.md and README.md, run as they stand there: what a client gets, what Redis keeps, and
what they say of their languages."""
import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import threading
import time

import msgpack
import pytest
import redis

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from servers import PUBLISH_LUA, ROOT, Redis, Relay, until  # noqa: E402
from ws import Client  # noqa: E402

PAGE = os.path.join(ROOT, "adapters", "EXAMPLES.md")
CONTRACT = os.path.join(ROOT, "adapters", "WORKERS.md")
README = os.path.join(ROOT, "README.md")
CLAIMS = os.path.join(HERE, "examples")
INSTALLED = os.environ.get("EXAMPLES") or os.path.join(ROOT, "tests", ".work", "examples")
JPEG = b"\xff\xd8\xff\xd9"
TTL_MS = 300_000
BUILD_S, RUN_S = 300, 30


# ---- programs: the text of a page, made runnable in a folder of its own ---------------------------------------------

def blocks(language):
    """The page's blocks of code in it."""
    with open(PAGE, encoding="utf-8") as f:
        return re.findall(rf"^```{language}\n(.*?)^```$", f.read(), re.M | re.S)


def only(found, what):
    assert len(found) == 1, f"{len(found)} {what}"
    return found[0]


class Python:
    name, fence, claims = "python", "python", "claims.py"

    def absent(self):
        return None

    def command(self, folder, text):
        return [sys.executable, written(folder, "publisher.py", text)]


class Node:
    name, fence, claims = "node", "js", "claims.mjs"

    def absent(self):
        if not shutil.which("node"):
            return "there is no node"
        there = os.path.exists(os.path.join(INSTALLED, "node", "stamp"))
        return None if there else "ioredis and @msgpack/msgpack are not installed"

    def command(self, folder, text):
        os.symlink(os.path.join(INSTALLED, "node", "node_modules"), os.path.join(folder, "node_modules"))
        return ["node", written(folder, "publisher.mjs", text)]


class Go:
    name, fence, claims = "go", "go", "claims.go"

    def absent(self):
        if not shutil.which("go"):
            return "there is no go"
        there = os.path.exists(os.path.join(INSTALLED, "go", "stamp"))
        return None if there else "go-redis and msgpack are not installed"

    def command(self, folder, text):
        written(folder, "main.go", text)
        for name in "go.mod", "go.sum":
            shutil.copy(os.path.join(INSTALLED, "go", name), folder)
        program = os.path.join(folder, "publisher")
        run(["go", "build", "-o", program, "."], folder, BUILD_S, {
            "GOPATH": os.path.join(INSTALLED, "go", "path"), "GOCACHE": os.path.join(INSTALLED, "go", "cache"),
            "GOPROXY": "off", "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"})
        return [program]


LANGUAGES = [Python(), Node(), Go()]


def written(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def run(command, folder, timeout, environment=None):
    """Its standard output; a failure shows all that it said."""
    done = subprocess.run(command, cwd=folder, timeout=timeout, env={**os.environ, **(environment or {})}, check=False,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(params=LANGUAGES, ids=lambda language: language.name)
def language(request):
    absent = request.param.absent()
    if absent:
        pytest.skip(f"{request.param.name}: {absent}")
    return request.param


@pytest.fixture
def folder(tmp_path):
    """Where a program lies, and publish.lua beside it."""
    shutil.copy(PUBLISH_LUA, tmp_path)
    return str(tmp_path)


@pytest.fixture
def program(language, folder):
    """How to run the example as it stands. It may take a while to build, so it comes first."""
    return language.command(folder, only(blocks(language.fence), f"blocks in {language.fence}"))


# ---- the relay, its clients, and who looks at Redis -----------------------------------------------------------------

@pytest.fixture
def redis_server():
    """One that knows no script yet."""
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def relay(redis_server):
    """Of which each socket of a session gets its events."""
    with Relay(redis_server, session__duplicate="share") as r:
        yield r


@pytest.fixture
def connect(relay):
    clients = []

    def open_one(flags):
        c = Client(relay.address, "/ws?clientId=demo")
        clients.append(c)
        c.wait_count(1)
        c.flags(flags)
        c.wait_for('{"type":"feature_flags"')
        return c

    yield open_one
    for c in clients:
        c.drop()


class Listener:
    """What is published on the channel of all."""

    def __init__(self, redis_server):
        self.messages, self.changed = [], threading.Condition()
        self.pubsub = redis_server.client.pubsub(ignore_subscribe_messages=False)
        self.pubsub.subscribe(**{"comfy:events": self.on_message})
        assert self.pubsub.get_message(timeout=RUN_S)["type"] == "subscribe"
        self.thread = self.pubsub.run_in_thread(sleep_time=0.1, daemon=True)

    def on_message(self, message):
        with self.changed:
            self.messages.append(msgpack.unpackb(message["data"], strict_map_key=False))
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(lambda: condition(self.messages), RUN_S), f"no {what} in {self.messages}"
        return self

    def stop(self):
        self.thread.stop()
        self.thread.join()
        self.pubsub.close()


class Commands:
    """What is sent over TCP: by the program, for everything else here has the unix socket."""

    def __init__(self, redis_server):
        self.seen, self.scripts, self.calls, self.redis = [], [], set(), redis_server
        self.monitor = redis.Redis(unix_socket_path=redis_server.path, socket_timeout=None).monitor()
        self.monitor.command_re = re.compile(r'"((?:[^"\\]|\\.)*)"')  # its own takes a backslash at an argument's end for an escape
        self.monitor.__enter__()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        for command in self.monitor.listen():
            words = command["command"].split(" ")
            if words[:2] == ["ECHO", "end"]:
                return
            if command["client_type"] == "tcp":
                self._note(words[0].upper(), "".join(words[1:2]), command["command"])

    def _note(self, name, key, text):
        if name in ("HSET", "HDEL", "PEXPIRE", "PUBLISH"):
            self.seen.append(f"{name} {key}")
        elif name in ("EVAL", "EVALSHA"):
            self.calls.add(name)
            self.scripts.append(text.rsplit(f" {TTL_MS} 4096 ", 1)[1])  # conflation key and whether a prompt ends

    def stop(self):
        """All that was sent before."""
        if self.thread.is_alive():
            self.redis.client.echo("end")
            self.thread.join(RUN_S)
            self.monitor.__exit__(None, None, None)
        return self.seen


@pytest.fixture
def commands(redis_server):
    made = Commands(redis_server)
    yield made
    made.stop()


@pytest.fixture
def listener(redis_server):
    made = Listener(redis_server)
    yield made
    made.stop()


# ---- what must come -------------------------------------------------------------------------------------------------

def exact(text):
    """JSON with its numbers as they are written: #7.0 is not #7."""
    return json.loads(text, parse_int="#{}".format, parse_float="#{}".format)


def run_frames(language, prompt, started, ended):
    """Those of the session and of all, in order. JavaScript has no whole number with a point."""
    cfg = "#7" if language.name == "node" else "#7.0"
    return [
        ("execution_start", {"prompt_id": prompt, "timestamp": started}),
        ("executing", {"node": "3", "display_node": "3", "prompt_id": prompt}),
        ("progress", {"value": "#10", "max": "#20", "prompt_id": prompt, "node": "3"}),
        (4, None),
        ("executed", {"node": "3", "display_node": "3", "prompt_id": prompt,
                      "output": {"seed": ["#18446744073709551615"], "cfg": [cfg], "denoise": ["#0.65"]}}),
        ("crystools.monitor", {"cpu_utilization": "#12.5"}),
        ("execution_success", {"prompt_id": prompt, "timestamp": ended}),
        ("executing", {"node": None, "prompt_id": prompt}),
    ]


def text_frames(client):
    return [exact(m) for m in client.messages if isinstance(m, str) and not m.startswith('{"type":"feature_flags"')]


def told(client):
    """Its frames but for the queue's and the answer to its flags; binary ones as they are."""
    return [m if isinstance(m, bytes) else exact(m) for m in client.messages
            if isinstance(m, bytes) or not m.startswith(('{"type":"status"', '{"type":"feature_flags"'))]


def queue_numbers(client):
    return [f["data"]["status"]["exec_info"]["queue_remaining"] for f in text_frames(client) if f["type"] == "status"]


def check_now(written_ms, began_ms):
    assert re.fullmatch(r"#\d{13}", written_ms), written_ms
    assert began_ms <= int(written_ms[1:]) <= time.time() * 1000, f"{written_ms}, began {began_ms}"
    return written_ms


def check_frames(language, frames, preview, began_ms):
    """One by one; returns the prompt's id."""
    assert len(frames) == 8, frames
    prompt = frames[0]["data"]["prompt_id"]
    assert isinstance(prompt, str) and prompt
    times = [check_now(frames[i]["data"]["timestamp"], began_ms) for i in (0, 6)]
    for i, (kind, data) in enumerate(run_frames(language, prompt, *times)):
        wanted = preview(prompt) if kind == 4 else {"type": kind, "data": data}
        got = opened(frames[i]) if kind == 4 else frames[i]
        assert got == wanted, f"frame {i}"
    return prompt


def opened(frame):
    """(code, metadata, image) of a preview; without metadata (code, image type, image)."""
    code, n = struct.unpack(">II", frame[:8])
    return (code, exact(frame[8:8 + n]), frame[8 + n:]) if code == 4 else (code, n, frame[8:])


def with_metadata(prompt):
    return 4, {"node_id": "3", "prompt_id": prompt, "image_type": "image/jpeg"}, JPEG


def without_metadata(_):
    return 1, 1, JPEG


def check_kept(redis_server, language, prompt, times):
    """The session's log holds the events of class keep, and nothing of the newest is left."""
    entries = redis_server.client.xrange("comfy:sid:{demo}:log")
    events = [msgpack.unpackb(fields[b"e"]) for _, fields in entries]
    wanted = [(kind, data) for kind, data in run_frames(language, prompt, *times)
              if kind not in ("progress", 4, "crystools.monitor")]
    assert [(e["type"], exact(json.dumps(e["data"]))) for e in events] == wanted
    assert {e["worker"] for e in events} == {"gpu-1"}
    assert redis_server.client.exists("comfy:sid:{demo}:latest") == 0
    assert 0 < redis_server.client.pttl("comfy:sid:{demo}:log") <= TTL_MS


def beats(messages):
    return [m["data"] for m in messages if m["type"] == "relay.worker"]


def has_left(messages):
    return beats(messages)[-1:] == [{"gone": True}]


# ---- as it stands on the page ---------------------------------------------------------------------------------------

def test_an_example_gives_clients_its_run_frame_by_frame_and_leaves_it_in_the_log(language, program, folder, redis_server,
                                                                                 relay, connect, listener, commands):
    flagged, plain = connect(True), connect(False)
    began_ms = int(time.time() * 1000)
    run(program, folder, RUN_S, {"REDIS_URL": redis_server.tcp_url})
    listener.wait(has_left, "goodbye")
    for client in flagged, plain:
        client.wait(lambda c=client: len(told(c)) >= 8 and queue_numbers(c)[-1] == "#0", "the end of the run")

    prompt = check_frames(language, told(flagged), with_metadata, began_ms)
    assert check_frames(language, told(plain), without_metadata, began_ms) == prompt
    check_kept(redis_server, language, prompt, [told(flagged)[i]["data"]["timestamp"] for i in (0, 6)])
    check_liveness(listener.messages, commands.stop(), prompt, began_ms)
    if language.name == "node":
        assert commands.calls == {"EVAL"}, "its calls may be pipelined: EVALSHA would cost their order (NOSCRIPT)"
    assert commands.scripts[-7:] == [" 0", " 0", f"progress {prompt} 3 0", "preview 3 0", " 0", " 1", " 1"]
    assert redis_server.client.hgetall("comfy:workers") == {}
    assert relay.dropped() == {}
    end = next(i for i, f in enumerate(text_frames(flagged)) if f["data"].get("node", "") is None)
    assert text_frames(flagged)[end - 1]["data"]["status"]["exec_info"]["queue_remaining"] == "#1", "its own share was told"


def check_liveness(messages, commands, prompt, began_ms):
    """Two heartbeats and a goodbye; each is stored before it is published, the one with a session renews its keys."""
    first, last, _ = beats(messages)
    boot = first["boot"]
    assert isinstance(boot, str) and boot
    for beat, wanted in [(first, {"queue_remaining": 1, "sid": "demo", "prompt_id": prompt}),
                         (last, {"queue_remaining": 0, "sid": None, "prompt_id": None})]:
        assert began_ms <= beat["at"] <= time.time() * 1000
        assert beat == {"boot": boot, "at": beat["at"], **wanted}
    assert commands == ["HSET comfy:workers", "PUBLISH comfy:events",
                        "PEXPIRE comfy:sid:{demo}:log", "PEXPIRE comfy:sid:{demo}:latest",
                        "PUBLISH comfy:events",  # the event for everybody
                        "HSET comfy:workers", "PUBLISH comfy:events",
                        "HDEL comfy:workers", "PUBLISH comfy:events"]


# ---- its heartbeat --------------------------------------------------------------------------------------------------

QUICKER = {"python": ("left.wait(5)", "left.wait(0.02)", "input()"),
           "node": ("5000", "20", 'await new Promise((go) => process.stdin.once("data", go)); process.stdin.unref();'),
           "go": ("5 * time.Second", "20 * time.Millisecond", "fmt.Scanln()")}


def quicker(language):
    """The example with many heartbeats to a second, and one that waits for a line before its prompt's end."""
    period, instead, wait = QUICKER[language.name]
    text = only(blocks(language.fence), "blocks")
    assert text.count(period) == 1, period
    lines = text.replace(period, instead).splitlines(keepends=True)
    at = only([i for i, line in enumerate(lines) if '"execution_success"' in line], "ends of a prompt")
    return "".join(lines[:at] + [wait + "\n"] + lines[at:])


@pytest.fixture
def quick_program(language, folder):
    return language.command(folder, quicker(language))


def test_an_example_keeps_its_session_alive_while_a_node_computes(quick_program, folder, redis_server, listener):
    log = "comfy:sid:{demo}:log"
    process = subprocess.Popen(quick_program, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               env={**os.environ, "REDIS_URL": redis_server.tcp_url})
    try:
        until(lambda: redis_server.client.xlen(log) == 3, "the events before the pause")
        until(lambda: redis_server.client.pexpire(log, 60_000), "the log to be renewed later")
        seen = len(beats(listener.messages))
        listener.wait(lambda m: len(beats(m)) >= seen + 3, "heartbeats")
        until(lambda: redis_server.client.pttl(log) > 250_000, "the log to be renewed")
        said, _ = process.communicate(b"\n", RUN_S)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said.decode()
    listener.wait(has_left, "goodbye")
    assert redis_server.client.hgetall("comfy:workers") == {}
    assert len({b["boot"] for b in beats(listener.messages)[:-1]}) == 1


# ---- the user of the ACL that the contract names --------------------------------------------------------------------

def documented_rules(password):
    with open(CONTRACT, encoding="utf-8") as f:
        line = only([line for line in f if line.startswith("    ACL SETUSER worker ")], "users for workers")
    return line.replace("PASSWORD", password).split()[3:]


def test_documented_acl_is_enough_for_an_example(language, program, folder, redis_server, listener):
    redis_server.client.execute_command("ACL", "SETUSER", "worker", *documented_rules("secret"))
    url = redis_server.tcp_url.replace("://", "://worker:secret@")
    run(program, folder, RUN_S, {"REDIS_URL": url})
    listener.wait(has_left, "goodbye")
    assert redis_server.client.xlen("comfy:sid:{demo}:log") == 5
    # From 7.2 on Redis has a command by which libraries tell their name; that it is refused does not matter to them.
    refused = {entry["object"] for entry in redis_server.client.acl_log()} - {"client|setinfo"}
    assert refused == ({"info"} if language.name == "node" else set()), "ioredis looks whether Redis is loading"


# ---- what the page says of the languages ----------------------------------------------------------------------------

SAID = {
    "python": {"whole": "7.0", "seed": "18446744073709551615", "least": "-9223372036854775808", "beyond": "raises",
               "beyond as float": "1.8446744073709552e+19", "numpy": "raises", "numpy item": "7", "set": "raises",
               "datetime": "raises", "surrogate": "raises", "surrogatepass": '"\ufffd\ufffd\ufffd"'},
    "node": {"whole": "7", "forced": "7.0", "forced bigint": "7", "seed": "18446744073709551615",
             "least": "-9223372036854775808", "rounded": "1.8446744073709552e+19", "without option": "raises",
             "ms": "1700000000000.0", "ms bigint": "1700000000000", "undefined": '{"node":null}', "ignored": "{}",
             "null": '{"node":null}'},
    "go": {"whole": "7.0", "compact float": "7", "compact int": "7", "seed": "18446744073709551615",
           "least": "-9223372036854775808", "decoded": "7.0", "decoded number": "7", "sorted": '{"a":1,"b":2,"c":3,"d":4}',
           "untagged": '{"Node":"3"}', "json tags": '{"Node":"3"}', "custom tag": '{"node":"3"}', "nil": '{"node":null}',
           "omitempty": "{}", "nil slice": "null", "empty slice": "[]", "nil map": "null", "empty map": "{}",
           "time": '"2023-11-14T22:13:20Z"'},
}


def claims(language, folder):
    """{name: MessagePack, or None: it raises}"""
    with open(os.path.join(CLAIMS, language.claims), encoding="utf-8") as f:
        lines = run(language.command(folder, f.read()), folder, RUN_S).splitlines()
    return {name: None if packed == "raises" else base64.b64decode(packed)
            for name, packed in (line.split("\t") for line in lines)}


def test_what_the_page_says_of_a_language_is_so(language, folder, redis_server, connect):
    client, found = connect(True), claims(language, folder)
    said = SAID[language.name]
    assert list(found) == list(said)
    assert [name for name, packed in found.items() if packed is None] == [n for n, text in said.items() if text == "raises"]
    for name, packed in found.items():
        if packed is not None:
            head = msgpack.packb({"type": name, "data": None})[:-1]
            redis_server.client.publish("comfy:sid:{demo}", head + packed)
    wanted = ['{"type":"%s","data":%s}' % (name, text) for name, text in said.items() if text != "raises"]
    client.wait(lambda: len(told(client)) >= len(wanted), "all of them")
    assert [m for m in client.messages if not m.startswith(('{"type":"status"', '{"type":"feature_flags"'))] == wanted


# ---- the README -----------------------------------------------------------------------------------------------------

def readme_block():
    """The first indented block of the section."""
    with open(README, encoding="utf-8") as f:
        section = only(re.findall(r"^## Publish from Python in six lines\n(.*?)^## ", f.read(), re.M | re.S), "sections")
    lines = section.strip("\n").split("\n")
    end = next(i for i, line in enumerate(lines) if not line.startswith("    "))
    return "".join(line[4:] + "\n" for line in lines[:end])


def test_the_six_lines_of_the_readme_reach_a_client(folder, redis_server, connect):
    text, client = readme_block(), connect(True)
    assert text.count("\n") == 6, text
    run(Python().command(folder, text), folder, RUN_S, {"REDIS_URL": redis_server.tcp_url})
    client.wait(lambda: len(told(client)) >= 2, "both events")
    assert told(client) == [
        {"type": "execution_start", "data": {"prompt_id": "p1", "timestamp": "#0"}},
        {"type": "executing", "data": {"node": "3", "display_node": "3", "prompt_id": "p1"}}]


def test_what_is_installed_for_the_examples_names_no_place_to_get_it_from():
    with open(os.path.join(CLAIMS, "package-lock.json"), encoding="utf-8") as f:
        assert not [p for p in json.load(f)["packages"].values() if "resolved" in p]
