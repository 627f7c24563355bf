#!/bin/bash
# Both commands of the README in a clean Debian: tests/debian.sh bookworm|trixie [SUITE...]. Needs root, and a kernel that
# lets it mount. With suites, only these are run. Ends with what each command took: seconds, and bytes fetched.
#
# Mirror, keyring and network settings are this machine's own, read when it runs. Everything happens in name spaces of its
# own, so that neither a mount nor a process outlives it; the root file system is kept in tests/.work for the next run
# of the same week.
set -eu
RELEASE=$1
shift
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$ROOT/tests/.work/debian
BASE=$WORK/$RELEASE-$(date +%G-%V)
TREE=$WORK/$RELEASE-running

[ "$(id -u)" = 0 ] || { echo "needs root" >&2; exit 1; }
if [ -z "${COMFY_RELAY_INSIDE:-}" ]; then
    exec env --default-signal=INT COMFY_RELAY_INSIDE=1 unshare --mount --pid --fork --kill-child "$0" "$RELEASE" "$@"
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
    env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/home TERM=dumb \
        PIP_LOG=/tmp/pip.log PIP_CERT="$certificates" SSL_CERT_FILE="$certificates" NODE_EXTRA_CA_CERTS="$certificates" \
        npm_config_cafile="$certificates" \
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

# ---- what a command took ----------------------------------------------------------------------------------------

# What apt fetched of an archive's lists, as the archive itself states their sizes; then the packages that it keeps.
fetched_by_apt() {
    local list total=0
    for list in "$TREE"/var/lib/apt/lists/*_InRelease; do
        [ -e "$list" ] || continue
        total=$((total + $(stat -c %s "$list") + $(listed "$list" main/binary-"$(dpkg --print-architecture)"/Packages.xz) + \
            $(listed "$list" main/i18n/Translation-en.xz)))
    done
    echo $((total + $(bytes_in "$TREE/var/cache/apt/archives")))
}

listed() { # release-file name: its size
    awk -v name="$2" '/^SHA256:/ { on = 1 } on && $3 == name { size = $2 } END { print size + 0 }' "$1"
}

bytes_in() { # directory...
    local there=() one
    for one in "$@"; do
        [ ! -d "$one" ] || there+=("$one")
    done
    [ ${#there[@]} -gt 0 ] || { echo 0 && return; }
    find "${there[@]}" -type f -printf '%s\n' | awk '{ total += $1 } END { printf "%d\n", total }'
}

# pip keeps nothing when a proxy says so, but its log has each size.
fetched_by_pip() {
    [ -e "$TREE/tmp/pip.log" ] || { echo 0 && return; }
    sed -n 's/.* Downloading .*(\([0-9.]*\) \([kM]\{0,1\}\)\(B\|bytes\))$/\1 \2/p' "$TREE/tmp/pip.log" |
        awk '{ total += $1 * ($2 == "M" ? 1e6 : $2 == "k" ? 1e3 : 1) } END { printf "%d\n", total }'
}

# Debian's packages, then what pip has told, and what npm and Go keep of what they have fetched.
fetched() {
    echo "$(fetched_by_apt) $(fetched_by_pip) $(bytes_in "$TREE/home/.npm/_cacache/content-v2")" \
        "$(bytes_in "$TREE"/src/tests/.work/examples/go/path/pkg/mod/cache/download "$TREE/home/go/pkg/mod/cache/download")"
}

# timed NAME COMMAND...: adds a line to what is said at the end.
timed() {
    local name=$1 before after begin=$SECONDS code=0
    shift
    before=$(fetched)
    echo "==== $RELEASE: $name"
    "$@" || code=$?
    after=$(fetched)
    TOOK="$TOOK$(printf '%s\n' "$before" "$after" | awk -v name="$RELEASE: $name" -v seconds=$((SECONDS - begin)) '
        NR == 1 { for (i = 1; i <= 4; i++) had[i] = $i }
        NR == 2 {
            for (i = 1; i <= 4; i++) total += mb[i] = ($i - had[i]) / 1e6
            printf "%s: %d s, %.0f MB fetched (Debian %.0f, pip %.0f, npm %.0f, Go %.0f)", name, seconds, total, mb[1], mb[2], mb[3], mb[4]
        }')"$'\n'
    return "$code"
}

run_tests() { # suite...
    # shellcheck disable=SC2016 # for the shell inside
    inside /bin/bash -c 'cd /src && timeout 5400 tests/run.sh "$@" </dev/null' run "$@"
}

mkdir -p "$WORK"
[ -d "$BASE" ] || bootstrap
rm -rf --one-file-system "$TREE"
cp -a "$BASE" "$TREE"
rm -f "$TREE"/var/cache/apt/archives/*.deb
settle
TOOK=
CODE=0
timed "deploy/quickstart.sh" quickstart || CODE=$?
[ $CODE != 0 ] || timed "tests/run.sh${*:+ $*}" run_tests "$@" || CODE=$?
printf '\n%s' "$TOOK"
exit $CODE
