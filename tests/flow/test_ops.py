"""The operations address."""
import base64
import hashlib
import re
import shutil
import signal
import subprocess
import time
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
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer" and headers["Cross-Origin-Opener-Policy"] == "same-origin"
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


def sum_of(metrics, name):
    return sum(v for k, v in metrics.items() if k.startswith(name + "{"))


def test_events_and_frames_are_counted_by_class(relay, connect, publisher):
    a = connect("a")
    publisher.emit("execution_start", {"prompt_id": "p"}, "a")
    publisher.emit("progress", {"prompt_id": "p", "node": "1", "value": 1, "max": 2}, "a")
    publisher.emit("notification", "to all")
    publisher.emit("executed", {}, "nobody here")
    publisher.events(b"\xc1")
    publisher.heartbeat("w", entry=False)
    a.wait_count(4)
    m = relay.metrics()
    assert (m['routed_events_total{class="keep"}'], m['routed_events_total{class="latest"}']) == (2, 1)
    assert (m["unrouted_total"], m['messages_dropped_total{reason="malformed"}'], m["events_total"]) == (1, 1, 6)
    assert m['sent_frames_total{class="latest"}'] == 1 and m['sent_frames_total{class="own"}'] == 1
    assert sum_of(m, "sent_frames_total") == m["frames_total"] and m["received_bytes_total"] > 100


def wait_placed(relay):
    """What comes while a session's log is being read counts no lag."""
    until(lambda: relay.metric("sessions_reading") == 0, "all sessions to be read")


def lag_of(metrics, kind="delivery"):
    return metrics[f"{kind}_lag_seconds_count"], metrics[f"{kind}_lag_seconds_sum"]


def test_lag_is_counted_from_ts_to_socket(relay, connect, publisher):
    a, b = connect("a"), connect("b")
    wait_placed(relay)
    publisher.emit("executed", {}, "a", ts=time.time() * 1000 - 3000)
    publisher.emit("notification", "to both", ts=int(time.time() * 1000) - 3000)
    publisher.emit("executed", {}, "b")
    a.wait_count(3)
    b.wait_count(3)
    m = relay.metrics()
    (sent, lag), (arrived, _) = lag_of(m), lag_of(m, "arrival")
    assert (sent, arrived) == (3, 2) and 9 - 0.01 <= lag < 15, m
    assert m['delivery_lag_seconds_bucket{le="2.048"}'] == 0 and m['delivery_lag_seconds_bucket{le="+Inf"}'] == 3


def test_a_ts_that_cannot_be_counts_as_no_lag_or_not_at_all(relay, connect, publisher):
    a = connect("a")
    wait_placed(relay)
    now = time.time() * 1000
    times = [now + 60_000, 2**63, 1e300, float("inf"), now / 1000, 0, -1, float("nan"), float("-inf"), now - 7_200_000]
    for ts in times:
        publisher.emit("executed", {}, "a", ts=ts)
    a.wait_count(1 + len(times))
    m = relay.metrics()
    assert (m['timestamps_implausible_total{reason="ahead"}'], m['timestamps_implausible_total{reason="old"}']) == (4, 6)
    assert lag_of(m) == lag_of(m, "arrival") == (4, 0)


def test_what_is_replayed_counts_no_lag(relay, connect, publisher):
    connect("a").drop()
    until(lambda: relay.metric("connections") == 0, "the socket to be gone")
    publisher.emit("execution_start", {"prompt_id": "p"}, "a", ts=time.time() * 1000 - 5000)
    relay.wait_metric("arrival_lag_seconds_count", 1)
    connect("a").wait_count(2)
    m = relay.metrics()
    assert m["replayed_total"] >= 1 and lag_of(m) == (0, 0), m


def test_a_drain_can_be_watched(redis_server, connect):
    with Relay(redis_server, drain__time="10s", limits__connections=7) as relay:
        clients = [connect(f"d{i}", to=relay) for i in range(4)]
        assert (relay.metric("ready"), relay.metric("draining"), relay.metric("connections_limit")) == (1, 0, 7)
        relay.signal(signal.SIGTERM)
        m = until(lambda: (m := relay.metrics())["draining"] and m, "draining to be told")
        assert m["ready"] == 0 and m["redis_up"] == 1 and m["connections"] == 3
        assert m['connections_closed_total{reason="drain"}'] == 1, "the first at once"
        relay.signal(signal.SIGTERM)
        relay.wait_exit()
        del clients


def test_connections_that_do_not_read_are_told(relay, connect, publisher):
    slow = connect("slow", read=False, wait=False, receive_buffer=4096)
    publisher.emit("executed", "x" * 8_000_000, "slow")
    relay.wait_metric("connections_blocked", 1)
    assert relay.metric("connections_backlog_bytes") > 1_000_000
    slow.start_reading().wait_count(2)
    until(lambda: relay.metric("connections_blocked") == relay.metric("connections_backlog_bytes") == 0, "none to be told")


def test_the_connections_to_redis_are_told(own_redis):
    with Relay(own_redis) as relay:
        up = [f'redis_connection_up{{connection="{name}"}}' for name in ("subscriber", "commands")]
        assert [relay.metric(name) for name in up] == [1, 1]
        own_redis.kill()
        until(lambda: [relay.metric(name) for name in up] == [0, 0], "both connections to be told as lost")
        assert relay.metric("ready") == relay.metric("redis_up") == 0
        own_redis.start()
        relay.wait_ready()
        m = relay.metrics()
        assert [m[name] for name in up] == [1, 1] and m["ready"] == 1 and m["redis_commands_waiting"] < 10


def test_busy_time_grows_with_work_and_not_without(relay, connect, publisher):
    a = connect("a")
    before = relay.metric("loop_busy_seconds_total")
    for i in range(300):
        publisher.emit("executed", "x" * 10_000, "a")
    a.wait_count(301)
    m = relay.metrics()
    assert m["loop_busy_seconds_total"] > before and m["loop_busy_seconds_total"] >= m["cpu_seconds_total"]
