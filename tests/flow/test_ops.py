"""The operations address."""
import base64
import hashlib
import re
import shutil
import subprocess
import urllib.request

import pytest
from servers import Redis, Relay, free_port, until
from ws import connect_tcp, read_head

FIXED = """connections sessions redis_up events_total frames_total conflated_total replayed_total replay_gaps_total workers
queue_remaining""".split()


def raw(relay, request):
    with connect_tcp(("127.0.0.1", relay.ops_port)) as s:
        s.sendall(request)
        head, _ = read_head(s)
    return int(head.split(b" ")[1]), head.decode("latin-1").lower()


def test_live_and_ready_answer_200(relay):
    assert relay.get("/live")[0] == 200
    assert relay.get("/ready")[0] == 200


def test_ready_says_why_not_in_one_line():
    with Relay() as relay:
        status, why = relay.get("/ready")
        assert status == 503 and "redis" in why.lower() and why.strip().count("\n") == 0, why


@pytest.mark.parametrize("url, why", [
    ("redis://127.0.0.1:{closed}/0", "connection refused"), ("redis+unix:///no/such/socket", "no such file or directory"),
    ("redis://127.0.0.1:{port}/0", "NOAUTH"), ("redis://:wrong-one@127.0.0.1:{port}/0", "WRONGPASS"),
    ("redis://:right-one@127.0.0.1:{port}/99", "DB index is out of range")])
def test_ready_tells_what_is_wrong_with_redis_and_no_password(url, why):
    server = Redis(password="right-one")
    try:
        with Relay(url.format(port=server.port, closed=free_port()), wait=False) as relay:
            until(lambda: why in relay.get("/ready")[1], f"{why} in /ready")
            status, text = relay.get("/ready")
        assert status == 503 and text.startswith("not subscribed to Redis: ") and text.count("\n") == 1, text
        assert "-one" not in text + relay.stderr, text + relay.stderr
    finally:
        server.stop()


def test_metrics_pass_promtool(relay, connect, publisher):
    connect("m")
    publisher.events(b"\xc1")
    publisher.emit("x", 1)
    status, body = relay.get("/metrics")
    assert status == 200
    promtool = shutil.which("promtool")
    assert promtool, "promtool is not installed"
    done = subprocess.run([promtool, "check", "metrics"], input=body, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and done.stderr == "", done.stderr + body


def test_every_metric_is_ours_and_has_help_and_type(relay):
    body = relay.get("/metrics")[1]
    names = {re.match(r"[a-z0-9_]+", line)[0] for line in body.splitlines() if line and not line.startswith("#")}
    for name in names:
        family = re.sub(r"_(bucket|sum|count)$", "", name)
        assert name.startswith("comfy_relay_"), name
        assert re.search(rf"^# HELP ({name}|{family}) \S", body, re.M), name
        assert re.search(rf"^# TYPE ({name}|{family}) (counter|gauge|histogram)$", body, re.M), name
    assert {f"comfy_relay_{n}" for n in FIXED} <= names
    assert 'comfy_relay_messages_dropped_total{reason="' in body and 'comfy_relay_handshakes_rejected_total{reason="' in body


def test_figures_follow_what_happens(relay, connect, publisher):
    a, b = connect("a"), connect("b")
    publisher.emit("x", 1)
    publisher.emit("y", 2, "a")
    a.wait_count(3)
    b.wait_count(2)
    m = relay.metrics()
    assert (m["connections"], m["sessions"], m["redis_up"], m["events_total"], m["handshakes_total"]) == (2, 2, 1, 2, 2)
    assert m["frames_total"] == 5, "two first statuses, a broadcast for two, one of a session"


def test_inspector_is_one_page_whose_policy_allows_nothing_but_itself(relay):
    """The hashes are those of its style and script; nothing is loaded from anywhere."""
    with urllib.request.urlopen(f"http://127.0.0.1:{relay.ops_port}/?sid=x", timeout=5) as answer:
        headers, page = answer.headers, answer.read().decode()
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    for directive, tag in (("style-src", "style"), ("script-src", "script")):
        (text,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.S)
        assert policy[directive] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "ws: wss:" and policy["img-src"] == "blob: data: http: https:"
    assert (headers["X-Content-Type-Options"], headers["Referrer-Policy"], headers["X-Frame-Options"]) == ("nosniff", "no-referrer", "DENY")
    assert headers["Cache-Control"] == "no-cache" and headers["Content-Type"] == "text/html; charset=utf-8"
    assert f'data-port="{relay.port}"' in page
    assert not re.search(r"<(script|link|img|iframe)[^>]* (src|href)=(?!\"data:)", page), "it needs no other file"
    assert len(page.encode()) < 80_000
    assert "sid=x" not in relay.stderr


@pytest.mark.parametrize("request_, status", [
    (b"HEAD / HTTP/1.1\r\nHost: o\r\n\r\n", 405), (b"POST / HTTP/1.1\r\nHost: o\r\nContent-Length: 0\r\n\r\n", 405),
    (b"GET /nowhere HTTP/1.1\r\nHost: o\r\n\r\n", 404), (b"POST /metrics HTTP/1.1\r\nHost: o\r\nContent-Length: 0\r\n\r\n", 405),
    (b"GET /live HTTP/1.1\r\n\r\n", 400), (b"nonsense\r\n\r\n", 400),
    (b"GET /live HTTP/1.1\r\nHost: o\r\nX: " + b"x" * 9000 + b"\r\n\r\n", 431)])
def test_operations_address_refuses_as_the_socket_does(request_, status, relay):
    got, head = raw(relay, request_)
    assert got == status, head
    if status == 405:
        assert "\r\nallow: get" in head


def test_slow_request_times_out_on_the_operations_address_too(redis_server):
    with Relay(redis_server, limits__handshake_timeout="200ms") as relay:
        assert raw(relay, b"GET /li")[0] == 408


def test_connections_that_say_nothing_do_not_block_the_others(relay):
    idle = [connect_tcp(("127.0.0.1", relay.ops_port)) for _ in range(50)]
    assert relay.get("/live")[0] == 200
    for s in idle:
        s.close()
