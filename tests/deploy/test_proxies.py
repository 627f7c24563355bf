"""Each proxy of deploy/proxies/, and the block in the README, between real relays and clients."""
import hashlib
import http.client
import http.server
import json
import signal
import subprocess
import threading

import pytest
from crowd import Crowd, Teller
from fixtures import connect, publisher, redis_server, shared_redis  # noqa: F401
from prompt import Prompt
from proxies import Caddy, Haproxy, Nginx, Readme
from servers import Relay, until
from story import Story
from ws import Client

PROXIES = {"nginx": Nginx, "Caddy": Caddy, "HAProxy": Haproxy}
CLIENTS = 40
UPLOAD_BYTES = 64 << 20
BROWSER = {"Accept": "text/html,application/xhtml+xml"}


class Worker:
    """Stands in for ComfyUI: says which one it is, and what has reached it."""

    def __init__(self, name):
        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version, wbufsize = "HTTP/1.1", -1  # an answer is one write

            def answer(self):
                digest, left = hashlib.sha256(), int(self.headers.get("Content-Length") or 0)
                while left and (data := self.rfile.read(min(left, 1 << 20))):
                    digest.update(data)
                    left -= len(data)
                body = json.dumps({"worker": name, "path": self.path, "sha256": digest.hexdigest(),
                                   "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_POST = answer

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads, self.server.handle_error = True, lambda *_: None  # a health check hangs up
        self.address = self.server.server_address
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def workers():
    made = [Worker("one"), Worker("two")]
    yield made
    for w in made:
        w.stop()


@pytest.fixture(params=PROXIES.values(), ids=PROXIES)
def kind(request):
    return request.param


@pytest.fixture
def site(redis_server, workers):
    """site(kind) -> (proxy, relays): it runs in front of two relays and two workers, or as many as its file has."""
    running = []

    def make(kind, changes=(), **options):
        options = {"drain__time": "1s", "log__level": "info", **options}
        relays = [Relay(redis_server, **options) for _ in kind.relays]
        running.extend(relays)
        running.append(kind([r.address for r in relays], [w.address for w in workers[:len(kind.workers)]], changes))
        return running[-1], relays

    yield make
    for r in reversed(running):
        r.stop()


def ask(proxy, path, headers=(), body=None):
    """(what the worker has seen, the cookie that came along)"""
    c = http.client.HTTPConnection(*proxy.address, timeout=60)
    c.request("POST" if body else "GET", path, body, {"Host": "comfy.test:8000", **dict(headers)})
    response = c.getresponse()
    text = response.read()
    assert response.status == 200, f"{response.status}: {text}"
    cookie = response.headers.get("Set-Cookie")
    c.close()
    return json.loads(text), cookie and cookie.partition(";")[0]


def worker_of(proxy, **headers):
    return ask(proxy, "/history", headers)[0]["worker"]


# ---- WebSockets ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*PROXIES.values(), Readme], ids=[*PROXIES, "README"])
def test_its_own_checker_finds_no_fault(kind, site):
    proxy, _ = site(kind)
    done = subprocess.run(proxy.check(), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=proxy.environment(),
                          timeout=30, check=False)
    assert done.returncode == 0 and "warn" not in done.stderr.lower(), done.stderr


@pytest.mark.parametrize("kind", [*PROXIES.values(), Readme], ids=[*PROXIES, "README"])
def test_recorded_run_arrives_whole(kind, site, redis_server):
    proxy, _ = site(kind)
    story = Story().play("f_reconnect", "p0", 2)
    with Crowd() as crowd:
        teller = Teller(crowd, redis_server)
        for i in range(4):
            crowd.join(f"w{i}", story, [proxy.address], flagged=i % 2 == 0)
        crowd.run(crowd.all_open, "every client's first status", 20)
        for m in crowd.members:
            teller.tell(m.sid, story)
        crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
        crowd.check()
        assert [m.visits for m in crowd.members] == [1] * 4


@pytest.mark.parametrize("kind", [*PROXIES.values(), Readme], ids=[*PROXIES, "README"])
def test_every_path_that_ends_in_ws_leads_to_the_relays_and_no_other(kind, site, connect):
    proxy, relays = site(kind)
    for path in ("/ws", "/api/ws", "/some/where/ws"):
        client = connect(to=proxy, path=f"{path}?clientId=s&x=%2F", headers=["Origin: http://relay.test:8000"])
        assert '"sid":"s"' in client.messages[0]
    assert sum(r.metric("connections") for r in relays) == 3
    for path in ("/wsx", "/ws/x", "/?a=/ws", "/api/prompt"):
        assert ask(proxy, path)[0]["path"] == path


def test_foreign_page_is_refused_by_the_relay(kind, site, connect):
    """The Host arrives as the browser sent it."""
    proxy, _ = site(kind)
    with pytest.raises(Exception, match="403"):
        connect("s", to=proxy, headers=["Origin: http://elsewhere.test"])


def test_whom_a_drain_sends_away_is_taken_at_the_first_try(kind, site, redis_server):
    """While one relay drains, and when it has gone."""
    proxy, relays = site(kind, drain__time="2s")
    story = Story().play("f_reconnect", "p0", 0.8)
    with Crowd() as crowd:
        teller = Teller(crowd, redis_server)
        for i in range(CLIENTS):
            crowd.join(f"d{i}", story, [proxy.address])
            teller.tell(f"d{i}", story, delay=1)
        crowd.run(crowd.all_open, "every client's first status", 20)
        held = [r.metric("connections") for r in relays]
        assert min(held) >= CLIENTS / 4, f"the proxy gave the relays {held} connections"
        relays[0].signal(signal.SIGTERM)
        crowd.run(lambda: relays[0].process.poll() is not None, "the relay to end", 20)
        for i in range(4):
            crowd.join(f"late{i}", story, [proxy.address])
            teller.tell(f"late{i}", story)
        crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
        crowd.check()
        assert [(m.sid, m.attempts, m.visits) for m in crowd.members if m.attempts != m.visits] == []
        assert sum(m.visits - 1 for m in crowd.members) == held[0]


def test_idle_socket_outlives_the_proxys_timeout_by_the_relays_pings(kind, site):
    if kind.hour is None:
        pytest.skip("it has no timeout for an open WebSocket")
    proxy, _ = site(kind, {kind.hour: "2s"}, ws__ping_interval="500ms")
    silent, _ = site(kind, {kind.hour: "2s"}, ws__ping_interval="1h")
    kept, cut = (Client(p.address, "/ws?clientId=i").wait_count(1) for p in (proxy, silent))
    cut.wait_closed()
    kept.wait(lambda: len(kept.pings) >= 8, "eight pings")
    assert not kept.closed
    kept.close()


@pytest.mark.parametrize("kind", [*PROXIES.values(), Readme], ids=[*PROXIES, "README"])
def test_no_client_id_gets_into_a_log(kind, site, connect):
    """Not of one that is connected, nor of one that finds no relay."""
    proxy, relays = site(kind)
    client = connect("secret-1", to=proxy)
    for relay in relays:
        relay.stop()
    client.wait_closed()
    with pytest.raises(Exception, match="50[234]"):
        connect("secret-2", to=proxy)
    ask(proxy, "/history?which=this")
    if issubclass(kind, Nginx):
        until(lambda: "which=this" in proxy.logged(), "the line of another request, which is written after these")
    assert "secret" not in proxy.logged()


# ---- what is for the workers --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*PROXIES.values(), Readme], ids=[*PROXIES, "README"])
def test_upload_of_64_mb_passes(kind, site):
    proxy, _ = site(kind)
    body = bytes(range(256)) * (UPLOAD_BYTES // 256)
    seen, _ = ask(proxy, "/api/upload/image", body=body)
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


def test_worker_sees_the_host_and_the_client(kind, site):
    proxy, _ = site(kind)
    seen = ask(proxy, "/api/prompt", {"X-Forwarded-For": "203.0.113.9"})[0]["headers"]
    assert seen["host"].partition(":")[0] == "comfy.test"
    assert seen["x-forwarded-for"].rpartition(",")[2].strip() == "127.0.0.1"


def test_browser_stays_with_one_worker(kind, site):
    proxy, _ = site(kind)
    chosen = set()
    for _ in range(20):
        page, cookie = ask(proxy, "/", BROWSER)
        assert cookie, "a new browser is given a cookie"
        chosen.add(page["worker"])
        assert {worker_of(proxy, Cookie=cookie) for _ in range(10)} == {page["worker"]}
        assert {worker_of(proxy, Cookie=f"other=1; {cookie}", **BROWSER) for _ in range(3)} == {page["worker"]}
    assert chosen == {"one", "two"}, "twenty browsers, and all came to one worker"


def test_script_without_cookies_stays_with_one_worker(kind, site):
    """Also one that keeps a cookie if it is given one."""
    proxy, _ = site(kind)
    first, cookie = ask(proxy, "/prompt", {"Accept": "*/*"}, b"{}")
    assert {worker_of(proxy) for _ in range(20)} == {first["worker"]}
    assert {worker_of(proxy, **({"Cookie": cookie} if cookie else {})) for _ in range(20)} == {first["worker"]}
