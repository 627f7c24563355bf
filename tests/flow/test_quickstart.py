"""deploy/quickstart.sh: one command, and nothing is left of it."""
import json
import os
import re
import signal
import subprocess

import pytest
from servers import ROOT, free_port, until
from ws import Client

SCRIPT = os.path.join(ROOT, "deploy", "quickstart.sh")


class Quickstart:
    def __init__(self, *args):
        self.port, self.ops_port = free_port(), free_port()
        self.process = subprocess.Popen(
            [SCRIPT, f"--listen=127.0.0.1:{self.port}", f"--ops.listen=127.0.0.1:{self.ops_port}", *args],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, start_new_session=True)
        self.output = ""

    def wait_said(self, text):
        while text not in self.output:
            line = self.process.stdout.readline()
            assert line, f"it ended with {self.process.wait()}:\n{self.output}"
            self.output += line
        return self

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
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.stdout.close()
        self.process.wait()


@pytest.fixture
def quickstart():
    started = []

    def one(*args):
        started.append(Quickstart(*args))
        return started[0].wait_said("Ctrl-C stops")

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
    assert "redis-server" in names and "comfy-relay" in names and "demo_worker" not in names, names
    os.kill(q.process.pid, signal.SIGTERM)
    assert q.process.wait(30) == 0
    assert until(lambda: not q.children(), "everything to be gone")


def test_relay_that_dies_takes_the_rest_along(quickstart):
    q = quickstart("--no-demo")
    relay = next(pid for pid, line in q.children().items() if "build/comfy-relay" in line)
    os.kill(relay, signal.SIGKILL)
    assert q.process.wait(30) == 1
    assert until(lambda: not q.children(), "everything to be gone")


def test_taken_port_is_a_clear_error():
    import socket
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run([SCRIPT, "--no-demo", f"--listen=127.0.0.1:{port}", f"--ops.listen=127.0.0.1:{free_port()}"],
                              capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL)
    assert done.returncode == 1 and f"127.0.0.1:{port}" in done.stderr + done.stdout, done


def test_unknown_option_is_refused_before_anything_is_done():
    done = subprocess.run([SCRIPT, "--nonsense"], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert done.returncode == 2 and "--nonsense" in done.stderr, done
