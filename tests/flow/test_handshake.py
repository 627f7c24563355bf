"""The upgrade, by the recorded cases of a stock server and by the interface's own table.

Where the relay answers otherwise than the recording, `OTHERWISE` says what and why.
"""
import base64
import json
import os
import socket

import pytest
from recording import compact_text, golden
from servers import Relay
from ws import BINARY, CLOSE, PING, PONG, TEXT, KEY, Parser, connect_tcp, encode, read_head, upgrade_request

with open(os.path.join(golden.HERE, "handshake.jsonl"), encoding="utf-8") as f:
    CASES = [json.loads(line) for line in f]

DECLINED = "a server may decline an extension; this one does"
NOT_UPGRADE = "a request for the socket that is no upgrade is told so"
VERSION = "a wrong or missing version is told the right one"

# case: (status, headers it must have, reason), or what differs after a 101.
OTHERWISE = {
    "origin null": (403, {}, "Origin: null is foreign"),
    "no Upgrade: plain GET": (426, {"upgrade": "websocket"}, NOT_UPGRADE),
    "no Connection": (426, {"upgrade": "websocket"}, NOT_UPGRADE),
    "version 8": (426, {"sec-websocket-version": "13"}, VERSION),
    "no version": (426, {"sec-websocket-version": "13"}, VERSION),
    "POST": (405, {"allow": "GET"}, "GET is the only method"),
    "HEAD": (405, {"allow": "GET"}, "GET is the only method"),
    "HTTP/1.0": (400, {}, "a WebSocket needs HTTP/1.1"),
    "clientId of 3000 bytes": (400, {}, "a sid has at most 128 bytes"),
    "request line of 9000 bytes": (431, {}, "limits.header_bytes"),
    "/features": (404, {}, "the relay has no REST API; a worker's server does"),
}
CLOSE_OTHERWISE = {
    "close empty": ([None, 1000], "RFC 6455 5.5.1: an empty close is answered by an empty one, or by 1000 as stock does"),
    "unmasked text": ([1002], "RFC 6455 5.1: a server must close on a frame without mask"),
}
NO_EXTENSION = {"deflate offered": DECLINED, "deflate offered with server_no_context_takeover": DECLINED}
# aiohttp leaves refused connections open, the relay closes them: both are right (RFC 9110 9.6). Those that the
# interface wants closed are here.
MUST_CLOSE = {"no Host", "HTTP/1.0", "request line of 9000 bytes"}


def headers_of(head):
    return {k.lower(): v.strip() for k, _, v in
            (line.partition(":") for line in head.decode("latin-1").split("\r\n")[1:])}


def status_of(head):
    return int(head.split(b" ", 2)[1])


def converse(relay, request, then=b"", frames_before=1):
    """(head, the frames that followed, whether the server closed)."""
    with connect_tcp(relay.address) as s:
        s.sendall(request)
        head, rest = read_head(s)
        if not head or status_of(head) != 101:
            return head, [], is_closed(s)
        parser, frames = Parser(), []
        frames += parser.feed(rest)
        while len(frames) < frames_before:
            frames += parser.feed(s.recv(65536))
        if then:
            send_all_it_takes(s, then)
        send_all_it_takes(s, encode(PING, b"last"))  # whatever precedes its pong was the answer
        closed = False
        while (PONG, b"last") not in frames and not closed:
            try:
                data = s.recv(65536)
            except ConnectionResetError:
                data = b""
            frames += parser.feed(data)
            closed = not data
        return head, [f for f in frames if f != (PONG, b"last")], closed


def send_all_it_takes(s, data):
    try:
        s.sendall(data)
    except (BrokenPipeError, ConnectionResetError):
        pass


def is_closed(s):
    s.settimeout(1)
    try:
        while s.recv(65536):
            pass
        return True
    except (TimeoutError, ConnectionResetError) as e:
        return isinstance(e, ConnectionResetError)


def sent_by(case):
    if case["sent_b64"] == "5242894 bytes":
        return encode(TEXT, b"x" * (5242894 - 14))
    return base64.b64decode(case["sent_b64"])


def frames_of(stock):
    out = []
    for f in stock:
        if f["op"] == CLOSE:
            out.append((CLOSE, f["code"]))
        elif f["op"] in (TEXT,):
            out.append((TEXT, compact_text(f["text"])))
        else:
            out.append((f["op"], base64.b64decode(f["b64"])))
    return out


def readable(frames):
    out = []
    for opcode, payload in frames:
        if opcode == CLOSE:
            out.append((CLOSE, int.from_bytes(payload[:2], "big") if payload else None))
        else:
            out.append((opcode, payload.decode() if opcode == TEXT else payload))
    return out


@pytest.fixture(scope="module")
def one_relay(shared_redis):
    shared_redis.client.flushall()
    with Relay(shared_redis) as r:
        yield r


@pytest.mark.parametrize("case", CASES, ids=[c["case"] for c in CASES])
def test_upgrade_is_answered_as_a_stock_server_does(case, one_relay):
    name = case["case"]
    head, frames, closed = converse(one_relay, case["request"].encode(), sent_by(case))
    if name in OTHERWISE:
        status, headers, why = OTHERWISE[name]
        assert status_of(head) == status, f"{why}: {head}"
        assert headers.items() <= headers_of(head).items(), f"{why}: {head}"
    else:
        assert status_of(head) == int(case["response"].split(" ")[1]), head
    if name in MUST_CLOSE:
        assert closed, "the connection is still open"
    if status_of(head) == 101:
        same_upgrade(name, head, case)
        same_frames(name, readable(frames), case, closed)


def same_upgrade(name, head, case):
    mine, stock = headers_of(head), headers_of(case["response"].encode())
    for header in ("upgrade", "sec-websocket-accept", "sec-websocket-protocol"):
        assert mine.get(header) == stock.get(header), f"{header}: {mine.get(header)}, stock {stock.get(header)}"
    assert mine["connection"].lower() == "upgrade"
    if name not in NO_EXTENSION:
        assert "sec-websocket-extensions" not in stock
    assert "sec-websocket-extensions" not in mine, DECLINED


def same_frames(name, frames, case, closed):
    if name in ("no clientId", "empty clientId"):
        sid = json.loads(frames[0][1])["data"]["sid"]
        assert len(sid) == 32 and set(sid) <= set("0123456789abcdef"), f"minted sid {sid}"
        case["frames"][0]["text"] = case["frames"][0]["text"].replace(
            json.loads(case["frames"][0]["text"])["data"]["sid"], sid)
    first = [(TEXT, '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"hs"}}')] \
        if name in NO_EXTENSION else frames_of(case["frames"])
    assert frames[:1] == first, f"{frames[:1]}, stock {first}"
    then = frames[1:]
    if name in CLOSE_OTHERWISE:
        codes, why = CLOSE_OTHERWISE[name]
        assert len(then) == 1 and then[0][0] == CLOSE and then[0][1] in codes, f"{why}: {then}"
        assert closed
        return
    assert then == frames_of(case["then"]), f"{then}, stock {frames_of(case['then'])}"
    assert closed == case["server_closed_tcp"]


# ---- the interface's table, beyond what was recorded -----------------------------------------------------------

def ask(relay, request):
    head, _, _ = converse(relay, request if isinstance(request, bytes) else request.encode())
    return status_of(head), headers_of(head)


@pytest.mark.parametrize("path", ["/ws", "/api/ws", "/base/path/ws", "/a/b/c/api/ws"])
def test_any_path_that_ends_in_ws_is_the_socket(path, one_relay):
    assert ask(one_relay, upgrade_request(path + "?clientId=p"))[0] == 101


@pytest.mark.parametrize("path", ["/", "/wss", "/ws/x", "/prompt", "/xws"])
def test_any_other_path_is_not_found(path, one_relay):
    assert ask(one_relay, upgrade_request(path))[0] == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "HEAD"])
@pytest.mark.parametrize("path", ["/ws", "/elsewhere"])
def test_any_other_method_is_refused_on_any_path(method, path, one_relay):
    status, headers = ask(one_relay, upgrade_request(path).replace(b"GET", method.encode(), 1))
    assert (status, headers.get("allow")) == (405, "GET")


@pytest.mark.parametrize("line", ["GET  /ws HTTP/1.1", "GET /ws", "GET /ws HTTP/2.0", "nonsense", "GET ws HTTP/1.1"])
def test_malformed_request_line_is_a_bad_request(line, one_relay):
    request = upgrade_request("/ws").replace(b"GET /ws HTTP/1.1", line.encode(), 1)
    assert ask(one_relay, request)[0] == 400


@pytest.mark.parametrize("encoded, sid", [("a%20b", "a b"), ("a+b", "a+b"), ("%E6%BC%A2", "漢"), ("x" * 128, "x" * 128),
                                          ("a%2Bb", "a+b"), ("%22%5C", '"\\'), ("first&clientId=second", "first")])
def test_sid_is_percent_decoded(encoded, sid, one_relay):
    _, frames, _ = converse(one_relay, upgrade_request(f"/ws?clientId={encoded}"))
    assert json.loads(frames[0][1])["data"]["sid"] == sid


@pytest.mark.parametrize("encoded", ["x" * 129, "%7B", "%7D", "a%00b", "%1F", "%7F", "%C2%85", "%FF", "%ED%A0%80", "%C0%80"])
def test_sid_out_of_form_is_a_bad_request(encoded, one_relay):
    assert ask(one_relay, upgrade_request(f"/ws?clientId={encoded}"))[0] == 400


@pytest.mark.parametrize("origin, host, status", [
    ("http://relay.test", "relay.test", 101), ("https://relay.test:444", "relay.test:8190", 101),
    ("http://RELAY.test", "relay.test", 101), ("http://[::1]:3000", "[::1]:8190", 101),
    ("http://evil.test", "relay.test", 403), ("http://relay.test.evil.test", "relay.test", 403), ("null", "relay.test", 403)])
def test_same_host_compares_hosts_without_ports(origin, host, status, one_relay):
    assert ask(one_relay, upgrade_request("/ws", host, [f"Origin: {origin}"]))[0] == status


@pytest.mark.parametrize("origins, origin, status", [
    ("*", "http://any.test", 101), ("*", "null", 101), ("http://a.test, https://b.test:8443", "https://b.test:8443", 101),
    ("http://a.test,https://b.test:8443", "http://b.test:8443", 403), ("http://a.test", "http://a.test:81", 403)])
def test_listed_origins_pass(origins, origin, status, redis_server):
    with Relay(redis_server, ws__origins=origins) as relay:
        assert ask(relay, upgrade_request("/ws", headers=[f"Origin: {origin}"]))[0] == status


def test_refusals_are_counted_by_reason(redis_server):
    with Relay(redis_server) as relay:
        ask(relay, upgrade_request("/elsewhere"))
        ask(relay, upgrade_request("/ws", headers=["Origin: http://evil.test"]))
        ask(relay, upgrade_request("/ws?clientId=%7B"))
        reasons = {k: v for k, v in relay.metrics().items() if k.startswith("handshakes_rejected_total") and v}
    assert reasons == {f'handshakes_rejected_total{{reason="{r}"}}': 1 for r in ("path", "origin", "sid")}


def test_connections_beyond_the_limit_are_told_to_retry(redis_server):
    with Relay(redis_server, limits__connections=2) as relay:
        held = [connect_tcp(relay.address) for _ in range(2)]
        for i, s in enumerate(held):
            s.sendall(upgrade_request(f"/ws?clientId=held-{i}"))
            assert status_of(read_head(s)[0]) == 101
        status, headers = ask(relay, upgrade_request("/ws"))
        for s in held:
            s.close()
    assert status == 503 and int(headers["retry-after"]) >= 1, f"{status} {headers}"


def test_slow_handshake_times_out(redis_server):
    with Relay(redis_server, limits__handshake_timeout="200ms") as relay, connect_tcp(relay.address) as s:
        s.sendall(b"GET /ws HTTP/1.1\r\nHost: relay.test\r\n")
        head, _ = read_head(s)
        assert status_of(head) == 408
        assert is_closed(s)


def test_head_beyond_its_limit_is_refused(redis_server):
    with Relay(redis_server, limits__header_bytes="1KiB") as relay:
        assert ask(relay, upgrade_request("/ws", headers=["X-Long: " + "x" * 1024]))[0] == 431


def test_request_in_single_bytes_is_understood(one_relay):
    with connect_tcp(one_relay.address) as s:
        for i in upgrade_request("/ws?clientId=bytes"):
            s.sendall(bytes([i]))
        assert status_of(read_head(s)[0]) == 101


def test_frame_sent_along_with_the_request_is_not_lost(one_relay):
    with connect_tcp(one_relay.address) as s:
        s.sendall(upgrade_request("/ws?clientId=eager") + encode(PING, b"early"))
        head, rest = read_head(s)
        assert status_of(head) == 101
        parser = Parser()
        frames = parser.feed(rest)
        while (PONG, b"early") not in frames:
            frames += parser.feed(s.recv(65536))


def test_relay_listens_on_several_addresses(redis_server, tmp_path):
    path = str(tmp_path / "relay.sock")
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(path)  # nobody answers on it any more
    with Relay(redis_server) as other:
        with Relay(redis_server, listen=f"127.0.0.1:{other_port()},unix:{path}") as relay:
            with connect_tcp(path) as s:
                s.sendall(upgrade_request("/ws"))
                assert status_of(read_head(s)[0]) == 101
            assert relay.metric("handshakes_total") == 1
        assert other.metric("handshakes_total") == 0


def other_port():
    from servers import free_port
    return free_port()


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65535, 65536, 1024 * 1024])
def test_client_message_up_to_the_limit_is_taken(length, one_relay):
    _, frames, closed = converse(one_relay, upgrade_request("/ws?clientId=len"), encode(BINARY, b"x" * length))
    assert len(frames) == 1 and not closed, readable(frames)[1:]


def test_longer_client_message_closes_with_1009(one_relay):
    _, frames, closed = converse(one_relay, upgrade_request("/ws?clientId=len"), encode(TEXT, b"x" * (1024 * 1024 + 1)))
    assert readable(frames)[1:] == [(CLOSE, 1009)] and closed


def test_fragments_count_together_towards_the_limit(redis_server):
    with Relay(redis_server, limits__client_message_bytes="1000") as relay:
        parts = encode(TEXT, b"x" * 600, fin=False) + encode(0, b"x" * 600)
        _, frames, closed = converse(relay, upgrade_request("/ws?clientId=len"), parts)
        assert readable(frames)[1:] == [(CLOSE, 1009)] and closed


def test_accept_key_follows_the_rfc(one_relay):
    import base64 as b64
    import hashlib
    _, headers = ask(one_relay, upgrade_request("/ws"))
    accept = b64.b64encode(hashlib.sha1((KEY + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    assert headers["sec-websocket-accept"] == accept
