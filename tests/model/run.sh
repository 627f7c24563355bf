#!/bin/bash
# Checks the model of a session (session.pml) with spin: tests/model/run.sh WORK. A line for each check on stdout:
# `passed NAME` or `failed NAME`; figures and reasons go to stderr.
#
# Within the bounds every state is looked at. A state is remembered by a hash (spin's HC4), which keeps the memory small.
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
WORK=$1
SECONDS_MAX=300
MEGABYTES_MAX=1000
OPTIMIZE=-O0 # most of the time is the compiler's

verify() { # name option...: leaves its figures in $WORK/NAME/out
    local dir="$WORK/$1"
    rm -rf "$dir" && mkdir -p "$dir"
    (cd "$dir" && spin -a "${@:2}" "$HERE/session.pml" &&
        gcc "$OPTIMIZE" -w -DSAFETY -DHC4 -DMEMLIM="$MEGABYTES_MAX" -o pan pan.c &&
        timeout "$SECONDS_MAX" ./pan -m20000 -w22) >"$dir/out" 2>&1
}

figures() { # name
    echo "$1: $(grep -oE '[0-9]+ states, stored' "$WORK/$1/out"), depth $(grep -oE 'depth reached [0-9]+' "$WORK/$1/out" | cut -d' ' -f3)," \
        "$(grep -oE '[0-9.]+.total actual memory usage' "$WORK/$1/out" | tr '\t' ' ' | cut -d' ' -f1) MB," \
        "$(grep -oE 'elapsed time [0-9.]+' "$WORK/$1/out" | cut -d' ' -f3) s" >&2
}

is_complete() { # name: spin came to an end, and nothing was too large
    grep -q 'errors: ' "$WORK/$1/out" && ! grep -qE 'max search depth too small|out of memory|Search not completed' "$WORK/$1/out"
}

keeps() { # name promise option...
    verify "$1" "${@:3}"
    figures "$1"
    if is_complete "$1" && grep -q 'errors: 0' "$WORK/$1/out"; then
        echo "passed $2"
    else
        tail -n 40 "$WORK/$1/out" >&2
        echo "failed $2: see ${WORK#"$ROOT"/}/$1"
    fi
}

finds() { # name fault option...: the promise that does not hold is shown
    verify "$1" "${@:3}"
    if grep -q 'errors: 1' "$WORK/$1/out" && grep -q 'assertion violated' "$WORK/$1/out"; then
        echo "$1: $(grep -oE 'assertion violated .*' "$WORK/$1/out" | cut -c1-90)" >&2
        echo "passed $2"
    else
        tail -n 40 "$WORK/$1/out" >&2
        echo "failed $2: see ${WORK#"$ROOT"/}/$1"
    fi
}

# Every function that a step names in brackets is in the tree: as one, or as a member of a seam.
names_exist() {
    local name missing=0
    while read -r name; do
        if [[ $name == *.* ]]; then
            grep -qE "\(\*${name#*.}\)\(struct ${name%.*} \*self" "$ROOT/relay/ports.h" && continue
        else
            grep -qE "^(static |inline )*[a-z].*[ *]$name\(" "$ROOT"/relay/*.[ch] "$ROOT"/adapters/*/*.[ch] && continue
        fi
        echo "there is no function $name" >&2
        missing=1
    done < <(grep -oE '\[[a-z_., ]+\]?' "$HERE/session.pml" | grep -oE '[a-z]+(_[a-z]+)+|[a-z]+\.[a-z_]+' | sort -u)
    return $missing
}

mkdir -p "$WORK"
NAMES="every function that the model names exists"
if names_exist; then echo "passed $NAMES"; else echo "failed $NAMES"; fi

# Bounds: sockets, reloads, events. With PROMPT=5 nothing executes.
TWO=(-DCONNECTS=2 -DRELOADS=0 -DEVENTS=1 -DEND=2)
TWO_EVENTS=(-DCONNECTS=2 -DRELOADS=0 -DEVENTS=2 -DEND=2)
RELOAD=(-DCONNECTS=2 -DEVENTS=2 -DEND=2)
OUTAGE=("${TWO[@]}" -DOUTAGES=1)

faults() {
    finds keep_both "it shows that what was read and came live must be sent once" -DKEEP_BOTH "${TWO_EVENTS[@]}"
    finds subscribe_last "it shows that the channel is subscribed before the log is read" -DSUBSCRIBE_LAST "${TWO_EVENTS[@]}"
    finds status_too_soon "it shows that the first status waits for what came before it" -DSTATUS_TOO_SOON "${TWO_EVENTS[@]}"
    finds never_silent "it shows that a takeover silences" -DNEVER_SILENT "${TWO[@]}"
    finds obey_any_takeover "it shows that an older socket's takeover is not obeyed" -DOBEY_ANY_TAKEOVER "${TWO[@]}"
    finds claim_by_order "it shows that an older socket's claim is refused" -DCLAIM_BY_ORDER "${TWO[@]}"
    finds age_of_sending "it shows that a claim must not look younger for being late" -DAGE_OF_SENDING "${TWO[@]}"
    finds claim_once "it shows that the session is claimed again after an outage" -DCLAIM_ONCE "${OUTAGE[@]}"
    finds believe_any_place "it shows that a place newer than what was there is another socket's" -DBELIEVE_ANY_PLACE "${RELOAD[@]}"
    finds written_is_received "it shows that a place is stored only when it is known" -DWRITTEN_IS_RECEIVED "${TWO_EVENTS[@]}"
    finds forget_nothing "it shows that 1001 forgets" -DFORGET_NOTHING -DCONNECTS=2 -DEVENTS=1 -DEND=2
    finds read_no_gap "it shows that a gap must be read back" -DREAD_NO_GAP "${OUTAGE[@]}"
    finds read_newest_again "it shows that what was the newest entry first stays so" -DREAD_NEWEST_AGAIN -DCONNECTS=1 -DRELOADS=0 -DEVENTS=1 -DPROMPT=5 -DEND=5 -DOUTAGES=1
    finds impatient_placing "it shows what RELAY_PLACING_MS is for" -DIMPATIENT_PLACING -DCONNECTS=2 -DEVENTS=1 -DEND=2
    finds impatient_client "it shows what a client that is too fast meets" -DIMPATIENT_CLIENT "${TWO_EVENTS[@]}"
}
(
    OPTIMIZE=-O2
    keeps reload "a reload and takeovers lose nothing" "${RELOAD[@]}"
    keeps cuts "cuts and takeovers lose nothing" -DRELOADS=0 -DEVENTS=1 -DEND=2
    keeps outage "an outage of Redis loses nothing" "${OUTAGE[@]}"
    keeps death "the death of a relay loses nothing" "${TWO[@]}" -DDEATHS=1
) &
faults
wait
