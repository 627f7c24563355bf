"""Relays are drained and replaced while their clients run: nobody loses anything, and nobody is away for long."""
import signal

import pytest
from crowd import Crowd, Teller
from prompt import Prompt
from servers import Nginx, Relay
from slowness import Slowness
from story import Story

CLIENTS = 200


def run_story():
    return Story().play("f_reconnect", "p0", 0.8).play("i_progress_text", "p1", 0.05, 0.2).play("f2_reconnect_after_end", "p2")


def begin(crowd, server, addresses):
    """Two hundred clients, each with a run of its own, begun at different times."""
    story, teller = run_story(), Teller(crowd, server)
    for i in range(CLIENTS):
        crowd.join(f"r{i}", story, addresses(i), flagged=i % 2 == 0)
        teller.tell(f"r{i}", story, delay=1 + i % 40 / 20)
    crowd.run(crowd.all_open, "every client's first status", 60)
    crowd.slowness = Slowness()
    return teller


def end(crowd, teller):
    crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
    crowd.check()
    crowd.slowness.check_away(crowd)


def exited(relay):
    return relay.process.poll() is not None


def test_clients_of_a_drained_relay_go_on_at_another_and_get_nothing_twice(redis_server):
    with Relay(redis_server, drain__time="2s", log__level="info") as two, Crowd() as crowd:
        with Relay(redis_server, drain__time="2s", log__level="info") as one:
            teller = begin(crowd, redis_server, lambda i: [one.address, two.address])
            crowd.run(lambda: teller.now > 2.5, "the runs to be on their way", 60)
            one.signal(signal.SIGTERM)
            crowd.run(lambda: exited(one), "the relay to end", 30)
            assert one.wait_exit() == 0
        end(crowd, teller)
        assert [m.codes for m in crowd.members] == [[1012]] * CLIENTS
        assert all(m.visits == 2 for m in crowd.members)
        assert max(m.viewer.repeats for m in crowd.members) == 0, crowd.figures()


def test_places_are_stored_before_a_drained_relay_ends(redis_server, connect, publisher):
    with Relay(redis_server, drain__time="0ms") as relay:
        prompts = [Prompt(publisher, f"d{i}") for i in range(20)]
        clients = [connect(p.sid, to=relay) for p in prompts]
        for p, c in zip(prompts, clients):
            c.wait_for(p.mark("last"))
        relay.signal(signal.SIGTERM)
        for c in clients:
            c.wait_closed(1012)
        assert relay.wait_exit() == 0
        assert [p.ack() for p in prompts] == [p.last_id for p in prompts]


@pytest.fixture
def proxied(redis_server):
    """Two relays behind nginx, and a way to replace each."""
    options = {"drain__time": "1s", "log__level": "info"}
    relays = [Relay(redis_server, **options), Relay(redis_server, **options)]
    nginx = Nginx([r.address for r in relays])

    def replace(i):
        old = relays[i]
        old.stop()
        relays[i] = Relay(redis_server, listen=f"127.0.0.1:{old.port}", **options)
        relays[i].address = old.address

    yield nginx, relays, replace
    nginx.stop()
    for r in relays:
        r.stop()


def test_rolling_update_behind_nginx_loses_nothing_and_keeps_nobody_away(redis_server, proxied):
    nginx, relays, replace = proxied
    with Crowd() as crowd:
        teller = begin(crowd, redis_server, lambda i: [nginx.address])
        held = [r.metric("connections") for r in relays]
        assert min(held) >= CLIENTS / 4, f"nginx gave the relays {held} connections"
        for i in (0, 1):
            crowd.run(lambda i=i: teller.now > 2 + 2 * i, "the runs to be on their way", 60)
            relays[i].signal(signal.SIGTERM)
            crowd.run(lambda i=i: exited(relays[i]), "the relay to end", 30)
            replace(i)
        end(crowd, teller)
        assert sum(m.visits > 1 for m in crowd.members) == CLIENTS, "somebody was not moved"
        assert all(code == 1012 for m in crowd.members for code in m.codes)
