"""deploy/compose.yaml, brought up by docker-compose in a real engine, in a network of its own."""
import glob
import json
import os
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import uuid

import pytest
import redis
import spaces
import websocket
from compose_site import COMPOSE, NGINX, Browser, Site, Worker
from crowd import Crowd, Teller
from docker import program
from recording import golden
from servers import ROOT, start, until
from slowness import Slowness
from story import Story
from ws import Client

DEPLOY = os.path.join(ROOT, "deploy")
MACHINES = ["10.77.0.11", "10.77.0.12"]


@pytest.fixture(scope="module", autouse=True)
def inside(engine):
    """All that these tests do happens in the engine's network."""
    for address in MACHINES:
        engine.in_network(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    with engine.inside():
        yield


@pytest.fixture(scope="module")
def site(engine, inside):
    workers = " ".join(["comfyui:8188", *(f"{m}:8188" for m in MACHINES)])
    at = Site(engine, profiles=["comfyui"], COMFYUI_WORKERS=workers, DRAIN_TIME="1s")
    yield at
    at.down()
    assert at.left() == ["", "", ""]


@pytest.fixture
def machines(site):
    """Two workers on other machines."""
    workers = [Worker(site, address) for address in MACHINES]
    yield workers
    for w in workers:
        if w.listener.fileno() >= 0:
            w.go()


def browser_of(machine):
    """One that was given this worker."""
    for _ in range(100):
        b = Browser()
        if b.worker() == machine.where[0]:
            return b
    raise AssertionError(f"no browser was given {machine.where[0]}")


# ---- what comes up ------------------------------------------------------------------------------------------------

def test_demo_plays_at_once_through_nginx(site):
    client = Client(NGINX, "/ws?clientId=demo")
    client.wait_for("progress_state", 30)
    client.drop()


def test_both_relays_tell_how_they_are_on_this_machine_only(site):
    for port in (9190, 9191):
        until(lambda port=port: ask(port, "/ready") == (200, "ready\n"), "the relay to be ready")
    for port in (8190, 8191):
        Client(("127.0.0.1", port), f"/ws?clientId=at{port}").drop()
    published = {(p["HostIp"], p["HostPort"]) for s in ("redis", "relay-1", "relay-2", "nginx", "demo", "comfyui")
                 for bindings in site.inspect(s)["NetworkSettings"]["Ports"].values() for p in bindings or []}
    assert {port for ip, port in published if ip != "127.0.0.1"} == {"8080"}, published


def ask(port, path):
    import urllib.request
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as r:
        return r.status, r.read().decode()


def test_parts_start_in_their_order_and_have_the_least_rights(site):
    parts = [site.inspect(s) for s in ("redis", "relay-1", "nginx")]
    begun = [p["State"]["StartedAt"] for p in parts]
    assert begun == sorted(begun)
    for service in ("redis", "relay-1", "relay-2", "demo", "nginx"):
        host = site.inspect(service)["HostConfig"]
        assert host["CapDrop"] == ["ALL"] and host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["ReadonlyRootfs"], service
        assert site.inspect(service)["Config"]["User"] not in ("", "0", "root"), service


def test_redis_keeps_what_it_has_and_throws_nothing_away(site):
    asked = site.client.config_get("appendonly", "maxmemory-policy", "client-output-buffer-limit")
    assert asked["appendonly"] == "yes" and asked["maxmemory-policy"] == "noeviction"
    assert "pubsub 268435456 134217728 60" in asked["client-output-buffer-limit"]


def test_own_image_with_comfyui_has_the_extension_and_is_a_worker(site):
    browser = Browser()
    until(lambda: browser.ask("GET", "/who") == (200, b"comfyui\n"), "the browser to be given it")
    with open(os.path.join(ROOT, "adapters", "comfyui", "__init__.py"), "rb") as f:
        assert browser.ask("GET", "/extension") == (200, f.read())
    assert "COMFY_RELAY_REDIS_URL=redis://redis:6379/0" in site.inspect("comfyui")["Config"]["Env"]


# ---- clients people use ------------------------------------------------------------------------------------------

def api_client(cookie, path="/ws"):
    """A stock client's run: the frames it got, and what its worker says of the prompt."""
    browser, sid, frames = Browser("*/*"), str(uuid.uuid4()), []
    browser.cookie = cookie
    ws = websocket.WebSocket()
    ws.connect(f"ws://{NGINX[0]}:{NGINX[1]}{path}?clientId={sid}", timeout=30)
    ws.send('{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
    status, body = browser.ask("POST", "/prompt", json.dumps({"prompt": {}, "client_id": sid}))
    assert status == 200, body
    prompt = json.loads(body)["prompt_id"]
    late = time.monotonic() + 30
    while not frames or isinstance(frames[-1], bytes) or not is_end(frames[-1], prompt):
        assert time.monotonic() < late, frames[-3:]
        frames.append(ws.recv())
    ws.close()
    return frames, json.loads(browser.ask("GET", f"/history/{prompt}")[1])[prompt], browser


def is_end(text, prompt):
    m = json.loads(text)
    return m["type"] == "executing" and m["data"]["node"] is None and m["data"]["prompt_id"] == prompt


@pytest.mark.parametrize("path", ["/ws", "/api/ws"])
def test_stock_client_gets_a_whole_recorded_run_and_its_images_through_the_one_address(path, site, machines):
    frames, history, browser = api_client(browser_of(machines[0]).cookie, path)
    recorded = golden.events("b_success_flags")
    own = [json.loads(f)["type"] for f in frames if isinstance(f, str)]
    for kind in ("execution_start", "executed", "execution_success"):
        assert own.count(kind) == sum(e["type"] == kind for e in recorded), (kind, own)
    assert sum(isinstance(f, bytes) for f in frames) == sum(e["type"] == 4 for e in recorded)
    images = [i for o in history["outputs"].values() for i in o.get("images", [])]
    for image in images:
        assert browser.ask("GET", f"/view?{urllib.parse.urlencode(image)}")[1].startswith(b"\x89PNG")
    assert images


def test_sdk_of_node_runs_a_prompt_through_the_one_address(site, machines):
    """It keeps no cookie, and finds its worker again all the same."""
    if not os.path.isdir(os.path.join(ROOT, "tests", ".work", "node", "node_modules")):
        pytest.skip("the npm packages of suite e2e are not here")
    outputs = {e["data"]["node"]: e["data"]["output"] for e in golden.events("b_success_flags") if e["type"] == "executed"}
    site.compose("kill", "comfyui")  # it is no more than a page
    script = os.path.join(ROOT, "tests", "e2e", "clients.mjs")
    done = subprocess.run(["node", script, "@saintno/comfyui-sdk", "%s:%d" % NGINX, *outputs],
                          env={**os.environ, "NODE": os.environ.get("NODE", os.path.join(ROOT, "tests", ".work", "node"))},
                          capture_output=True, text=True, timeout=90, check=False)
    site.compose("start", "comfyui")
    told = re.findall(r"^RESULT (.*)$", done.stdout, re.M)
    assert told, done.stdout + done.stderr
    result = json.loads(told[-1])
    assert result["failed"] is None and result["images"] == {n: len(o["images"]) for n, o in outputs.items()}, result


# ---- one of several workers --------------------------------------------------------------------------------------

def test_browser_keeps_its_worker_and_browsers_spread(site, machines):
    browsers = [Browser() for _ in range(30)]
    given = [b.worker() for b in browsers]
    assert set(given) == {"comfyui", *MACHINES}, given
    for b in browsers:
        b.accept = "*/*"
    for _ in range(3):
        assert [b.worker() for b in browsers] == given


def test_client_without_cookies_keeps_its_worker(site, machines):
    assert len({Browser("application/json").worker() for _ in range(10)}) == 1


def test_worker_sees_the_host_that_the_browser_asked_for(site, machines):
    browser_of(machines[0]).ask("GET", "/queue", Origin="http://127.0.0.1:8080")
    line, headers = machines[0].seen[-1]
    assert line == "GET /queue HTTP/1.1"
    assert (headers["Host"], headers["Origin"]) == ("127.0.0.1:8080", "http://127.0.0.1:8080")
    assert "Upgrade" not in headers


def test_large_upload_reaches_its_worker_whole(site, machines):
    status, body = browser_of(machines[0]).ask("POST", "/upload/image", b"x" * (3 << 20))
    assert (status, json.loads(body)) == (200, {"bytes": 3 << 20})


def test_browser_of_a_worker_that_is_gone_gets_the_next_one_and_stays_there(site, machines):
    one, other = machines
    browser = browser_of(one)
    one.go()
    status, body = browser.ask("POST", "/prompt", json.dumps({"prompt": {}, "client_id": "moved"}))
    assert status == 200 and [r.sid for r in other.runs.values()] == ["moved"], body
    one.come_back()
    assert browser.worker() == other.where[0]


def test_what_a_worker_may_have_begun_is_not_asked_of_another(site, machines):
    one, other = machines
    browser = browser_of(one)
    one.breaks_off = True
    status, body = browser.ask("POST", "/prompt", json.dumps({"prompt": {}, "client_id": "once"}))
    assert status == 502 and b"has gone while it was asked" in body
    assert other.runs == {}


def test_browser_whose_next_worker_is_gone_too_finds_the_third_when_it_reloads(site):
    for _ in range(20):
        browser = Browser()
        assert (200, b"comfyui\n") in [browser.ask("GET", "/who"), browser.ask("GET", "/who")]


def test_no_worker_at_all_is_said_clearly(site):
    browser = Browser()
    site.compose("kill", "comfyui")
    status, body = browser.ask("GET", "/")
    site.compose("start", "comfyui")
    assert status == 503 and b"No ComfyUI worker answers" in body and b"COMFYUI_WORKERS" in body


def test_worker_that_was_started_anew_is_found_at_its_new_address(site):
    before = site.address("comfyui")
    site.compose("rm", "-sf", "comfyui")
    site.engine.run("run", "-d", "--rm", "--name", site.project + "-other", "--network", site.project + "_front", "nginx:stable")
    site.compose("up", "-d", "--no-build", "--no-deps", "comfyui")
    assert site.address("comfyui") != before
    until(lambda: Browser().ask("GET", "/who") == (200, b"comfyui\n"), "the worker to be found")
    site.engine.run("rm", "-f", site.project + "-other")


# ---- relays that go ----------------------------------------------------------------------------------------------

def begin(crowd, site, clients, over_s):
    """Runs that begin one after the other within this time."""
    story, teller = Story().play("f_reconnect", "p0").play("f2_reconnect_after_end", "p2"), Teller(crowd, site)
    for i in range(clients):
        sid = f"{uuid.uuid4()}"
        crowd.join(sid, story, [NGINX], flagged=i % 2 == 0)
        teller.tell(sid, story, delay=1 + i % 20 / 20 * over_s)
    crowd.run(crowd.all_open, "every client's first status", 60)
    crowd.slowness = Slowness()
    return teller


def end(crowd, teller):
    crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
    crowd.check()
    crowd.slowness.check_away(crowd)


def while_it(crowd, command):
    """Turns until this command of docker-compose has ended."""
    crowd.run(lambda: command.poll() is not None, "docker-compose to end", 90)
    assert command.returncode == 0


def busier_relay():
    """The one that has more clients. Those that wait for the same look-up of `relays` are all given the same one by nginx."""
    held = {relay: int(re.search(r"^comfy_relay_connections (\d+)$", ask(port, "/metrics")[1], re.M)[1])
            for relay, port in (("relay-1", 9190), ("relay-2", 9191))}
    return max(held, key=held.get)


@pytest.mark.parametrize("how", [["stop"], ["kill"]])
def test_client_of_a_relay_that_goes_is_back_within_a_second_and_has_lost_nothing(how, site):
    with Crowd() as crowd:
        teller = begin(crowd, site, 20, 2)
        crowd.run(lambda: teller.now > 2, "the runs to be on their way", 60)
        relay = busier_relay()
        while_it(crowd, site.begin(*how, relay))
        end(crowd, teller)
        assert sum(m.visits > 1 for m in crowd.members) > 0, "nobody was moved"
    site.compose("start", relay)
    site.wait_healthy(relay)


def test_rolling_restart_of_both_relays_loses_nothing_for_100_clients(site):
    with Crowd() as crowd:
        teller = begin(crowd, site, 100, 20)
        for relay in ("relay-1", "relay-2"):
            while_it(crowd, site.begin("up", "-d", "--no-build", "--no-deps", "--force-recreate", relay))
            crowd.run(each(0.5, lambda relay=relay: site.is_healthy(relay)), f"{relay} to be healthy", 60)
        assert not teller.is_done, "the runs were over before the relays were"
        end(crowd, teller)
        assert sum(m.visits > 1 for m in crowd.members) == 100, "somebody was not moved"
        assert all(code == 1012 for m in crowd.members for code in m.codes)


def each(seconds, condition):
    """The same, asked no more often than that."""
    next_at = [0.0]

    def asked():
        if time.monotonic() < next_at[0]:
            return False
        next_at[0] = time.monotonic() + seconds
        return condition()
    return asked


# ---- other files -------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def remote(engine, inside, tmp_path_factory):
    """A project whose Redis is for other machines."""
    folder = tmp_path_factory.mktemp("remote")
    shutil.copytree(os.path.join(DEPLOY, "compose"), folder / "compose")
    shutil.copy(COMPOSE, folder)
    (folder / "compose" / "secrets").mkdir()
    (folder / "compose" / "secrets" / "redis.conf").write_text("requirepass open-sesame\n")
    (folder / "compose" / "secrets" / "redis.password").write_text("open-sesame\n")
    folder.chmod(0o755)
    files = [str(folder / "compose.yaml"), str(folder / "compose" / "remote.yaml")]
    at = Site(engine, "relay-1", files=files, REDIS_LISTEN=MACHINES[0], OPS_PORT_1="9290", WS_PORT_1="8290",
              DRAIN_TIME="0s")
    yield at
    at.down()
    assert at.left() == ["", "", ""]


def wait_ready(at):
    relay = at.container("relay-1")
    until(lambda: at.engine.run("exec", relay, "comfy-relay", "--health") == "live and ready", "the relay to be ready", 30)


def test_redis_for_other_machines_wants_a_password_and_the_relay_has_it(remote):
    wait_ready(remote)
    with pytest.raises(redis.AuthenticationError):
        redis.Redis(host=MACHINES[0]).ping()
    assert redis.Redis(host=MACHINES[0], password="open-sesame").ping()
    assert "open-sesame" not in json.dumps(remote.inspect("relay-1")) + json.dumps(remote.inspect("redis"))


@pytest.fixture
def outside(engine):
    """The process of another machine, at 10.0.0.2 and 192.0.2.2, which has the engine's machine at its `eth0`."""
    other = start(["unshare", "--net", "sleep", "600"], stdin=subprocess.DEVNULL)
    try:
        until(lambda: os.readlink(f"/proc/{other.pid}/exe").endswith("/sleep"), "a network of its own")
        engine.in_network(["ip", "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", str(other.pid)])
        there = ["nsenter", f"--net=/proc/{other.pid}/ns/net"]
        for command in ("address add 10.0.0.1/24 dev eth0", "address add 192.0.2.1/24 dev eth0", "link set eth0 up"):
            engine.in_network(["ip", *command.split()])
        for command in ("address add 10.0.0.2/24 dev eth0", "address add 192.0.2.2/24 dev eth0", "link set eth0 up",
                        "route add 10.77.0.0/24 via 10.0.0.1"):
            subprocess.run([*there, "ip", *command.split()], check=True)
        yield other.pid
    finally:
        other.kill()
        other.wait()  # both ends of the cable go with its network


def test_rule_of_the_guide_leaves_redis_to_its_network_and_to_the_relays(engine, remote, outside):
    with open(os.path.join(DEPLOY, "guides", "three-machines.md"), encoding="utf-8") as f:
        rule = re.search(r"^    (iptables -I DOCKER-USER .*)$", f.read(), re.M)[1]
    engine.in_network(rule.split())
    try:
        remote.compose("restart", "relay-1")
        wait_ready(remote)
        with spaces.inside(outside):
            socket.create_connection((MACHINES[0], 6379), 20, ("10.0.0.2", 0)).close()
            with pytest.raises(TimeoutError):
                socket.create_connection((MACHINES[0], 6379), 2, ("192.0.2.2", 0))
    finally:
        engine.in_network(rule.replace("-I", "-D").split())
    with spaces.inside(outside):
        socket.create_connection((MACHINES[0], 6379), 20, ("192.0.2.2", 0)).close()


def test_worker_on_its_own_machine_reads_the_variables_beside_its_file(tmp_path):
    shutil.copy(os.path.join(DEPLOY, "compose", "worker.yaml"), tmp_path)
    (tmp_path / ".env").write_text("REDIS_HOST=10.0.0.10\nWORKER_LISTEN=10.0.0.11\n")
    done = subprocess.run([program("docker-compose"), "-f", str(tmp_path / "worker.yaml"), "config"], check=True, cwd=DEPLOY,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert "redis://10.0.0.10:6379/0" in done.stdout and "10.0.0.11:8188:8188" in done.stdout


@pytest.mark.parametrize("workers, why", [
    ("a:1 b:1 a:1", '"a:1" is there twice'), ("a:1 b", '"b" is not host:port'), ("a:1;b:1", '"a:1;b:1" is not host:port')])
def test_mistake_in_the_list_of_workers_is_told_and_nothing_begins(workers, why):
    done = subprocess.run(["sh", os.path.join(DEPLOY, "compose", "nginx", "start.sh")], stdin=subprocess.DEVNULL,
                          env={**os.environ, "COMFYUI_WORKERS": workers}, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"COMFYUI_WORKERS: {why}\n")


def test_every_variable_of_the_files_is_in_the_example(inside):
    used = set()
    for path in [COMPOSE, *glob.glob(os.path.join(DEPLOY, "compose", "*.yaml"))]:
        with open(path, encoding="utf-8") as f:
            used |= set(re.findall(r"\$\{(\w+):?-", f.read()))
    with open(os.path.join(DEPLOY, ".env.example"), encoding="utf-8") as f:
        assert set(re.findall(r"^#(\w+)=", f.read(), re.M)) == used
