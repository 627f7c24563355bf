#!/bin/bash
# Builds the Debian packages with the compiler's flags of Debian: deploy/debian/build.sh [DIRECTORY], build-package by default.
# They are for the release of Debian that it runs on. Needs what a build needs (deploy/packages.sh), dpkg-dev and file.
set -eu
ROOT=$(cd "$(dirname "$0")/../.." && pwd)
TO=${1:-$ROOT/build-package}

flags() { # CFLAGS|CPPFLAGS|LDFLAGS
    DEB_BUILD_MAINT_OPTIONS=hardening=+all DEB_CFLAGS_MAINT_STRIP=-g dpkg-buildflags --get "$1"
}

cmake -S "$ROOT" -B "$TO" -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=/usr \
    -DCMAKE_C_FLAGS="$(flags CPPFLAGS) $(flags CFLAGS)" -DCMAKE_EXE_LINKER_FLAGS="$(flags LDFLAGS)" \
    -DCMAKE_SHARED_LINKER_FLAGS="$(flags LDFLAGS)"
cmake --build "$TO" -j "$(nproc)"
rm -f "$TO"/*.deb # of another version
(cd "$TO" && cpack -G DEB)
