"""`comfy-relay --health`: what a container's HEALTHCHECK runs, where there is neither a shell nor curl."""
import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

import pytest
from servers import BINARY, Relay, free_port, start, until


def health(*args, env=None):
    clean = {k: v for k, v in os.environ.items() if not k.startswith("COMFY_RELAY_")}
    return subprocess.run([BINARY, "--health", *args], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL,
                          env={**clean, **(env or {})})


def test_relay_that_is_subscribed_is_live_and_ready(redis_server):
    with Relay(redis_server) as relay:
        done = health(f"--ops.listen=127.0.0.1:{relay.ops_port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "live and ready\n", "")


@pytest.mark.parametrize("listens", ["0.0.0.0:{}", "[::]:{}", "[::1]:{}", "localhost:{}", "unix:{}"])
def test_every_address_that_can_be_listened_on_can_be_asked(listens, redis_server, tmp_path):
    where = listens.format(tmp_path / "ops" if listens.startswith("unix:") else free_port())
    relay = start([BINARY, "--listen", f"unix:{tmp_path}/ws", "--ops.listen", where, "--redis.url", redis_server.url],
                  stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        until(lambda: health(env={"COMFY_RELAY_OPS_LISTEN": where}).stdout == "live and ready\n", f"{where} to be healthy")
    finally:
        relay.terminate()
        relay.wait()


def test_relay_without_redis_is_healthy_since_its_clients_need_no_restart():
    with Relay(None, wait=False) as relay:
        relay.wait_live()
        done = health(f"--ops.listen=127.0.0.1:{relay.ops_port}")
    assert done.returncode == 0 and re.fullmatch(r"live, not ready: \S.*\n", done.stdout), done


def test_options_come_from_the_file_as_they_do_for_the_relay(redis_server, tmp_path):
    with Relay(redis_server) as relay:
        file = tmp_path / "relay.conf"
        file.write_text(f"[ops]\nlisten = 127.0.0.1:{relay.ops_port}\n")
        assert health("--config", str(file)).returncode == 0


def test_no_relay_at_all_is_told_and_exits_1():
    where = f"127.0.0.1:{free_port()}"
    done = health(f"--ops.listen={where}")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"comfy-relay: not healthy: ops.listen {where}: Connection refused\n"


def test_relay_that_hangs_is_not_healthy_and_that_is_known_within_seconds(redis_server):
    with Relay(redis_server) as relay:
        relay.signal(signal.SIGSTOP)
        begin = time.monotonic()
        done = health(f"--ops.listen=127.0.0.1:{relay.ops_port}")
        took = time.monotonic() - begin
        relay.signal(signal.SIGCONT)
    assert done.returncode == 1 and "timed out" in done.stderr, done
    assert took < 10, took


@pytest.mark.parametrize("answer, said", [
    (b"HTTP/1.1 500 Oh\r\n\r\nbroken\r\nmore", "answers: broken"), (b"SSH-2.0-x\r\n", "answers: SSH-2.0-x"), (b"", "reset"),
    (b"HTTP/1.1 404 No\r\n\r\n\x1b[31m" + b"x" * 9000, r"answers: \x1b[31mxx")])
def test_something_else_on_that_address_is_not_healthy(answer, said):
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=answer_once, args=(server, answer), daemon=True).start()
        done = health("--ops.listen=127.0.0.1:%d" % server.getsockname()[1])
    assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done


def answer_once(server, answer):
    connection, _ = server.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(answer)


def test_answer_that_comes_in_drops_has_no_more_time_than_another():
    def drip(server):
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            for part in (b"HTTP/1.1", b" 200 OK\r\n\r\nlate"):
                time.sleep(1.5)  # the second is too late, however late the first was
                connection.sendall(part)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        done = health("--ops.listen=127.0.0.1:%d" % server.getsockname()[1])
    assert done.returncode == 1 and "timed out" in done.stderr, done


def test_without_an_operations_address_there_is_nothing_to_ask():
    done = health("--ops.listen=")
    assert done.returncode == 1 and "ops.listen is empty" in done.stderr, done


def test_mistake_on_the_command_line_exits_2():
    for args in (["--health=yes"], ["--nonsense"]):
        assert health(*args).returncode == 2


def test_other_questions_are_answered_first():
    assert health("--version").stdout.startswith("comfy-relay ")
    assert "ops.listen" in health("--print-config").stdout
