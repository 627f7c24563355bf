"""What the relay's memory holds, for each session, by what it is used for.

Each content is measured with a relay and a Redis of its own, by the difference that more sessions make: first some of them
come, then all the others, each with a client that answers pings. Three counts of the same: the kernel's (Anonymous of
smaps_rollup, with what the allocator keeps), the allocator's (heap_allocated_bytes of /metrics), and the sum of memory_bytes
there. The last two should be the same.
"""
import argparse
import contextlib
import json
import re
import resource
import sys

import msgpack

from load import Load
from rows import PROMPT, golden
from servers import AS_BY_DEFAULT, Redis, Relay, until

RECORDED = "f_reconnect"
LOG_EVENTS = 4096
WARM = 64
SPARE = 100      # descriptors that others need
GROUP = 100      # commands in a write
SETTLE_S = 1.5   # until the last pings are answered


# ---- what is in a session --------------------------------------------------------------------------------------------


def nothing():
    return []


def run(share):
    """The recorded run, or the first part of it; no relay passes on its status."""
    events = [e for e in golden.events(RECORDED) if e["type"] != "status"]
    return events[:round(len(events) * share)]


def in_mid_prompt():
    return run(0.5)


def finished():
    return run(1)


def full():
    """A prompt that executes holds all that it has brought."""
    start = {"type": "execution_start", "worker": "bench", "data": {"prompt_id": PROMPT, "timestamp": 1}}
    return [start] + LOG_EVENTS * [{"type": "executed", "worker": "bench", "data": {
        "node": "9", "display_node": "9", "prompt_id": PROMPT,
        "output": {"images": [{"filename": "ComfyUI_00001_.png", "subfolder": "", "type": "output"}]}}}]


# name: what there is, its events, how many sessions, whether the queue's number changes, whether the clients stay
CONTENTS = {
    "idle": ("an open socket that has had its first status", nothing, 5000, False, True),
    "told": ("the same, and a status since", nothing, 5000, True, True),
    "mid-prompt": (f"half of a recorded run ({RECORDED})", in_mid_prompt, 500, False, True),
    "finished": ("all of it", finished, 500, False, True),
    "left": ("all of it, and its client has gone", finished, 500, False, False),
    "full": (f"{LOG_EVENTS} executed of a prompt that goes on", full, 32, False, True),
}


# ---- measuring -------------------------------------------------------------------------------------------------------


def anonymous(pid):
    with open(f"/proc/{pid}/smaps_rollup") as f:
        return int(re.search(r"^Anonymous:\s+(\d+) kB", f.read(), re.M)[1]) * 1024


def counts(relay):
    m = relay.metrics()
    kinds = {k[len('memory_bytes{kind="'):-2]: v for k, v in m.items() if k.startswith("memory_bytes{")}
    return {"anonymous": anonymous(relay.process.pid), "allocated": m["heap_allocated_bytes"], "sum": sum(kinds.values()), **kinds}


def command(*args):
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def commands(sids, events):
    return [command("PUBLISH", f"comfy:sid:{{{sid}}}", msgpack.packb({**e, "sid": sid})) for sid in sids for e in events]


def fill(relay, load, sids, events, is_told):
    until_caught_up(relay)
    published = commands(sids, events)
    received = relay.metric("events_total") + len(published)
    load.publish([(len(g), b"".join(g)) for g in (published[i:i + GROUP] for i in range(0, len(published), GROUP))])
    if is_told:
        beat = {"type": "worker.heartbeat", "worker": "bench", "data": {"boot": "b", "queue_remaining": len(sids), "ts": 1}}
        load.publish([(1, command("PUBLISH", "comfy:events", msgpack.packb(beat)))])
        received += 1
    load.until(lambda: relay.metric("events_total") >= received, lambda: f"{received} events")
    load.rest(SETTLE_S)


def until_caught_up(relay):
    until(lambda: relay.metric("sessions_reading") == 0, "all sessions to be caught up")


def measure(name):
    """{count: bytes of a session}"""
    _, events, sessions, is_told, stays = CONTENTS[name]
    sessions = min(sessions, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - WARM - SPARE)
    with contextlib.ExitStack() as stack:
        server = Redis()
        stack.callback(server.stop)
        relay = stack.enter_context(Relay(server, log__level="warn", **AS_BY_DEFAULT))
        found = []
        for wave, count in ("a", WARM), ("b", sessions):
            sids = [f"{wave}{n:011}" for n in range(count)]
            load = Load(relay.address, server.path, sids)
            stack.push(load)
            fill(relay, load, sids, events(), is_told)
            if not stays:
                for client in load.clients:
                    client.sock.close()
                until(lambda: relay.metric("connections") == 0, "the clients to be gone")
            found.append(counts(relay))
        before, after = found
        return {"measured": sessions, **{k: (after[k] - before[k]) / sessions for k in after}}


# ---- telling ---------------------------------------------------------------------------------------------------------


def print_line(name, told):
    kinds = {k: v for k, v in told.items() if k not in ("measured", "anonymous", "allocated", "sum") and abs(v) >= 1}
    told_kinds = " ".join(f"{k} {v:.0f}" for k, v in sorted(kinds.items(), key=lambda i: -i[1]))
    print(f"{name:12} {told['anonymous']:11.0f} {told['allocated']:11.0f} {told['sum']:11.0f} "
          f"{told['sum'] / told['allocated']:6.3f}  {told_kinds}")
    sys.stdout.flush()


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh memory", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter,
                                epilog="\n".join(f"  {n:12} {c[0]}" for n, c in CONTENTS.items()))
    p.add_argument("names", nargs="*", metavar="CONTENT", choices=[[], *CONTENTS], help="none: all")
    p.add_argument("--json", action="store_true", help="figures for a program")
    return p.parse_args()


def main():
    bench = parse()
    told = {}
    if not bench.json:
        print(f"{'bytes each':12} {'anonymous':>11} {'allocated':>11} {'memory_bytes':>11} {'ratio':>5}  of it")
    for name in bench.names or CONTENTS:
        told[name] = measure(name)
        if not bench.json:
            print_line(name, told[name])
    if bench.json:
        print(json.dumps({"memory": told}, indent=2))


if __name__ == "__main__":
    main()
