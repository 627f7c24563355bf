"""The image of deploy/Dockerfile, built by both builders and run by a real Docker engine."""
import json
import os
import re
import urllib.error
import urllib.request

import pytest
from docker_fixtures import BUILDKIT, BUILT, RELAY
from servers import ROOT, until

LOCKED = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"]


@pytest.fixture
def container(engine):
    """Starts one, with these arguments of `docker run`, and of the relay; all are removed."""
    started = []

    def start(*args, arguments=()):
        started.append(engine.run("run", "-d", *LOCKED, *args, RELAY, *arguments))
        return started[-1]

    yield start
    for name in started:
        engine.run("rm", "-f", "-v", name)


def state(engine, name):
    return engine.inspect(name)["State"]


def logs(engine, name):
    return engine.client("logs", name).stderr


def test_plain_builder_builds_it_in_two_stages(engine):
    assert engine.inspect(RELAY)["Config"]["Entrypoint"] == ["comfy-relay"]


def test_buildkit_builds_the_same_program(engine):
    one, other = engine.inspect(BUILDKIT)["Config"], engine.inspect(RELAY)["Config"]
    same = ("Entrypoint", "Cmd", "User", "Env", "Labels", "ExposedPorts", "Healthcheck", "StopSignal", "WorkingDir")
    assert {k: one.get(k) for k in same} == {k: other.get(k) for k in same}
    assert engine.run("run", "--rm", *LOCKED, BUILDKIT, "--version") == engine.run("run", "--rm", *LOCKED, RELAY, "--version")


def test_image_is_less_than_40_mb_above_its_base(engine):
    above = engine.inspect(RELAY)["Size"] - engine.inspect("debian:bookworm-slim")["Size"]
    print(f"{above / 1e6:.1f} MB above the base")
    assert 0 < above < 40e6, above


def test_nothing_that_only_the_build_needs_is_in_it(engine):
    packages = engine.run("run", "--rm", "--entrypoint=dpkg-query", RELAY, "-W", "-f", "${Package}\n").split()
    assert [p for p in packages if p.endswith("-dev") or p in ("gcc", "cmake", "make")] == []


def test_labels_and_program_tell_one_version(engine):
    labels = engine.inspect(RELAY)["Config"]["Labels"]
    version = engine.run("run", "--rm", RELAY, "--version").split()[1]
    assert labels["org.opencontainers.image.version"] == version
    assert {"title", "description", "licenses", "revision"} <= {k.removeprefix("org.opencontainers.image.") for k in labels}


def test_version_that_is_not_the_programs_is_refused_by_the_build():
    with open(os.path.join(ROOT, "CMakeLists.txt"), encoding="utf-8") as f:
        version = re.search(r"project\(comfy-relay VERSION (\S+)", f.read())[1]
    with open(os.path.join(ROOT, "deploy", "Dockerfile"), encoding="utf-8") as f:
        assert set(re.findall(r"^ARG VERSION=(\S+)$", f.read(), re.M)) == {version}


def test_it_needs_no_shell_and_no_file_of_its_own_to_be_written(engine):
    config = engine.inspect(RELAY)["Config"]
    assert config["User"] == "10001:10001" and config["StopSignal"] == "SIGTERM"
    assert set(config["ExposedPorts"]) == {"8190/tcp", "9190/tcp"}
    assert config["Healthcheck"]["Test"] == ["CMD", "comfy-relay", "--health"] and not config.get("Cmd")


def test_it_runs_without_any_shell_in_the_image(engine, container):
    no_program = os.path.join(ROOT, "LICENSE")
    name = container("-v", f"{no_program}:/usr/bin/dash:ro", "-v", f"{no_program}:/usr/bin/bash:ro")
    assert engine.client("exec", name, "sh", "-c", "true", check=False).returncode != 0
    until(lambda: state(engine, name)["Health"]["Status"] == "healthy", "it to be healthy", 60)


def test_it_is_the_first_process_unprivileged_and_stops_as_asked(engine, container):
    name = container("--init=false")
    pid = state(engine, name)["Pid"]
    inside = f"/proc/{engine.pid}/root/proc/{pid}/status"
    with open(inside, encoding="ascii") as f:
        status = dict(line.split(":\t", 1) for line in f.read().splitlines())
    assert status["NSpid"].split()[-1] == "1" and status["Uid"].split() == ["10001"] * 4
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0 and status["NoNewPrivs"] == "1"
    engine.run("stop", "-t", "20", name)
    assert state(engine, name)["ExitCode"] == 0 and "stopped" in logs(engine, name)


def test_it_is_reached_from_outside_where_its_ports_are_published(engine, container):
    container("-p", "127.0.0.1:18190:8190", "-p", "127.0.0.1:19190:9190")
    with engine.inside():
        until(lambda: get("http://127.0.0.1:18190/ws")[0] == 426, "the relay to answer")
        assert "comfy_relay_connections 0\n" in get("http://127.0.0.1:19190/metrics")[1]


def test_health_check_asks_where_the_environment_says_whatever_a_file_says(engine, container, tmp_path):
    file = tmp_path / "relay.conf"
    file.write_text("[ops]\nlisten = 127.0.0.1:9292\n")
    tmp_path.chmod(0o755)
    given = ["-v", f"{file}:/relay.conf:ro", "-e", "COMFY_RELAY_OPS_LISTEN=127.0.0.1:9191", "--health-interval=500ms"]
    name = container(*given, arguments=["--config", "/relay.conf"])
    until(lambda: state(engine, name)["Health"]["Status"] == "healthy", "it to be healthy", 60)


def test_relay_that_hangs_becomes_unhealthy(engine, container):
    name = container("--health-interval=500ms", "--health-timeout=5s", "--health-start-period=0s", "--health-retries=1")
    until(lambda: state(engine, name)["Health"]["Status"] == "healthy", "it to be healthy", 60)
    assert state(engine, name)["Health"]["Log"][-1]["Output"].startswith("live, not ready: ")
    engine.run("kill", "-s", "STOP", name)
    until(lambda: state(engine, name)["Health"]["Status"] == "unhealthy", "it to be unhealthy", 60)
    engine.run("kill", "-s", "KILL", name)


def test_other_programs_of_the_image_are_there(engine):
    assert "comfy-publish" in engine.run("run", "--rm", *LOCKED, "--entrypoint=comfy-publish", RELAY, "--version")
    assert json.loads(engine.run("run", "--rm", "--entrypoint=stat", RELAY, "-c", '{"size": %s}',
                                 "/usr/local/share/comfy-relay/f_reconnect.events.msgpack"))["size"] > 0


def test_build_takes_nothing_from_the_checkout_but_what_it_reads(engine):
    listed = engine.run("run", "--rm", "--entrypoint=find", BUILT, "/src", "-maxdepth", "1").split()
    known = {"CMakeLists.txt", "main.c", "relay", "config", "adapters", "deploy", "tests"}
    assert {os.path.basename(p) for p in listed[1:]} == known


def get(url):
    """(status, body), or (None, why)."""
    try:
        with urllib.request.urlopen(url, timeout=5) as r:
            return r.status, r.read().decode()
    except urllib.error.HTTPError as e:
        return e.code, e.read().decode()
    except OSError as e:
        return None, str(e)
