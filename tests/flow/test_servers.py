"""The publish script, and what the relay asks of Redis, by every server that can be had: Redis 6.2 to 8, and Valkey."""
import json
import os
import re
import shutil
import subprocess

import msgpack
import pytest
from servers import BINARY, PUBLISH, ROOT, Publisher, Redis, start, until

WORK = os.environ.get("WORK") or os.path.join(ROOT, "tests", ".work")
UNIT_TESTS = ["adapters_redis_test_publish", "adapters_redis_test_archive", "adapters_publisher_test_comfy_publisher"]


def candidates():
    """{name: where it is, if it is there}: the system's own, and those of tests/servers.txt."""
    found = {name: shutil.which(name) for name in ("redis-server", "valkey-server")}
    with open(os.path.join(ROOT, "tests", "servers.txt"), encoding="utf-8") as f:
        for name, version, path in map(str.split, f):
            found[f"{name} {version}"] = os.path.join(WORK, "servers", name, path)
    return found


SERVERS = candidates()


@pytest.fixture(params=SERVERS)
def server(request, tmp_path, monkeypatch):
    """One of them is the redis-server that every test program finds. Its version."""
    binary = SERVERS[request.param]
    if not binary or not os.access(binary, os.X_OK):
        pytest.skip(f"{request.param} is not installed, and there is no package of it for this system")
    asked = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20)
    if asked.returncode != 0:
        pytest.skip(f"{request.param} does not run here: {asked.stderr.strip()}")
    os.symlink(binary, tmp_path / "redis-server")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return re.search(r"v=(\S+)", asked.stdout)[1]


@pytest.fixture
def running(server):
    r = Redis()
    yield r
    r.stop()


def calls(client):
    """How often each command was called, since the last time."""
    stats = {k.removeprefix("cmdstat_").lower(): v["calls"] for k, v in client.info("commandstats").items()}
    client.config_resetstat()
    return stats


@pytest.mark.parametrize("program", UNIT_TESTS)
def test_promises_hold_with_this_server(server, program):
    done = subprocess.run([os.path.join(os.path.dirname(BINARY), program)], cwd=ROOT, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, f"version {server}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


class CommandLine:
    """comfy-publish, called as the tests' publisher is."""

    def __init__(self, server):
        self.client, self.count = server.client, 0
        self.process = start([PUBLISH, "--redis.url", server.url], stdin=subprocess.PIPE)

    def script(self, event):
        self.process.stdin.write(json.dumps(event).encode() + b"\n")
        self.process.stdin.flush()
        self.count += 1
        until(lambda: self.client.xlen("comfy:sid:{s}:log") == self.count, "the event to be published")

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


class Library(Publisher):
    def close(self):
        pass


# By the hash it takes another call, and what it loads, whenever Redis does not know the script: at first, and when it has forgotten it.
@pytest.mark.parametrize("publisher, wanted", [(Library, {"eval": 0, "evalsha": 8, "load": 2}),
                                               (CommandLine, {"eval": 6, "evalsha": 0, "load": 0})])
def test_publishers_need_no_script_in_redis(running, publisher, wanted):
    p, client = publisher(running), running.client
    event = {"type": "executed", "sid": "s", "data": {"prompt_id": "p"}}
    calls(client)
    for _ in range(3):
        p.script(event)
    client.script_flush()  # as after a restart, or a failover to a replica
    for _ in range(3):
        p.script(event)
    made = calls(client)
    p.close()
    made["load"] = made.get("script|load", made.get("script", 1) - 1)  # Redis 6 counts the flush as well
    assert {name: made.get(name, 0) for name in wanted} == wanted, made
    stored = [msgpack.unpackb(fields[b"e"]) for _, fields in client.xrange("comfy:sid:{s}:log")]
    assert [{key: e[key] for key in event} for e in stored] == [event] * 6
