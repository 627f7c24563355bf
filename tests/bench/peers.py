"""The relay beside what people would pick instead, in turns, as one table. The servers are in peers/, each as a user of its
libraries would write it. One that gives a wrong answer, or none, has no figure in that row, and does not stop the others.
"""
import argparse
import contextlib
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile

import msgpack
from bench import busy, descriptors, medians, prepared, run_side
from rows import SOON, Row, Side, note, rate, written
from servers import ROOT, free_port, start, until

SOURCES = os.path.join(ROOT, "tests", "bench", "peers")
INSTALLED = os.path.join(ROOT, "tests", ".work", "peers")


# ---- servers: each a function from a redis-server to a context with (pids, port) -------------------------------------


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as f:
        return [int(child) for child in f.read().split()]


def is_there(process, port, workers):
    assert process.poll() is None, f"the server has ended with {process.returncode}"
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0 and len(children(process.pid)) == workers


@contextlib.contextmanager
def running(args, port, workers=0, env=()):
    """With so many processes that it starts itself."""
    process = start(args, descriptors=(descriptors(), descriptors()), env={**os.environ, **dict(env)}, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL)
    try:
        until(lambda: is_there(process, port, workers), f"{os.path.basename(args[0])} to listen")
        yield [process.pid, *children(process.pid)], port
    finally:
        process.terminate() if workers else process.kill()  # who has children must end them; who has none may be stopped
        process.wait()


def node(server):
    port, env = free_port(), {"NODE": os.path.join(INSTALLED, "node"), "NODE_ENV": "production"}
    return running(["node", os.path.join(SOURCES, "node", "server.mjs"), str(port), server.path], port, env=env)


def go(server):
    port = free_port()
    return running([os.path.join(INSTALLED, "go", "server"), str(port), server.path], port)


def python(server):
    port, interpreter = free_port(), os.path.join(INSTALLED, "python", "bin", "python")
    return running([interpreter, os.path.join(SOURCES, "python", "server.py"), str(port), server.path], port)


def nginx_conf(folder, port):
    with open(os.path.join(SOURCES, "nchan.conf"), encoding="utf-8") as f:
        text = f.read()
    for name, value in {"DIR": folder, "PORT": port, "DESCRIPTORS": descriptors()}.items():
        text = text.replace("{%s}" % name, str(value))
    path = os.path.join(folder, "nginx.conf")
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


@contextlib.contextmanager
def nchan(_server):
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="nchan-") as folder:
        args = ["nginx", "-p", folder, "-e", os.path.join(folder, "error.log"), "-c", nginx_conf(folder, port)]
        with running(args, port, workers=1) as there:
            yield there


SIDES = [Side("comfy-relay"), Side("nchan", nchan, {"post": True}), Side("Go", go), Side("Node", node), Side("Python", python)]
HEADS = {"nchan": "nginx, nchan", "Go": "Go, gorilla", "Node": "Node, ws", "Python": "Python, aiohttp"}
LACKS = {"nchan": "Redis, MessagePack, a first frame, acknowledgements",
         **dict.fromkeys(("Go", "Node", "Python"), "replay, acknowledgements, limits")}


# ---- rows and their cells --------------------------------------------------------------------------------------------


def beside(*args, **options):
    return Row(*args, sides=SIDES, **options)


ROWS = [
    beside("fan-out", "229 bytes to 1000 sockets, 20 events/s", None, rate(20, 4, sessions=1000, warm=5, broadcast=True), steps=note),
    beside("fan-out-backlog", "the same, 250 events that wait", None,
           {"work": "backlog", "sessions": 1000, "events": 250, "warm": 20, "broadcast": True}, steps=note),
    beside("one-to-one", "1000 sessions, 2000 events/s", None, rate(2000, 4, sessions=1000, warm=2000)),
    beside("one-to-one-backlog", "1000 sessions, 30,000 events that wait", None,
           {"work": "backlog", "sessions": 1000, "events": 30000, "warm": 5000}),
    beside("idle", "an idle connection with a session of its own, of 5000", None, {"work": "idle", "sessions": 5000, "rest-ms": 700},
           unit="connection", judge="memory", relay=SOON),
    beside("accept", "a connection with its subscription, one after the other", None,
           {"work": "accept", "sessions": 4000, "at-once": 1}, unit="connection", relay=SOON),
]


def times(figure):
    """Of which less is better: how many times the relay's it is stands behind it."""
    def text(own, relays):
        return f"{own[figure]:.3g}" + (f" ({own[figure] / relays[figure]:.1f})" if own is not relays else "")
    return text


def delay(own, _relays):
    return f"{own['delay_p50'] / 1000:.2f}, {own['delay_p99'] / 1000:.1f}"


def per_second(own, _relays):
    return f"{own['per_second'] / 1000:,.0f}"


# What is told of a row, and how a cell is made.
CPU = "CPU µs for each {unit}", times("cpu")
DELAY = "delay p50, p99 ms", delay
CELLS = {
    "fan-out": [CPU, DELAY],
    "fan-out-backlog": [CPU, ("1000 deliveries/s", per_second)],
    "one-to-one": [CPU, DELAY],
    "one-to-one-backlog": [CPU, ("1000 events/s", per_second)],
    "idle": [("memory KiB", times("kib"))],
    "accept": [CPU],
}


# ---- measuring -------------------------------------------------------------------------------------------------------


def as_json(steps):
    """For who cannot make it: the frames as they are to be, of events in MessagePack."""
    for at_us, is_kept, packed in steps:
        event = msgpack.unpackb(packed)
        yield at_us, is_kept, json.dumps({"type": event["type"], "data": event["data"]}, separators=(",", ":")).encode()


@contextlib.contextmanager
def frames_file(row):
    with tempfile.NamedTemporaryFile(prefix="frames-") as f:
        f.write(written(as_json(row.steps())))
        f.flush()
        yield f.name


def reason(row, side, error):
    where, why = f"{row.name}, {side.label}: ", str(error)
    return where + why.removeprefix(where)


def measure(row, rounds):
    """{label: [figures of each round]} and {label: why there are none}; every other round goes the other way round."""
    runs, failures = {side.label: [] for side in row.sides}, {}
    with prepared(row) as (server, events), frames_file(row) as frames:
        for number in range(rounds):
            for side in row.sides[::-1] if number % 2 else row.sides:
                if side.label in failures:
                    continue
                print(f"{row.name}: round {number + 1} of {rounds}, {side.label}", file=sys.stderr)
                steps, name = frames if side.load.get("post") else events, f"b{number:02}{row.sides.index(side):02}"
                try:
                    runs[side.label].append(run_side(row, side, server, steps, name))
                except (AssertionError, OSError, subprocess.SubprocessError) as error:
                    failures[side.label] = reason(row, side, error)
                    print(f"    no result: {error}", file=sys.stderr)
    return runs, failures


def result_of(row, rounds):
    before, load_average = busy(), os.getloadavg()[0]
    runs, failures = measure(row, rounds)
    used, there = (b - a for a, b in zip(before, busy()))
    return {"name": row.name, "what": row.what, "unit": row.unit, "rounds": rounds, "load_average_before": load_average,
            "machine_busy": used / there, "failures": failures, "runs": runs,
            "sides": {label: medians(r) for label, r in runs.items() if label not in failures}}


# ---- the table -------------------------------------------------------------------------------------------------------


def cell(result, label, make):
    sides = result["sides"]
    if label in result["failures"]:
        return "no result"
    return make(sides[label], sides.get(SIDES[0].label, sides[label]))


def print_table(results):
    print("| | | " + " | ".join(HEADS.get(side.label, side.label) for side in SIDES) + " |\n|" + "---|" * (2 + len(SIDES)))
    for result in results:
        for n, (title, make) in enumerate(CELLS[result["name"]]):
            cells = (cell(result, side.label, make) for side in SIDES)
            what = "" if n else f"`{result['name']}`: {result['what']}"
            print(f"| {what} | {title.format(unit=result['unit'])} | " + " | ".join(cells) + " |")
    print("| what it does without | | " + " | ".join(LACKS.get(side.label, "") for side in SIDES) + " |")


def print_failures(results):
    for result in results:
        for why in result["failures"].values():
            print(f"no result: {why}")


def told_by(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    return done.stdout.strip()


def versions():
    nginx = told_by("nginx", "-v").rpartition("/")[2]
    return {"nchan": f"{told_by('dpkg-query', '-W', '-f', '${Version}', 'libnginx-mod-nchan')}, nginx {nginx}",
            "Go": told_by("go", "version").split()[2].removeprefix("go"), "Node": told_by("node", "--version").removeprefix("v"),
            "Python": platform.python_version()}


def print_circumstances(results, rounds):
    loads = sorted(r["load_average_before"] for r in results)
    print(f"\n{os.cpu_count()} cores, {rounds} rounds, medians; load average {loads[0]:.1f} to {loads[-1]:.1f} when a row began. "
          + ", ".join(f"{name} {version}" for name, version in versions().items()))


# ---- main ------------------------------------------------------------------------------------------------------------


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh peers", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = {row.name: row for row in ROWS}
    p.add_argument("names", nargs="*", metavar="NAME", help=f"of a row; none: all ({', '.join(known)})")
    p.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    p.add_argument("--json", metavar="FILE", help="all figures, and what each run told")
    told = p.parse_args()
    for name in told.names:
        if name not in known:
            p.error(f"no row {name}")
    told.rows = [known[name] for name in told.names] or ROWS
    return told


def main():
    told = parse()
    results = [result_of(row, told.rounds) for row in told.rows]
    print_table(results)
    print_failures(results)
    print_circumstances(results, told.rounds)
    if told.json:
        with open(told.json, "w", encoding="utf-8") as f:
            json.dump({"versions": versions(), "rows": results}, f, indent=1)
    return any(r["failures"] for r in results)


if __name__ == "__main__":
    sys.exit(main())
