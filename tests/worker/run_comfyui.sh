#!/bin/bash
# The extension inside a real ComfyUI: COMFYUI_DIR=CHECKOUT tests/worker/run_comfyui.sh [PYTEST OPTION...]
#
#     COMFYUI_DIR      a checkout of ComfyUI; it is not written to
#     COMFYUI_PYTHON   an interpreter with its packages, redis and msgpack (default: the checkout's venv, else python3)
#
# Installs what is missing, builds the relay with sanitizers unless COMFY_RELAY_BINARY names one, runs test_comfyui.py.
set -u
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
WORK=$ROOT/tests/.work
VENV=$WORK/venv
EXAMPLES=$WORK/examples
export WORK EXAMPLES

if [ -z "${COMFYUI_DIR:-}" ]; then
    echo "SKIPPED: COMFYUI_DIR is not set: it names a checkout of ComfyUI to run the extension in"
    exit 0
fi

. "$ROOT/tests/install.sh"

mkdir -p "$WORK"
# shellcheck disable=SC2086 # a list
install_missing $BUILD_PACKAGES $PYTHON_PACKAGES && install_python || exit 1
if [ -z "${COMFY_RELAY_BINARY:-}" ]; then
    echo "Building build-dev"
    (cd "$ROOT" && cmake --preset dev && cmake --build --preset dev --target comfy-relay -j "$(nproc)") >"$WORK/build.log" 2>&1 ||
        { tail -n 40 "$WORK/build.log" && exit 1; }
fi
cd "$ROOT/tests/worker" || exit 1
PYTHONDONTWRITEBYTECODE=1 exec "$VENV/bin/python" -m pytest -q test_comfyui.py "$@"
