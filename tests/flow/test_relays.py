"""Several relays at one Redis: a session is where its newest socket is, and its client notices nothing."""
import json
import signal
import threading
import time

import msgpack
import pytest
from crowd import Crowd, Teller
from prompt import Prompt, come_and_go, frame_of, open_with_flags, own_executing, story_of
from servers import Relay, until
from story import Story
from ws import Client

CLIENTS = 500


@pytest.fixture
def relays(redis_server):
    with Relay(redis_server) as one, Relay(redis_server) as two:
        yield one, two


@pytest.fixture
def prompt(publisher):
    return Prompt(publisher, "s")


def run_acknowledged(prompt):
    """A prompt at its second node, of which the client has everything. Returns its frames."""
    frames = [prompt.mark("before"), prompt.start(), prompt.executing("5"), prompt.executed("5"), prompt.executing("6")]
    prompt.wait_acknowledged()
    return frames[1:]


# ---- who has the session -----------------------------------------------------------------------------------------

def test_newer_socket_at_another_relay_takes_over_and_the_older_stays_open_and_silent(relays, connect, prompt, publisher):
    one, two = relays
    older, witness = connect("s", to=one), connect("witness", to=one)
    before = prompt.mark("before")
    older.wait_for(before)
    prompt.wait_acknowledged()
    newer = connect("s", to=two)
    one.wait_metric("takeovers_total", 1)  # it learns of it a moment after the newer one's first status
    after = prompt.mark("after")
    newer.wait_for(after)
    publisher.emit("broadcast", 1)
    publisher.emit("by-the-simplest-way", 1, "s")
    for c in (newer, witness):
        c.wait_for('{"type":"broadcast"')
    newer.wait_for("by-the-simplest-way")
    older.barrier()
    assert story_of(older) == [before]
    assert story_of(newer) == [after, frame_of("broadcast", 1), frame_of("by-the-simplest-way", 1)]
    assert one.metric("connections") == 2, "the older socket must stay open"
    assert one.metric("takeovers_total") == 1 and two.metric("takeovers_total") == 0


def test_older_socket_stays_silent_when_the_newer_at_another_relay_closes(relays, connect, prompt, publisher):
    one, two = relays
    older, witness = connect("s", to=one), connect("witness", to=one)
    newer = connect("s", to=two)
    one.wait_metric("takeovers_total", 1)
    newer.close()
    two.wait_metric("connections", 0)
    prompt.mark("missed")
    publisher.emit("broadcast", 1)
    witness.wait_for('{"type":"broadcast"')
    older.barrier()
    assert story_of(older) == []


def test_closing_the_older_socket_at_one_relay_never_touches_the_newer_at_another(relays, connect, prompt):
    one, two = relays
    older = connect("s", to=one)
    run_acknowledged(prompt)
    newer = connect("s", to=two)
    newer.wait_for(own_executing("6"))
    older.close()
    one.wait_metric("connections", 0)
    live = prompt.executed("6")
    newer.wait_for(live)
    assert story_of(newer) == [own_executing("6"), live]


def test_session_that_goes_to_and_fro_between_relays_misses_nothing_and_repeats_nothing(relays, connect, prompt):
    clients, frames, seen = [], [], []
    for i in range(10):
        client = connect("s", to=relays[i % 2])
        relays[(i + 1) % 2].wait_metric("takeovers_total", (i + 1) // 2)  # a moment after its first status
        clients.append(client)
        frames += [prompt.mark(f"{i} live"), prompt.mark(f"{i} last")]
        client.wait_for(frames[-1])
        prompt.wait_acknowledged()
    for c in clients:
        c.barrier()
        seen += story_of(c)
    assert seen == frames
    assert all(not c.closed for c in clients)


def test_sockets_that_come_to_two_relays_at_one_moment_leave_the_session_with_one(relays, connect, publisher):
    for i in range(20):
        prompt, both = Prompt(publisher, f"s{i}"), [None, None]

        def come(n, sid=prompt.sid, both=both):
            both[n] = connect(sid, to=relays[n])
        threads = [threading.Thread(target=come, args=(n,)) for n in (0, 1)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        until(lambda: publisher.client.pubsub_numsub(f"comfy:sid:{{{prompt.sid}}}")[0][1] == 1, "one relay to have it")
        live = prompt.mark("live")
        until(lambda: live in story_of(both[0]) + story_of(both[1]), "one of them to get it")
        for c in both:
            c.barrier()
        got = [story_of(c) for c in both]
        assert sorted(got) == [[], [live]], f"round {i}: {got}"


def test_what_relays_tell_each_other_never_reaches_a_client(relays, connect, prompt, publisher):
    one, two = relays
    clients = [connect("s", to=one), connect("s", to=two), connect("other", to=one)]
    clients[0].close(1001)
    for kind in ("relay.takeover", "relay.left", "relay.of-a-later-version"):
        for data in ({"by": "somebody"}, None, [1], {"by": 5}):
            publisher.session("other", {"type": kind, "data": data})
            publisher.events({"type": kind, "data": data})
    clients.append(connect("other", to=two))
    publisher.emit("mark", 1)
    for c in clients[1:]:
        c.barrier()
    assert not any("relay." in m for c in clients for m in c.messages)


# ---- what a client that comes to another relay is told -----------------------------------------------------------

def test_network_cut_gets_only_what_it_missed_at_another_relay(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one)
    run_acknowledged(prompt)
    client.cut()
    missed = [prompt.executed("6"), prompt.executing("7")]
    again = connect("s", to=two).wait_count(3)
    live = prompt.executed("7")
    again.wait_for(live)
    assert story_of(again) == [*missed, live]


def test_what_was_not_acknowledged_is_sent_again_by_another_relay(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one, pongs=False)
    until(lambda: prompt.ack() == b"0-0", "the place in an empty log to be stored")
    frames = [prompt.start(), prompt.executing("5")]
    client.wait_count(3).cut()
    assert story_of(connect("s", to=two).wait_count(3)) == frames


def test_conflated_events_follow_those_of_the_log_when_read_back(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one)
    run_acknowledged(prompt)
    client.cut()
    prompt.preview(1)
    prompt.progress(1)
    missed = [prompt.executed("4"), prompt.executing("7")]
    latest = [prompt.progress(2), prompt.preview(2)[0]]
    again = open_with_flags(two.address, "s")
    again.wait_count(6)
    live = prompt.executed("7")
    again.wait_for(live)
    again.drop()
    got = story_of(again)
    assert got[:2] == missed and got[-1] == live
    assert sorted(map(str, got[2:-1])) == sorted(map(str, latest))


def test_prompt_that_ended_meanwhile_is_read_back_to_its_end_without_its_progress(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one)
    run_acknowledged(prompt)
    client.cut()
    prompt.progress(1)
    missed = [prompt.executed("6"), *prompt.end()]
    again = connect("s", to=two).wait_count(4)
    live = prompt.mark("live")
    again.wait_for(live)
    assert story_of(again) == [*missed, live]


def test_long_log_is_read_back_whole_and_in_order(relays, connect, prompt):
    one, two = relays
    come_and_go(connect, prompt, to=one)
    frames = [prompt.mark(i) for i in range(1500)]
    again = connect("s", to=two).wait_count(1501)
    assert story_of(again) == frames
    assert two.metric("read_back_total") == 1500 and two.metric("replay_gaps_total") == 0


def test_page_reloaded_to_another_relay_gets_the_whole_prompt(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one)
    frames = run_acknowledged(prompt)
    client.close(1001)
    until(lambda: prompt.ack() is None, "the place to be forgotten")
    again = connect("s", to=two).wait_count(5)
    frames.append(prompt.executed("6"))
    again.wait_count(6)
    assert story_of(again) == frames


def test_page_reloaded_to_another_relay_before_the_old_one_has_left_gets_the_whole_prompt(relays, connect, prompt):
    one, two = relays
    client = connect("s", to=one)
    frames = run_acknowledged(prompt)
    again = open_with_flags(two.address, "s")
    client.close(1001)
    frames.append(prompt.executed("6"))
    again.wait_count(7)
    again.drop()
    assert story_of(again) == frames


def test_first_socket_of_a_running_prompt_gets_it_from_its_start(relays, connect, prompt):
    prompt.mark("of before")
    frames = [prompt.start(), prompt.executing("5"), prompt.executed("5"), prompt.executing("6")]
    client = connect("s", to=relays[0]).wait_count(5)
    live = prompt.executed("6")
    client.wait_for(live)
    assert story_of(client) == [*frames, live]


def test_first_socket_after_a_prompts_end_gets_nothing_of_it(relays, connect, prompt):
    prompt.start()
    prompt.executing("5")
    prompt.end()
    client = connect("s", to=relays[0])
    live = prompt.mark("live")
    client.wait_for(live)
    assert story_of(client) == [live]


# ---- the place of a client in Redis ------------------------------------------------------------------------------

def test_place_in_an_empty_log_is_stored_at_once(relays, connect, prompt):
    connect("s", to=relays[0])
    until(lambda: prompt.ack() == b"0-0", "the place in an empty log to be stored")
    assert 0 < prompt.publisher.client.pttl("comfy:sid:{s}:ack") <= 300_000


def test_place_moves_with_the_pongs_and_not_without(relays, connect, prompt):
    client = connect("s", to=relays[0])
    for i in range(3):
        prompt.mark(i)
        prompt.wait_acknowledged()
    client.cut()
    before = prompt.ack()
    deaf = connect("s", to=relays[0], pongs=False)
    deaf.wait_for(prompt.mark("unanswered"))
    deaf.wait(lambda: deaf.pings, "a ping")
    deaf.barrier()
    assert prompt.ack() == before


def test_conflated_events_do_not_move_the_place(relays, connect, prompt):
    client = connect("s", to=relays[0])
    prompt.start()
    prompt.wait_acknowledged()
    client.wait_for(prompt.progress(1))
    prompt.executing("5")
    prompt.wait_acknowledged()


def test_place_expires_after_the_last_socket_and_is_refreshed_while_one_is_open(redis_server, connect, publisher):
    with Relay(redis_server, session__ttl="2s") as relay:
        prompt, gone = Prompt(publisher, "s"), Prompt(publisher, "gone")
        connect("s", to=relay)
        come_and_go(connect, gone, to=relay)
        until(lambda: prompt.ack() == b"0-0", "the place to be stored")
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert prompt.ack() == b"0-0", "it expired while a socket is open"
            time.sleep(0.05)  # over more than twice its time to live
        assert gone.ack() is None, "it outlived its time to live"
        ttls = {k: publisher.client.pttl(k) for k in publisher.client.keys("comfy:*")}
        assert ttls and all(0 < ttl <= 2000 for ttl in ttls.values()), ttls


def test_place_is_forgotten_when_the_page_leaves(relays, connect, prompt):
    client = connect("s", to=relays[0])
    run_acknowledged(prompt)
    client.close(1001)
    until(lambda: prompt.ack() is None, "the place to be forgotten")


def test_page_that_leaves_one_relay_takes_nothing_from_its_successor_at_another(relays, connect, prompt):
    one, two = relays
    older = connect("s", to=one)
    run_acknowledged(prompt)
    newer = connect("s", to=two)
    newer.wait_for(own_executing("6"))
    older.close(1001)
    one.wait_metric("connections", 0)
    newer.wait_for(prompt.executed("6"))
    prompt.wait_acknowledged()
    newer.cut()
    missed = prompt.executing("7")
    assert story_of(connect("s", to=one).wait_count(2)) == [missed]


def test_log_in_redis_trimmed_past_the_place_is_replayed_from_the_oldest_kept(redis_server, connect, prompt):
    with Relay(redis_server, log__level="info") as one, Relay(redis_server, log__level="info") as two:
        client = connect("s", to=one)
        prompt.mark("first")
        prompt.wait_acknowledged()
        client.cut()
        missed = [prompt.mark(i) for i in range(100)]
        prompt.publisher.client.xtrim("comfy:sid:{s}:log", maxlen=30, approximate=False)
        again = connect("s", to=two).wait_count(31)
        live = prompt.mark("live")
        again.wait_for(live)
        assert story_of(again) == [*missed[-30:], live]
        assert two.metric("replay_gaps_total") == 1
        two.wait_log("a client has missed events")


def test_shared_session_resumes_at_another_relay_from_its_least_advanced_socket(redis_server, connect, prompt):
    with Relay(redis_server, session__duplicate="share") as one, Relay(redis_server, session__duplicate="share") as two:
        quick, slow = connect("s", to=one), connect("s", to=one, pongs=False)
        frames = [prompt.start(), prompt.executing("5")]
        for c in (quick, slow):
            c.wait_count(3)
        quick.wait(lambda: quick.pings, "a ping")
        quick.barrier()
        live = connect("s", to=two)
        live.wait_count(3)
        frames.append(prompt.executed("5"))
        for c in (quick, slow, live):
            c.wait_for(frames[-1])
            assert story_of(c) == frames


# ---- relays that die ---------------------------------------------------------------------------------------------

def test_relay_that_dies_leaves_nothing_but_keys_that_expire(redis_server, connect, publisher):
    relay = Relay(redis_server, session__ttl="2s")
    try:
        for i in range(20):
            client = connect(f"s{i}", to=relay)
            client.wait_for(Prompt(publisher, f"s{i}").start())
        relay.wait_metric("acks_stored_total", 20)
    finally:
        relay.kill()
    keys = [k for k in publisher.client.keys("*") if not k.endswith(b":log")]  # a log is its publisher's
    ttls = {k: publisher.client.pttl(k) for k in keys}
    assert len(keys) >= 20 and all(ttl != -1 for ttl in ttls.values()), ttls
    until(lambda: [k for k in publisher.client.keys("*") if not k.endswith(b":log")] == [], "all to expire")
    assert publisher.client.pubsub_channels("*") == []


def test_relay_killed_under_500_clients_in_mid_run_loses_nothing(redis_server):
    story = Story().play("f_reconnect", "p0", 1.2).play("i_progress_text", "p1", 0.05, 0.2)
    one = Relay(redis_server, log__level="info")
    try:
        with Relay(redis_server, log__level="info") as two, Crowd() as crowd:
            teller = Teller(crowd, redis_server)
            for i in range(CLIENTS):
                crowd.join(f"k{i}", story, [one.address, two.address, two.address], flagged=i % 2 == 0)
            crowd.run(crowd.all_open, "every client's first status", 60)
            for i in range(CLIENTS):
                teller.tell(f"k{i}", story, delay=i % 50 / 50)
            crowd.run(lambda: all(m.viewer.seen > 0 for m in crowd.members), "the runs to be on their way", 60)
            assert all(0 < m.viewer.seen < len(story.events) - 1 for m in crowd.members), "not in mid-run"
            one.signal(signal.SIGKILL)
            crowd.run(lambda: teller.is_done and crowd.all_have_all(), "every client to have everything", 60)
            crowd.check()
            print(crowd.figures(), f"away for {max(m.longest_away for m in crowd.members):.2f} s at most")
            assert all(m.visits == 2 for m in crowd.members)
    finally:
        one.kill()


# ---- keys that hold something else -------------------------------------------------------------------------------

@pytest.mark.parametrize("key", ["log", "latest", "ack", "owner"])
@pytest.mark.parametrize("kind", ["string", "list", "set", "hash", "stream"])
def test_key_of_another_type_is_stepped_over_and_the_session_lives(key, kind, relay, connect, prompt, publisher):
    name, client = f"comfy:sid:{{s}}:{key}", publisher.client
    {"string": lambda: client.set(name, "x"), "list": lambda: client.rpush(name, "x"), "set": lambda: client.sadd(name, "x"),
     "hash": lambda: client.hset(name, "x", "y"), "stream": lambda: client.xadd(name, {"x": "y"})}[kind]()
    began = time.monotonic()
    c = connect("s")
    publisher.session("s", {"type": "live", "data": 1})
    c.wait_for('{"type":"live"')
    assert time.monotonic() - began < 5
    assert story_of(c) == ['{"type":"live","data":1}']
    assert relay.get("/ready")[0] == 200


def test_malformed_entries_of_a_log_are_stepped_over_and_counted(relay, connect, prompt, publisher):
    log, client = "comfy:sid:{s}:log", publisher.client
    frames = [prompt.start(), prompt.executing("5")]
    for fields in ({"x": "no event"}, {"e": b""}, {"e": b"\xc1"}, {"e": b"text"}, {"e": msgpack.packb([1])}, {"e": msgpack.packb({})},
                   {"e": msgpack.packb({"type": "t"}) + b"\0"}, {"e": msgpack.packb({"type": -1})},
                   {"e": msgpack.packb({"type": 3, "data": "wrong shape"})}, {"e": msgpack.packb({"type": "relay.takeover"})}):
        client.xadd(log, fields)
    client.hset("comfy:sid:{s}:latest", mapping={"junk": b"\xc1", "other": msgpack.packb({"type": 4, "data": 5})})
    frames.append(prompt.executed("5"))
    c = connect("s").wait_count(4)
    live = prompt.executing("6")
    c.wait_for(live)
    assert story_of(c) == [*frames, live]
    assert sum(relay.dropped().values()) >= 11, relay.dropped()


@pytest.mark.parametrize("ack", [b"", b"-", b"x", b"5", b"1-2-3", b"99999999999999999999999-0", b"-1-0", b"1-0 ", b"\xff" * 300])
def test_malformed_place_is_taken_for_none(ack, relay, connect, prompt, publisher):
    publisher.client.set("comfy:sid:{s}:ack", ack)
    prompt.mark("of before")
    frames = [prompt.start(), prompt.executing("5")]
    c = connect("s").wait_count(3)
    assert story_of(c) == frames
    until(lambda: prompt.ack() != ack, "its place to be stored")


def test_place_beyond_the_log_replays_nothing(relay, connect, prompt, publisher):
    """Redis has fallen back, or lost the log only."""
    publisher.client.set("comfy:sid:{s}:ack", b"99999999999999-0")
    prompt.start()
    prompt.executing("5")
    c = connect("s")
    live = prompt.executed("5")
    c.wait_for(live)
    assert story_of(c) == [own_executing("5"), live]


def test_ids_out_of_order_are_no_harm(relay, connect, prompt, publisher):
    c = connect("s")
    frames = [prompt.start(), prompt.executing("5")]
    for i in ("1-1", "0-1", "not-an-id", "18446744073709551615-18446744073709551615"):
        publisher.session("s", msgpack.packb(i) + msgpack.packb({"type": "odd", "data": i}))
    frames.append(prompt.executed("5"))
    c.wait_for(frames[-1])
    assert [m for m in story_of(c) if '"odd"' not in m] == frames
    assert relay.dropped().get("bad_id", 0) >= 1
    assert story_of(connect("other")) == []


# ---- memory ------------------------------------------------------------------------------------------------------

def test_idle_sessions_give_way_when_memory_is_short(redis_server, connect, publisher):
    big = "x" * 50_000
    with Relay(redis_server, limits__memory_bytes="1MiB", log__level="info") as relay:
        live = Prompt(publisher, "live")
        stays = connect("live", to=relay)
        stays.wait_for(live.start())
        for i in range(40):
            client = connect(f"idle{i}", to=relay, pongs=False)
            client.wait_for(Prompt(publisher, f"idle{i}").emit("big", big)[:100])
            client.cut()
            assert relay.metric("log_bytes") <= 1 << 20
        assert relay.metric("logs_given_up_total") >= 15
        relay.wait_log("given up for limits.memory_bytes")
        # Nothing is lost by it: Redis has what is not here any more.
        again = connect("idle0", to=relay).wait_count(2)
        assert json.loads(again.messages[1])["data"] == big
        stays.wait_for(live.executing("5"))


def test_session_that_outgrows_memory_alone_loses_its_oldest_and_goes_on(redis_server, publisher):
    with Relay(redis_server, limits__memory_bytes="1MiB", limits__socket_bytes="64KiB", log__level="info") as relay:
        prompt, big = Prompt(publisher, "s"), "x" * 50_000
        client = Client(relay.address, "/ws?clientId=s", read=False, receive_buffer=4096)
        prompt.wait_placed()
        frames = [prompt.emit("big", [i, big]) for i in range(100)]
        relay.wait_metric("events_total", 100)
        assert relay.metric("log_bytes") <= 1 << 20
        client.start_reading()
        client.wait_for('{"type":"big","data":[99')
        live = prompt.mark("live")
        client.wait_for(live)
        client.drop()
        got = [frames.index(f) for f in story_of(client)[:-1]]
        assert got == sorted(set(got)) and got[-1] == 99 and len(got) < 100, got
        assert relay.metric("replay_gaps_total") == 1 and relay.metric("logs_given_up_total") == 0
