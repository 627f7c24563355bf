#!/bin/bash
# Runs a benchmark: tests/bench/run.sh NAME [OPTION...]
#
#     log-cost      what the log in Redis costs the relay: publish.lua beside plain PUBLISH, CPU for each event
#
# `--help` after the name tells its options; `--json` gives figures for a program. Installs what is missing, builds a
# release, prints a table with the floor beside each figure. No benchmark is a test: machines differ too much.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$ROOT/tests/.work
VENV=$WORK/venv

. "$ROOT/tests/install.sh"

build_release() {
    (cd "$ROOT" && cmake --preset release && cmake --build --preset release -j "$(nproc)") >"$WORK/build-release.log" 2>&1 && return
    tail -n 40 "$WORK/build-release.log"
    return 1
}

prepare() {
    mkdir -p "$WORK"
    # shellcheck disable=SC2086 # lists
    install_missing $BUILD_PACKAGES $PYTHON_PACKAGES && install_python || return 1
    [ -n "${COMFY_RELAY_BINARY:-}" ] && return
    export COMFY_RELAY_BINARY="$ROOT/build-release/comfy-relay"
    build_release
}

case ${1:-} in
log-cost)
    prepare >&2 || exit 1
    PYTHONDONTWRITEBYTECODE=1 exec "$VENV/bin/python" "$ROOT/tests/bench/log_cost.py" "${@:2}"
    ;;
*)
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
    exit 2
    ;;
esac
