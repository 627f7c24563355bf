#!/usr/bin/python3
"""Plays a recorded ComfyUI run over and over, as a worker would: each time a new prompt, at the recorded pace.

    demo_worker.py --redis-socket PATH [--sid SID] [--recording FILE] [--times N]

A recording is a file of events (adapters/WORKERS.md), one after the other. Needs python3-redis and python3-msgpack.
"""
import argparse
import os
import signal
import sys
import time
import uuid

import msgpack
import redis

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECORDING = os.path.join(ROOT, "tests", "golden", "f_reconnect.events.msgpack")
PUBLISH = os.path.join(ROOT, "adapters", "redis", "publish.lua")
HEARTBEAT_S = 5
PAUSE_S = 2
SESSION_TTL_MS = 300_000
LOG_EVENTS = 4096


# ---- what a publisher decides of an event (adapters/WORKERS.md) ----------------------------------------------------

def conflation_key(event):
    """Newer events with the same key replace older ones; "" for an event that is kept in order."""
    kind, data = event["type"], event.get("data")
    keep, fields = event.get("keep"), data if isinstance(data, dict) else {}
    if keep is True:
        return ""
    if kind == "progress" and fields.get("node") is not None:
        return f"progress {fields.get('prompt_id')} {fields['node']}"
    if kind == "progress_state":
        return f"progress_state {fields.get('prompt_id')}"
    if kind == "crystools.monitor":
        return f"crystools.monitor {event.get('worker')}"
    if is_jpeg(kind, data):
        return f"preview {(data[1] or {}).get('node_id') if kind == 4 else None}"
    return f"{kind} {fields.get('prompt_id')} {fields.get('node')}" if keep is False else ""


def is_jpeg(kind, data):
    if isinstance(data, bytes):
        return kind == 1 and data[:4] == b"\0\0\0\1"
    return kind == 4 and data[0][0] == "JPEG" or kind in (1, 2) and data[0] == "JPEG"


def ends_prompt(event):
    kind, data = event["type"], event.get("data")
    if kind == "executing":
        return data.get("node") is None
    if kind == "execution_error":
        return data.get("exception_type") != "ExecutionBlocked"
    return kind in ("execution_success", "execution_interrupted")


def script_arguments(prefix, event, packed):
    """The keys and arguments of publish.lua for an event of a session."""
    channel = f"{prefix}:sid:{{{event['sid']}}}"
    return {"keys": [channel + ":log", channel + ":latest"],
            "args": [channel, packed, SESSION_TTL_MS, LOG_EVENTS, conflation_key(event), int(ends_prompt(event))]}


# ---- the worker ----------------------------------------------------------------------------------------------------


class Worker:
    """A worker's duties: publish events, say every few seconds that it lives and what it does, say goodbye."""

    def __init__(self, client, prefix):
        self.client, self.prefix = client, prefix
        self.id, self.boot = "demo", uuid.uuid4().hex
        self.sid, self.prompt, self.queue, self.next_beat = None, None, 0, 0
        with open(PUBLISH, encoding="utf-8") as f:
            self.script = client.register_script(f.read())

    def publish(self, event):
        packed = msgpack.packb(event)
        if event["sid"]:
            self.script(**script_arguments(self.prefix, event, packed))
        else:
            self.client.publish(self.prefix + ":events", packed)

    def tell(self, data):
        event = {"type": "relay.worker", "worker": self.id, "data": data}
        self.client.publish(self.prefix + ":events", msgpack.packb(event))

    def heartbeat(self):
        data = {"boot": self.boot, "queue_remaining": self.queue, "sid": self.sid, "prompt_id": self.prompt,
                "at": now_ms()}
        self.client.hset(self.prefix + ":workers", self.id, msgpack.packb(data))
        self.tell(data)
        self.next_beat = time.monotonic() + HEARTBEAT_S

    def takes(self, sid, prompt):
        self.sid, self.prompt, self.queue = sid, prompt, 1 if prompt else 0
        self.heartbeat()

    def sleep_until(self, when):
        """Sleeps, with a heartbeat whenever one is due."""
        while (left := when - time.monotonic()) > 0:
            if time.monotonic() >= self.next_beat:
                self.heartbeat()
            time.sleep(min(left, max(0, self.next_beat - time.monotonic())))

    def goes(self):
        self.client.hdel(self.prefix + ":workers", self.id)
        self.tell({"gone": True})


def now_ms():
    return int(time.time() * 1000)


def read(path):
    with open(path, "rb") as f:
        return list(msgpack.Unpacker(f, raw=False, strict_map_key=False, max_buffer_size=2**28))


def replaced(x, old, new):
    """x with another prompt id, and with today's timestamp."""
    if isinstance(x, dict):
        return {k: now_ms() if k == "timestamp" else replaced(v, old, new) for k, v in x.items()}
    if isinstance(x, (list, tuple)):
        return [replaced(v, old, new) for v in x]
    return new if x == old else x


def prompt_of(events):
    return next(e["data"]["prompt_id"] for e in events if e["type"] == "execution_start")


def play(worker, events, sid):
    recorded, prompt = prompt_of(events), str(uuid.uuid4())
    began, first = time.monotonic(), events[0]["ts"]
    worker.takes(sid, prompt)
    print(f"prompt {prompt} for {sid}", flush=True)
    for event in events:
        worker.sleep_until(began + (event["ts"] - first) / 1000)
        mine = {"type": event["type"], "sid": sid if event["sid"] else event["sid"], "worker": worker.id,
                "ts": now_ms(), "data": replaced(event["data"], recorded, prompt)}
        worker.publish(mine)
    worker.takes(None, None)


def arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--redis-socket", required=True, help="the unix socket of a Redis")
    p.add_argument("--prefix", default="comfy", help="redis.prefix of the relay")
    p.add_argument("--sid", default="demo", help="the client id to play for")
    p.add_argument("--recording", default=RECORDING, help="a file of events")
    p.add_argument("--times", type=int, default=0, help="how often; 0: for ever")
    return p.parse_args()


def on_stop(*_):
    on_signals(on_stop_again)
    sys.exit(0)


def on_stop_again(*_):
    """Nothing: the goodbye must not be cut short. (SIG_IGN would make Python complain of a signal on its way.)"""


def on_signals(handler):
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, handler)


def main():
    options = arguments()
    on_signals(on_stop)
    events = read(options.recording)
    worker = Worker(redis.Redis(unix_socket_path=options.redis_socket), options.prefix)
    played = 0
    try:
        while not options.times or played < options.times:
            play(worker, events, options.sid)
            played += 1
            worker.sleep_until(time.monotonic() + PAUSE_S)
    finally:
        on_signals(on_stop_again)
        worker.goes()


if __name__ == "__main__":
    main()
