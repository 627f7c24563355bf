"""Many clients in one thread, each as a stock one: when its connection is gone it tries again every 300 ms, for ever.

A turn of the crowd reads what its sockets have, does what is due, and publishes what the stories have due:

    crowd = Crowd(); crowd.join("sid", story, [address]); teller = Teller(crowd, redis); crowd.run(until=..., timeout=...)
"""
import heapq
import itertools
import selectors
import socket
import struct
import time

from servers import PUBLISH_LUA
from story import Viewer
from ws import BINARY, CLOSE, PING, PONG, TEXT, Parser, encode, short, upgrade_request

RETRY_S = 0.3
FLAGS = encode(TEXT, b'{"type":"feature_flags","data":{"supports_preview_metadata":true}}')
TTL_MS, LOG_EVENTS = 300_000, 4096
BATCH = 200


class Member:
    """One client. `addresses`: where it tries, one after the other. `on_frame(member, number)` may cut it."""

    def __init__(self, crowd, sid, story, addresses, flagged=False, on_frame=None):
        self.crowd, self.sid, self.addresses, self.on_frame = crowd, sid, addresses, on_frame
        self.viewer = Viewer(sid, story, crowd.faults, flagged)
        self.sock, self.state, self.attempts, self.address = None, "away", 0, None
        self.parser, self.head = None, b""
        self.away_since, self.longest_away, self.visits, self.codes = None, 0.0, 0, []
        self.acked = -1          # the number that it had got to by its last pong on this connection
        self.silent = []         # sockets that it left open

    # -- coming

    def connect(self):
        self.address = self.addresses[self.attempts % len(self.addresses)]
        self.attempts += 1
        self.sock, self.state = socket.socket(), "connecting"
        self.sock.setblocking(False)
        self.sock.connect_ex(self.address)
        self.crowd.selector.register(self.sock, selectors.EVENT_WRITE, self)

    def on_writable(self):
        if self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            return self.lost(False)
        self.state, self.head = "upgrading", b""
        self.crowd.selector.modify(self.sock, selectors.EVENT_READ, self)
        return self.send(upgrade_request(f"/ws?clientId={self.sid}"))

    def on_readable(self):
        try:
            data = self.sock.recv(65536)
        except OSError:
            data = b""
        if not data:
            return self.lost(self.state == "open")
        if self.state == "upgrading":
            self.head += data
            head, end, data = self.head.partition(b"\r\n\r\n")
            if not end:
                return None
            if not head.startswith(b"HTTP/1.1 101 "):
                return self.lost(False)
            self.opened()
        return self.take(self.parser.feed(data))

    def opened(self):
        self.state, self.parser, self.acked = "open", Parser(), -1
        self.visits += 1
        if self.visits > 1:
            self.viewer.open()
        if self.viewer.flagged:
            self.send(FLAGS)

    # -- being there

    def take(self, frames):
        sock = self.sock
        for opcode, payload in frames:
            if self.sock is not sock:  # it was cut by what it got
                return
            if opcode in (TEXT, BINARY):
                self.got(opcode == TEXT, payload)
            elif opcode == PING:
                self.send(encode(PONG, payload))
                self.acked = max(self.viewer.numbers[-1:], default=-1)
            elif opcode == CLOSE:
                self.codes.append(struct.unpack(">H", payload[:2])[0] if payload else 1005)
                self.send(encode(CLOSE, payload[:2]))

    def got(self, is_text, payload):
        had_all, viewer = self.viewer.has_all, self.viewer
        number = viewer.frame(is_text, payload)
        if viewer.frames == 1 and self.away_since is not None:
            self.longest_away = max(self.longest_away, time.monotonic() - self.away_since)
            self.away_since = None
        self.crowd.complete += viewer.has_all - had_all
        if self.on_frame:
            self.on_frame(self, number)

    def send(self, data):
        try:
            self.sock.send(data)
        except OSError:
            pass

    # -- going

    def lost(self, was_open):
        """The server's side has ended it, or was not there."""
        self.crowd.selector.unregister(self.sock)
        self.sock.close()
        self.went(RETRY_S, was_open)

    def went(self, delay, was_open=True):
        self.sock, self.state = None, "away"
        if was_open:
            self.away_since = time.monotonic()
        self.crowd.after(delay, self.connect)

    def cut(self, how, delay=RETRY_S):
        """how: "rst", "fin", or "silent": its socket stays open, and nobody reads or answers any more."""
        self.crowd.selector.unregister(self.sock)
        if how == "silent":
            self.silent.append(self.sock)
        else:
            if how == "rst":
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            else:
                self.sock.shutdown(socket.SHUT_WR)  # before a close, which resets when something is unread
            self.sock.close()
        self.went(delay)

    def leave(self):
        for s in [*self.silent, *([self.sock] if self.sock else [])]:
            s.close()


class Crowd:
    def __init__(self):
        self.selector, self.members, self.timers = selectors.DefaultSelector(), [], []
        self.complete, self.order, self.tellers, self.faults = 0, itertools.count(), [], []

    def join(self, sid, story, addresses, **options):
        member = Member(self, sid, story, addresses, **options)
        self.members.append(member)
        member.connect()
        return member

    def after(self, delay, fn):
        heapq.heappush(self.timers, (time.monotonic() + delay, next(self.order), fn))

    def turn(self):
        for key, events in self.selector.select(0.005):
            member = key.data
            if member.sock is key.fileobj:
                member.on_writable() if events & selectors.EVENT_WRITE else member.on_readable()
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            heapq.heappop(self.timers)[2]()
        for teller in self.tellers:
            teller.turn(now)

    def run(self, until, what, timeout):
        """Turns until the condition holds."""
        end = time.monotonic() + timeout
        while not until():
            if self.faults:
                self.check()
            assert time.monotonic() < end, f"waited {timeout} s for {what}: {self.describe()}"
            self.turn()

    def run_for(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.turn()

    def all_open(self):
        return all(m.viewer.frames for m in self.members)

    def all_have_all(self):
        return self.complete == len(self.members)

    def describe(self):
        missing = [m for m in self.members if not m.viewer.has_all]
        return (f"{len(self.members) - len(missing)} of {len(self.members)} have everything; "
                f"{[(m.sid, m.state, m.visits, m.viewer.kept, len(m.viewer.story.kept)) for m in missing[:5]]}; "
                f"faults {self.faults[:3]}")

    # -- what they have seen

    def check(self):
        """0 lost, 0 out of order, and all else that a viewer knows of."""
        faults = self.faults
        lost = sum(len(m.viewer.story.kept) - m.viewer.kept for m in self.members)
        assert (lost, len(faults)) == (0, 0), f"{lost} kept events not there (yet), {len(faults)} faults:\n" + "\n".join(
            short(f) if len(f) < 160 else f[:400] for f in faults[:10])

    def figures(self):
        kept = sum(m.viewer.kept for m in self.members)
        return (f"{len(self.members)} clients, {sum(m.visits for m in self.members)} connections, {kept} kept events, "
                f"{sum(m.viewer.repeats for m in self.members)} of them twice")

    def close(self):
        for m in self.members:
            m.leave()
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Teller:
    """The worker: publishes stories by publish.lua, each event when its time has come. While `is_telling` is False its
    clock stands still."""

    def __init__(self, crowd, server, prefix="comfy"):
        self.server, self.prefix, self.is_telling = server, prefix, True
        self.due, self.order = [], itertools.count()
        self.now, self.last, self.told = 0.0, None, 0
        self.sha, self.loaded_by = None, None
        with open(PUBLISH_LUA, encoding="utf-8") as f:
            self.script = f.read()
        crowd.tellers.append(self)

    def tell(self, sid, story, begin=0, end=None, delay=0.0):
        """From now on, after a delay, at the story's own pace: the events with numbers from begin up to end."""
        events = story.events[begin:end]
        if events:
            self.push(sid, events, 0, self.now + delay - events[0].at_s)

    def push(self, sid, events, i, offset):
        if i < len(events):
            heapq.heappush(self.due, (offset + events[i].at_s, next(self.order), sid, events, i, offset))

    @property
    def is_done(self):
        return not self.due

    def turn(self, now):
        if self.last is not None and self.is_telling:
            self.now += now - self.last
            self.publish()
        self.last = now

    def publish(self):
        batch = []
        while self.due and self.due[0][0] <= self.now and len(batch) < BATCH:
            _, _, sid, events, i, offset = heapq.heappop(self.due)
            batch.append((sid, events[i]))
            self.push(sid, events, i + 1, offset)
        if batch:
            self.send(batch)

    def send(self, batch):
        """Publishes (sid, told) at once, one after the other."""
        client = self.server.client
        if self.loaded_by is not self.server.process:
            self.sha, self.loaded_by = client.script_load(self.script), self.server.process
        pipe = client.pipeline(transaction=False)
        for sid, told in batch:
            channel = f"{self.prefix}:sid:{{{sid}}}"
            pipe.evalsha(self.sha, 2, channel + ":log", channel + ":latest", channel, told.packed, TTL_MS, LOG_EVENTS,
                         told.key, int(told.ends))
        pipe.execute()
        self.told += len(batch)
