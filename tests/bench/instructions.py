"""Instructions of user space for each unit of a row's work, by callgrind: the difference of two runs, one with three times the events,
so without start and end. They do not depend on how busy the machine is, and repeat to 1 % where nothing is paced.
"""
import argparse
import dataclasses
import os
import re
import stat
import sys
import tempfile

import bench
import servers
from rows import ROWS

MORE = 3
LOADS = {"burst": ("events", 20_000), "fan-out-backlog": ("events", 100), "one-to-one-backlog": ("events", 10_000),
         "recorded": ("sessions", 20)}  # what is made more, and how much it is first
START_S = 60  # valgrind is slow


def wrap(folder):
    """The programs, with callgrind around what is counted. Returns where it writes."""
    out, built = os.path.join(folder, "callgrind"), bench.PROGRAMS
    for name in ("comfy-relay", "bench-floor"):
        wrapper = os.path.join(folder, name)
        with open(wrapper, "w", encoding="ascii") as f:
            f.write(f'#!/bin/sh\nexec valgrind -q --tool=callgrind --callgrind-out-file={out} "{built}/{name}" "$@"\n')
        os.chmod(wrapper, stat.S_IRWXU)
    os.symlink(os.path.join(built, "bench-load"), os.path.join(folder, "bench-load"))
    bench.PROGRAMS, servers.BINARY, servers.TIMEOUT = folder, os.path.join(folder, "comfy-relay"), START_S
    return out


def counted(row, side, load, out):
    """(Instructions, units) of a run."""
    row = dataclasses.replace(row, load={**row.load, **load})
    with bench.prepared(row) as (server, steps):
        told = bench.run_load(row, side, server, steps, "instr")
    with open(out, encoding="ascii") as f:
        return int(re.search(r"^totals: (\d+)", f.read(), re.M)[1]), told[bench.UNITS[row.unit]]


def each(row, side, out):
    name, first = LOADS[row.name]
    few, many = (counted(row, side, {name: n}, out) for n in (first, MORE * first))
    return (many[0] - few[0]) / (many[1] - few[1])


def main():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh instructions", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(LOADS)}; none: all")
    names = p.parse_args().names or list(LOADS)
    if unknown := set(names) - set(LOADS):
        p.error(f"none of {', '.join(LOADS)}: {', '.join(unknown)}")
    with tempfile.TemporaryDirectory() as folder:
        out = wrap(folder)
        print(f"{'instructions of user space':26} {'relay':>8} {'floor':>8}")
        for row in (r for r in ROWS if r.name in names):
            own, floors = (each(row, side, out) for side in row.sides[:2])
            print(f"{row.name + ', ' + row.unit:26} {own:8.0f} {floors:8.0f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
