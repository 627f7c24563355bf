"""What is measured: a row for each line of the table. A row has sides, which take turns; a side is a program and its load.

    judge    what is compared of the first two sides
      cpu      CPU time for each unit
      delay    delay beyond that of the third side, a bare subscriber
      p99      delay at the 99th percentile
      memory   bytes of a connection
      served   nothing: all came, or there is no result
"""
import dataclasses
import os
import struct
import sys

import msgpack

GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden")
sys.path.insert(0, GOLDEN)

import read as golden  # noqa: E402

SID, MARK = "@sid________", "@~00000000"
PROMPT = "35cdf645-9487-48c3-a8cd-45859004428b"


# ---- what is published: steps, as tests/bench/load/schedule.h has them -----------------------------------------------


def step(event, at_us=0, is_kept=True):
    return at_us, is_kept, msgpack.packb(event)


def written(steps):
    return b"".join(struct.pack("=III", at, kept, len(packed)) + packed for at, kept, packed in steps)


def to_all(frame_bytes):
    """A text frame of that many bytes, for everybody."""
    fixed = len('{"type":"bench.note","data":{"mark":"","text":""}}') + len(MARK)
    return [step({"type": "bench.note", "worker": "bench", "data": {"mark": MARK, "text": "x" * (frame_bytes - fixed)}})]


def note():
    return to_all(229)


def long_note():
    return to_all(4096)


def executed():
    """What an output node sends, and what must not be lost."""
    return [step({"type": "executed", "sid": SID, "worker": "bench", "data": {
        "node": "9", "display_node": "9", "prompt_id": PROMPT,
        "output": {"images": [{"filename": f"ComfyUI_{MARK}_.png", "subfolder": "", "type": "output"}]}}})]


def preview():
    image = MARK.encode() + bytes(range(256)) * 240
    return [step({"type": 4, "sid": SID, "worker": "bench", "data": [["JPEG", image, 512], {
        "node_id": "3", "prompt_id": PROMPT, "display_node_id": "3", "parent_node_id": None, "real_node_id": "3"}]},
        is_kept=False)]


def node_state(number):
    return {"value": float(number), "max": 20.0, "state": "running", "node_id": str(number), "prompt_id": PROMPT,
            "display_node_id": str(number), "parent_node_id": None, "real_node_id": str(number)}


def progress_state():
    """4 KB of it."""
    return [step({"type": "progress_state", "sid": SID, "worker": "bench", "data": {
        "prompt_id": PROMPT, "nodes": {str(n): node_state(n) for n in range(26)}}}, is_kept=False)]


def recorded():
    """A run of 30 sampler steps, as a worker published it, but for `status`, which no relay passes on."""
    events = [e for e in golden.events("f_reconnect") if e["type"] != "status"]
    return [step(marked({**e, "sid": SID}), (e["ts"] - events[0]["ts"]) * 1000, is_kept(e)) for e in events]


def marked(event):
    if event["type"] != 4:
        return {**event, "data": {"mark": MARK, **event["data"]}}
    (form, image, size), metadata = event["data"]
    return {**event, "data": [[form, MARK.encode() + image[len(MARK):], size], metadata]}


def is_kept(event):
    return event["type"] not in (4, "progress", "progress_state")


# ---- rows ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class Side:
    label: str
    program: object = "relay"  # its name, or a function from a redis-server to a context with (pids, port)
    load: dict = dataclasses.field(default_factory=dict)
    processes: int = 1  # of the relay, on one port


@dataclasses.dataclass
class Row:
    name: str
    what: str
    reach: float | None
    load: dict
    steps: object = executed
    floor: str = "raw"
    unit: str = "delivery"
    judge: str = "cpu"
    relay: dict = dataclasses.field(default_factory=dict)
    is_tcp: bool = False
    rounds: int = 99  # at most
    sides: list = None

    def __post_init__(self):
        if self.sides is None:
            floors = [self.floor, "raw-shared"] if self.floor == "raw-batch" else [self.floor]
            self.sides = [Side("relay"), *(Side(f, f) for f in floors)]


def over_tcp(row):
    return dataclasses.replace(row, name=row.name + "-tcp", what=row.what + ", Redis by TCP", is_tcp=True)


def awake(row):
    return dataclasses.replace(row, name=row.name + "-awake", what=row.what + ", clients that never sleep", load={**row.load, "awake": True})


def rate(per_second, seconds, **more):
    return {"work": "rate", "rate": per_second, "events": round(per_second * seconds), **more}


SHARE = {"session__duplicate": "share"}
SOON = {"session__ttl": "2s"}  # the clients stay away for longer than that
UNBOUNDED = {"session__log_events": 1048576, "session__log_bytes": "1GiB", "limits__socket_bytes": "1GiB"}

ONE_TO_ONE_BACKLOG = Row("one-to-one-backlog", "1000 sessions, 30,000 events that wait", 1.3,
                         {"work": "backlog", "sessions": 1000, "events": 30000, "warm": 5000}, floor="raw-batch")
CORES = dataclasses.replace(ONE_TO_ONE_BACKLOG, name="cores", what="two processes on one port beside one: 1000 sessions, 30,000 events that wait",
                            reach=None, sides=[Side("two", processes=2), Side("one")])
ONE_TO_ONE = Row("one-to-one", "1000 sessions, 20,000 events/s (user time at most 7 us)", 1.1,
                 rate(20000, 3, sessions=1000, warm=5000))
RECORDED = Row("recorded", "a recorded run at its pace in each of 1000 sessions", 0.6,
               {"work": "play", "sessions": 1000, "spread-ms": 3000, "flags": True}, steps=recorded, unit="event")
BURST = Row("burst", "one session, 90,000 events that wait", 1.3,
            {"work": "backlog", "sessions": 1, "events": 90000, "warm": 2000}, floor="raw-batch", relay=UNBOUNDED)
DELAY = Row("delay", "1000 events/s over 100 sessions, kept: delay beyond a bare subscriber's", None,
            rate(1000, 4, sessions=100, warm=500), judge="delay",
            sides=[Side("relay"), Side("raw", "raw"), Side("bare", "none", {"bare": True})])

ROWS = [
    Row("fan-out", "229 bytes of text to 1000 sockets, 20 events/s", 1.1,
        rate(20, 4, sessions=1000, warm=5, broadcast=True), steps=note),
    Row("fan-out-backlog", "the same, 250 events that wait", 1.3,
        {"work": "backlog", "sessions": 1000, "events": 250, "warm": 20, "broadcast": True}, steps=note, floor="raw-batch"),
    ONE_TO_ONE_BACKLOG,
    over_tcp(ONE_TO_ONE_BACKLOG),
    CORES,
    ONE_TO_ONE,
    awake(ONE_TO_ONE),
    RECORDED,
    awake(RECORDED),
    BURST,
    over_tcp(BURST),
    Row("transcode", "4 KB of progress_state to a frame, beside msgpack_unpack_next", 1.0, {"work": "transcode"},
        steps=progress_state, unit="event", sides=[Side("relay", "relay"), Side("unpack", "unpack")]),
    Row("preview", "60 KB to the 20 sockets of a session, 50 events/s", 1.1,
        rate(50, 4, sessions=1, sockets=20, warm=50, flags=True), steps=preview, relay=SHARE),
    Row("accept", "a connection with its subscription, one after the other", 60, {"work": "accept", "sessions": 4000, "at-once": 1},
        unit="connection", judge="each"),
    Row("idle", "memory of an idle connection with a session of its own", 1.0, {"work": "idle", "sessions": 20000, "rest-ms": 1000},
        unit="connection", judge="memory", rounds=2, relay=SOON),
    Row("idle-shared", "the same, a hundred to a session", 1.0, {"work": "idle", "sessions": 200, "sockets": 100, "rest-ms": 1000},
        unit="connection", judge="memory", rounds=2, relay={**SOON, **SHARE}),
    DELAY,
    over_tcp(DELAY),
    Row("storm", "10,000 connections that arrive at once", None,
        {"work": "accept", "sessions": 10000, "at-once": 10000, "rest-ms": 1000}, unit="connection", judge="served", rounds=3, relay=SOON),
    Row("slow", "one slow socket of 1000, 4 KB to all, 20 events/s", 1.05, rate(20, 8, sessions=1000, warm=5, broadcast=True),
        steps=long_note, judge="p99", sides=[Side("one slow", load={"slow": 1}), Side("none slow")]),
    *(Row(f"growth-sessions-{n}", f"{n} sessions, 5000 events/s", None, rate(5000, 3, sessions=n, warm=2000)) for n in (100, 1000, 10000)),
    *(Row(f"growth-sockets-{n}", f"100 sessions of {n} sockets, 10,000 deliveries/s", None,
          rate(10000 / n, 3, sessions=100, sockets=n, warm=200), relay=SHARE) for n in (1, 10, 100)),
]
