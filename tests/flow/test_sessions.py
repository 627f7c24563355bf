"""Sockets and their sessions: who receives what, from the first frame to the time after the last."""
import json

import pytest
from recording import is_status
from servers import Publisher, Redis, Relay, until
from ws import short


def frames(client):
    return [m for m in client.messages if not is_status(m)]


def channels(server):
    return sorted(server.client.pubsub_channels("comfy:sid:*"))


# ---- the first frame ---------------------------------------------------------------------------------------------

def test_event_published_at_the_first_status_is_never_missed(relay, connect, publisher):
    """Clients post their prompt when they have it."""
    for i in range(200):
        client = connect(f"eager-{i}")
        assert publisher.session(f"eager-{i}", {"type": "now", "data": i}) == 1, "nobody had subscribed"
        client.wait_count(2)
        assert client.messages[1] == '{"type":"now","data":%d}' % i


def test_first_frame_is_status_whatever_is_going_on(relay, connect, publisher):
    for i in range(50):
        publisher.emit("noise", i)
        client = connect("busy", wait=False)
        for _ in range(5):
            publisher.emit("noise", i, "busy")
        client.wait_count(1)
        assert client.messages[0] == ('{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},'
                                      '"sid":"busy"}}')


def test_first_status_comes_at_once_when_redis_is_away(connect):
    with Relay() as relay:
        client = connect("alone", to=relay)
        assert json.loads(client.messages[0])["data"]["sid"] == "alone"
        assert relay.get("/live")[0] == 200 and relay.get("/ready")[0] == 503


def test_first_status_comes_after_a_second_when_redis_hangs(own_redis, connect):
    import signal
    with Relay(own_redis) as relay:
        own_redis.process.send_signal(signal.SIGSTOP)
        try:
            client = connect("patient", to=relay)
        finally:
            own_redis.process.send_signal(signal.SIGCONT)
        assert json.loads(client.messages[0])["data"]["sid"] == "patient"
        publisher = Publisher(own_redis)
        until(lambda: publisher.session("patient", {"type": "late", "data": 1}) == 1, "the subscription")
        client.wait_for('{"type":"late"')


def test_no_broadcast_status_carries_a_sid(relay, connect, publisher):
    client = connect("one")
    publisher.emit("status", {"status": {"exec_info": {"queue_remaining": 3}}, "sid": "evil"}, worker="w")
    client.wait_count(2)
    assert client.messages[1] == '{"type":"status","data":{"status":{"exec_info":{"queue_remaining":3}}}}'


# ---- to whom -----------------------------------------------------------------------------------------------------

def test_events_reach_their_session_only_and_broadcasts_all(relay, connect, publisher):
    a, b = connect("a"), connect("b")
    publisher.emit("for-a", 1, "a")
    publisher.session("b", {"type": "for-b", "data": 2})
    publisher.emit("for-all", 3)
    for c in (a, b):
        c.wait_for('{"type":"for-all"')
    assert frames(a) == ['{"type":"for-a","data":1}', '{"type":"for-all","data":3}']
    assert frames(b) == ['{"type":"for-b","data":2}', '{"type":"for-all","data":3}']


@pytest.mark.parametrize("sid", ["a b", "ünï/😀", '"\\', "a:b*?[x]", "x" * 128])
def test_odd_sid_has_its_own_channel(sid, relay, connect, publisher):
    from urllib.parse import quote
    client, other = connect(path=f"/ws?clientId={quote(sid)}"), connect("other")
    assert json.loads(client.messages[0])["data"]["sid"] == sid
    publisher.session(sid, {"type": "mine", "data": 1})
    client.wait_for('{"type":"mine"')
    other.barrier()
    assert frames(other) == []


def test_another_prefix_is_another_world(redis_server, connect):
    with Relay(redis_server, redis__prefix="site2") as relay:
        client = connect("p", to=relay)
        Publisher(redis_server).emit("wrong", 1, "p")
        second = Publisher(redis_server, "site2")
        second.emit("right", 1, "p")
        second.session("p", {"type": "right", "data": 2})
        client.wait_count(3)
        assert frames(client) == ['{"type":"right","data":1}', '{"type":"right","data":2}']


def test_another_database_number_has_its_own_workers(redis_server, connect):
    """Channels know no databases, keys do: what workers store is read from the one that the URL names."""
    import msgpack
    entry = msgpack.packb({"boot": "b", "queue_remaining": 7, "sid": None, "prompt_id": None, "at": 1})
    redis_server.client.execute_command("SELECT", 0)
    redis_server.client.hset("comfy:workers", "w", entry)
    with Relay(redis_server.url + "?db=3") as relay:
        relay.wait_ready()
        assert json.loads(connect("db", to=relay).messages[0])["data"]["status"]["exec_info"]["queue_remaining"] == 0
    with Relay(f"redis://127.0.0.1:{redis_server.port}/0") as relay:
        relay.wait_ready()
        until(lambda: relay.metric("workers") == 1, "the worker to be read")
        assert json.loads(connect("db", to=relay).messages[0])["data"]["status"]["exec_info"]["queue_remaining"] == 7


# ---- two sockets of one sid --------------------------------------------------------------------------------------

def test_newer_socket_takes_over_and_the_older_hears_nothing_more(relay, connect, publisher):
    older = connect("same")
    publisher.emit("before", 1, "same")
    older.wait_for('{"type":"before"')
    older.wait_acknowledged()
    newer = connect("same")
    publisher.emit("after", 1, "same")
    publisher.emit("broadcast", 1)
    newer.wait_for('{"type":"broadcast"')
    older.barrier()
    assert frames(older) == ['{"type":"before","data":1}']
    assert frames(newer) == ['{"type":"after","data":1}', '{"type":"broadcast","data":1}']
    assert relay.metric("connections") == 2, "the older socket must stay open"


def test_closing_the_older_socket_never_touches_the_newer(relay, connect, publisher):
    older, newer = connect("same"), connect("same")
    older.close()
    publisher.emit("still", 1, "same")
    publisher.session("same", {"type": "still", "data": 2})
    newer.wait_count(3)
    assert frames(newer) == ['{"type":"still","data":1}', '{"type":"still","data":2}']


def test_older_socket_stays_silent_when_the_newer_closes(relay, connect, publisher):
    older, newer, witness = connect("same"), connect("same"), connect("witness")
    newer.close()
    publisher.emit("session", 1, "same")
    publisher.emit("broadcast", 1)
    witness.wait_for('{"type":"broadcast"')
    older.barrier()
    assert frames(older) == []


def test_shared_session_serves_all_of_its_sockets(redis_server, connect, publisher):
    with Relay(redis_server, session__duplicate="share") as relay:
        sockets = [connect("same", to=relay) for _ in range(3)]
        publisher.emit("x", 1, "same")
        for c in sockets:
            c.wait_for('{"type":"x"')
        sockets.pop(0).close()
        publisher.emit("y", 2, "same")
        for c in sockets:
            c.wait_for('{"type":"y"')
            assert frames(c) == ['{"type":"x","data":1}', '{"type":"y","data":2}']


# ---- what executes -----------------------------------------------------------------------------------------------

def test_returning_client_is_told_the_node_that_executes(relay, connect, publisher):
    client = connect("back")
    publisher.emit("execution_start", {"prompt_id": "p"}, "back")
    publisher.emit("executing", {"node": "5", "display_node": "4", "prompt_id": "p"}, "back")
    client.wait_for('"node":"5"')
    client.wait_acknowledged()
    client.cut()
    again = connect("back")
    again.wait_count(2)
    assert again.messages[1] == '{"type":"executing","data":{"node":"4"}}'


def test_client_is_told_what_executes_even_if_it_was_never_here(relay, connect, publisher):
    publisher.emit("executing", {"node": "5", "display_node": "5", "prompt_id": "p"}, "new")
    relay.wait_metric("events_total", 1)
    client = connect("new")
    client.wait_count(2)
    assert client.messages[1] == '{"type":"executing","data":{"node":"5"}}'


@pytest.mark.parametrize("end", [
    ("execution_success", {"prompt_id": "p"}), ("execution_interrupted", {"prompt_id": "p"}),
    ("execution_error", {"prompt_id": "p", "exception_type": "ValueError"}),
    ("executing", {"node": None, "prompt_id": "p"})], ids=lambda e: e[0])
def test_nothing_executes_after_a_prompts_end(end, relay, connect, publisher):
    publisher.emit("executing", {"node": "5", "display_node": "5", "prompt_id": "p"}, "new")
    publisher.emit(*end, "new")
    relay.wait_metric("events_total", 2)
    client = connect("new")
    publisher.emit("mark", None, "new")
    client.wait_for('{"type":"mark"')
    assert [m for m in client.messages if '"executing"' in m] == []


def test_blocked_node_does_not_end_its_prompt(relay, connect, publisher):
    publisher.emit("executing", {"node": "5", "display_node": "5", "prompt_id": "p"}, "new")
    publisher.emit("execution_error", {"prompt_id": "p", "exception_type": "ExecutionBlocked"}, "new")
    relay.wait_metric("events_total", 2)
    client = connect("new")
    client.wait_count(2)
    assert client.messages[1] == '{"type":"executing","data":{"node":"5"}}'


def test_end_of_another_prompt_ends_nothing(relay, connect, publisher):
    publisher.emit("executing", {"node": "5", "display_node": "5", "prompt_id": "p"}, "new")
    publisher.emit("executing", {"node": None, "prompt_id": "earlier"}, "new")
    relay.wait_metric("events_total", 2)
    client = connect("new")
    client.wait_count(2)
    assert client.messages[1] == '{"type":"executing","data":{"node":"5"}}'


# ---- the time after ----------------------------------------------------------------------------------------------

def test_channel_is_subscribed_while_the_session_lives_and_no_longer(redis_server, connect):
    with Relay(redis_server, session__ttl="1s") as relay:
        client = connect("short-lived", to=relay)
        assert channels(redis_server) == [b"comfy:sid:{short-lived}"]
        client.close()
        relay.wait_metric("connections", 0)
        assert channels(redis_server) == [b"comfy:sid:{short-lived}"], "it must be kept for session.ttl"
        until(lambda: channels(redis_server) == [], "the channel to be given up")
        until(lambda: relay.metric("sessions") == 0, "the session to be forgotten")


def test_session_that_comes_back_in_time_keeps_its_channel(redis_server, connect, publisher):
    with Relay(redis_server, session__ttl="1s") as relay:
        for _ in range(5):
            connect("again", to=relay).cut()
        client = connect("again", to=relay)
        other = connect("other", to=relay)
        other.close()
        until(lambda: channels(redis_server) == [b"comfy:sid:{again}"], "the other's channel to be given up")
        publisher.session("again", {"type": "here", "data": 1})
        client.wait_for('{"type":"here"')


def test_minted_sids_differ(relay, connect):
    sids = {json.loads(connect().messages[0])["data"]["sid"] for _ in range(50)}
    assert len(sids) == 50 and all(len(s) == 32 and set(s) <= set("0123456789abcdef") for s in sids), short(str(sids))


def test_sid_is_shortened_in_logs_and_absent_from_metrics(redis_server, connect):
    secret = "bearer-secret-" + "0123456789" * 3
    with Relay(redis_server, log__level="debug") as relay:
        connect(secret, to=relay).close()
        relay.wait_metric("handshakes_total", 1)
        metrics = relay.get("/metrics")[1]
    assert secret not in relay.stderr and "bearer" not in metrics


def test_server_needs_its_password(connect):
    server = Redis(password="s3cret word")
    try:
        with Relay(f"redis://:s3cret%20word@127.0.0.1:{server.port}/0") as relay:
            relay.wait_ready()
            client = connect("pw", to=relay)
            Publisher(server).emit("x", 1, "pw")
            client.wait_for('{"type":"x"')
        assert "s3cret" not in relay.stderr
        with Relay(f"redis://:wrong@127.0.0.1:{server.port}/0", wait=False) as relay:
            relay.wait_log("WRONGPASS")
            assert relay.get("/ready")[0] == 503 and relay.get("/live")[0] == 200
    finally:
        server.stop()


def test_password_may_come_from_a_file(tmp_path):
    server = Redis(password="s3cret")
    try:
        (tmp_path / "password").write_text("s3cret\n")
        with Relay(f"redis+unix://{server.path}", redis__password_file=tmp_path / "password") as relay:
            relay.wait_ready()
    finally:
        server.stop()
