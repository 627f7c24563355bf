"""A farm of fake workers, each a process of its own that a test may stop, kill and start again; what they run; and what the
clients must see of it.

    worker = Worker(redis_server, "w1"); worker.run("sid", "prompt", hold_at=5); worker.wait_held(); worker.kill()

As a program it is one worker: `farm.py SOCKET_OF_REDIS ID BEAT_S`. Each line of its input is a job; it runs one after the
other and tells on its output how far it has got. At the end of its input it says goodbye, whatever it is doing.
"""
import collections
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import types
import uuid

import redis
from recording import golden, is_prompt_end, is_status, queue_number
from servers import Publisher, start

BEAT_S = 0.1
MARK = re.compile(r"<([^<>|]+)\|([^<>|]+)\|(\d+)>")
NODES = ("4", "6:1", "9")
HOLD_AT = 9  # of events_of(): a node executes, and some of its progress is told


# ---- what a prompt tells ---------------------------------------------------------------------------------------------

def events_of(sid, prompt, steps=3):
    """[(event, is it kept)]: each carries sid, prompt and its number, in the bytes that a client gets of it."""
    out = []

    def mark():
        return f"<{sid}|{prompt}|{len(out)}>"

    def tell(kind, is_kept=True, **data):
        out.append(({"type": kind, "data": {**data, "prompt_id": prompt, "mark": mark()}}, is_kept))

    tell("execution_start", timestamp=1)
    tell("execution_cached", nodes=[])
    for node in NODES:
        tell("executing", node=node, display_node=node)
        for step in range(steps):
            tell("progress", False, node=node, value=step, max=steps)
            tell("progress_state", False, nodes={node: {"value": step}})
            preview = ["JPEG", b"\xff\xd8" + mark().encode(), 512]
            out.append(({"type": 4, "data": [preview, {"node_id": node, "prompt_id": prompt}]}, False))
        out.append(({"type": 3, "data": [node, "at " + mark()]}, True))
        out.append(({"type": 1, "data": ["PNG", b"\x89PNG" + mark().encode()]}, True))
        tell("executed", node=node, output={"images": [{"filename": f"{prompt}.png"}]})
    tell("execution_success", timestamp=2)
    out.append(({"type": "executing", "data": {"node": None, "prompt_id": prompt, "mark": mark()}}, True))
    return out


def frame_of(event, flagged):
    frame = golden.frame(event, flagged)
    return frame.encode() if isinstance(frame, str) else frame


# ---- what a client sees ----------------------------------------------------------------------------------------------

class Seat:
    """What one client of a crowd gets of its prompts, which may run at the same time. What must not be goes to `faults`.
    In a crowd it is the viewer of a member."""

    def __init__(self, sid, prompts, faults, flagged):
        self.sid, self.faults, self.flagged, self.is_answered = sid, faults, flagged, False
        self.events = {p: events_of(sid, p) for p in prompts}
        self.at = dict.fromkeys(prompts, -1)  # the number of the newest event seen
        self.story = types.SimpleNamespace(kept=[p for p in prompts for _, is_kept in self.events[p] if is_kept])
        self.frames = self.kept = self.repeats = self.foreign = self.ended = 0
        self.numbers, self.queue, self.marks = [], None, 0
        self.done, self.status_at = {}, 0  # the frames that told of a prompt's success, and of the queue

    @property
    def has_all(self):
        return self.ended == len(self.events)

    def fault(self, what):
        self.faults.append(f"{self.sid}: {what}")

    def frame(self, is_text, payload):
        self.frames += 1
        found = MARK.search(payload.decode("latin-1"))
        if found:
            self.take(found[1], found[2], int(found[3]), payload)
        else:
            self.own(payload)

    def own(self, payload):
        text = payload.decode("latin-1")
        if is_status(text):
            self.queue, self.status_at = queue_number(text), self.frames
        elif text.startswith('{"type":"feature_flags",'):
            self.is_answered = True
        elif text.startswith('{"type":"test.mark",'):
            self.marks += 1
        else:
            self.fault(f"a frame that nobody published: {payload[:80]!r}")

    def take(self, sid, prompt, number, payload):
        if sid != self.sid or prompt not in self.events:
            self.foreign += 1
            return self.fault(f"a frame of {sid}'s {prompt}: {payload[:80]!r}")
        events, last = self.events[prompt], self.at[prompt]
        event, is_kept = events[number]
        expected = frame_of(event, self.flagged)
        if payload != expected:
            self.fault(f"event {number} of {prompt} is {payload[:120]!r}, expected {expected[:120]!r}")
        missing = [i for i in range(last + 1, number) if events[i][1]]
        if missing or number <= last:
            self.fault(f"event {number} of {prompt} comes after {last}; missing are {missing}")
        if number == len(events) - 2:
            self.done[prompt] = self.frames
        if number == len(events) - 1:
            self.end(prompt)
        self.at[prompt], self.kept = number, self.kept + is_kept
        return None

    def end(self, prompt):
        self.ended += 1
        if self.status_at < self.done.get(prompt, 0):
            self.fault(f"no status before the end of {prompt}, the last is frame {self.status_at} of {self.frames}")


# ---- the worker: its process ---------------------------------------------------------------------------------------

class FakeWorker:
    def __init__(self, path, name, beat_s):
        self.publisher = Publisher(types.SimpleNamespace(client=redis.Redis(unix_socket_path=path)))
        self.name, self.beat_s, self.boot = name, beat_s, uuid.uuid4().hex
        self.jobs, self.running = collections.deque(), None
        self.changed, self.may_go_on = threading.Condition(), threading.Event()

    def beat(self):
        """With the lock held, so that the newest state is told last."""
        running = self.running or {}
        n = len(self.jobs) + bool(running)
        self.publisher.heartbeat(self.name, self.boot, n, running.get("sid"), running.get("prompt"))

    def beat_for_ever(self):
        while True:
            with self.changed:
                self.beat()
            time.sleep(self.beat_s)

    def read(self):
        for line in sys.stdin:
            with self.changed:
                if line == "go\n":
                    self.may_go_on.set()
                else:
                    self.jobs.append(json.loads(line))
                    self.changed.notify()
        with self.changed:
            self.publisher.gone(self.name)
            os._exit(0)

    def now_runs(self, job):
        self.running = job
        self.beat()

    def work(self):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.jobs)
                self.now_runs(self.jobs.popleft())
            self.execute(**self.running)
            with self.changed:
                self.publisher.emit("status", {"status": {"exec_info": {"queue_remaining": len(self.jobs)}}}, worker=self.name)
                self.now_runs(None)

    def execute(self, sid, prompt, hold_at):
        for number, (event, _) in enumerate(events_of(sid, prompt)):
            if number == hold_at:
                self.may_go_on.clear()
                print("held", prompt, flush=True)
                self.may_go_on.wait()
            self.publisher.script({"type": event["type"], "sid": sid, "worker": self.name, "data": event["data"]})
        print("done", prompt, flush=True)


class Worker:
    """The test's side of it."""

    def __init__(self, server, name, beat_s=BEAT_S):
        self.name = name
        self.process = start([sys.executable, __file__, server.path, name, str(beat_s)], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)

    def say(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def run(self, sid, prompt, hold_at=None):
        self.say(json.dumps({"sid": sid, "prompt": prompt, "hold_at": hold_at}))
        return self

    def go_on(self):
        self.say("go")

    def wait_told(self, what):
        """"held" or "done": the prompt of which it says so."""
        line = self.process.stdout.readline().split()
        assert line[:1] == [what], f"worker {self.name} says {line}, not {what!r}"
        return line[1]

    def stop(self):
        self.process.send_signal(signal.SIGSTOP)

    def wake(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """As by kill -9: nobody is told of anything."""
        self.process.kill()
        self.process.wait()

    def leave(self, timeout=20):
        """In good order."""
        self.process.stdin.close()
        assert self.process.wait(timeout) == 0


def check_told_once(client, prompt, is_lost=True):
    """Of the end of a lost worker's prompt; else, only its own end."""
    errors = [json.loads(m)["data"] for m in client.messages if isinstance(m, str) and m.startswith('{"type":"execution_error"')]
    ends = [m for m in client.messages if is_prompt_end(m)]
    assert [e["exception_type"] for e in errors] == ["WorkerLost"] * is_lost, errors
    assert [e["prompt_id"] for e in errors] == [prompt] * is_lost, errors
    assert [json.loads(m)["data"]["prompt_id"] for m in ends] == [prompt], ends


if __name__ == "__main__":
    worker = FakeWorker(sys.argv[1], sys.argv[2], float(sys.argv[3]))
    for task in (worker.beat_for_ever, worker.read):
        threading.Thread(target=task, daemon=True).start()
    worker.work()
