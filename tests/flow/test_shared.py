"""Several processes on one port (`listen.shared`): who may, who gets which clients, and how they are replaced one by one."""
import contextlib
import os
import signal
import socket
import subprocess

import pytest
from crowd import Crowd
from servers import ROOT, Relay, free_port, until
from test_process import printed, run
from test_rolling import CLIENTS, begin, end, exited
from ws import Refused, connect_tcp, read_head, upgrade_request

SOME = 60  # so many connections never all go to one of two processes


@contextlib.contextmanager
def sharing(redis_server, port, **options):
    with Relay(redis_server, listen=f"127.0.0.1:{port}", listen__shared="true", **options) as relay:
        relay.address = ("127.0.0.1", port)
        yield relay


@pytest.fixture
def port():
    return free_port()


def start_beside(redis_server, port, shared, **options):
    """What a second process says of the port."""
    given = {"listen": f"127.0.0.1:{port}", "ops.listen": f"127.0.0.1:{free_port()}", "redis.url": redis_server.url, **options}
    return run(*(f"--{k}={v}" for k, v in given.items()), f"--listen.shared={shared}")


# ---- who may listen ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("first, second, why", [
    ("false", "true", "somebody listens there who does not share the port, or is another user"),
    ("true", "false", "address already in use"), ("false", "false", "address already in use")])
def test_port_is_shared_by_all_or_by_none(first, second, why, redis_server, port):
    with Relay(redis_server, listen=f"127.0.0.1:{port}", listen__shared=first):
        done = start_beside(redis_server, port, second)
    assert done.returncode == 1, done
    assert f'msg="cannot listen" option=listen at=127.0.0.1:{port} error="{why}"' in done.stderr, done.stderr


def test_operations_address_is_never_shared(redis_server, port):
    with sharing(redis_server, port) as one:
        taken = f"127.0.0.1:{one.ops_port}"
        done = start_beside(redis_server, port, "true", **{"ops.listen": taken})
    assert done.returncode == 1 and f"option=ops.listen at={taken}" in done.stderr, done.stderr


@pytest.mark.parametrize("args", [[], ["--check"]])
def test_unix_socket_cannot_be_shared(args, tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text(f"listen = 127.0.0.1:0,unix:{tmp_path}/s\n[listen]\nshared = true\n")
    done = run("--config", file, *args)
    assert done.returncode == 1, done
    assert f"{file}:3: listen.shared" in done.stderr and f"unix:{tmp_path}/s in listen" in done.stderr, done.stderr
    assert "one process's" in done.stderr, done.stderr


def unit_options(folder, instance):
    """As systemd starts it, with the example for its file."""
    command = next(line for line in (folder / "comfy-relay@.service").read_text().splitlines() if line.startswith("ExecStart="))
    example = os.path.join(ROOT, "config", "comfy-relay.conf.example")
    return command.replace("%i", str(instance)).replace("/etc/comfy-relay/comfy-relay.conf", example).split()[1:]


def test_units_of_systemd_share_one_port_and_nothing_else(tmp_path):
    script = os.path.join(ROOT, "deploy", "systemd", "units.cmake")
    subprocess.run(["cmake", "-D", "BINDIR=/usr/bin", "-D", f"TO={tmp_path}", "-P", script], check=True)
    one, two = (printed(*unit_options(tmp_path, i)) for i in (0, 1))
    assert one["listen.shared"][0] == "true" and one["ops.listen"][0] == "127.0.0.1:9190", one
    assert {name for name in one if one[name] != two[name]} == {"ops.listen"}


# ---- who gets what -----------------------------------------------------------------------------------------------

def test_each_process_has_some_of_the_clients_and_receives_only_their_events(redis_server, port, connect, publisher):
    with sharing(redis_server, port) as one, sharing(redis_server, port) as two:
        clients = {f"c{i}": connect(f"c{i}", to=one) for i in range(SOME)}
        held = [r.metric("connections") for r in (one, two)]
        assert sum(held) == SOME and min(held) > 0, held
        before = [r.metric("events_total") for r in (one, two)]
        for sid in clients:
            assert publisher.session(sid, {"type": "mine", "sid": sid, "data": sid}) == 1, "one process, and no other, listens"
        for sid, client in clients.items():
            client.wait_for(f'{{"type":"mine","data":"{sid}"}}')
        received = [r.metric("events_total") - b for r, b in zip((one, two), before)]
        assert received == held, f"events {received}, clients {held}"


# ---- one by one --------------------------------------------------------------------------------------------------

def test_new_clients_go_to_the_other_process_as_soon_as_one_drains(redis_server, port, connect):
    with sharing(redis_server, port, drain__time="10m") as old, sharing(redis_server, port) as new:
        until(lambda: connect(to=old) and old.metric("connections") > 0, "a client at the one that will drain")
        old.signal(signal.SIGTERM)
        old.wait_not_ready()
        before = new.metric("connections")
        for i in range(SOME):
            connect(f"late{i}", to=new)
        assert new.metric("connections") == before + SOME
        assert old.get("/live")[0] == 200, "its own clients are still there"
        old.signal(signal.SIGTERM)
        assert old.wait_exit() == 0


def answer(sock):
    with sock:
        return read_head(sock)[0].split(b"\r\n")[0]


def test_who_has_connected_when_the_drain_begins_gets_an_answer(redis_server, port, connect):
    """More than a turn of the loop accepts: they waited in the queue of a listener that is closed then."""
    with sharing(redis_server, port, drain__time="10m") as relay:
        connect("held", to=relay)
        relay.signal(signal.SIGSTOP)
        waiting = [connect_tcp(relay.address) for _ in range(300)]
        for sock in waiting:
            sock.sendall(upgrade_request("/ws"))
        relay.signal(signal.SIGTERM)
        relay.signal(signal.SIGCONT)
        answers = {answer(sock) for sock in waiting}
        assert answers <= {b"HTTP/1.1 503 Service Unavailable", b"HTTP/1.1 101 Switching Protocols"}, answers
        with socket.socket() as late:
            assert late.connect_ex(relay.address) != 0, "it listens still"
        relay.signal(signal.SIGTERM)
        assert relay.wait_exit() == 0


def test_without_sharing_a_draining_process_goes_on_to_answer(redis_server, connect):
    with Relay(redis_server, drain__time="10m") as relay:
        connect("held", to=relay)
        relay.signal(signal.SIGTERM)
        relay.wait_not_ready()
        with pytest.raises(Refused) as refused:
            connect("late", to=relay)
        assert refused.value.status == 503
        relay.signal(signal.SIGTERM)
        assert relay.wait_exit() == 0


def test_rolling_restart_of_two_processes_loses_nothing_and_refuses_nobody(redis_server, port):
    options = {"drain__time": "1s", "log__level": "info"}
    with contextlib.ExitStack() as stack, Crowd() as crowd:
        relays = [stack.enter_context(sharing(redis_server, port, **options)) for _ in range(2)]
        teller = begin(crowd, redis_server, lambda i: [("127.0.0.1", port)])
        assert min(r.metric("connections") for r in relays) > 0
        for i, old in enumerate(relays):
            crowd.run(lambda i=i: teller.now > 2 + 2 * i, "the runs to be on their way", 60)
            old.signal(signal.SIGTERM)
            crowd.run(lambda old=old: exited(old), "the relay to end", 30)
            stack.enter_context(sharing(redis_server, port, **options))
        end(crowd, teller)
        assert all(m.visits > 1 for m in crowd.members), "somebody was not moved"
        assert all(code == 1012 for m in crowd.members for code in m.codes)
        attempts, visits = (sum(getattr(m, what) for m in crowd.members) for what in ("attempts", "visits"))
        # A connection that the kernel was making when its listener closed is reset (net.ipv4.tcp_migrate_req is 0).
        assert attempts - visits <= CLIENTS // 20, f"{attempts} attempts for {visits} connections"
