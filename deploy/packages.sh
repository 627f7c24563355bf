# shellcheck shell=bash
# What is installed from Debian, and how. Sourced by deploy/quickstart.sh and tests/run.sh.

# What a build needs, and what runs it. A line is a package, or `command:package` where any provider of the command will do.
# shellcheck disable=SC2034 # used by those who source this
BUILD_PACKAGES="gcc:build-essential make:build-essential cmake:cmake pkg-config:pkg-config libc6-dev
                libuv1-dev libwslay-dev libhiredis-dev libmsgpack-dev libssl-dev libjansson-dev"

is_installed() { # command:package or package
    case $1 in
    *:*) command -v "${1%%:*}" >/dev/null ;;
    *) [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ] ;;
    esac
}

item_is_listed() { # item list...
    case " ${*:2} " in *" $1 "*) return 0 ;; *) return 1 ;; esac
}

# as_root COMMAND...: as root, or through sudo where that asks nothing.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --non-interactive --preserve-env=DEBIAN_FRONTEND "$@" || sudo "$@"
    else
        echo "Neither root nor sudo. As root: $*" >&2
        return 1
    fi
}

# install_missing PACKAGE...: installs those that are not there; does nothing at all when all are.
install_missing() {
    local item missing=()
    for item in "$@"; do
        item_is_listed "${item#*:}" "${missing[@]}" || is_installed "$item" || missing+=("${item#*:}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    echo "Installing from Debian: ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    local apt=(apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq)
    as_root "${apt[@]}" update || return 1
    as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/dev/null || {
        echo "apt-get could not install: ${missing[*]}" >&2
        return 1
    }
}
