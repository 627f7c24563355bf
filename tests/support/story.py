"""Recorded runs as stories: numbered events, and what a client must see of them over all its connections.

Each event carries its number where every client gets it, as the last key of a map or the last four bytes of a picture, so
that a frame tells which event it was. A story has no sid: any number of sessions may be told the same one.
"""
import collections
import struct
import time

import msgpack
from contract import conflation_key, ends_prompt
from recording import golden

NUMBER = '"#":'


class Told:
    """One event of a story. rank: how many kept events come before it."""

    def __init__(self, index, rank, at_s, event):
        self.index, self.rank, self.at_s, self.event = index, rank, at_s, event
        self.key, self.ends = conflation_key(event), ends_prompt(event)
        self.prompt = prompt_of(event)
        self.packed = msgpack.packb(event)
        self.has_forms = event["type"] == 4 and not isinstance(event["data"], bytes)
        self.plain = wire(golden.frame(event, False))
        self.with_metadata = wire(golden.frame(event, True)) if self.has_forms else self.plain

    @property
    def is_kept(self):
        return not self.key

    def __repr__(self):
        return f"event {self.index} ({self.event['type']}{', kept' if self.is_kept else ''})"


class Story:
    def __init__(self):
        self.events, self.kept, self.ends_at_s = [], [], 0.0

    def add(self, event, at_s):
        numbered = {"type": event["type"], "data": with_number(event["type"], event.get("data"), len(self.events))}
        told = Told(len(self.events), len(self.kept), at_s, numbered)
        self.events.append(told)
        if told.is_kept:
            self.kept.append(told)
        self.ends_at_s = max(self.ends_at_s, at_s)
        return self

    def play(self, name, prompt, speed=1.0, pause_s=0.0):
        """Adds a recording: what it had for its client, with prompt ids of its own."""
        mine = of_its_client(name)
        for i, recorded in enumerate(e["data"]["prompt_id"] for e in mine if e["type"] == "execution_start"):
            mine = [{**e, "data": replaced(e["data"], recorded, f"{prompt}.{i}")} for e in mine]
        began, first = self.ends_at_s + pause_s, mine[0]["ts"]
        for e in mine:
            self.add(e, began + (e["ts"] - first) / 1000 / speed)
        return self

    def executing_before(self, index):
        """The node that executes when the event with this number comes, for display; None: nothing executes."""
        for told in reversed(self.events[:index]):
            if told.ends:
                return None
            if told.event["type"] == "executing":
                return told.event["data"].get("display_node")
        return None


def of_its_client(name):
    """What a recording had for the client that got most of it."""
    events = golden.events(name)
    counted = collections.Counter(e["sid"] for e in events if e.get("sid"))
    sid = counted.most_common(1)[0][0]
    return [e for e in events if e.get("sid") == sid]


def replaced(x, old, new):
    """x with another prompt id, and with today's timestamp."""
    if isinstance(x, dict):
        return {k: int(time.time() * 1000) if k == "timestamp" else replaced(v, old, new) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [replaced(v, old, new) for v in x]
    return new if x == old else x


def prompt_of(event):
    data = event["data"]
    if event["type"] == 4 and not isinstance(data, bytes):
        data = data[1]
    return data.get("prompt_id") if isinstance(data, dict) else None


def with_number(kind, data, number):
    tail = struct.pack(">I", number)
    if isinstance(kind, str):
        return {**(data if isinstance(data, dict) else {"was": data}), "#": number}
    if isinstance(data, bytes):
        return data + tail
    if kind == 3:
        return [data[0], (data[1] if isinstance(data[1], bytes) else data[1].encode()) + tail]
    if kind == 4:
        (fmt, image, size), metadata = data
        return [[fmt, image + tail, size], metadata]
    return [data[0], data[1] + tail, *data[2:]]


def wire(frame):
    return frame.encode() if isinstance(frame, str) else frame


def number_of(is_text, payload):
    """Of the event that a frame was made of; None: it is not of a story."""
    if not is_text:
        return struct.unpack(">I", payload[-4:])[0]
    at = payload.rfind(NUMBER.encode())
    return int(payload[at + len(NUMBER):-2]) if at >= 0 else None


class Viewer:
    """What one client gets of a story, frame by frame, over all its connections. What must not be goes to `faults`."""

    def __init__(self, sid, story, faults, flagged=False):
        self.sid, self.story, self.faults, self.flagged = sid, story, faults, flagged
        self.kept = 0        # so many of the story's kept events it has, without a gap
        self.newest = {}     # conflation key -> number of the newest event seen
        self.seen = -1       # highest number seen
        self.ended = set()   # prompts
        self.repeats, self.visits = 0, 0
        self.open()

    def open(self):
        """A new connection."""
        self.visits += 1
        self.frames = 0
        self.rank = None           # of the last kept event of this connection
        self.first_number = None
        self.executing = None      # the node that the frame of its own told
        self.is_answered = False   # its flags are known to the server
        self.numbers = []          # of what it got
        self.replays = []          # numbers of kept events that it had already, of this connection
        return self

    @property
    def has_all(self):
        return self.kept == len(self.story.kept)

    def fault(self, what):
        self.faults.append(f"{self.sid}, connection {self.visits}, frame {self.frames}: {what}; its numbers on this connection: "
                           f"{self.numbers[-12:]}, it had {self.kept} kept before event {self.next_kept()}")

    def next_kept(self):
        return self.story.kept[self.kept].index if not self.has_all else None

    # -- frames

    def frame(self, is_text, payload):
        """Returns the event's number, or None."""
        number = number_of(is_text, payload) if not is_text or NUMBER.encode() in payload[-16:] else None
        if self.frames == 0 and not payload.startswith(b'{"type":"status",'):
            self.fault(f"the first frame is {payload[:80]!r}")
        self.frames += 1
        if number is None:
            self.own(payload)
            return None
        self.numbers.append(number)
        told = self.story.events[number]
        self.check_form(told, payload)
        if self.first_number is None:
            self.first_number = number
            self.check_executing(told)
        (self.take_kept if told.is_kept else self.take_latest)(told)
        self.seen = max(self.seen, number)
        return number

    def own(self, payload):
        if payload.startswith(b'{"type":"status",'):
            if (b'"sid":' in payload) != (self.frames == 1):
                self.fault(f"a sid in a later status, or none in the first: {payload!r}")
        elif payload.startswith(b'{"type":"feature_flags",'):
            self.is_answered = True
        elif payload.startswith(b'{"type":"executing",'):
            if self.first_number is not None or self.executing is not None:
                self.fault(f"executing out of its place: {payload!r}")
            self.executing = payload
        elif not payload.startswith(b'{"type":"test.'):
            self.fault(f"a frame that nobody published: {payload[:80]!r}")

    def check_form(self, told, payload):
        expected = told.with_metadata if self.flagged and self.is_answered else told.plain
        if payload != expected:
            other = told.plain if expected is told.with_metadata else told.with_metadata
            self.fault(f"{told} has the form for other flags" if payload == other else
                       f"{told} is {payload[:120]!r}, expected {expected[:120]!r}")

    def check_executing(self, told):
        if self.executing is None:
            return
        node = self.story.executing_before(told.index)
        if self.executing != b'{"type":"executing","data":{"node":"%s"}}' % str(node).encode():
            self.fault(f"told {self.executing!r} before {told}, when {node!r} executes")

    def take_kept(self, told):
        expected = self.kept if self.rank is None else self.rank + 1
        if told.rank > expected:
            missing = self.story.kept[expected:told.rank]
            self.fault(f"{told} comes, and {len(missing)} before it did not: {missing[:4]}")
        elif self.rank is not None and told.rank < expected:
            self.fault(f"{told} comes after {self.story.kept[self.rank]}")
        if told.rank < self.kept:
            self.repeats += 1
            self.replays.append(told.index)
        self.rank, self.kept = told.rank, max(self.kept, told.rank + 1)
        if told.ends and told.prompt:
            self.ended.add(told.prompt)

    def take_latest(self, told):
        before = self.newest.get(told.key, -1)
        if told.index < before:
            self.fault(f"{told} comes after the newer {before} of {told.key!r}")
        if told.prompt in self.ended:
            self.fault(f"{told} comes after the end of its prompt")
        has = self.kept if self.rank is None else self.rank + 1
        if told.rank > has:
            self.fault(f"{told} comes before {self.story.kept[has]}")
        self.newest[told.key] = max(before, told.index)
