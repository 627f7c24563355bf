"""What planning needs to know: the CPU that the relay and Redis spend on each thing that happens at a site, and what Redis holds.

    rest        a tab that is open: its keep-alive (each ws.ping_interval) and its place in Redis, renewed
    open        a tab comes, with its subscription, and is claimed
    heartbeat   of one worker (each 5 s), at a relay that has sessions
    status      the queue's number has changed: what one tab is told
    run         a recorded prompt of 30 sampler steps with previews, by the publish script

A relay and a Redis, each a process of its own; the difference between before and after is divided by how often it happened. From
that: how much of a core a site needs (deploy/SIZING.md).
"""
import argparse
import contextlib
import json
import os
import subprocess
import sys
import time

from bench import program
from load import Load
from servers import Publisher, Redis, Relay, until

RECORDING = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden", "f_reconnect.events.msgpack")
SETTLE_S = 1.5  # what was caused is done by then: acknowledgements, places stored
TABS, BUSY, SECONDS = 10_000, 0.02, 3.1  # of the site that is worked out; BUSY of its tabs have a prompt that executes


def spent(pids):
    """Nanoseconds of CPU each, of all threads: by the clock of the process (clock_getcpuclockid(3))."""
    return [time.clock_gettime_ns(~pid << 3 | 2) for pid in pids]


class Site:
    """A relay, its Redis, tabs, and what each thing has cost them."""

    def __init__(self, stack, bench, status_interval):
        self.server = Redis()
        stack.callback(self.server.stop)
        self.relay = stack.enter_context(Relay(self.server, log__level="warn", ws__ping_interval="1s",
                                               status__interval=status_interval))
        self.publisher = Publisher(self.server)
        self.sids = [f"model-{i}" for i in range(1, bench.tabs + 1)]  # as comfy-publish numbers its sessions
        self.stack, self.load = stack, None

    def pids(self):
        return self.relay.process.pid, self.server.process.pid

    def settle(self):
        until(lambda: self.relay.metric("sessions_reading") == 0, "all sessions to be caught up")
        if self.load:
            self.load.rest(SETTLE_S)

    def cost(self, happen, times, beside=None):
        """Microseconds of each part for one of `times`; without what the tabs' resting costs in that time."""
        before, began = spent(self.pids()), time.monotonic()
        happen()
        self.settle()
        seconds = time.monotonic() - began
        us = [(b - a) / 1000 for a, b in zip(before, spent(self.pids()))]
        rest = [seconds * len(self.sids) * r for r in beside or (0, 0)]
        return [max(0, u - r) / times for u, r in zip(us, rest)]

    def used(self):
        return self.server.client.info("memory")["used_memory"]

    # -- what happens

    def open(self):
        def connect():
            self.load = self.stack.enter_context(Load(self.relay.address, self.server.path, self.sids))
            self.load.receive(len(self.sids))
        return self.cost(connect, len(self.sids))

    def rest(self, seconds):
        """A tab's second, and of that a ping is all: its place is renewed three times in session.ttl."""
        return self.cost(lambda: self.load.rest(seconds), len(self.sids) * (seconds + SETTLE_S))

    def heartbeats(self, count, beside):
        def beat():
            for _ in range(count):
                self.publisher.heartbeat("w", entry=False)
                self.load.turn(0)
        return self.cost(beat, count, beside)

    def statuses(self, count, beside):
        def change():
            for number in range(1, count + 1):
                self.publisher.heartbeat("w", queue_remaining=number, entry=False)
                self.load.receive(self.load.frames + len(self.sids))
        return self.cost(change, count * len(self.sids), beside)

    def runs(self, workers, beside):
        """Each session has one, the workers play side by side; Redis' memory before, and after."""
        def play():
            process = subprocess.Popen([program("comfy-publish"), "--play", RECORDING, "--redis.url", self.server.url, "--workers",
                                        str(workers), "--sessions", str(len(self.sids)), "--sid", "model", "--worker", "w",
                                        "--pause", "0ms"], stdout=subprocess.DEVNULL)
            try:
                while process.poll() is None:
                    self.load.turn(0.1)
            finally:
                process.kill()
                process.wait()
            assert process.returncode == 0, f"comfy-publish ended with {process.returncode}"
        before = self.used()
        cost = self.cost(play, len(self.sids), beside)
        return cost, (self.used() - before) / len(self.sids)


def measure(bench):
    told = {"redis_bytes": {}}
    with contextlib.ExitStack() as stack:
        site = Site(stack, bench, "0ms")
        empty = site.used()
        told["open"] = site.open()
        told["redis_bytes"]["session"] = (site.used() - empty) / len(site.sids)
        rest = told["rest"] = site.rest(bench.seconds)
        told["heartbeat"] = site.heartbeats(bench.beats, rest)
        told["status"] = site.statuses(bench.statuses, rest)
    with contextlib.ExitStack() as stack:
        site = Site(stack, bench, "1h")  # what runs do to the queue is counted by itself
        site.open()
        told["run"], told["redis_bytes"]["run"] = site.runs(bench.workers, rest)
    return told


def core_shares(told):
    """Of one relay's core and of Redis', by what a site of TABS tabs does, with one relay and ComfyUI's defaults."""
    tabs, executing = TABS, TABS * BUSY
    rates = {"rest": tabs / 20, "heartbeat": executing / 5, "status": 4 * tabs, "run": executing / SECONDS, "open": tabs / 3600}
    return {name: (rate, [rate * us / 1e6 for us in told[name]]) for name, rate in rates.items()}


WORDS = {"rest": "keep-alive of a tab", "open": "a tab opens", "heartbeat": "heartbeat of a worker", "status": "a tab is told the queue",
         "run": "a run of 30 steps"}


def print_model(told):
    print(f"{'what happens':26} {'relay, us':>10} {'Redis, us':>10}")
    for name, words in WORDS.items():
        print(f"{words:26} {told[name][0]:10.1f} {told[name][1]:10.1f}")
    b = told["redis_bytes"]
    print(f"\nRedis holds {b['session'] / 1024:.2f} KiB for a session, and {b['run'] / 1024:.1f} KiB more for a run, until session.ttl\n")
    print(f"{TABS} tabs, of which {TABS * BUSY:.0f} execute, each with a worker; the number of the queue changes all the time")
    print(f"{'':26} {'a second':>10} {'relay':>8} {'Redis':>8}   of a core")
    shares = core_shares(told)
    for name, (rate, of) in shares.items():
        print(f"{WORDS[name]:26} {rate:10.1f} {of[0]:8.1%} {of[1]:8.1%}")
    print(f"{'':26} {'':10} {sum(of[0] for _, of in shares.values()):8.1%} {sum(of[1] for _, of in shares.values()):8.1%}")


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh model", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--tabs", type=int, default=1000, help="(%(default)s)")
    p.add_argument("--workers", type=int, default=100, help="that play side by side (%(default)s)")
    p.add_argument("--seconds", type=float, default=10, help="that the tabs rest (%(default)s)")
    p.add_argument("--beats", type=int, default=2000, help="heartbeats (%(default)s)")
    p.add_argument("--statuses", type=int, default=20, help="changes of the queue (%(default)s)")
    p.add_argument("--json", metavar="FILE", help="the figures")
    return p.parse_args()


def main():
    bench = parse()
    told = measure(bench)
    print_model(told)
    if bench.json:
        with open(bench.json, "w", encoding="utf-8") as f:
            json.dump(told, f, indent=1)


if __name__ == "__main__":
    sys.exit(main())
