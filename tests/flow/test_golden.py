"""Each recording of a real ComfyUI, published in order, reaches the clients of its scenario as a stock server sent it.

What differs by specification is named in tests/support/recording.py, one function each. Beyond those:
- `status` frames come from the workers' shares: one for each change of the sum, and one before a prompt's own end;
- a socket that follows another of its sid, and the first one of a sid whose prompt is in the log in Redis, are told what
  they missed first (class Replay). A stock server tells them the executing node at most;
- a sid that never had a socket here is known only by what went over the channel of all: published on its own channel
  alone, its executing node is not known here before its first socket (f3_late_first_connect).
"""
import base64
import json
import re

import pytest
from contract import conflation_key, ends_prompt
from prompt import own_executing, story_of
from recording import (NAMES, REFUSED, compact_metadata, compact_text, expected_frames, golden, is_flagged, is_prompt_end,
                       is_status, path_of, queue_number, steps, stock_sockets, without_repeated_status)
from servers import Relay
from story import prompt_of, wire
from ws import BINARY, TEXT, Client, Refused, short

BARRIER = '{"type":"test.barrier","data":%d}'


class Replay:
    """What a socket is told first: events that its client has missed, by the rules of replay."""

    def __init__(self, events=(), executes=None, is_from_redis=False):
        held = conflated(events)
        self.kept = held if not is_from_redis else [e for e in held if not conflation_key(e)]
        self.latest = [e for e in held if e not in self.kept]  # read back: after the kept ones, in no order
        current = next((e for e in reversed(held) if e["type"] == "executing"), None)
        self.own = [own_executing(executes)] if executes is not None and current is None else []

    def __len__(self):
        return len(self.kept) + len(self.latest)

    def check(self, frames, flagged, what):
        """Returns the frames that come after it."""
        wanted = [compact_metadata(golden.frame(e, flagged)) for e in self.kept + self.latest]
        n = len(self.kept)
        assert_same(frames[:n], wanted[:n], f"{what}, replay")
        assert_same(sorted(frames[n:len(self)], key=wire), sorted(wanted[n:], key=wire), f"{what}, replay of the newest")
        return frames[len(self):]


def conflated(events):
    """The newest with each key, in its place; of a prompt that has ended, none."""
    out = []
    for e in events:
        key = conflation_key(e)
        if ends_prompt(e):
            out = [o for o in out if not conflation_key(o) or prompt_of(o) != prompt_of(e)]
        out = [o for o in out if not key or conflation_key(o) != key] + [e]
    return out


def executing(events):
    """The display node that executes after these; None: nothing does."""
    node = None
    for e in events:
        if e["type"] == "executing" and e["data"]["node"] is not None:
            node = e["data"].get("display_node") or e["data"]["node"]
        elif e["type"] == "execution_start" or ends_prompt(e):
            node = None
    return node


class Play:
    """One scenario on its way through the relay."""

    def __init__(self, name, relay, publisher, way, step_by_step):
        self.name, self.relay, self.publisher, self.way = name, relay, publisher, way
        self.step_by_step = step_by_step
        self.stock = stock_sockets(name)
        self.clients, self.live, self.minted, self.barriers = {}, {}, {}, 0
        self.queue = 0
        self.told, self.begun, self.left, self.replay = {}, {}, {}, {}  # events of a sid; where a socket began, or left off
        self.opened = None  # the socket that has just opened: its flags come with it

    def run(self):
        try:
            for step in steps(self.name):
                is_its_first = step.op in ("flags", "sent") and step.line["client"] == self.opened
                if self.opened and not is_its_first:
                    self.barrier()
                    self.opened = None
                if step.event is not None:
                    self.publish(step.event, step.envelope)
                else:
                    if not is_its_first:
                        self.barrier()
                    getattr(self, "do_" + step.op)(step.line["client"], step.line)
            self.barrier()
        finally:
            for c in self.clients.values():
                c.drop()
        return self

    # -- the worker

    def publish(self, event, envelope):
        sid = event.get("sid")
        if sid in self.minted:  # the relay gave that socket another id than the stock server did
            envelope, sid = envelope.replace(sid.encode(), self.minted[sid].encode()), self.minted[sid]
        if self.way == "script":
            self.publisher.script(envelope)
        elif self.way == "session" and sid:
            self.publisher.session(sid, envelope)
        else:
            self.publisher.events(envelope)
        if event.get("sid"):
            self.told.setdefault(event["sid"], []).append(event)
        if event["type"] == "status":
            self.queue = event["data"]["status"]["exec_info"]["queue_remaining"]
        if self.step_by_step:
            self.barrier()
            self.await_status()

    def barrier(self):
        """What was published before this has reached every socket that receives."""
        self.barriers += 1
        self.publisher.emit("test.barrier", self.barriers)
        for c in self.live.values():
            c.wait_for(BARRIER % self.barriers)

    def await_status(self):
        for c in self.live.values():
            c.wait(lambda c=c: [queue_number(m) for m in c.messages if is_status(m)][-1] == self.queue,
                   f"the status {self.queue}")

    # -- the clients

    def do_connect(self, label, line):
        stock_sid = self.stock[label].sid
        path = path_of(self.name, label)
        if (self.name, label) in REFUSED:
            with pytest.raises(Refused) as refused:
                Client(self.relay.address, path)
            assert refused.value.status == 400
            return
        older = next((n for n, k in self.clients.items() if self.live.get(stock_sid) is k), None)
        if older:
            self.leave(older)
        c = self.clients[label] = Client(self.relay.address, path)
        c.wait_count(1)
        self.begin(label, stock_sid)
        sid = json.loads(c.messages[0])["data"]["sid"]
        if sid != stock_sid:
            assert re.fullmatch("[0-9a-f]{32}", stock_sid) and stock_sid not in path, f"sid {sid}, stock {stock_sid}"
            assert re.fullmatch("[0-9a-f]{32}", sid), f"minted sid {sid}"
            self.minted[stock_sid] = sid
        self.live[stock_sid] = c

    def begin(self, label, sid):
        told = self.told.get(sid, [])
        self.begun[label], self.opened = len(told), label
        is_read = self.way == "script" and sid not in self.left
        starts = [i for i, e in enumerate(told) if e["type"] == "execution_start"]
        if sid in self.left:
            self.replay[label] = Replay(told[self.left[sid]:], executing(told))
        elif is_read and executing(told) is not None:
            self.replay[label] = Replay(told[starts[-1]:], executing(told), True)
        else:
            self.replay[label] = Replay([], executing(told) if self.way == "events" else None)

    def leave(self, label):
        """Another socket of its sid will come: notes what its client has acknowledged by then."""
        sid, c = self.stock[label].sid, self.clients[label]
        if sum(s.sid == sid for s in self.stock.values()) == 1:
            return
        assert len(self.replay[label]) == 0, "a third socket of one sid"
        mine = self.told.get(sid, [])[self.begun[label]:]
        story = set(story_of(c))

        def places():
            return [i for i, m in enumerate(c.messages) if m in story and not str(m).startswith('{"type":"test.')]
        kept = [i for i, e in enumerate(mine) if not conflation_key(e)]
        if kept:
            last = places()[kept[-1]]
            c.wait(lambda: c.pinged_at and c.pinged_at[-1] > last, "a ping after the last kept event")
            c.barrier()
        asked = c.pinged_at[-1] if c.pinged_at else 0
        self.left[sid] = self.begun[label] + sum(p < asked for p in places())

    def do_flags(self, label, line):
        self.do_sent(label, line)

    def do_sent(self, label, line):
        c = self.clients[label]
        if "text" in line:
            c.send(TEXT, line["text"].encode())
        else:
            c.send(BINARY, base64.b64decode(line["b64"]))
        c.barrier()

    def forget(self, label):
        self.live = {sid: c for sid, c in self.live.items() if c is not self.clients[label]}

    def do_close(self, label, line):
        if self.clients[label] in self.live.values():
            self.leave(label)
        self.forget(label)
        self.clients[label].close()

    def do_cut(self, label, line):
        self.leave(label)
        self.forget(label)
        self.clients[label].cut()

    # -- what they saw

    def seen(self, label):
        """(frames at the connect, frames after it), the test's own barriers left out."""
        s = golden.Socket(label)
        for m in self.clients[label].messages:
            if isinstance(m, bytes):
                s.server_sent({"op": "binary", "b64": base64.b64encode(m).decode()})
            elif not m.startswith('{"type":"test.barrier"'):
                s.server_sent({"op": "text", "text": m})
        return s.at_connect, s.frames

    def check_connect(self, label):
        """The first status, the answer to flags, the executing node when it is not replayed. Returns the other frames."""
        stock, (mine, frames) = self.stock[label], self.seen(label)
        wanted = [compact_text(f) for f in stock.at_connect if '"executing"' not in f]
        if stock.sid in self.minted:
            wanted[0] = wanted[0].replace(stock.sid, self.minted[stock.sid])
        wanted += self.replay[label].own
        what = f"{self.name} {label}"
        assert_same(mine[:1] + sorted(mine[1:]), wanted[:1] + sorted(wanted[1:]), f"{what}, at the connect")
        return self.replay[label].check(frames, is_flagged(stock), what), queue_number(mine[0])


def assert_same(mine, stock, what):
    for i, (a, b) in enumerate(zip(mine, stock)):
        assert a == b, f"{what}, frame {i} of {len(stock)}:\n  relay {short(a)}\n  stock {short(b)}"
    assert len(mine) == len(stock), (f"{what}: {len(mine)} frames, stock {len(stock)}; the first too many or missing: "
                                     f"{short((mine + stock)[min(len(mine), len(stock))])}")


def statuses_obey_the_rules(frames, told, stock, what):
    """At full speed changes may fall together: each status is new or precedes a prompt's end, the last is right."""
    numbers = {told} | {queue_number(f) for f in stock if is_status(f)}
    last = [queue_number(f) for f in stock if is_status(f)][-1:] or [told]
    for i, f in enumerate(frames):
        if is_prompt_end(f):
            assert i and is_status(frames[i - 1]), f"{what}: no status before {f}, but {short(frames[i - 1])}"
        if is_status(f):
            number = queue_number(f)
            before_end = i + 1 < len(frames) and is_prompt_end(frames[i + 1])
            assert number != told or before_end, f"{what}: status {number} again, at frame {i}"
            assert number in numbers, f"{what}: status {number}, stock had {numbers}"
            told = number
    assert told == last[0], f"{what}: the last status is {told}, stock's {last[0]}"


WAYS = pytest.mark.parametrize("way", ["events", "session", "script"])
RECORDINGS = pytest.mark.parametrize("name", NAMES)


def play(name, redis_server, publisher, way, step_by_step):
    with Relay(redis_server, status__interval="0ms", log__level="info") as relay:
        done = Play(name, relay, publisher, way, step_by_step).run()
        dropped = relay.dropped()
    # Sid "" is nobody, nesting beyond 64 and braces in a sid break the contract. Nothing else of a real ComfyUI is dropped.
    allowed = {"n2_limits": {"too_deep"}, "j2_empty_client_id": {"nobody"}, "p_no_client_id": {"bad_sid"}}.get(name, set())
    assert set(dropped) <= allowed, f"dropped: {dropped}"
    return done


@WAYS
@RECORDINGS
def test_recording_arrives_frame_for_frame_when_played_step_by_step(name, way, redis_server, publisher):
    done = play(name, redis_server, publisher, way, True)
    for label in done.clients:
        frames, told = done.check_connect(label)
        assert_same(frames, without_repeated_status(expected_frames(name, label), told), f"{name} {label}")


@WAYS
@RECORDINGS
def test_recording_arrives_frame_for_frame_as_fast_as_redis_takes_it(name, way, redis_server, publisher):
    done = play(name, redis_server, publisher, way, False)
    for label in done.clients:
        frames, told = done.check_connect(label)
        stock = expected_frames(name, label)
        assert_same([f for f in frames if not is_status(f)], [f for f in stock if not is_status(f)], f"{name} {label}")
        statuses_obey_the_rules(frames, told, stock, f"{name} {label}")
