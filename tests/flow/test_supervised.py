"""What the relay tells systemd, or another supervisor that gives it a NOTIFY_SOCKET."""
import os
import re
import signal
import socket
import tempfile
import time

import pytest
from servers import Relay, until


class Supervisor:
    """Reads what is told. address: a path, or an abstract name with @."""

    def __init__(self, address):
        self.address, self.socket = address, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address[0] == "@" else address)
        self.told = []  # (when, {field: value})

    def read(self):
        self.socket.setblocking(False)
        try:
            while True:
                text = self.socket.recv(4096).decode()
                self.told.append((time.monotonic(), dict(line.split("=", 1) for line in text.splitlines())))
        except BlockingIOError:
            return self.told

    def wait(self, field, pattern, since=0):
        """The first datagram from that one on whose field matches."""
        def match():
            return [m for _, m in self.read()[since:] if re.search(pattern, m.get(field, ""))]
        return until(match, f"{field} to match {pattern!r} in {self.told[since:]}")[0]

    def stages(self):
        """READY, RELOADING and STOPPING in their order, repetitions left out."""
        stages = [k for _, m in self.read() for k in ("READY", "RELOADING", "STOPPING") if k in m]
        return [s for i, s in enumerate(stages) if i == 0 or stages[i - 1] != s]


@pytest.fixture
def supervisor(request):
    with tempfile.TemporaryDirectory(prefix="notify-") as d:
        s = Supervisor(f"{getattr(request, 'param', '')}{d}/notify")
        yield s
        s.socket.close()


@pytest.mark.parametrize("supervisor", ["", "@"], ids=["path", "abstract"], indirect=True)
def test_supervisor_is_told_of_ready_reload_and_stop_in_this_order(supervisor, own_redis):
    with Relay(own_redis, env={"NOTIFY_SOCKET": supervisor.address}) as relay:
        first = supervisor.wait("READY", "1")
        assert "WATCHDOG" not in first, first
        relay.signal(signal.SIGHUP)
        before = time.monotonic_ns() // 1000
        reloading = supervisor.wait("RELOADING", "1")
        assert abs(int(reloading["MONOTONIC_USEC"]) - before) < 10_000_000, (reloading, before)
        relay.wait_log("configuration reloaded")
        until(lambda: supervisor.stages() == ["READY", "RELOADING", "READY"], f"READY again in {supervisor.told}")
    assert supervisor.stages() == ["READY", "RELOADING", "READY", "STOPPING"]
    assert int(supervisor.told[-1][1]["EXTEND_TIMEOUT_USEC"]) == 10_000_000
    assert "draining" in supervisor.told[-1][1]["STATUS"]


def test_status_line_says_whether_redis_is_there_and_how_many_are_connected(supervisor, own_redis, connect):
    with Relay(own_redis, env={"NOTIFY_SOCKET": supervisor.address}) as relay:
        supervisor.wait("STATUS", "^0 connections, subscribed to Redis$")
        connect("a", to=relay)
        supervisor.wait("STATUS", "^1 connections, subscribed to Redis$")
        own_redis.kill()
        supervisor.wait("STATUS", "^1 connections, not ready: not subscribed to Redis: ")
        before = len(supervisor.read())
        own_redis.start()
        supervisor.wait("STATUS", "^1 connections, subscribed to Redis$", since=before)
        assert {"READY", "STATUS"} == set(supervisor.told[-1][1])


def test_relay_that_listens_is_ready_also_without_redis(supervisor):
    with Relay(env={"NOTIFY_SOCKET": supervisor.address}):
        assert "not subscribed to Redis" in supervisor.wait("READY", "1")["STATUS"]


def test_watchdog_is_fed_while_the_loop_turns_and_only_then(supervisor, own_redis):
    with Relay(own_redis, env={"NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "2000000"}) as relay:
        until(lambda: len([m for _, m in supervisor.read() if m.get("WATCHDOG") == "1"]) >= 4, "four signs of life")
        relay.signal(signal.SIGSTOP)
        until(lambda: time.monotonic() - supervisor.read()[-1][0] > 2, "silence")
        silent = len(supervisor.told)
        relay.signal(signal.SIGCONT)
        supervisor.wait("WATCHDOG", "1", since=silent)


def test_watchdog_of_another_process_is_not_fed(supervisor, own_redis):
    with Relay(own_redis, env={"NOTIFY_SOCKET": supervisor.address, "WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}) as relay:
        relay.signal(signal.SIGHUP)
        supervisor.wait("RELOADING", "1")
    assert [m for _, m in supervisor.read() if "WATCHDOG" in m] == []


def test_drain_asks_for_more_time_for_as_long_as_it_takes(supervisor, own_redis, connect):
    with Relay(own_redis, env={"NOTIFY_SOCKET": supervisor.address}, drain__time="4s") as relay:
        for sid in "abcd":
            connect(sid, to=relay)
        supervisor.wait("STATUS", "^4 connections")
        relay.signal(signal.SIGTERM)
        relay.wait_exit()
    asked = [m["STATUS"] for _, m in supervisor.read() if "EXTEND_TIMEOUT_USEC" in m]
    assert len(asked) >= 3 and all("draining" in a for a in asked), asked


def test_relay_that_cannot_tell_its_supervisor_serves_and_says_so(own_redis):
    for address in ("nonsense", f"/nowhere/{os.getpid()}"):
        with Relay(own_redis, env={"NOTIFY_SOCKET": address}) as relay:
            relay.wait_log("cannot tell who supervises")
            assert relay.get("/ready")[0] == 200
