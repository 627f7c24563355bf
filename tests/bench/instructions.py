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


def counted(row, load, folder):
    """(Instructions, units) of a run."""
    out, wrapper = os.path.join(folder, "callgrind"), os.path.join(folder, "comfy-relay")
    with open(wrapper, "w", encoding="ascii") as f:
        f.write(f'#!/bin/sh\nexec valgrind -q --tool=callgrind --callgrind-out-file={out} "{bench.program("comfy-relay")}" "$@"\n')
    os.chmod(wrapper, stat.S_IRWXU)
    servers.BINARY, servers.TIMEOUT = wrapper, START_S
    row = dataclasses.replace(row, load={**row.load, **load}, sides=row.sides[:1])
    with bench.prepared(row) as (server, steps):
        told = bench.run_load(row, row.sides[0], server, steps, "instr")
    with open(out, encoding="ascii") as f:
        return int(re.search(r"^totals: (\d+)", f.read(), re.M)[1]), told[bench.UNITS[row.unit]]


def each(row):
    name, first = LOADS[row.name]
    with tempfile.TemporaryDirectory() as folder:
        few, many = (counted(row, {name: n}, folder) for n in (first, MORE * first))
    return (many[0] - few[0]) / (many[1] - few[1])


def main():
    p = argparse.ArgumentParser(prog="tests/bench/run.sh instructions", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(LOADS)}; none: all")
    names = p.parse_args().names or list(LOADS)
    if unknown := set(names) - set(LOADS):
        p.error(f"none of {', '.join(LOADS)}: {', '.join(unknown)}")
    for row in ROWS:
        if row.name in names:
            print(f"{row.name:22} {each(row):8.0f} instructions for each {row.unit}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
