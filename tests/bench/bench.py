"""Rows of the table in README.md: the relay beside its floor, in turns, each a fresh process. What a row is: rows.py.

CPU time is what the kernel has counted for the process from the first event until some time after the last (pings and their
echoes belong to it). Delays count from when an event was due to be published.
"""
import argparse
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from rows import ROWS, written
from servers import AS_BY_DEFAULT, Redis, Relay, free_port, start

PROGRAMS = os.environ.get("COMFY_RELAY_BENCH", "")  # the folder they were built in
TIMEOUT_S = 180
DESCRIPTORS_SPARE = 100
TRANSCODE_EVENTS = 200_000
PROFILE_HZ = 4000
PROFILE_TOP = 12


# ---- running a side --------------------------------------------------------------------------------------------------


def program(name):
    return os.path.join(PROGRAMS, name)


@contextlib.contextmanager
def floor(kind, redis_address):
    port = free_port()
    process = start([program("bench-floor"), kind, str(port), redis_address], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    try:
        assert process.stdout.readline() == b"listening\n", f"{kind} does not listen"
        yield [process.pid], port
    finally:
        process.terminate()
        process.wait()


@contextlib.contextmanager
def relays(row, side, server):
    """As many as the side has, on one port."""
    url, port = server.tcp_url if row.is_tcp else server.url, free_port()
    options = {"listen": f"127.0.0.1:{port}", "listen__shared": str(side.processes > 1).lower(), "log__level": "warn",
               **AS_BY_DEFAULT, **row.relay}
    with contextlib.ExitStack() as stack:
        all_ = [stack.enter_context(Relay(url, **options)) for _ in range(side.processes)]
        for r in all_:
            r.wait_ready()
        yield [r.process.pid for r in all_], port, *all_


def measured(row, side, server):
    """A context: (pids, port) of what is measured, and the relays among it."""
    if callable(side.program):
        return side.program(server)
    if side.program == "relay":
        return relays(row, side, server)
    if side.program == "none":
        return contextlib.nullcontext(([], 0))
    return floor(side.program, address(row, server))


def address(row, server):
    return f"127.0.0.1:{server.port}" if row.is_tcp else server.path


def descriptors():
    """As many connections as this machine allows one process."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1] - DESCRIPTORS_SPARE


def load_arguments(row, side):
    load = {"warm": 0, "sockets": 1, **row.load, **side.load}
    load["sessions"] = min(load["sessions"], descriptors() // load["sockets"])
    return [a for name, value in load.items() if value is not False
            for a in ([f"--{name}"] if value is True else [f"--{name}", str(value)])]


def run_load(row, side, server, steps, name, on_ready=None):
    """What the load generator tells, as it is."""
    with measured(row, side, server) as (pids, port, *those):
        wait = ["--wait"] if on_ready else []
        process = start([program("bench-load"), *load_arguments(row, side), "--steps", steps, "--name", name,
                         *(a for pid in pids for a in ("--pid", str(pid))), "--port", str(port), "--redis", server.path if not row.is_tcp else address(row, server), *wait],
                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        timer = threading.Timer(TIMEOUT_S, process.kill)
        timer.start()
        try:
            if on_ready:
                assert process.stdout.readline() == b"ready\n", "the load generator is not ready"
                on_ready(pids[0])
            told, why = process.communicate(b"\n" if on_ready else None)
        finally:
            timer.cancel()
            process.kill()
            process.wait()
        assert process.returncode == 0, f"{row.name}, {side.label}: {why.decode().strip() or f'more than {TIMEOUT_S} s'}"
        return {**json.loads(told), "events_of_each": [int(r.metric("events_total")) for r in those]}


def run_transcode(side, steps):
    with open(steps, "rb") as f:
        event = f.read()[12:]
    told = subprocess.run([program("bench-transcode"), side.program, str(TRANSCODE_EVENTS)], input=event, check=True,
                          stdout=subprocess.PIPE, timeout=TIMEOUT_S).stdout
    return {"cpu_ns": float(told) * TRANSCODE_EVENTS, "user_ns": 0, "system_ns": 0, "events": TRANSCODE_EVENTS}


def run_side(row, side, server, steps, name):
    if row.load["work"] == "transcode":
        return figures(row, run_transcode(side, steps))
    return figures(row, run_load(row, side, server, steps, name))


UNITS = {"delivery": "deliveries", "event": "events", "connection": "clients"}


def figures(row, told):
    """Of one run, each a number, and what was told."""
    f, units = {}, told[UNITS[row.unit]]
    if "cpu_ns" in told:
        f.update({k: told[f"{k}_ns"] / units / 1000 for k in ("cpu", "user", "system")})
        f.update({figure: told.get(name, 0) / units for figure, name in (("wakeups", "sleeps"), ("reads", "reads"), ("writes", "writes"))})
    if row.load["work"] == "backlog":
        f["per_second"] = units / told["delay_us"]["max"] * 1e6
    for name in ("delay_us", "greeting_us", "publish_lag_us"):
        if told.get(name, {}).get("count"):
            f.update({f"{name[:-3]}_{k}": v for k, v in told[name].items() if k != "count"})
    if "memory" in told:
        m = told["memory"]
        kib = {"kib": m[1] - m[0], "kib_again": m[3] - m[0], "kib_left": m[4] - m[2]}
        f.update({name: n / units / 1024 for name, n in kib.items()})
    return {**f, "told": told}


# ---- rounds ----------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def prepared(row):
    with tempfile.NamedTemporaryFile(prefix="steps-") as f, contextlib.ExitStack() as stack:
        f.write(written(row.steps()))
        f.flush()
        server = None
        if row.load["work"] != "transcode":
            server = Redis()
            stack.callback(server.stop)
        yield server, f.name


def busy():
    """Seconds of CPU that all have used, and all there were, since the machine started."""
    with open("/proc/stat") as f:
        ticks = [int(n) for n in f.readline().split()[1:9]]
    idle = ticks[3] + ticks[4]
    return sum(ticks) - idle, sum(ticks)


def measure(row, rounds):
    """{label: [figures of each round]}; in every other round the sides take turns the other way round."""
    runs = {side.label: [] for side in row.sides}
    with prepared(row) as (server, steps):
        for number in range(rounds):
            for side in row.sides[::-1] if number % 2 else row.sides:
                print(f"{row.name}: round {number + 1} of {rounds}, {side.label}", file=sys.stderr)
                runs[side.label].append(run_side(row, side, server, steps, f"b{number:02}{row.sides.index(side):02}"))
    return runs


def medians(runs):
    names = [n for n in runs[0] if n != "told" and all(n in r for r in runs)]
    return {n: statistics.median(r[n] for r in runs) for n in names}


# ---- judging ---------------------------------------------------------------------------------------------------------


def ratios(runs, figure):
    """Of the medians of the first two sides, and of each round."""
    a, b = ([r[figure] for r in side] for side in list(runs.values())[:2])
    return statistics.median(a) / statistics.median(b), sorted(x / y for x, y in zip(a, b))


def judge_ratio(figure):
    def judge(row, runs):
        ratio, of_rounds = ratios(runs, figure)
        return {"ratio": ratio, "ratio_of_rounds": of_rounds, "reached": None if row.reach is None else ratio <= row.reach}
    return judge


def judge_delay(_row, runs):
    """Delays beyond the bare subscriber's: p50 within 20 us of the floor's, p99 within 1.5 times."""
    m = [medians(r) for r in runs.values()]
    added = {p: [side[f"delay_{p}"] - m[2][f"delay_{p}"] for side in m[:2]] for p in ("p50", "p99")}
    reached = added["p50"][0] <= added["p50"][1] + 20 and added["p99"][0] <= 1.5 * max(0, added["p99"][1])
    return {**judge_ratio("cpu")(_row, {k: v for k, v in list(runs.items())[:2]}), "added_us": added, "reached": reached}


def judge_each(figure):
    """An amount for each unit; the ratio is told all the same."""
    def judge(row, runs):
        value = statistics.median(r[figure] for r in list(runs.values())[0])
        return {**judge_ratio(figure)(row, runs), "reached": value <= row.reach}
    return judge


JUDGES = {"cpu": judge_ratio("cpu"), "each": judge_each("cpu"), "p99": judge_ratio("delay_p99"), "memory": judge_each("kib"),
          "served": judge_ratio("cpu"), "delay": judge_delay}


def result_of(row, rounds):
    before = busy()
    at, loads = time.time(), os.getloadavg()
    runs = measure(row, rounds)
    used, there = (b - a for a, b in zip(before, busy()))
    return {"name": row.name, "what": row.what, "unit": row.unit, "judge": row.judge, "reach": row.reach, "rounds": rounds,
            "published": row.load.get("events", 0) + row.load.get("warm", 0), "at": at, "load_average_before": loads[0], "machine_busy": used / max(there, 1),
            "sides": {label: medians(r) for label, r in runs.items()}, **JUDGES[row.judge](row, runs), "runs": runs}


# ---- the table -------------------------------------------------------------------------------------------------------


HEAD = f"{'row':22} {'side':10} {'CPU us':>8} {'user':>7} {'system':>7} {'delay p50':>10} {'p99':>9} {'ratio':>6} {'of rounds':>13} {'reach':>6}"


def cell(side, name, width):
    return f"{side[name]:{width}.2f}" if name in side else " " * width


def line(result, label, is_first):
    side = result["sides"][label]
    delay = "delay" if "delay_p50" in side else "greeting"
    text = (f"{result['name'] if is_first else '':22} {label:10} {cell(side, 'cpu', 8)} {cell(side, 'user', 7)} "
            f"{cell(side, 'system', 7)} {cell(side, delay + '_p50', 10)} {cell(side, delay + '_p99', 9)}")
    if is_first:
        low, high = result["ratio_of_rounds"][0], result["ratio_of_rounds"][-1]
        reach = "" if result["reach"] is None else f"{result['reach']:.2f}"
        verdict = {True: "reached", False: "missed", None: ""}[result["reached"]]
        text += f" {result['ratio']:6.2f} {low:6.2f}-{high:6.2f} {reach:>6} {verdict}"
    return text.rstrip()


def remarks(result):
    sides = result["sides"]
    if result["judge"] == "delay":
        for p, (own, floors) in result["added_us"].items():
            yield f"added at {p}: {own:.0f} us, floor {floors:.0f} us"
    for label, side in sides.items():
        if "kib" in side:
            yield (f"{label}: {side['kib']:.2f} KiB each, as many again {side['kib_again']:.2f} KiB; "
                   f"the second time left {side['kib_left']:.3f} KiB each behind")
    of_each = {label: runs[0]["told"].get("events_of_each", []) for label, runs in result["runs"].items()}
    for label in of_each if max(map(len, of_each.values())) > 1 else ():
        yield (f"{label}: {sides[label]['per_second']:.0f} deliveries a second; the first time {' + '.join(map(str, of_each[label]))} "
               f"events received, {result['published']} published")


def print_result(result):
    for n, label in enumerate(result["sides"]):
        print(line(result, label, n == 0))
    for remark in remarks(result):
        print(f"{'':22} {remark}")
    sys.stdout.flush()


def print_growth(results):
    """What a delivery costs, the smallest of a kind being 1."""
    for kind in ("growth-sessions", "growth-sockets"):
        group = [r for r in results if r["name"].startswith(kind)]
        for label in group[0]["sides"] if len(group) > 1 else ():
            costs = [r["sides"][label]["cpu"] for r in group]
            print(f"{kind}: {label} " + " : ".join(f"{c / costs[0]:.2f}" for c in costs))


# ---- where the time goes ---------------------------------------------------------------------------------------------


def profile(row):
    """The functions of the relay, and of the kernel for it, that took the most, by samples while it worked."""
    side = row.sides[0]
    with prepared(row) as (server, steps), tempfile.TemporaryDirectory() as folder:
        data, recorders = os.path.join(folder, "perf.data"), []

        def record(pid):
            recorders.append(start(["perf", "record", "-q", "-F", str(PROFILE_HZ), "-p", str(pid), "-o", data],
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
            time.sleep(0.3)  # perf does not tell when it has begun
        run_load(row, side, server, steps, "perf0", record)
        for recorder in recorders:
            recorder.wait(TIMEOUT_S)
        report = subprocess.run(["perf", "report", "-i", data, "--stdio", "--no-children", "--sort", "dso,symbol", "-g", "none"],
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True).stdout
    shares = [(float(m[1]), m[2], m[3]) for m in re.finditer(r"^\s+([\d.]+)%\s+(\S+)\s+\[[.k]\] (\S+)", report, re.M)]
    kernel = sum(s for s, dso, _ in shares if "kernel" in dso)
    print(f"{row.name}: {kernel:.0f} % in the kernel, {100 - kernel:.0f} % in user space, of it")
    for share, dso, symbol in [s for s in shares if "kernel" not in s[1]][:PROFILE_TOP]:
        print(f"    {share:5.1f} % {symbol} ({dso})")
    print("  of the kernel")
    for share, _, symbol in [s for s in shares if "kernel" in s[1]][:PROFILE_TOP // 2]:
        print(f"    {share:5.1f} % {symbol}")


# ---- main ------------------------------------------------------------------------------------------------------------


def parse():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME", help="of a row; none: all")
    p.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    p.add_argument("--json", metavar="FILE", help="all figures, and what each run told")
    p.add_argument("--profile", action="store_true", help="instead: the functions that take the relay's time (perf, as root)")
    p.add_argument("--list", action="store_true", help="their names")
    told = p.parse_args()
    known = {row.name: row for row in ROWS}
    for name in told.names:
        if name not in known:
            p.error(f"no row {name}; --list tells their names")
    told.rows = [known[n] for n in told.names] or ROWS
    return told


def main():
    told = parse()
    if told.list:
        for row in ROWS:
            print(f"{row.name:22} {row.what}")
        return False
    if told.profile:
        for row in told.rows:
            if row.load["work"] != "transcode":
                profile(row)
        return False
    results = []
    print(HEAD)
    failed = False
    for row in told.rows:
        try:
            results.append(result_of(row, min(told.rounds, row.rounds)))
        except (AssertionError, subprocess.SubprocessError) as error:
            print(f"{row.name:22} no result: {error}")
            failed = True
            continue
        print_result(results[-1])
        if told.json:
            with open(told.json, "w", encoding="utf-8") as f:
                json.dump(results, f, indent=1)
    print_growth(results)
    return failed


if __name__ == "__main__":
    sys.exit(main())
