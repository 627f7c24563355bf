"""Clients that are cut off at any moment come back and have everything that mattered, in order."""
import os
import random
import time

import pytest
from crowd import Crowd, Teller
from prompt import Prompt, come_and_go, open_with_flags, own_executing, story_of
from servers import AS_BY_DEFAULT, Relay, until
from story import Story
from ws import PONG, Client

SESSIONS, CUTS = 25, 8
# Recordings in which something happens, and how fast they are played.
PLAYED = ["a_success_noflags", "b_success_flags", "b2_core_nodes", "c_cached", "d_error", "d2_blocked", "e_interrupt",
          "f_reconnect", "h_ws_image", "i_progress_text", "m_subgraph", "m2_async", "n_custom", "o_raw_binary", "z_no_socket"]
SPEEDS = [0.2, 0.5, 1, 2, 20]


def seed():
    """Printed by pytest when a test fails; COMFY_RELAY_SEED repeats a run."""
    number = int(os.environ.get("COMFY_RELAY_SEED") or random.randrange(1 << 32))
    print(f"COMFY_RELAY_SEED={number}")
    return number


def random_story(pick, at_least_s):
    """Recordings one after the other, at changing speed."""
    story, i = Story(), 0
    while story.ends_at_s < at_least_s or i < 5:
        story.play(pick.choice(PLAYED), f"prompt-{i}", pick.choice(SPEEDS), pick.uniform(0, 0.4))
        i += 1
    return story


class Cutter:
    """Cuts a client when it has seen certain events, picked at random; what it has seen already when it comes back cuts
    it a moment later."""

    def __init__(self, crowd, pick, story, relays):
        self.crowd, self.pick, self.relays = crowd, pick, relays
        self.points = sorted(pick.randrange(len(story.events)) for _ in range(CUTS))
        self.done, self.fin_acked, self.again = [], None, []

    def on_frame(self, member, number):
        if member.viewer.frames == 1:
            visit = member.visits
            self.crowd.after(self.pick.uniform(0, 0.5), lambda: self.late(member, visit))
        elif number is not None:
            self.check(member, number)
            if self.points and number >= self.points[0]:
                self.cut(member)

    def late(self, member, visit):
        if member.visits == visit and member.state == "open" and self.points and member.viewer.seen >= self.points[0]:
            self.cut(member)

    def cut(self, member):
        self.points.pop(0)
        how, where = self.pick.choice(["rst", "fin", "silent"]), self.pick.choice(self.relays)
        is_same = where == member.address
        self.fin_acked = member.acked if how == "fin" and is_same else None
        self.done.append((how, "same" if is_same else "other"))
        member.addresses = [where]
        member.cut(how, self.pick.choice([0, 0.01, 0.1, 0.3, 0.3]))

    def check(self, member, number):
        """What was acknowledged before a FIN to the relay it comes back to is not sent again."""
        if self.fin_acked is not None and number <= self.fin_acked and number in member.viewer.replays[-1:]:
            self.again.append((member.sid, number, self.fin_acked))


def test_clients_cut_off_at_200_random_points_lose_nothing(redis_server):
    pick = random.Random(seed())
    with Relay(redis_server, log__level="info") as one, Relay(redis_server, log__level="info") as two, Crowd() as crowd:
        relays, teller, cutters = [one.address, two.address], Teller(crowd, redis_server), []
        for i in range(SESSIONS):
            story = random_story(pick, 8)
            cutters.append(Cutter(crowd, pick, story, relays))
            crowd.join(f"cut-{i}", story, [pick.choice(relays)], flagged=i % 2 == 0, on_frame=cutters[i].on_frame)
        crowd.run(crowd.all_open, "every client's first status", 30)
        for m in crowd.members:
            teller.tell(m.sid, m.viewer.story, delay=pick.uniform(0, 0.5))
        crowd.run(lambda: teller.is_done and crowd.all_have_all() and not any(c.points for c in cutters),
                  "every client to have been cut and to have everything", 90)
        crowd.check()
        again = [a for c in cutters for a in c.again]
        cuts = [d for c in cutters for d in c.done]
        print(crowd.figures(), {kind: cuts.count(kind) for kind in sorted(set(cuts))})
    assert len(cuts) == SESSIONS * CUTS
    assert again == [], f"{len(again)} acknowledged events were sent again: {again[:5]}"


# ---- a client whose connection was cut ---------------------------------------------------------------------------

@pytest.fixture
def prompt(publisher):
    return Prompt(publisher, "s")


def test_network_cut_gets_only_what_it_missed(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.cut()
    missed = [prompt.executed("5"), prompt.executing("6")]
    again = connect("s").wait_count(3)
    live = prompt.executed("6")
    again.wait_for(live)
    assert story_of(again) == [*missed, live]
    assert relay.metric("replayed_total") == 2 and relay.metric("replay_gaps_total") == 0


def test_executing_node_is_told_first_when_it_is_not_replayed(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.cut()
    missed = [prompt.executed("5"), prompt.progress(7)]
    again = connect("s").wait_count(4)
    assert story_of(again) == [own_executing("5"), *missed]


def test_executing_node_is_told_to_a_client_that_missed_nothing(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.cut()
    again = connect("s").wait_count(2)
    live = prompt.mark("live")
    again.wait_for(live)
    assert story_of(again) == [own_executing("5"), live]


def test_what_was_not_acknowledged_is_sent_again(relay, connect, prompt):
    client = connect("s", pongs=False)
    sent = [prompt.start(), prompt.executing("5"), prompt.executed("5")]
    client.wait_count(4).cut()
    again = connect("s").wait_count(4)
    assert story_of(again) == sent


@pytest.mark.parametrize("forge", [lambda ping: ping[:-1] + bytes([ping[-1] ^ 1]), lambda ping: b"", lambda ping: ping + b"x",
                                   lambda ping: b"\xff" * len(ping)], ids=["altered", "empty", "longer", "ones"])
def test_only_the_echo_of_a_ping_acknowledges(forge, relay, connect, prompt):
    client = connect("s", pongs=False)
    sent = [prompt.start(), prompt.executing("5")]
    client.wait(lambda: client.pings, "a ping")
    client.send(PONG, forge(client.pings[-1]))
    client.barrier()
    client.cut()
    assert story_of(connect("s").wait_count(3)) == sent


def test_ping_of_another_socket_acknowledges_nothing(relay, connect, prompt):
    client, other = connect("s", pongs=False), connect("o", pongs=False)
    Prompt(prompt.publisher, "o", "q").start()
    sent = [prompt.start(), prompt.executing("5")]
    for c in (client, other):
        c.wait(lambda c=c: c.pings, "a ping")
    client.send(PONG, other.pings[-1])
    client.barrier()
    client.cut()
    assert story_of(connect("s").wait_count(3)) == sent


def test_pong_that_comes_again_and_late_takes_nothing_back(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.wait_acknowledged()
    first = client.pings[-1]
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.send(PONG, first)
    client.barrier()
    client.cut()
    missed = prompt.executed("5")
    assert story_of(connect("s").wait_count(3)) == [own_executing("5"), missed]


def test_prompt_that_ended_meanwhile_is_replayed_to_its_end_without_its_progress(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.cut()
    prompt.progress(1)
    prompt.preview(1)
    missed = [prompt.executed("5"), *prompt.end()]
    again = connect("s").wait_count(4)
    live = prompt.mark("live")
    again.wait_for(live)
    assert story_of(again) == [*missed, live]


def test_conflated_events_are_replayed_once_at_their_newest_place(relay, connect, prompt):
    client = connect("s")
    prompt.start()
    prompt.executing("5")
    prompt.wait_acknowledged()
    client.cut()
    prompt.progress(1)
    prompt.preview(1)
    missed = [prompt.executed("4"), prompt.preview(2)[1], prompt.progress(2), prompt.mark("x")]
    again = connect("s").wait_count(6)
    assert story_of(again) == [own_executing("5"), *missed]


def test_final_pictures_are_replayed_each(relay, connect, prompt):
    """PNG on the preview path is a result."""
    client = connect("s")
    prompt.start()
    prompt.wait_acknowledged()
    client.cut()
    missed = [prompt.preview(i, format="PNG")[1] for i in range(5)]
    assert story_of(connect("s").wait_count(6)) == missed


def test_broadcasts_and_statuses_are_not_replayed(relay, connect, prompt, publisher):
    client, witness = connect("s", pongs=False), connect("witness")
    sent = [prompt.start()]
    publisher.emit("broadcast", 1)
    publisher.emit("status", {"status": {"exec_info": {"queue_remaining": 3}}}, worker="w")
    client.wait_for('"queue_remaining":3')
    client.cut()
    publisher.emit("broadcast", 2)
    witness.wait_for('{"type":"broadcast","data":2}')
    sent.append(prompt.executing("5"))
    again = connect("s").wait_count(3)
    live = prompt.mark("live")
    again.wait_for(live)
    assert again.messages == ['{"type":"status","data":{"status":{"exec_info":{"queue_remaining":3}},"sid":"s"}}', *sent, live]


def test_flags_that_come_with_the_socket_give_the_replay_its_form(relay, connect, prompt):
    come_and_go(connect, prompt)
    frames = [prompt.start(), prompt.preview(1, format="PNG")[0], prompt.preview(2)[0]]
    again = open_with_flags(relay.address, "s")
    again.wait_count(5)
    live = prompt.preview(3)[0]
    again.wait_count(6)
    again.drop()
    assert story_of(again) == [*frames, live]


def test_replay_waits_for_flags_no_longer_than_a_moment(relay, connect, prompt):
    come_and_go(connect, prompt)
    frames = [prompt.start(), prompt.preview(1)[1]]
    began = time.monotonic()
    again = connect("s").wait_count(3)
    waited = again.times[1] - again.times[0]
    assert story_of(again) == frames
    assert waited >= 0.12, f"replayed {waited:.3f} s after the first status, flags may come within 0.15 s"
    assert time.monotonic() - began < 5


def test_live_events_wait_behind_the_replay_and_the_first_status_does_not(relay, connect, prompt):
    come_and_go(connect, prompt)
    frames = [prompt.start(), prompt.executing("5")]
    again = connect("s")
    assert len(again.messages) == 1, "the replay came without its wait"
    frames.append(prompt.executed("5"))
    again.wait_count(4)
    assert story_of(again) == frames


# ---- a page that left --------------------------------------------------------------------------------------------

def run_acknowledged(prompt):
    frames = [prompt.mark("before"), prompt.start(), prompt.executing("5"), prompt.executed("5"), prompt.executing("6")]
    prompt.wait_acknowledged()
    return frames[1:]


def test_reloaded_page_gets_the_whole_prompt_although_the_old_one_had_acknowledged_it(relay, connect, prompt):
    client = connect("s")
    frames = run_acknowledged(prompt)
    client.close(1001)
    again = connect("s").wait_count(5)
    frames.append(prompt.executed("6"))
    again.wait_count(6)
    assert story_of(again) == frames


def test_reloaded_page_that_comes_before_the_old_one_has_left_gets_the_whole_prompt(relay, connect, prompt):
    """Chromium opens the new socket some 10 ms before it closes the old one."""
    client = connect("s")
    frames = run_acknowledged(prompt)
    again = open_with_flags(relay.address, "s")
    client.close(1001)
    frames.append(prompt.executed("6"))
    again.wait_count(7)
    again.drop()
    assert story_of(again) == frames


def test_older_socket_that_stays_open_leaves_the_newer_what_it_had_not_acknowledged(relay, connect, prompt):
    older = connect("s")
    run_acknowledged(prompt)
    newer = connect("s").wait_count(2)
    live = prompt.executed("6")
    newer.wait_for(live)
    older.barrier()
    assert story_of(newer) == [own_executing("6"), live]
    assert live not in story_of(older)


@pytest.mark.parametrize("code", [1000, None, 4001])
def test_any_other_goodbye_keeps_the_place(code, relay, connect, prompt):
    client = connect("s")
    run_acknowledged(prompt)
    client.close(code)
    missed = prompt.executed("6")
    again = connect("s").wait_count(3)
    assert story_of(again) == [own_executing("6"), missed]


def test_reloaded_page_gets_nothing_of_a_prompt_that_has_ended(relay, connect, prompt):
    client = connect("s")
    run_acknowledged(prompt)
    prompt.end()
    client.wait_for('"node":null')
    client.close(1001)
    again = connect("s")
    live = prompt.mark("live")
    again.wait_for(live)
    assert story_of(again) == [live]


def test_page_that_left_is_forgotten_also_when_it_was_silent(redis_server, connect, publisher):
    """Its place is not taken from the tab that replaced it."""
    with Relay(redis_server) as relay:
        prompt = Prompt(publisher, "s")
        older = connect("s", to=relay)
        run_acknowledged(prompt)
        newer = connect("s", to=relay).wait_count(2)
        older.close(1001)
        newer.cut()
        missed = prompt.executed("6")
        assert story_of(connect("s", to=relay).wait_count(3)) == [own_executing("6"), missed]


# ---- bounds ------------------------------------------------------------------------------------------------------

def test_place_is_forgotten_after_its_time_to_live(redis_server, connect, publisher):
    with Relay(redis_server, session__ttl="500ms") as relay:
        prompt = Prompt(publisher, "s")
        come_and_go(connect, prompt, to=relay)
        prompt.mark("missed")
        until(lambda: prompt.ack() is None and relay.metric("sessions") == 0, "the session to be forgotten")
        again = connect("s", to=relay)
        live = prompt.mark("live")
        again.wait_for(live)
        assert story_of(again) == [live]


def test_log_trimmed_past_the_place_is_replayed_from_the_oldest_kept(redis_server, connect, publisher):
    with Relay(redis_server, session__log_events="50", log__level="info") as relay:
        prompt = Prompt(publisher, "s")
        come_and_go(connect, prompt, to=relay)
        missed = [prompt.mark(i) for i in range(200)]
        relay.wait_metric("events_total", 200)
        again = connect("s", to=relay).wait_count(51)
        live = prompt.mark("live")
        again.wait_for(live)
        assert story_of(again) == [*missed[-50:], live]
        assert relay.metric("replay_gaps_total") == 1
        relay.wait_log("a client has missed events")


def test_shared_session_resumes_from_its_least_advanced_socket(redis_server, connect, publisher):
    with Relay(redis_server, session__duplicate="share") as relay:
        prompt = Prompt(publisher, "s")
        quick, slow = connect("s", to=relay), connect("s", to=relay, pongs=False)
        frames = [prompt.start(), prompt.executing("5")]
        for c in (quick, slow):
            c.wait_count(3)
        quick.wait(lambda: quick.pings, "a ping")
        quick.barrier()
        quick.cut()
        slow.cut()
        assert story_of(connect("s", to=relay).wait_count(3)) == frames


def test_socket_that_keeps_up_is_pinged_a_few_times_a_second_and_an_idle_one_is_not(redis_server, connect, prompt):
    with Relay(redis_server, **AS_BY_DEFAULT) as relay:
        busy, idle = connect("s", to=relay), connect("idle", to=relay)
        end = time.monotonic() + 2
        n = 0
        while time.monotonic() < end:
            busy.wait_for(prompt.mark(n))
            n += 1
        prompt.wait_acknowledged()
    assert 2 <= len(busy.pings) <= 10, f"{len(busy.pings)} pings in 2 s, with {n} events"
    assert idle.pings == [], f"{len(idle.pings)} pings for nothing"
    assert all(len(p) <= 125 for p in busy.pings) and len(set(busy.pings)) == len(busy.pings)
