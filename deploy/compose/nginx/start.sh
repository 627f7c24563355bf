#!/bin/sh
# Starts nginx for deploy/compose.yaml, in the official image or any that has nginx and a shell: writes to /tmp where names
# are looked up, and the workers of COMFYUI_WORKERS ("host:port host:port ...") as maps for nginx.conf beside this file.
# shellcheck disable=SC2016 # $names in single quotes are nginx's
set -eu

resolvers() {
    while read -r key value _; do
        [ "$key" = nameserver ] || continue
        case $value in *:*) printf ' [%s]' "$value" ;; *) printf ' %s' "$value" ;; esac
    done </etc/resolv.conf
}

cookie_of() { # worker: a short name for it, which does not show its address; who guesses that can check the guess
    printf %s "$1" | cksum | {
        read -r sum _
        printf 'w%s' "$sum"
    }
}

refuse() { # worker why
    echo "COMFYUI_WORKERS: \"$1\" $2" >&2
    exit 1
}

check_workers() {
    before=' '
    for worker in "$@"; do
        case $worker in
        *[!A-Za-z0-9._:-]* | *: | :*) refuse "$worker" "is not host:port" ;;
        *:*) ;;
        *) refuse "$worker" "is not host:port" ;;
        esac
        case $before in *" $worker "*) refuse "$worker" "is there twice" ;; esac
        before="$before$worker "
    done
}

# Newcomers, in equal shares.
write_shares() { # worker...
    share=$((10000 / $#))
    echo 'split_clients $comfy_newcomer $comfy_assigned {'
    while [ $# -gt 1 ]; do
        printf '    %d.%02d%% %s;\n' $((share / 100)) $((share % 100)) "$1"
        shift
    done
    printf '    * %s;\n}\n' "$1"
}

# The worker of a cookie; and whether a cookie is one of ours.
write_cookies() { # worker...
    echo 'map $cookie_comfy_worker $comfy_worker { default $comfy_assigned;'
    for worker in "$@"; do echo "    $(cookie_of "$worker") $worker;"; done
    echo '}'
    echo 'map $cookie_comfy_worker $comfy_kept_cookie { default "";'
    for worker in "$@"; do echo "    $(cookie_of "$worker") yes;"; done
    echo '}'
    echo 'map $comfy_worker $comfy_cookie {'
    for worker in "$@"; do echo "    $worker $(cookie_of "$worker");"; done
    echo '}'
}

# After each the next one, after the last the first.
write_order() { # worker...
    first=$1
    next='' cookies=''
    while [ $# -gt 0 ]; do
        next="$next    $1 ${2:-$first};
" cookies="$cookies    $1 $(cookie_of "${2:-$first}");
"
        shift
    done
    printf 'map $comfy_worker $comfy_next {\n%s}\nmap $comfy_worker $comfy_next_cookie {\n%s}\n' "$next" "$cookies"
}

# shellcheck disable=SC2086 # a list
set -- ${COMFYUI_WORKERS:-comfyui:8188}
check_workers "$@"
echo "resolver$(resolvers) valid=1s ipv6=off; resolver_timeout 2s;" >/tmp/resolver.conf
{
    write_shares "$@"
    write_cookies "$@"
    write_order "$@"
} >/tmp/workers.conf
echo "workers: $*"
exec nginx -e stderr -c "${0%/*}/nginx.conf"
