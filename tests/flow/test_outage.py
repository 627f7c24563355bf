"""Redis is restarted, stopped, cut off or emptied under thousands of sessions; what it kept reaches everybody."""
import signal
import time

import pytest
from crowd import Crowd, Teller
from prompt import Prompt, own_executing, story_of
from servers import Publisher, Redis, Relay, is_sanitized, until
from story import Story

SESSIONS, RUNS = 2000, 60
# A release is back in 2 s. With sanitizers everything costs some three times as much, and our own two thousand
# clients share the machine's cores with it.
BACK_S = 6 if is_sanitized() else 2


@pytest.fixture
def lasting_redis():
    """What it was told is there again when it is started again."""
    server = Redis("--appendonly", "yes", "--appendfsync", "no")
    yield server
    server.stop()


def marks(count):
    story = Story()
    for i in range(count):
        story.add({"type": "mark", "data": {"n": i}}, 0.0)
    return story


class Site:
    """A relay with two thousand sessions: some run a recording, the others get an event now and then."""

    def __init__(self, server, relay, crowd):
        self.server, self.relay, self.crowd, self.teller = server, relay, crowd, Teller(crowd, server)
        self.quiet, self.run_story = marks(9), Story().play("f_reconnect", "p0").play("i_progress_text", "p1", 0.05)
        self.told, self.ready_at = 0, None
        for i in range(SESSIONS):
            crowd.join(f"c{i}", self.run_story if i < RUNS else self.quiet, [relay.address], flagged=i % 3 == 0)
        crowd.run(crowd.all_open, "every client's first status", 90)

    def tell(self, count=1):
        """The next events to each of the quiet ones, as fast as Redis takes them."""
        events = self.quiet.events[self.told:self.told + count]
        self.told += count
        self.teller.send([(m.sid, t) for m in self.crowd.members[RUNS:] for t in events])

    def has_told(self):
        return all(m.viewer.kept >= self.told for m in self.crowd.members[RUNS:])

    def begin(self):
        """Everybody has something, and the runs are on their way. Then the workers wait."""
        self.tell(2)
        for m in self.crowd.members[:RUNS]:
            self.teller.tell(m.sid, self.run_story)
        self.crowd.run(lambda: self.teller.now > 1.0 and self.has_told(), "the runs to be on their way", 60)
        self.teller.is_telling = False
        return self

    def is_back(self):
        """Redis answers again: what is published now comes before the relay is there, and soon everybody has it."""
        began = time.monotonic()
        self.poll()
        self.tell(2)
        self.teller.is_telling = True
        self.crowd.run(lambda: self.has_told() and self.ready_at, "every client to have what it missed", 60)
        ready, live = self.ready_at - began, time.monotonic() - began
        print(f"ready after {ready:.2f} s, {SESSIONS} sessions live after {live:.2f} s")
        assert ready <= BACK_S and live <= BACK_S + 1, f"ready after {ready:.2f} s, live after {live:.2f} s"

    def poll(self):
        """/ready, over and over, until it answers 200: then no session may be behind."""
        if self.relay.get("/ready")[0] == 200:
            self.ready_at = time.monotonic()
            assert self.relay.metric("sessions_reading") == 0, "ready, and a session's log is still being read"
        else:
            self.crowd.after(0.02, self.poll)

    def end(self):
        """All is told. Returns the relay's figures."""
        self.tell(len(self.quiet.events) - self.told)
        self.crowd.run(lambda: self.teller.is_done and self.crowd.all_have_all(), "every client to have everything", 60)
        self.crowd.check()
        assert all(m.visits == 1 for m in self.crowd.members), "a client was thrown out"
        assert all(m.viewer.repeats == 0 for m in self.crowd.members), self.crowd.figures()
        metrics = self.relay.metrics()
        print(self.crowd.figures(), {k: metrics[k] for k in ("read_back_total", "redis_reconnects_total")})
        return metrics


@pytest.fixture
def site(lasting_redis):
    with Relay(lasting_redis, log__level="info") as relay, Crowd() as crowd:
        yield Site(lasting_redis, relay, crowd)


def nothing_was_lost(metrics):
    assert metrics["redis_data_lost_total"] == 0, "it took Redis for one that lost its data"
    assert metrics["replay_gaps_total"] == 0


def test_redis_restarted_with_its_data_loses_nothing(site):
    site.begin()
    # What is on its way to the relay goes down with Redis: only the log has it.
    site.relay.signal(signal.SIGSTOP)
    site.tell()
    site.server.kill()
    site.relay.signal(signal.SIGCONT)
    site.relay.wait_not_ready()
    site.crowd.run_for(1.5)
    assert site.relay.get("/ready")[0] == 503 and site.relay.get("/live")[0] == 200
    site.server.start()
    site.is_back()
    metrics = site.end()
    nothing_was_lost(metrics)
    assert metrics["read_back_total"] >= SESSIONS - RUNS, "it can only have had them from the log"


def test_redis_stopped_for_five_seconds_loses_nothing(site):
    site.begin()
    site.tell()
    site.server.process.send_signal(signal.SIGSTOP)
    site.crowd.run_for(5)
    assert site.relay.get("/live")[0] == 200
    site.server.process.send_signal(signal.SIGCONT)
    site.is_back()
    nothing_was_lost(site.end())


def test_redis_that_cuts_all_connections_loses_nothing(site):
    site.begin()
    site.relay.signal(signal.SIGSTOP)
    for kind in ("pubsub", "normal"):
        site.server.client.client_kill_filter(_type=kind, skipme=True)
    site.tell()
    site.relay.signal(signal.SIGCONT)
    site.relay.wait_metric("redis_reconnects_total", 1)
    site.is_back()
    metrics = site.end()
    nothing_was_lost(metrics)
    assert metrics["read_back_total"] >= SESSIONS - RUNS, "it can only have had them from the log"


# ---- a Redis that has lost its data ------------------------------------------------------------------------------

def lost_its_data(site, lose):
    """Nothing is repeated, what is published from now on arrives."""
    site.begin()
    site.crowd.run(lambda: site.relay.metric("acks_stored_total") >= SESSIONS, "every place to be stored", 30)
    lose()
    site.relay.wait_ready(60)
    site.teller.is_telling = True
    site.tell()
    site.crowd.run(site.has_told, "what was published after the loss", 60)
    metrics = site.end()
    assert metrics["replay_gaps_total"] == 0
    return metrics


def test_redis_restarted_empty_is_noticed_and_live_goes_on(site):
    def lose():
        site.server.kill()
        site.relay.wait_not_ready()
        site.server.wipe()
        site.server.start()
    metrics = lost_its_data(site, lose)
    assert metrics["redis_data_lost_total"] >= 1
    site.relay.wait_log("Redis has lost")


def test_redis_emptied_is_noticed_and_live_goes_on(site):
    metrics = lost_its_data(site, site.server.client.flushall)
    site.crowd.run(lambda: site.relay.metric("redis_data_lost_total") >= 1, "the loss to be noticed", 30)
    site.relay.wait_log("Redis has lost")
    assert metrics["redis_reconnects_total"] == 0


def test_redis_that_fell_back_to_an_older_state_is_noticed_and_repeats_nothing(own_redis, connect):
    """As a replica that was behind, and took over."""
    with Relay(own_redis, log__level="info") as relay:
        prompt = Prompt(Publisher(own_redis), "s")
        client = connect("s", to=relay)
        frames = [prompt.start(), prompt.executing("5")]
        prompt.wait_acknowledged()
        own_redis.client.save()
        frames += [prompt.executed("5"), prompt.executing("6")]
        prompt.wait_acknowledged()
        own_redis.kill()
        relay.wait_not_ready()
        own_redis.start()
        assert prompt.ack() < prompt.last_id, "it has not fallen back"
        relay.wait_ready()
        frames += [prompt.executed("6"), prompt.executing("7")]
        client.wait_for(frames[-1])
        assert story_of(client) == frames
        assert relay.metric("redis_data_lost_total") == 1
        prompt.wait_acknowledged()
        client.cut()
        missed = prompt.executed("7")
        assert story_of(connect("s", to=relay).wait_count(3)) == [own_executing("7"), missed]


def test_ids_begin_anew_after_a_loss(own_redis, connect):
    """The clock of the Redis that took over is behind."""
    import msgpack
    with Relay(own_redis, log__level="info") as relay:
        publisher = Publisher(own_redis)
        prompt = Prompt(publisher, "s")
        client = connect("s", to=relay)
        frames = [prompt.start(), prompt.executing("5")]
        prompt.wait_acknowledged()
        own_redis.kill()
        relay.wait_not_ready()
        own_redis.start()
        relay.wait_ready()
        for i in range(3):
            event = msgpack.packb({"type": "low", "data": i})
            own_redis.client.xadd("comfy:sid:{s}:log", {"e": event}, id=f"{5 + i}-0")
            publisher.session("s", msgpack.packb(f"{5 + i}-0") + event)
            frames.append('{"type":"low","data":%d}' % i)
        client.wait_for(frames[-1])
        assert story_of(client) == frames and relay.dropped() == {}
        assert relay.metric("redis_data_lost_total") == 1
        until(lambda: prompt.ack() == b"7-0", "the new ids to be acknowledged")


def test_clients_that_come_while_redis_is_away_get_what_it_kept(lasting_redis, connect):
    prompt = Prompt(Publisher(lasting_redis), "s")
    with Relay(lasting_redis, log__level="info") as relay:
        connect("s", to=relay)
        until(lambda: prompt.ack() == b"0-0", "its place to be stored")
    frames = [prompt.start(), prompt.executing("5"), prompt.executed("5")]
    lasting_redis.kill()
    with Relay(lasting_redis, wait=False, log__level="info") as relay:
        client = connect("s", to=relay)
        assert relay.get("/ready")[0] == 503 and len(client.messages) == 1
        lasting_redis.start()
        client.wait_count(4)
        assert story_of(client) == frames
