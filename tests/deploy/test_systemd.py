"""The units in a Debian that has booted: what systemd sees, does and forbids."""
import re
import time

import pytest
from servers import until
from ws import Client

CONF = "/etc/comfy-relay/comfy-relay.conf"
WS = ("127.0.0.1", 8190)


@pytest.fixture(scope="module")
def booted(machine, packages):
    machine.apt("install", machine.put(packages["comfy-relay"]))
    return machine


@pytest.fixture
def relay(booted):
    """It runs, as it is installed."""
    start(booted, "", "")
    return booted


def start(m, conf, drop_in):
    """Starts it anew, with this configuration and this change of the unit."""
    m.write(CONF, conf)
    m.drop_in("comfy-relay", drop_in)
    m.run("systemctl", "restart", "comfy-relay")
    until(lambda: m.get("/ready")[0] == 200, "/ready")


def connect(m, sid):
    with m.network():
        return Client(WS, f"/ws?clientId={sid}").wait_count(1)


def test_it_is_active_when_it_listens_and_says_that_it_is_subscribed(relay):
    found = relay.show()
    assert (found["Type"], found["ActiveState"], found["SubState"]) == ("notify", "active", "running")
    relay.wait_status("0 connections, subscribed to Redis")
    assert relay.get("/ready")[0] == 200
    client = connect(relay, "a")
    relay.wait_status("1 connections")
    client.drop()


def test_its_exposure_is_at_most_2(relay):
    said = relay.run("systemd-analyze", "security", "--no-pager", "--threshold=20", "comfy-relay").stdout
    assert float(re.search(r"Overall exposure level for comfy-relay.service: (\S+)", said)[1]) <= 2.0


def test_it_has_no_rights_and_cannot_write_nor_see_other_processes(relay):
    pid = relay.show()["MainPID"]
    status = dict(line.split(":\t", 1) for line in relay.run("cat", f"/proc/{pid}/status").stdout.splitlines())
    assert {status[k].strip() for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["Seccomp"].strip(), status["NoNewPrivs"].strip()) == ("2", "1")
    uid = relay.run("id", "-u", "comfy-relay").stdout.strip()
    assert set(status["Uid"].split()) == {uid} and uid != "0"
    inside = ("nsenter", "-t", pid, "-m", f"--wd=/proc/{pid}/root")
    for path in ("/etc/x", "/usr/x", "/var/x", "/var/lib/x"):
        assert "Read-only file system" in relay.run(*inside, "touch", path, check=False).stdout, path
    as_relay = (*inside, "-S", uid, "-G", uid)
    assert relay.run(*as_relay, "sh", "-c", "echo /proc/[0-9]*").stdout.split().count("/proc/1") == 0
    assert "Permission denied" in relay.run(*as_relay, "ls", "/home", check=False).stdout


def test_it_is_started_anew_when_it_is_killed(relay):
    before = relay.show()
    relay.run("systemctl", "kill", "--kill-who=main", "-s", "KILL", "comfy-relay")
    after = relay.wait_active(but=before["MainPID"])
    assert int(after["NRestarts"]) == int(before["NRestarts"]) + 1


def test_loop_that_hangs_is_ended_by_the_watchdog_and_started_anew(relay):
    start(relay, "", "WatchdogSec=3")
    pid = relay.show()["MainPID"]
    time.sleep(4)  # more than its time, in which nothing may happen
    assert relay.show()["MainPID"] == pid
    relay.run("sh", "-c", f"kill -STOP {pid}")
    relay.wait_active(but=pid)
    assert "Watchdog timeout" in relay.journal()


def test_reload_takes_over_the_file_and_one_in_error_fails_and_changes_nothing(relay):
    pid = relay.show()["MainPID"]
    relay.write(CONF, "[log]\nlevel = debug\n")
    relay.run("systemctl", "reload", "comfy-relay")
    until(lambda: "configuration reloaded" in relay.journal(), "the reload in the journal")
    lines = len(relay.journal())
    relay.write(CONF, "[log]\nlevel = wrong\n")
    failed = relay.run("systemctl", "reload", "comfy-relay", check=False)
    assert failed.returncode != 0
    assert "log.level" in relay.journal()[lines:] and "configuration reloaded" not in relay.journal()[lines:]
    found = relay.show()
    assert (found["ActiveState"], found["MainPID"]) == ("active", pid)
    assert relay.get("/ready")[0] == 200


def test_stop_drains_for_longer_than_its_timeout_and_is_a_success(relay):
    start(relay, "[drain]\ntime = 6s\n", "TimeoutStopSec=2")
    clients = [connect(relay, f"d{i}") for i in range(8)]
    relay.run("systemctl", "stop", "comfy-relay")
    for c in clients:
        c.wait_closed(1012)
    found = relay.show()
    assert (found["ActiveState"], found["Result"], found["ExecMainStatus"]) == ("inactive", "success", "0"), relay.journal()


def test_status_says_why_when_redis_is_away(relay):
    relay.run("systemctl", "stop", "redis-server")
    try:
        assert relay.wait_status("not ready: not subscribed to Redis")["ActiveState"] == "active"
    finally:
        relay.run("systemctl", "start", "redis-server")
    relay.wait_status(", subscribed to Redis")


def test_processes_of_the_template_share_the_port_and_leave_one_after_the_other(relay):
    relay.run("systemctl", "stop", "comfy-relay")
    relay.write(CONF, "[drain]\ntime = 1s\n")
    relay.run("systemctl", "start", "comfy-relay@0", "comfy-relay@1")
    clients = [connect(relay, f"t{i}") for i in range(32)]
    held = [connections(relay, 9190), connections(relay, 9191)]
    assert sum(held) == 32 and min(held) > 0, held
    relay.run("systemctl", "stop", "comfy-relay@0")
    until(lambda: sum(c.closed for c in clients) == held[0], f"{held[0]} clients to be sent away, and no more")
    again = connect(relay, "t-again")
    assert connections(relay, 9191) == held[1] + 1
    relay.run("systemctl", "reload", "comfy-relay@*")
    relay.run("systemctl", "stop", "comfy-relay@1")
    again.wait_closed(1012)


def connections(m, port):
    return int(re.search(r"^comfy_relay_connections (\d+)$", m.get("/metrics", port)[1], re.M)[1])
