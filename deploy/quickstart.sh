#!/bin/bash
# Builds the relay and runs it with a private Redis and a demo worker, until Ctrl-C.
#
#     deploy/quickstart.sh [--no-demo] [--sid SID] [--listen ADDRESS] [--ops.listen ADDRESS]
#
#     --no-demo      relay and Redis only
#     --sid SID      the client id that the demo plays for (demo)
#     --listen, --ops.listen   as the relay has them; so do COMFY_RELAY_LISTEN and its like in the environment
#
# Installs what is missing (Debian 12 and 13; as root or through sudo). Redis listens on a unix socket in a directory of
# its own; nothing is left of it.
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd)
. "$ROOT/deploy/packages.sh"

DEMO=yes
SID=demo
RELAY_OPTIONS=()
CHILDREN=()
DIR=

usage() {
    sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0"
}

parse() {
    while [ $# -gt 0 ]; do
        case $1 in
        --no-demo) DEMO= ;;
        --sid=*) SID=${1#*=} ;;
        --listen=* | --ops.listen=*) RELAY_OPTIONS+=("$1") ;;
        --sid | --listen | --ops.listen)
            [ $# -ge 2 ] || { echo "$1 needs a value" >&2 && exit 2; }
            if [ "$1" = --sid ]; then SID=$2; else RELAY_OPTIONS+=("$1=$2"); fi
            shift
            ;;
        --help | -h) usage && exit 0 ;;
        *) echo "unknown option $1" >&2 && usage >&2 && exit 2 ;;
        esac
        shift
    done
}

fail() {
    echo "$*" >&2
    exit 1
}

# ---- what runs ---------------------------------------------------------------------------------------------------

# launch COMMAND...: a child that ends with this script, even when that is killed.
launch() {
    setpriv --pdeathsig TERM "$@" &
    CHILDREN+=($!)
}

# The worker first: it says goodbye through Redis. Redis last.
stop() {
    local i
    trap '' INT TERM HUP
    trap - EXIT
    for ((i = ${#CHILDREN[@]} - 1; i >= 0; i--)); do
        end_child "${CHILDREN[i]}"
    done
    [ -z "$DIR" ] || rm -rf "$DIR"
}

end_child() {
    kill -TERM "$1" 2>/dev/null || return
    local i
    for ((i = 0; i < 100; i++)); do
        kill -0 "$1" 2>/dev/null || return
        sleep 0.1
    done
    kill -KILL "$1" 2>/dev/null
}

stopped_as_asked() {
    stop
    echo "Stopped."
    exit 0
}

# ---- waiting -----------------------------------------------------------------------------------------------------

# get HOST PORT PATH: the status code of an HTTP answer, without needing any client installed.
get() {
    (
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$3" "$1" >&3
        read -r -t 2 _ status _ <&3 && echo "$status"
    ) 2>/dev/null
}

# until_true SECONDS WHAT COMMAND...
until_true() {
    local i limit=$(($1 * 10)) what=$2
    shift 2
    for ((i = 0; i < limit; i++)); do
        "$@" && return
        children_live || fail "$what: it has ended"
        sleep 0.1
    done
    fail "$what: not within $((limit / 10)) s"
}

children_live() {
    local child
    for child in "${CHILDREN[@]}"; do
        kill -0 "$child" 2>/dev/null || return 1
    done
}

redis_answers() {
    [ "$(redis-cli -s "$DIR/redis.sock" ping 2>/dev/null)" = PONG ]
}

relay_is_ready() {
    [ "$(get "$(host_of "$OPS")" "${OPS##*:}" /ready)" = 200 ]
}

relay_listens() {
    [ -n "$(get "$(host_of "$LISTEN")" "${LISTEN##*:}" /)" ]
}

host_of() { # address: where to reach it from here
    local host=${1%:*}
    host=${host#[}
    host=${host%]}
    case $host in 0.0.0.0 | '') echo 127.0.0.1 ;; ::) echo ::1 ;; *) echo "$host" ;; esac
}

# ---- the steps ---------------------------------------------------------------------------------------------------

install_all() {
    local demo=
    [ -z "$DEMO" ] || demo="python3 python3-redis python3-msgpack"
    # shellcheck disable=SC2086 # lists
    install_missing $BUILD_PACKAGES redis-server:redis-server redis-cli:redis-tools $demo || exit 1
}

build() {
    echo "Building build/comfy-relay"
    local log="$DIR/build.log"
    if ! { cmake -S "$ROOT" -B "$ROOT/build" && cmake --build "$ROOT/build" -j "$(nproc)" --target comfy-relay; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "the build failed"
    fi
}

option() { # name: the first address that the relay will use
    "$ROOT/build/comfy-relay" --print-config "${RELAY_OPTIONS[@]}" | sed -n "s/^$1 = \(.*\)  *#.*/\1/p" | sed 's/ *$//; s/,.*//'
}

start_redis() {
    launch redis-server --port 0 --unixsocket "$DIR/redis.sock" --save "" --appendonly no --dir "$DIR" \
        --logfile "$DIR/redis.log" --daemonize no >/dev/null
    until_true 10 "redis-server" redis_answers
}

start_relay() {
    launch "$ROOT/build/comfy-relay" "${RELAY_OPTIONS[@]}"
    case $LISTEN in unix:*) return ;; esac
    if [ -n "$OPS" ]; then
        until_true 10 "the relay" relay_is_ready
    else
        until_true 10 "the relay" relay_listens
    fi
}

say_where() {
    echo
    case $LISTEN in
    unix:*) echo "WebSocket:   $LISTEN, path /ws?clientId=$SID" ;;
    *) echo "WebSocket:   ws://$LISTEN/ws?clientId=$SID" ;;
    esac
    [ -z "$OPS" ] || echo "Operations:  http://$OPS/live /ready /metrics"
    echo "Redis:       $DIR/redis.sock"
    [ -z "$DEMO" ] || echo "Demo:        a recorded run plays for client id \"$SID\", over and over"
    echo "Ctrl-C stops all of it."
    echo
}

main() {
    parse "$@"
    trap stopped_as_asked INT TERM HUP
    trap stop EXIT
    install_all
    DIR=$(mktemp -d "${TMPDIR:-/tmp}/comfy-relay.XXXXXX") || exit 1
    build
    RELAY_OPTIONS+=("--redis.url=redis+unix://$DIR/redis.sock" --drain.time=1s)
    LISTEN=$(option listen)
    OPS=$(option 'ops\.listen')
    [ -n "$LISTEN" ] || fail "the relay does not take these options"
    start_redis
    start_relay
    say_where
    [ -z "$DEMO" ] || launch /usr/bin/python3 "$ROOT/deploy/demo_worker.py" --redis-socket "$DIR/redis.sock" --sid "$SID"
    wait -n
    fail "One of them has ended by itself; stopping the others."
}

main "$@"
