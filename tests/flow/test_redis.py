"""Redis comes, goes and comes back; clients stay."""
import pytest
from servers import Publisher, Redis, Relay, until
from ws import Client


@pytest.mark.parametrize("url", ["url", "tcp_url"])
def test_clients_stay_connected_while_redis_is_killed_and_started_again(url, own_redis, connect):
    with Relay(getattr(own_redis, url)) as relay:
        relay.wait_ready()
        clients = [connect(f"c{i}", to=relay) for i in range(20)]
        for round_ in range(3):
            own_redis.kill()
            relay.wait_not_ready()
            assert relay.get("/live")[0] == 200
            newcomer = connect(f"while-away-{round_}", to=relay)
            clients.append(newcomer)
            own_redis.start()
            relay.wait_ready()
            publisher = Publisher(own_redis)
            for c, sid in zip(clients, [f"c{i}" for i in range(20)] + [f"while-away-{r}" for r in range(3)]):
                assert publisher.session(sid, {"type": "back", "data": [sid, round_]}) == 1, f"{sid} is not subscribed"
                c.wait_for('{"type":"back","data":["%s",%d]}' % (sid, round_))
            publisher.emit("all", round_)
            for c in clients:
                c.wait_for('{"type":"all","data":%d}' % round_)
        assert not any(c.closed for c in clients)
        assert relay.metric("redis_reconnects_total") >= 3
        assert relay.metric("connections") == len(clients)


def test_relay_may_start_before_redis(connect):
    server = Redis()
    try:
        server.kill()
        with Relay(server, wait=False) as relay:
            client = connect("early", to=relay)
            assert relay.get("/ready")[0] == 503
            server.start()
            relay.wait_ready()
            assert Publisher(server).session("early", {"type": "x", "data": 1}) == 1
            client.wait_for('{"type":"x"')
    finally:
        server.stop()


def test_first_frames_never_precede_the_subscription_after_a_restart(own_redis, connect):
    with Relay(own_redis) as relay:
        own_redis.kill()
        relay.wait_not_ready()
        own_redis.start()
        relay.wait_ready()
        publisher = Publisher(own_redis)
        for i in range(50):
            client = connect(f"n{i}", to=relay)
            assert publisher.session(f"n{i}", {"type": "x", "data": i}) == 1
            client.wait_count(2)


def test_sessions_are_subscribed_again_in_batches(own_redis, connect):
    """Thousands of sessions must not cost thousands of commands."""
    many = 2000
    with Relay(own_redis, log__level="info") as relay:
        clients = [Client(relay.address, f"/ws?clientId=c{i}", read=False) for i in range(many)]
        relay.wait_metric("acks_stored_total", many, 60)
        for c in clients:
            c.drop()
        until(lambda: relay.metric("connections") == 0, "all sockets to be gone")
        assert len(own_redis.client.pubsub_channels("comfy:sid:*")) == many, "a session lives on without its socket"
        own_redis.kill()
        relay.wait_not_ready()
        own_redis.start()
        relay.wait_ready()
        assert len(own_redis.client.pubsub_channels("comfy:sid:*")) == many, "ready before it was subscribed"
        calls = own_redis.client.info("commandstats")["cmdstat_subscribe"]["calls"]
        assert calls <= 40, f"{calls} SUBSCRIBE commands for {many} sessions"


def test_subscriber_that_redis_cuts_off_comes_back(own_redis, connect):
    with Relay(own_redis) as relay:
        client = connect("c", to=relay)
        own_redis.client.client_kill_filter(_type="pubsub")
        until(lambda: relay.metric("redis_reconnects_total") >= 1, "a reconnect")
        relay.wait_ready()
        publisher = Publisher(own_redis)
        until(lambda: publisher.session("c", {"type": "x", "data": 1}) >= 1, "the subscription")
        client.wait_for('{"type":"x"')


def test_redis_that_speaks_nonsense_does_not_end_the_relay(connect):
    """Something else listens on that port."""
    import socket
    import threading
    with socket.create_server(("127.0.0.1", 0)) as listener:
        def babble():
            while True:
                try:
                    s, _ = listener.accept()
                except OSError:
                    return
                with s:
                    s.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"\xff" * 1000)
        threading.Thread(target=babble, daemon=True).start()
        with Relay(f"redis://127.0.0.1:{listener.getsockname()[1]}/0", wait=False) as relay:
            connect("c", to=relay)
            assert relay.get("/ready")[0] == 503 and relay.get("/live")[0] == 200
        listener.shutdown(socket.SHUT_RDWR)
