"""A recorded run that a worker publishes in steps, and what a client must see of it."""
import contextlib
import threading
import time
import uuid

import msgpack
from comfyui import Run
from contract import conflation_key, ends_prompt
from recording import golden
from servers import TIMEOUT, Publisher, until

# Places of b_success_flags in mid-prompt: before the first node, between nodes, between previews, after an output.
PLACES = [3, 6, 9, 12, 13, 18, 22, 27, 31, 33]


class RecordedRun:
    """The events of one prompt for a session. Places in it are counted from its first event; `at` is the next one."""

    def __init__(self, server, sid, recording="b_success_flags", prompt_id=None, all_kept=False):
        self.publisher, self.sid, self.at = Publisher(server), sid, 0
        played = Run(recording, prompt_id or str(uuid.uuid4()), sid)
        self.events = [msgpack.unpackb(packed, strict_map_key=False) for _, packed in played.packed()]
        if all_kept:
            self.events = [{"keep": True, **e} for e in self.events]
        self.end = len(self.events)

    # -- the worker

    def play(self, to):
        """Publishes all events before this place; returns the newest that the session was sent."""
        assert to >= self.at, f"place {to} is behind {self.at}"
        for event in self.events[self.at:to]:
            self.publisher.script(event)
        self.at = to
        return self.newest

    @contextlib.contextmanager
    def plays_in_the_background(self, to, pause_s=0.002):
        """While the block runs, and then for as long as it takes; the block begins when the first event is out."""
        begun = threading.Event()

        def play():
            for place in range(self.at + 1, to + 1):
                self.play(place)
                begun.set()
                time.sleep(pause_s)  # its pace

        worker = threading.Thread(target=play)
        worker.start()
        begun.wait(TIMEOUT)
        yield
        worker.join()

    def play_on(self):
        """To the end."""
        return self.play(self.end)

    @property
    def newest(self):
        return [e for e in self.events[:self.at] if e["sid"]][-1]

    # -- Redis

    def key(self, name):
        return f"comfy:sid:{{{self.sid}}}:{name}"

    @property
    def acknowledged(self):
        return self.publisher.client.get(self.key("ack"))

    def wait_acknowledged(self):
        """Until the client is known to have every event that is kept."""
        newest = self.publisher.client.xrevrange(self.key("log"), count=1)[0][0]
        until(lambda: self.acknowledged == newest, f"{newest} to be acknowledged")

    def wait_forgotten(self):
        until(lambda: self.acknowledged is None, "the client's place to be forgotten")

    # -- places

    def after(self, kind, nth=1):
        """The place just after the nth event of a type."""
        return [i for i, e in enumerate(self.events) if e["type"] == kind][nth - 1] + 1

    # -- what a client must see

    def kept(self, begin=0, end=None):
        return [e for e in self.mine(begin, end) if not conflation_key(e)]

    def conflated(self, begin=0, end=None):
        """The newest of each kind, as it stands in the log: the end of a prompt drops them."""
        newest = {}
        for e in self.mine(begin, end):
            if conflation_key(e):
                newest[conflation_key(e)] = e
            if ends_prompt(e):
                newest = {}
        return list(newest.values())

    def log(self, begin=0, end=None):
        """In the order of the log: kept events, and conflated ones where the newest stands."""
        shown = [*map(id, self.kept(begin, end)), *map(id, self.conflated(begin, end))]
        return [e for e in self.mine(begin, end) if id(e) in shown]

    def mine(self, begin, end):
        return [e for e in self.events[begin:self.at if end is None else end] if e["sid"]]

    def current_executing(self, begin):
        """The frame that says where a prompt is whose `executing` is not among what is replayed from this place."""
        nodes = [e for e in self.events[:self.at] if e["type"] == "executing" or ends_prompt(e)]
        if not nodes or ends_prompt(nodes[-1]) or any(e is nodes[-1] for e in self.events[begin:self.at]):
            return []
        return [golden.frame({"type": "executing", "data": {"node": nodes[-1]["data"]["node"]}}, True)]


def frames(events, has_flag=True):
    """As a page shows them."""
    return [shown(golden.frame(e, has_flag)) for e in events]


def shown(frame):
    return frame if isinstance(frame, str) else "binary " + frame.hex()


def assert_same(seen, expected):
    for i, (mine, theirs) in enumerate(zip(seen, expected)):
        assert mine == theirs, f"frame {i}:\n  seen     {brief(mine)}\n  expected {brief(theirs)}\n{both(seen, expected)}"
    assert len(seen) == len(expected), f"{len(seen)} frames, expected {len(expected)}\n{both(seen, expected)}"


def assert_goes_on(seen, events, has_flag=True):
    """Live: every kept event once, in order; of conflated ones any may be left out."""
    left = list(seen)
    for e in events:
        (frame,) = frames([e], has_flag)
        if left and left[0] == frame:
            left.pop(0)
        else:
            assert conflation_key(e), f"missing: {brief(frame)}\n{both(seen, frames(events, has_flag))}"
    assert not left, f"unexpected: {brief(left[0])}\n{both(seen, frames(events, has_flag))}"


def brief(frame):
    return frame if len(frame) < 150 else f"{frame[:60]} ... {frame[-60:]} ({len(frame)})"


def both(seen, expected):
    return "\n".join(["seen:", *map(brief, seen), "expected:", *map(brief, expected)])

