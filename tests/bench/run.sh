#!/bin/bash
# Runs benchmarks: tests/bench/run.sh [NAME...] [OPTION...]
#
#     tests/bench/run.sh                 all rows of the table in tests/bench/README.md
#     tests/bench/run.sh list            their names
#     tests/bench/run.sh NAME...         some of them
#     tests/bench/run.sh peers           the relay beside what people would pick instead: nchan, Node, Go, Python
#     tests/bench/run.sh log-cost        what the log in Redis costs the relay: publish.lua beside plain PUBLISH
#     tests/bench/run.sh model           what planning needs to know, and a site worked out by it: deploy/SIZING.md
#     tests/bench/run.sh instructions    of user space, for each event of some rows: callgrind's count
#     tests/bench/run.sh memory          what a session's memory holds, by its content, and whether /metrics says so
#     tests/bench/run.sh worker-cost     what the extension costs a ComfyUI: on the thread that raises an event, and over a run
#
# `--rounds N`, `--json FILE`, `--profile`; `--help` tells more. Installs what is missing, builds a release, prints a table
# with the floor beside each figure. No benchmark is a test: machines differ too much.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$ROOT/tests/.work
VENV=$WORK/venv

. "$ROOT/tests/install.sh"

build_release() {
    (cd "$ROOT" && cmake --preset release -DBENCH=ON && cmake --build --preset release -j "$(nproc)") >"$WORK/build-release.log" 2>&1 &&
        return
    tail -n 40 "$WORK/build-release.log"
    return 1
}

prepare() {
    mkdir -p "$WORK"
    # shellcheck disable=SC2086 # lists
    install_missing $BUILD_PACKAGES $PYTHON_PACKAGES && install_python || return 1
    case " $* " in
    *" --list "*) return ;;
    *" --profile "*) install_missing perf:linux-perf || return 1 ;;
    *"/peers.py "*) install_peers ;;
    esac
    export COMFY_RELAY_BENCH="${COMFY_RELAY_BENCH:-$ROOT/build-release}"
    export COMFY_RELAY_BINARY="${COMFY_RELAY_BINARY:-$COMFY_RELAY_BENCH/comfy-relay}"
    [ -x "$COMFY_RELAY_BENCH/bench-load" ] && [ "$COMFY_RELAY_BENCH" != "$ROOT/build-release" ] && return
    build_release
}

run() {
    prepare "$@" >&2 || exit 1
    export PYTHONDONTWRITEBYTECODE=1 PYTHONPATH="$ROOT/tests/support:$ROOT/tests/bench"
    exec "$VENV/bin/python" "$@"
}

case ${1:-} in
-h | --help)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    ;;
list)
    run "$ROOT/tests/bench/bench.py" --list
    ;;
peers)
    run "$ROOT/tests/bench/peers.py" "${@:2}"
    ;;
model)
    run "$ROOT/tests/bench/model.py" "${@:2}"
    ;;
log-cost)
    run "$ROOT/tests/bench/log_cost.py" "${@:2}"
    ;;
instructions)
    install_missing valgrind >&2 || exit 1
    run "$ROOT/tests/bench/instructions.py" "${@:2}"
    ;;
memory)
    run "$ROOT/tests/bench/memory.py" "${@:2}"
    ;;
worker-cost)
    run "$ROOT/tests/bench/worker_cost.py" "${@:2}"
    ;;
*)
    run "$ROOT/tests/bench/bench.py" "$@"
    ;;
esac
