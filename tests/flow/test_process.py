"""The program as a process: its command line, its files, its signals, its end."""
import os
import re
import signal
import subprocess

import pytest
from recording import is_status, queue_number
from servers import BINARY, Relay, free_port, until
from ws import Refused, connect_tcp, read_head, upgrade_request

OPTIONS = """listen listen.shared ops.listen redis.url redis.prefix redis.password_file session.ttl session.duplicate session.log_events
session.log_bytes features ws.ping_interval ws.ping_timeout ws.origins ws.coalesce limits.connections limits.handshake_timeout
limits.header_bytes limits.client_message_bytes limits.message_bytes limits.socket_bytes limits.memory_bytes status.interval
worker.timeout drain.time log.level log.format""".split()


def run(*args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COMFY_RELAY_")}
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                          env={**clean, **(env or {})})


def printed(*args, env=None):
    """{option: (value, where it was set)} as --print-config has it."""
    done = run("--print-config", *args, env=env)
    assert done.returncode == 0, done.stderr
    return {m[1]: (m[2], m[3]) for m in re.finditer(r"^(\S+) = (.*?) +# (.*)$", done.stdout, re.M)}


# ---- the command line --------------------------------------------------------------------------------------------

def test_help_names_every_option():
    done = run("--help")
    assert done.returncode == 0
    missing = [o for o in OPTIONS if o not in done.stdout]
    assert missing == [], done.stdout


def test_version_is_one_line():
    done = run("--version")
    assert done.returncode == 0 and re.fullmatch(r"comfy-relay \d+\.\d+\.\d+\n", done.stdout), done.stdout


def test_print_config_has_a_line_for_each_option():
    assert set(OPTIONS) <= set(printed())
    assert printed()["status.interval"] == ("250ms", "default")
    assert printed()["listen"] == ("127.0.0.1:8190", "default")


def test_option_is_set_by_default_file_environment_and_command_line_in_this_order(tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text("# a comment\nlisten = 127.0.0.1:1111\n\n[drain]\ntime = 2s\n; another\n[status]\ninterval = 3s\n")
    env = {"COMFY_RELAY_DRAIN_TIME": "4s", "COMFY_RELAY_STATUS_INTERVAL": "5s"}
    got = printed("--config", file, "--status.interval=6s", env=env)
    assert got["listen"] == ("127.0.0.1:1111", f"{file}:2")
    assert got["drain.time"] == ("4s", "env COMFY_RELAY_DRAIN_TIME")
    assert got["status.interval"] == ("6s", "command line")
    assert got["log.level"] == ("info", "default")


def test_option_takes_its_value_with_a_space_or_an_equals_sign():
    assert printed("--drain.time", "2s")["drain.time"] == printed("--drain.time=2s")["drain.time"]


def test_secrets_are_not_printed(tmp_path):
    done = run("--print-config", "--redis.url", "redis://me:hunter2@127.0.0.1/0")
    assert done.returncode == 0 and "hunter2" not in done.stdout and "***" in done.stdout, done.stdout


@pytest.mark.parametrize("args, named", [
    (["--no.such", "1"], ["no.such"]), (["--drain.time", "soon"], ["drain.time", "soon"]),
    (["--limits.connections", "0"], ["limits.connections", "0"]), (["--session.duplicate=both"], ["session.duplicate", "both"]),
    (["--drain.time"], ["drain.time"]), (["stray"], ["stray"]), (["--limits.header_bytes", "9TiB"], ["limits.header_bytes"]),
    (["--log.level", "loud"], ["log.level", "loud", "debug"]), (["--redis.url", "http://x"], ["redis.url", "http://x"]),
    (["--listen", "nowhere"], ["listen", "nowhere"]), (["--features", "[1]"], ["features"]),
    (["--ws.origins", "not an origin"], ["ws.origins"])])
def test_mistake_on_the_command_line_is_named_and_exits_2(args, named):
    done = run(*args)
    assert done.returncode == 2, f"exit code {done.returncode}: {done.stderr}"
    assert all(n in done.stderr for n in named), done.stderr


@pytest.mark.parametrize("address", ["*:8190", ":8190", "8190"])
@pytest.mark.parametrize("option", ["listen", "ops.listen"])
def test_who_means_all_interfaces_is_told_how_they_are_written(option, address):
    done = run(f"--{option}", address)
    assert done.returncode == 2 and "all interfaces are 0.0.0.0:PORT or [::]:PORT" in done.stderr, done.stderr


def test_option_of_a_later_version_is_refused_as_unknown():
    done = run("--auth.token_file", "/dev/null")
    assert done.returncode == 2 and "auth.token_file" in done.stderr, done.stderr


def test_file_that_cannot_be_read_exits_1():
    done = run("--config", "/no/such/file")
    assert done.returncode == 1 and "/no/such/file" in done.stderr, done.stderr


@pytest.mark.parametrize("text, line, named", [
    ("[drain]\ntime = soon\n", 2, "soon"), ("\n\nno.such = 1\n", 3, "no.such"), ("[nowhere]\nx = 1\n", 2, "nowhere.x"),
    ("just words\n", 1, ""), ("[log\n", 1, ""), ("[limits]\nconnections = 0\n", 2, "connections")])
def test_mistake_in_a_file_is_named_with_its_line(text, line, named, tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text(text)
    for args in (["--check"], []):
        done = run("--config", file, *args)
        assert done.returncode == 1, f"exit code {done.returncode}: {done.stderr}"
        assert f"{file}:{line}" in done.stderr + done.stdout and named in done.stderr + done.stdout, done.stderr


def test_check_accepts_a_good_file(tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text("[log]\nlevel = warn\n")
    done = run("--check", "--config", file)
    assert done.returncode == 0 and str(file) in done.stdout + done.stderr, done


def test_check_opens_the_files_that_are_named(tmp_path):
    done = run("--check", "--redis.password_file", tmp_path / "absent")
    assert done.returncode == 1 and "absent" in done.stderr, done


def test_mistake_in_the_environment_is_named_and_exits_1():
    done = run(env={"COMFY_RELAY_DRAIN_TIME": "soon"})
    assert done.returncode == 1 and "COMFY_RELAY_DRAIN_TIME" in done.stderr and "soon" in done.stderr, done


def test_unknown_variable_is_ignored_with_a_warning(redis_server):
    with Relay(redis_server, env={"COMFY_RELAY_SERVICE_HOST": "10.0.0.1"}) as relay:
        relay.wait_log("COMFY_RELAY_SERVICE_HOST")


@pytest.mark.parametrize("option", ["listen", "ops.listen"])
def test_taken_address_exits_1_and_is_named(option, redis_server):
    with Relay(redis_server) as relay:
        taken = f"127.0.0.1:{relay.port if option == 'listen' else relay.ops_port}"
        other = "ops.listen" if option == "listen" else "listen"
        done = run(f"--{option}", taken, f"--{other}", f"127.0.0.1:{free_port()}", "--redis.url", redis_server.url)
    assert done.returncode == 1 and taken in done.stderr and f"option={option} " in done.stderr, done.stderr


def test_operations_address_may_be_none(redis_server):
    port = free_port()
    process = subprocess.Popen([BINARY, "--listen", f"127.0.0.1:{port}", "--ops.listen", "", "--redis.url", redis_server.url],
                               stderr=subprocess.PIPE)
    try:
        from ws import Client
        until(lambda: answers(port), "the relay to listen")
        Client(("127.0.0.1", port), "/ws").wait_count(1).drop()
        process.terminate()
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.communicate()


def test_fewer_descriptors_than_connections_need_is_told_and_the_soft_limit_is_raised(redis_server):
    import resource
    with Relay(redis_server, limits__connections="100000", descriptors=(100, 5000)) as relay:
        relay.wait_log("limits.connections")
        assert resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE) == (5000, 5000)
        assert "descriptors=5000 needed=100064" in relay.stderr, relay.stderr
    with Relay(redis_server, limits__connections="4900", descriptors=(100, 5000)) as relay:
        assert "limits.connections" not in relay.stderr, relay.stderr


def test_connection_without_a_descriptor_is_told_and_accepted_when_there_is_one_again(redis_server, connect):
    import resource
    with Relay(redis_server) as relay:
        limits = resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE)
        held = connect("held", to=relay)
        resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        with connect_tcp(relay.address) as late:
            late.sendall(upgrade_request("/ws"))
            relay.wait_log("too many open files")
            resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, limits)
            assert read_head(late)[0].startswith(b"HTTP/1.1 101 ")
        assert relay.metric('handshakes_rejected_total{reason="descriptors"}') >= 1
        assert not held.closed


def answers(port):
    import socket
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


def test_logs_are_json_when_asked(redis_server, connect):
    import json
    with Relay(redis_server, log__format="json", log__level="debug") as relay:
        connect('odd"sid\\', to=relay, path="/ws?clientId=odd%22sid%5C").close()
    for line in relay.stderr.splitlines():
        assert isinstance(json.loads(line), dict), line


# ---- signals -----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_relay_without_sockets_stops_at_once(number, redis_server):
    with Relay(redis_server, drain__time="60s") as relay:
        relay.signal(number)
        assert relay.wait_exit() == 0


def test_drain_closes_sockets_with_1012_at_a_steady_pace(redis_server, connect):
    with Relay(redis_server, drain__time="2s") as relay:
        clients = [connect(f"d{i}", to=relay) for i in range(20)]
        import threading
        import time
        times = {}

        def note(i):
            clients[i].wait_closed(1012)
            times[i] = time.monotonic()

        watchers = [threading.Thread(target=note, args=(i,)) for i in range(20)]
        for w in watchers:
            w.start()
        began = time.monotonic()
        relay.signal(signal.SIGTERM)
        relay.wait_not_ready()
        assert relay.get("/live")[0] == 200
        with pytest.raises(Refused) as refused:
            connect("late", to=relay)
        assert refused.value.status == 503
        for w in watchers:
            w.join(30)
        assert relay.wait_exit() == 0
    at = sorted(t - began for t in times.values())
    assert len(at) == 20, f"only {len(at)} were closed with 1012"
    assert at[-1] - at[0] >= 1.0, f"all within {at[-1] - at[0]:.2f} s, drain.time is 2 s"
    assert at[9] - at[0] >= 0.4 and at[-1] - at[10] >= 0.4, f"not at a steady pace: {at}"


def test_events_go_on_while_draining(redis_server, connect, publisher):
    with Relay(redis_server, drain__time="3s") as relay:
        clients = [connect(f"d{i}", to=relay) for i in range(5)]
        relay.signal(signal.SIGTERM)
        relay.wait_not_ready()
        publisher.emit("still", 1)
        until(lambda: any(c.find('{"type":"still"') is not None for c in clients), "a socket that is still open")
        relay.wait_exit()


def test_relay_that_was_stopped_for_long_takes_no_worker_for_lost(redis_server, connect, publisher):
    """Their heartbeats waited in its socket meanwhile."""
    import time
    with Relay(redis_server, worker__timeout="1s", status__interval="0ms") as relay:
        client = connect("s", to=relay)
        publisher.heartbeat("w1", queue_remaining=3)
        relay.wait_metric("queue_remaining", 3)
        relay.signal(signal.SIGSTOP)
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            publisher.heartbeat("w1", queue_remaining=3)
            time.sleep(0.1)  # as a worker does
        relay.signal(signal.SIGCONT)
        publisher.emit("mark", None)
        client.wait_for('{"type":"mark"')
        publisher.heartbeat("w1", queue_remaining=4)
        relay.wait_metric("queue_remaining", 4)
        assert relay.metric("lost_workers_total") == 0, relay.stderr
        numbers = [queue_number(m) for m in client.messages if is_status(m)]
        assert numbers == [0, 3, 4], f"statuses {numbers}"


def test_password_file_that_cannot_be_read_is_named_with_the_reason(redis_server):
    done = run("--redis.password_file=/nope", "--listen=127.0.0.1:0", "--ops.listen=")
    assert done.returncode == 1 and "/nope" in done.stderr and "No such file or directory" in done.stderr, done.stderr


def test_second_signal_stops_at_once(redis_server, connect):
    with Relay(redis_server, drain__time="10m") as relay:
        for i in range(3):
            connect(f"d{i}", to=relay)
        relay.signal(signal.SIGTERM)
        relay.wait_not_ready()
        relay.signal(signal.SIGTERM)
        assert relay.wait_exit() == 0


def test_file_is_read_again_on_sighup(redis_server, connect, tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text("[limits]\nconnections = 1\n")
    with Relay(redis_server, "--config", str(file), log__level="info") as relay:
        connect("first", to=relay)
        with pytest.raises(Refused):
            connect("second", to=relay)
        file.write_text("[limits]\nconnections = 2\n[ws]\norigins = http://a.test\n")
        relay.signal(signal.SIGHUP)
        until(lambda: admitted(connect, relay, []), "the new limit")
        with pytest.raises(Refused) as refused:
            connect("foreign", to=relay, headers=["Origin: http://b.test"])
        assert refused.value.status in (403, 503)


def test_pipe_is_read_at_the_start_but_not_on_sighup(redis_server, connect, tmp_path):
    """It would have to be waited for, and with it every client."""
    import threading
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("[limits]\nconnections = 1000\n",))
    writer.start()
    with Relay(redis_server, "--config", str(pipe)) as relay:
        writer.join()
        relay.signal(signal.SIGHUP)
        relay.wait_log("no regular file")
        relay.wait_log(str(pipe))
        connect("alive", to=relay)


def test_reload_names_what_needs_a_restart_and_nothing_else(redis_server, tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text("")
    with Relay(redis_server, "--config", str(file)) as relay:
        relay.signal(signal.SIGHUP)
        relay.wait_log('msg="configuration reloaded"\n')
        file.write_text("[session]\nttl = 100s\n")
        relay.signal(signal.SIGHUP)
        relay.wait_log('msg="configuration reloaded" restart_needed_for=session.ttl\n')


def admitted(connect, relay, headers):
    try:
        return connect("second", to=relay, headers=headers)
    except Refused:
        return None


def test_file_in_error_changes_nothing_on_sighup(redis_server, connect, tmp_path):
    file = tmp_path / "relay.ini"
    file.write_text("[ws]\norigins = http://a.test\n")
    with Relay(redis_server, "--config", str(file), log__level="info") as relay:
        file.write_text("[ws]\norigins = *\n[limits]\nconnections = none\n")
        relay.signal(signal.SIGHUP)
        relay.wait_log("limits.connections")
        with pytest.raises(Refused) as refused:
            connect("foreign", to=relay, headers=["Origin: http://b.test"])
        assert refused.value.status == 403
        connect("good", to=relay, headers=["Origin: http://a.test"])


def test_stopped_relay_leaves_no_socket_file(redis_server, tmp_path):
    path = tmp_path / "relay.sock"
    with Relay(redis_server, listen=f"unix:{path}"):
        assert path.exists()
    assert not path.exists()
