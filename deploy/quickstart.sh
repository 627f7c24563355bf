#!/bin/bash
# Builds the relay and runs it with a private Redis and a demo worker, until Ctrl-C.
#
#     deploy/quickstart.sh [--no-demo] [--sid SID] [--listen ADDRESS] [--ops.listen ADDRESS]
#
#     --no-demo      relay and Redis only
#     --sid SID      the client id that the demo plays for (demo): 1 to 128 bytes of UTF-8, no control characters, no braces
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
exec {TERMINAL}>&1 # what is said last must be seen also when a signal comes while the output goes elsewhere

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
    sid_is_valid || { echo "--sid: 1 to 128 bytes of UTF-8 without control characters, { or }" >&2 && exit 2; }
}

sid_is_valid() {
    local LC_ALL=C # bytes
    [ ${#SID} -ge 1 ] && [ ${#SID} -le 128 ] || return
    case $SID in *[{}]* | *[$'\x01'-$'\x1f'$'\x7f']* | *$'\xc2'[$'\x80'-$'\x9f']*) return 1 ;; esac
    printf %s "$SID" | iconv -f UTF-8 -t UTF-8 >/dev/null 2>&1
}

percent_encoded() { # text
    local LC_ALL=C i byte
    for ((i = 0; i < ${#1}; i++)); do
        byte=${1:i:1}
        case $byte in
        [a-zA-Z0-9._~-]) printf %s "$byte" ;;
        *) printf -v byte %d "'$byte" && printf '%%%02X' $((byte & 255)) ;;
        esac
    done
}

fail() {
    echo "$*" >&2
    exit 1
}

# ---- what runs ---------------------------------------------------------------------------------------------------

# launch COMMAND...: a child that ends with this script, even when that is killed. In a process group of its own: a
# terminal's Ctrl-C is for this script, which stops them in their order.
launch() {
    set -m
    setpriv --pdeathsig TERM "$@" &
    set +m
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
    echo "Stopped." >&"$TERMINAL"
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
        children_live || fail "$what has ended; its last line tells why"
        "$@" && return
        sleep 0.1
    done
    fail "$what is not there within $((limit / 10)) s"
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

# accepts ADDRESS: whether something listens there. Asks nothing of it.
accepts() {
    # shellcheck disable=SC2016 # for the inner shell
    timeout 2 bash -c 'exec 3<>"/dev/tcp/$0/$1"' "$(host_of "$1")" "${1##*:}" 2>/dev/null
}

host_of() { # address: where to reach it from here
    local host=${1%:*}
    host=${host#[}
    host=${host%]}
    case $host in 0.0.0.0 | '') echo 127.0.0.1 ;; ::) echo ::1 ;; *) echo "$host" ;; esac
}

# ---- the steps ---------------------------------------------------------------------------------------------------

install_all() {
    # shellcheck disable=SC2086 # a list
    install_missing $BUILD_PACKAGES redis-server:redis-server redis-cli:redis-tools || exit 1
}

build() {
    echo "Building build/comfy-relay"
    local log="$DIR/build.log"
    if ! { cmake -S "$ROOT" -B "$ROOT/build" && cmake --build "$ROOT/build" -j "$(nproc)" --target comfy-relay comfy-publish; } >"$log" 2>&1; then
        tail -n 40 "$log" >&2
        fail "the build failed"
    fi
}

start_demo() {
    launch "$ROOT/build/comfy-publish" --redis.url="redis+unix://$DIR/redis.sock" --worker=demo --sid="$SID" --loop \
        --play="$ROOT/tests/golden/f_reconnect.events.msgpack"
}

# What the relay makes of its options: LISTEN, all of its addresses, and OPS. It says itself what it does not take.
read_options() {
    local config
    config=$("$ROOT/build/comfy-relay" --print-config "${RELAY_OPTIONS[@]}") || exit
    LISTEN=$(option listen "$config")
    OPS=$(option 'ops\.listen' "$config")
    LISTEN=${LISTEN//,/ }
    FIRST=${LISTEN%% *}
}

option() { # name config
    sed -n "s/^$1 = \(.*[^ ]\)  *#.*/\1/p" <<<"$2"
}

OTHER="choose another with --listen or --ops.listen (or COMFY_RELAY_LISTEN, COMFY_RELAY_OPS_LISTEN)"

check_addresses() {
    local address
    for address in $LISTEN $OPS; do
        case $address in
        unix:*) ;;
        *:0) fail "$address: a port is needed here, not 0; $OTHER" ;;
        *) ! accepts "$address" || fail "$address is taken; $OTHER" ;;
        esac
    done
}

start_redis() {
    launch redis-server --port 0 --unixsocket "$DIR/redis.sock" --save "" --appendonly no --dir "$DIR" \
        --logfile "$DIR/redis.log" --daemonize no >/dev/null
    until_true 10 "redis-server" redis_answers
}

start_relay() {
    launch "$ROOT/build/comfy-relay" "${RELAY_OPTIONS[@]}"
    case $OPS in
    "" | unix:*) case $FIRST in unix:*) ;; *) until_true 10 "the relay" accepts "$FIRST" ;; esac ;;
    *) until_true 10 "the relay" relay_is_ready ;;
    esac
}

say_where() {
    local path
    path="/ws?clientId=$(percent_encoded "$SID")"
    echo
    case $FIRST in
    unix:*) echo "WebSocket:   $FIRST, path $path" ;;
    *) echo "WebSocket:   ws://$FIRST$path" ;;
    esac
    case $OPS in
    "") ;;
    unix:*) echo "Operations:  $OPS, paths / (inspector) /live /ready /metrics" ;;
    *)
        echo "Inspector:   http://$OPS/#sid=$(percent_encoded "$SID")"
        echo "Operations:  http://$OPS/live /ready /metrics"
        ;;
    esac
    echo "Redis:       $DIR/redis.sock"
    [ -z "$DEMO" ] || echo "Demo:        a recorded run plays for client id \"$SID\", over and over"
    echo "To publish:  $(example)"
    echo "Ctrl-C stops all of it."
    echo
}

example() { # a line for a shell: an event for that client id
    local sid=${SID//\\/\\\\} event
    event="{\"type\":\"executing\",\"sid\":\"${sid//\"/\\\"}\",\"data\":{\"node\":\"3\",\"display_node\":\"3\",\"prompt_id\":\"p1\"}}"
    printf "echo '%s' | %q --redis.url=%q" "${event//\'/\'\\\'\'}" "$ROOT/build/comfy-publish" "redis+unix://$DIR/redis.sock"
}

main() {
    parse "$@"
    trap stopped_as_asked INT TERM HUP
    trap stop EXIT
    install_all
    DIR=$(mktemp -d "${TMPDIR:-/tmp}/comfy-relay.XXXXXX") || exit 1
    build
    RELAY_OPTIONS+=("--redis.url=redis+unix://$DIR/redis.sock" --drain.time=1s)
    read_options
    check_addresses
    start_redis
    start_relay
    say_where
    [ -z "$DEMO" ] || start_demo
    wait -n
    fail "One of them has ended by itself; stopping the others."
}

main "$@"
