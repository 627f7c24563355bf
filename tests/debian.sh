#!/bin/bash
# Both commands of the README in a clean Debian: tests/debian.sh bookworm|trixie. Needs root, and a kernel that lets it mount.
#
# Mirror, keyring and network settings are this machine's own, read when it runs. Everything happens in name spaces of its
# own, so that neither a mount nor a process outlives it; the root file system is kept in tests/.work for the next run
# of the same week.
set -eu
RELEASE=$1
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$ROOT/tests/.work/debian
BASE=$WORK/$RELEASE-$(date +%G-%V)
TREE=$WORK/$RELEASE-running

[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
if [ -z "${COMFY_RELAY_INSIDE:-}" ]; then
    exec env COMFY_RELAY_INSIDE=1 unshare --mount --pid --fork --kill-child "$0" "$@"
fi

# repository PATTERN: where this machine's apt gets it from.
repository() {
    # shellcheck disable=SC2016 # apt's own form of variables
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | sort -u | grep -E "$1" | head -n 1
}

bootstrap() {
    rm -rf "$WORK/$RELEASE"-[0-9]* "$BASE.part"
    debootstrap --variant=minbase "$RELEASE" "$BASE.part" "$(repository '/debian/?$')" >"$WORK/$RELEASE.log" 2>&1 || {
        tail -n 30 "$WORK/$RELEASE.log"
        return 1
    }
    mv "$BASE.part" "$BASE"
}

copy_if_there() { # from to
    [ -e "$1" ] || return 0
    mkdir -p "$(dirname "$2")"
    cp -rL "$1" "$2"
}

# The network as this machine has it; nothing else of it.
settle() {
    local security
    security=$(repository 'security' || true)
    {
        echo "deb $(repository '/debian/?$') $RELEASE main"
        [ -z "$security" ] || echo "deb $security $RELEASE-security main"
    } >"$TREE/etc/apt/sources.list"
    apt-config dump | grep -E '^Acquire::(http|https|Check|Retries)' >"$TREE/etc/apt/apt.conf.d/99host" || true
    copy_if_there /etc/resolv.conf "$TREE/etc/resolv.conf"
    copy_if_there /etc/hosts "$TREE/etc/hosts"
    copy_if_there /etc/ssl/certs/ca-certificates.crt "$TREE/etc/host-certificates.crt"
    copy_if_there /etc/pip.conf "$TREE/etc/pip.conf"
    mkdir -p "$TREE/src"
    git -C "$ROOT" archive HEAD | tar -x -C "$TREE/src"
    mount -t proc proc "$TREE/proc"
    mount --rbind /dev "$TREE/dev"
}

inside() { # command...
    local certificates=/etc/host-certificates.crt
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/src TERM=dumb \
        PIP_CERT=$certificates SSL_CERT_FILE=$certificates NODE_EXTRA_CA_CERTS=$certificates npm_config_cafile=$certificates \
        http_proxy="${http_proxy:-}" https_proxy="${https_proxy:-}" no_proxy="${no_proxy:-}" \
        chroot "$TREE" "$@"
}

# Runs inside: the first command, until it serves, and then stops as Ctrl-C stops it.
quickstart() {
    # shellcheck disable=SC2016 # for the shell inside
    inside /bin/bash -c '
        cd /src && set -m
        deploy/quickstart.sh >/tmp/quickstart.log 2>&1 &
        for ((i = 0; i < 6000; i++)); do
            grep -q "Ctrl-C stops" /tmp/quickstart.log && break
            kill -0 $! 2>/dev/null || { cat /tmp/quickstart.log; exit 1; }
            sleep 0.1
        done
        cat /tmp/quickstart.log
        exec 3<>/dev/tcp/127.0.0.1/8190
        printf "GET /ws?clientId=demo HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" >&3
        printf "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" >&3
        timeout 20 grep -a -m 1 progress_state <&3 >/dev/null || { echo "no event of the demo has come"; exit 1; }
        exec 3>&-
        kill -INT $! && wait $!
        code=$?
        echo "quickstart.sh ended with $code"
        exit $code'
}

mkdir -p "$WORK"
[ -d "$BASE" ] || bootstrap
rm -rf --one-file-system "$TREE"
cp -a "$BASE" "$TREE"
settle
echo "==== $RELEASE: deploy/quickstart.sh"
quickstart
echo "==== $RELEASE: tests/run.sh"
inside /bin/bash -c "cd /src && timeout 2400 tests/run.sh </dev/null"
