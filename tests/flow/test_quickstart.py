"""deploy/quickstart.sh: one command, and nothing is left of it."""
import json
import os
import re
import signal
import socket
import subprocess
import urllib.request

import pytest
from servers import PUBLISH, ROOT, free_port, until
from ws import Client

RECORDING = os.path.join(ROOT, "tests", "golden", "f_reconnect.events.msgpack")
SCRIPT = os.path.join(ROOT, "deploy", "quickstart.sh")


class Quickstart:
    def __init__(self, *args, env=None):
        self.port, self.ops_port = free_port(), free_port()
        self.process = subprocess.Popen(
            [SCRIPT, f"--listen=127.0.0.1:{self.port}", f"--ops.listen=127.0.0.1:{self.ops_port}", *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, start_new_session=True, env=env)
        self.output = ""

    def wait_said(self, text):
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"it ended with {self.process.wait()}:\n{self.output}"
            self.output += line
        return self

    def wait_end(self):
        """Its return code and all that it and its children said."""
        code = self.process.wait(30)
        assert until(lambda: not self.children(), "everything to be gone")
        self.output += self.process.stdout.read()
        return code, self.output

    def children(self):
        """{pid: command line} of everything that it started and that lives: what is in its session."""
        found = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/stat") as stat, open(f"/proc/{pid}/cmdline") as command:
                    state, _, _, session = stat.read().rpartition(")")[2].split()[:4]
                    line = command.read().replace("\0", " ")
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(session) == self.process.pid and state != "Z" and "quickstart.sh" not in line:
                found[int(pid)] = line
        return found

    def end(self):
        """Whatever happened, nothing may outlive the test."""
        for kill, pid in [(os.killpg, self.process.pid), *((os.kill, child) for child in self.children())]:
            try:
                kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def quickstart():
    started = []

    def one(*args, until_said="Ctrl-C stops", env=None):
        started.append(Quickstart(*args, env=env))
        return started[-1].wait_said(until_said)

    yield one
    for q in started:
        q.end()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_plays_runs_with_new_prompts_and_stops_without_a_trace(number, quickstart):
    q = quickstart("--sid", "watcher")
    url = re.search(r"ws://(\S+):(\d+)(/ws\S*)", q.output)
    directory = os.path.dirname(re.search(r"^Redis:\s+(\S+)", q.output, re.M)[1])
    client = Client((url[1], int(url[2])), url[3])
    client.flags()
    runs = number == signal.SIGINT and 2 or 1
    client.wait(lambda: len(ends(client)) >= runs, f"{runs} runs to their end", 60)
    whole = client.messages[client.find('"execution_start"'):]
    assert len(set(prompts(whole))) >= runs, "each run must have its own prompt id"
    assert any(isinstance(m, bytes) for m in whole) and '{"type":"progress_state"' in "".join(m for m in whole if isinstance(m, str))
    assert len(q.children()) >= 3, q.children()
    os.kill(q.process.pid, number)
    assert q.process.wait(30) == 0
    assert until(lambda: not q.children(), "everything to be gone")
    assert not os.path.exists(directory), "its directory is left"
    client.wait_closed()
    client.drop()


def ends(client):
    return [m for m in client.messages if isinstance(m, str) and m.startswith('{"type":"executing","data":{"node":null')]


def prompts(messages):
    return [json.loads(m)["data"]["prompt_id"] for m in messages if isinstance(m, str) and m.startswith('{"type":"execution_start"')]


def test_without_the_demo_there_is_only_relay_and_redis(quickstart):
    q = quickstart("--no-demo")
    Client(("127.0.0.1", q.port), "/ws?clientId=x").wait_count(1).drop()
    names = " ".join(q.children().values())
    assert "redis-server" in names and "comfy-relay" in names and "comfy-publish" not in names, names
    os.kill(q.process.pid, signal.SIGTERM)
    assert q.process.wait(30) == 0
    assert until(lambda: not q.children(), "everything to be gone")


def test_relay_that_dies_takes_the_rest_along(quickstart):
    q = quickstart("--no-demo")
    relay = next(pid for pid, line in q.children().items() if "build/comfy-relay" in line)
    os.kill(relay, signal.SIGKILL)
    assert q.process.wait(30) == 1
    assert until(lambda: not q.children(), "everything to be gone")


def test_terminals_ctrl_c_stops_all_in_order_and_without_a_traceback(quickstart):
    q = quickstart("--sid", "watcher").wait_said("prompt ")
    os.killpg(q.process.pid, signal.SIGINT)
    code, output = q.wait_end()
    assert code == 0 and output.endswith("Stopped.\n"), output
    assert "Traceback" not in output and "Exception ignored" not in output, output
    assert "redis connection" not in output, "Redis ended before those who use it:\n" + output


def test_worker_that_is_told_twice_to_stop_says_nothing_of_it(quickstart):
    q = quickstart().wait_said("prompt ")
    worker = next(pid for pid, line in q.children().items() if "comfy-publish" in line)
    for number in (signal.SIGSTOP, signal.SIGINT, signal.SIGTERM, signal.SIGCONT):  # both wait for it when it goes on
        os.kill(worker, number)
    code, output = q.wait_end()
    assert code == 1 and "has ended by itself" in output, output
    assert "Traceback" not in output and "Exception ignored" not in output, output


def has_pending_signal(pid):
    with open(f"/proc/{pid}/status") as f:
        fields = dict(line.split(":", 1) for line in f)
    return any(int(fields[name], 16) for name in ("SigPnd", "ShdPnd"))


def test_second_signal_does_not_cut_the_workers_goodbye_short(redis_server):
    worker = subprocess.Popen([PUBLISH, "--redis.url", redis_server.url, "--play", RECORDING, "--loop"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: redis_server.client.hlen("comfy:workers"), "its entry")
        redis_server.client.execute_command("CLIENT PAUSE 20000 WRITE")  # its goodbye waits here
        worker.send_signal(signal.SIGINT)
        until(lambda: not has_pending_signal(worker.pid), "the signal to be taken")
        worker.send_signal(signal.SIGTERM)
        redis_server.client.execute_command("CLIENT UNPAUSE")
        output, _ = worker.communicate(timeout=20)
    finally:
        worker.kill()
        worker.wait()
    assert worker.returncode == 0, output
    assert "Traceback" not in output and "Exception ignored" not in output, output
    assert redis_server.client.hlen("comfy:workers") == 0, "it left its entry behind"


def test_ctrl_c_during_the_build_is_answered_too(quickstart, tmp_path):
    os.mkfifo(tmp_path / "builds")
    (tmp_path / "cmake").write_text(f"#!/bin/sh\necho > {tmp_path}/builds\nexec sleep 100\n")
    (tmp_path / "cmake").chmod(0o755)
    q = quickstart(until_said="Building", env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"})
    (tmp_path / "builds").read_text()
    os.killpg(q.process.pid, signal.SIGINT)
    code, output = q.wait_end()
    assert (code, output.splitlines()) == (0, ["Building build/comfy-relay", "Stopped."])


def test_sid_is_percent_encoded_in_the_address(quickstart):
    q = quickstart("--sid=a b&\u00e9")
    assert "/ws?clientId=a%20b%26%C3%A9\n" in q.output, q.output
    assert f"Inspector:   http://127.0.0.1:{q.ops_port}/#sid=a%20b%26%C3%A9\n" in q.output, q.output
    with urllib.request.urlopen(f"http://127.0.0.1:{q.ops_port}/", timeout=5) as page:
        assert f'data-port="{q.port}"'.encode() in page.read()
    client = Client(("127.0.0.1", q.port), "/ws?clientId=a%20b%26%C3%A9")
    client.wait(lambda: client.find('"prompt_id"') is not None, "the demo to play for it", 60)
    client.drop()


def test_line_that_it_prints_publishes_for_its_sid(quickstart):
    q = quickstart("--no-demo", "--sid=it's a \"b\" \u00e9")
    client = Client(("127.0.0.1", q.port), "/ws?clientId=it%27s%20a%20%22b%22%20%C3%A9").wait_count(1)
    line = re.search(r"^To publish: +(.*)$", q.output, re.M)[1]
    subprocess.run(["sh", "-c", line], check=True, timeout=20)
    client.wait(lambda: client.find('"prompt_id":"p1"') is not None, "what the line publishes")
    client.drop()


def test_without_operations_address_the_relay_sees_no_odd_request(quickstart):
    q = quickstart("--no-demo", "--ops.listen=")
    Client(("127.0.0.1", q.port), "/ws?clientId=x").wait_count(1).drop()
    os.kill(q.process.pid, signal.SIGTERM)
    code, output = q.wait_end()
    assert code == 0 and "handshake" not in output and "Operations" not in output and "Inspector" not in output, output


def refused(*args, seconds=120):
    return subprocess.run([SCRIPT, "--no-demo", *args], capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)


@pytest.mark.parametrize("option, other", [("--listen", "--ops.listen"), ("--ops.listen", "--listen")])
def test_taken_port_is_a_clear_error(option, other):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused(f"{option}=127.0.0.1:{port}", f"{other}=127.0.0.1:{free_port()}")
    assert done.returncode == 1 and f"127.0.0.1:{port} is taken" in done.stderr and "COMFY_RELAY_LISTEN" in done.stderr, done


def test_port_0_is_refused_for_nobody_could_be_told_which_it_is():
    done = refused("--listen=127.0.0.1:0", f"--ops.listen=127.0.0.1:{free_port()}")
    assert done.returncode == 1 and "127.0.0.1:0: a port is needed" in done.stderr, done


def test_bad_address_is_reported_once():
    done = refused("--listen=nonsense")
    assert done.returncode == 2 and done.stderr.count("nonsense") == 1, done


@pytest.mark.parametrize("sid", ["", "a{b", "a}", "a\nb", "a\x7f", "a\u0085", "x" * 129, "\u00e9" * 65, b"a\xff"])
def test_forbidden_sid_is_refused_before_anything_is_done(sid):
    done = refused("--sid", sid, seconds=30)
    assert done.returncode == 2 and "--sid" in done.stderr and not done.stdout, done


def test_unknown_option_is_refused_before_anything_is_done():
    done = subprocess.run([SCRIPT, "--nonsense"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "--nonsense" in done.stderr, done
