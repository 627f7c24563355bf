"""What the log in Redis costs the relay: its CPU for each event, published by publish.lua, beside the same by plain PUBLISH.

Each session has one client, which answers pings. Each round has a relay and a Redis of its own, which are measured both
ways, in short turns. Paced: a group of events each interval. With backlog: the relay is stopped while the events are
published, and goes on when all are there. What counts is the relay's CPU time, user and system, from the first event until
the last is acknowledged, and of all turns the median. Wake-ups are those of the relay: where they differ, so did the
pace at which the machine brought the events, and the ratio says less.
"""
import argparse
import contextlib
import hashlib
import itertools
import json
import signal
import statistics
import sys

import msgpack

from load import Load
from servers import AS_BY_DEFAULT, PUBLISH_LUA, Redis, Relay, until

WAYS = ("publish", "script")
REACH = 1.05
REST_S = 0.8  # until the last acknowledgement is stored, and for both ways the same
TTL_MS, LOG_EVENTS = 300_000, 4096


# ---- what is published ----------------------------------------------------------------------------------------------


def event(sid, number):
    """One that is kept in order, as an output node sends it."""
    return msgpack.packb({"type": "executed", "sid": sid, "worker": "bench", "data": {
        "node": "9", "display_node": "9", "prompt_id": "35cdf645-9487-48c3-a8cd-45859004428b",
        "output": {"images": [{"filename": f"ComfyUI_{number:05}_.png", "subfolder": "", "type": "output"}]}}})


def command(*args):
    """As it goes over the wire."""
    parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(p), p) for p in parts)


def by_publish(sid, packed):
    return command("PUBLISH", f"comfy:sid:{{{sid}}}", packed)


def by_script(sid, packed):
    channel = f"comfy:sid:{{{sid}}}"
    return command("EVALSHA", SHA, 2, channel + ":log", channel + ":latest", channel, packed, TTL_MS, LOG_EVENTS, "", 0)


with open(PUBLISH_LUA, "rb") as script:
    TEXT = script.read()
SHA = hashlib.sha1(TEXT).hexdigest()
MAKE = {"publish": by_publish, "script": by_script}


def groups(way, sids, events, size):
    """The events, session after session, in groups of one size."""
    commands = [MAKE[way](sid, event(sid, n)) for n, sid in zip(range(events), itertools.cycle(sids))]
    return [(len(g), b"".join(g)) for g in (commands[i:i + size] for i in range(0, events, size))]


# ---- what is measured -----------------------------------------------------------------------------------------------


def spent(pid):
    """Nanoseconds of user and system time, and how often it went to sleep."""
    with open(f"/proc/{pid}/schedstat") as f:
        cpu = int(f.read().split()[0])
    with open(f"/proc/{pid}/status") as f:
        return cpu, int(f.read().partition("\nvoluntary_ctxt_switches:")[2].split()[0])


def paced(bench, load, relay, way):
    size = max(1, round(bench.rate * bench.interval_s))
    load.paced(groups(way, bench.sids, bench.events, size), size / bench.rate)


def backlog(bench, load, relay, way):
    relay.signal(signal.SIGSTOP)
    try:
        load.publish(groups(way, bench.sids, bench.backlog, 50))
    finally:
        relay.signal(signal.SIGCONT)


WORKS = {"paced": (paced, "events"), "backlog": (backlog, "backlog")}


def turn(bench, load, relay, work, way):
    """(Microseconds of the relay's CPU, wake-ups) for each event."""
    run, count = WORKS[work][0], getattr(bench, WORKS[work][1])
    expected, before = load.frames + count, spent(relay.process.pid)
    run(bench, load, relay, way)
    load.receive(expected)
    load.rest(REST_S)
    ns, wakeups = (b - a for a, b in zip(before, spent(relay.process.pid)))
    return ns / count / 1000, wakeups / count


def measure(bench, load, relay, work, first):
    """{way: what each turn has cost}"""
    turns = {way: [] for way in WAYS}
    for way in [first, other(first)] * bench.turns:
        turns[way].append(turn(bench, load, relay, work, way))
    return turns


def other(way):
    return WAYS[1 - WAYS.index(way)]


def check_acknowledged(server, sids):
    """The log was in use: Redis knows that each client has had its last event."""
    for sid in sids:
        key = f"comfy:sid:{{{sid}}}"
        last, ack = server.client.xrevrange(key + ":log", count=1)[0][0], server.client.get(key + ":ack")
        assert ack == last, f"{sid}: acknowledged is {ack}, the last event is {last}"


def round_of(bench, number):
    """{work: {way: what each turn has cost}}, of a relay that has warmed up."""
    with contextlib.ExitStack() as stack:
        server = Redis()
        stack.callback(server.stop)
        server.client.script_load(TEXT)
        relay = stack.enter_context(Relay(server, log__level="warn", **AS_BY_DEFAULT))
        load = stack.enter_context(Load(relay.address, server.path, bench.sids))
        load.receive(len(bench.sids))  # a first status each
        until(lambda: relay.metric("sessions_reading") == 0, "all sessions to be caught up")
        for way in WAYS:
            turn(bench, load, relay, "backlog", way)
        found = {work: measure(bench, load, relay, work, WAYS[number % 2]) for work in WORKS}
        check_acknowledged(server, bench.sids)
        return found


# ---- what is told ---------------------------------------------------------------------------------------------------


def medians(turns):
    return [statistics.median(column) for column in zip(*turns)]


def figures(rounds, work):
    all_turns = {way: [turn for r in rounds for turn in r[work][way]] for way in WAYS}
    us, wakeups = ({way: medians(all_turns[way])[i] for way in WAYS} for i in (0, 1))
    of_rounds = [medians(r[work]["script"])[0] / medians(r[work]["publish"])[0] for r in rounds]
    return {"us": us, "ratio": us["script"] / us["publish"], "reach": REACH, "ratio_of_rounds": sorted(of_rounds),
            "wakeups": wakeups, "us_of_turns": {way: [us for us, _ in all_turns[way]] for way in WAYS}}


def print_table(bench, told):
    titles = {"paced": f"{bench.rate} events/s", "backlog": f"{bench.backlog} events, backlog"}
    print(f"CPU of the relay for each event, {len(bench.sids)} sessions, median of {bench.rounds} rounds of {bench.turns} "
          "turns each way")
    print(f"{'':24} {'PUBLISH':>10} {'publish.lua':>12} {'ratio':>6} {'reach':>6} {'of rounds':>14} {'wake-ups for 100':>18}")
    for work, f in told.items():
        lowest, highest = f["ratio_of_rounds"][0], f["ratio_of_rounds"][-1]
        print(f"{titles[work]:24} {f['us']['publish']:7.2f} us {f['us']['script']:9.2f} us {f['ratio']:6.3f} {REACH:6.2f} "
              f"{lowest:6.3f} - {highest:.3f} {100 * f['wakeups']['publish']:9.1f} {100 * f['wakeups']['script']:8.1f}")


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh log-cost", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    p.add_argument("--turns", type=int, default=4, help="each way in a round (%(default)s)")
    p.add_argument("--sessions", type=int, default=100)
    p.add_argument("--rate", type=int, default=5000, help="events a second, paced (%(default)s)")
    p.add_argument("--seconds", type=float, default=1, help="of each paced measurement (%(default)s)")
    p.add_argument("--interval-ms", type=float, default=1, help="between groups (%(default)s)")
    p.add_argument("--backlog", type=int, default=30000, help="events that wait (%(default)s)")
    p.add_argument("--json", action="store_true", help="figures for a program")
    bench = p.parse_args()
    bench.sids = [f"bench-{i}" for i in range(bench.sessions)]
    bench.interval_s = bench.interval_ms / 1000
    bench.events = round(bench.rate * bench.seconds)
    return bench


def main():
    bench = parse()
    rounds = []
    for number in range(bench.rounds):
        print(f"round {number + 1} of {bench.rounds}", file=sys.stderr)
        rounds.append(round_of(bench, number))
    told = {work: figures(rounds, work) for work in WORKS}
    if bench.json:
        print(json.dumps({"log-cost": told}, indent=2))
    else:
        print_table(bench, told)


if __name__ == "__main__":
    main()
