#!/bin/bash
# Runs the tests: tests/run.sh [SUITE...], or tests/run.sh fuzz SECONDS.
#
#     unit          the core and each adapter, alone (ctest)
#     differential  MessagePack to JSON against independent implementations
#     flow          the relay as a whole: real Redis, recorded traffic, promises by name
#     worker        the worker's side: the ComfyUI extension, and the examples for publishers in other languages
#     e2e           clients people use, and a browser
#     model         the protocol between relays, Redis and a client, in every order things can happen (spin)
#     deploy        what is in deploy/, run for real: container, compose, systemd, the Debian package, Prometheus, proxies
#     fuzz          each fuzz target for 10 s, or SECONDS
#     static        includes, layout, scripts, units and manifests, warnings of both compilers
#   and outside of the default run:
#     kubernetes    deploy/kubernetes/ on a real node (built from source the first time, by Go 1.24 or newer)
#     debian        both commands of the README in a clean Debian 12 and 13
#     coverage      lines covered by unit and flow
#
# Installs what is missing, builds with sanitizers, ends with one summary. Anything it starts ends with it.
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$ROOT/tests/.work
VENV=$WORK/venv
LINT=$WORK/lint
NODE=$WORK/node
EXAMPLES=$WORK/examples
RESULTS=$WORK/results
DEFAULT_SUITES="static model unit differential flow worker e2e deploy fuzz"
FUZZ_SECONDS=10
JOBS=$(nproc)
export WORK NODE EXAMPLES

. "$ROOT/tests/install.sh"

# ---- results: a suite writes lines `passed NAME`, `failed NAME`, `skipped NAME: why` -----------------------------

passed() { echo "passed $*" >>"$RESULTS/$SUITE"; }
failed() {
    echo "failed $*" >>"$RESULTS/$SUITE"
    echo "FAILED: $*"
}
skipped() {
    echo "skipped $*" >>"$RESULTS/$SUITE"
    echo "SKIPPED: $*"
}

# check NAME COMMAND...: one test; its output is shown when it fails.
check() {
    local name=$1 log
    shift
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        passed "$name"
    else
        cat "$log"
        failed "$name"
    fi
    rm -f "$log"
}

# count_junit FILE NAME...: takes over the results of a JUnit file; without a file the run itself has failed.
count_junit() {
    if [ ! -s "$1" ] || ! /usr/bin/python3 "$ROOT/tests/support/junit.py" "$1" >>"$RESULTS/$SUITE"; then
        failed "$2 ended without a report"
    fi
}

count() { # passed|failed|skipped suite
    grep -c "^$1 " "$RESULTS/$2" 2>/dev/null || true
}

# ---- builds -----------------------------------------------------------------------------------------------------

build_dev() {
    cmake_preset dev >"$WORK/build.log" 2>&1 && return
    grep -E -A 8 'error|warning|undefined reference' "$WORK/build.log" || tail -n 40 "$WORK/build.log"
    return 1
}

# build_in DIRECTORY OPTION...: a build beside the presets', every warning an error.
build_in() {
    local dir=$1
    shift
    cmake -S "$ROOT" -B "$dir" "$@" && cmake --build "$dir" -j "$JOBS"
}

# ---- suites -----------------------------------------------------------------------------------------------------

run_unit() {
    local report="$WORK/ctest.xml"
    rm -f "$report"
    timeout 400 ctest --test-dir "$ROOT/build-dev" -j "$JOBS" --timeout 120 --output-on-failure --output-junit "$report"
    count_junit "$report" ctest
}

run_pytest() { # folder seconds option...
    local report="$WORK/$SUITE.xml"
    rm -f "$report"
    (cd "$ROOT/tests/$1" && PYTHONDONTWRITEBYTECODE=1 timeout -k 10 "$2" "$VENV/bin/python" -m pytest -q "${@:3}" --junitxml "$report" .)
    count_junit "$report" pytest
}

run_differential() {
    run_pytest differential 400
}

run_flow() {
    run_pytest flow 1200 --durations 10
}

run_worker() {
    run_pytest worker 600
}

run_e2e() {
    run_pytest e2e 600
}

run_deploy() {
    run_pytest deploy 1800 --durations 10
}

run_kubernetes() {
    run_pytest kubernetes 4800 --durations 10
}

run_model() {
    "$ROOT/tests/model/run.sh" "$WORK/model" | tee -a "$RESULTS/$SUITE"
}

run_fuzz() {
    check "fuzz targets build" cmake_preset fuzz || return
    "$VENV/bin/python" "$ROOT/tests/fuzz/seeds.py" "$WORK/seeds" || failed "seeds"
    local target found=
    for target in "$ROOT"/build-fuzz/fuzz_*; do
        [[ -f $target && -x $target ]] || continue
        found=yes
        fuzz_target "$target" "$(basename "$target")"
    done
    [ -n "$found" ] || failed "there is no fuzz target"
}

fuzz_target() { # binary name
    local corpus="$WORK/corpus/$2" log="$WORK/$2.log"
    mkdir -p "$corpus" "$WORK/seeds/$2" "$WORK/artifacts"
    echo "$2 for $FUZZ_SECONDS s, $(find "$corpus" "$WORK/seeds/$2" -type f | wc -l) inputs to begin with"
    if timeout -k 10 $((FUZZ_SECONDS + 120)) "$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 \
        -max_len=65536 -print_final_stats=1 -artifact_prefix="$WORK/artifacts/$2-" "$corpus" "$WORK/seeds/$2" >"$log" 2>&1; then
        passed "$2"
        grep -E 'number_of_executed_units|new_units_added|peak_rss' "$log"
    else
        tail -n 60 "$log"
        failed "$2: see ${log#"$ROOT"/} and ${WORK#"$ROOT"/}/artifacts"
    fi
}

cmake_preset() {
    (cd "$ROOT" && cmake --preset "$1" && cmake --build --preset "$1" -j "$JOBS")
}

run_static() {
    check "relay/ includes nothing but itself and the C library" includes_are_pure
    check "headers of an adapter's library stay in its folder" libraries_stay_in_their_folders
    check_layout
    check "shell scripts are clean" shell_is_clean
    check_units
    check_manifests
    check "links in Markdown lead somewhere" links_lead_somewhere
    check "deploy/Dockerfile is clean" "$LINT/bin/hadolint" "$ROOT/deploy/Dockerfile"
    check "YAML in deploy/ is clean" "$LINT/bin/yamllint" --strict -c "$ROOT/deploy/.yamllint" "$ROOT/deploy"
    check_compose
    check "gcc has no warning" build_in "$WORK/build-gcc" -DCMAKE_C_COMPILER=gcc -DWERROR=ON -DTESTS=OFF -DBENCH=ON
    check "clang has no warning" build_in "$WORK/build-clang" -DCMAKE_C_COMPILER=clang -DWERROR=ON -DTESTS=OFF -DBENCH=ON
}

includes_are_pure() {
    local c_library='assert|ctype|errno|float|inttypes|limits|math|stdalign|stdarg|stdbool|stddef|stdint|stdio|stdlib|string|sys/queue'
    ! grep -nE '^[[:space:]]*#[[:space:]]*include' "$ROOT"/relay/*.[ch] |
        grep -vE "include (\"relay/[a-z_0-9]+\\.h\"|<($c_library)\\.h>)"
}

libraries_stay_in_their_folders() {
    local bad=0 rule
    for rule in 'wslay/:adapters/websocket' 'hiredis/:adapters/(redis|publisher)/' 'msgpack:adapters/(msgpack|publisher)/' 'uv\.h:adapters|main\.c'; do
        grep -rnE "^#[[:space:]]*include <${rule%%:*}" --include='*.[ch]' "$ROOT"/main.c "$ROOT"/relay "$ROOT"/config "$ROOT"/adapters |
            grep -vE "^$ROOT/(${rule#*:})" && bad=1
    done
    return $bad
}

check_layout() {
    local version
    version=$(clang-format --version | grep -oE 'version [0-9]+' | cut -d' ' -f2)
    if [ "$version" = 14 ]; then
        check "C sources have the one layout" layout_is_clean
    else
        skipped "C sources have the one layout: it is clang-format 14's (Debian 12), and this is $version"
    fi
}

layout_is_clean() {
    find "$ROOT"/main.c "$ROOT"/relay "$ROOT"/config "$ROOT"/adapters "$ROOT"/tests -name .work -prune -o -name '*.[ch]' -print0 |
        xargs -0 clang-format --dry-run -Werror
}

check_units() {
    local unit
    if ! command -v systemd-analyze >/dev/null; then
        skipped "systemd units are clean: systemd-analyze is not here (Debian: systemd)"
        return
    fi
    rm -rf "$WORK/units"
    check "systemd units are written" cmake -D BINDIR=/usr/local/bin -D TO="$WORK/units" -P "$ROOT/deploy/systemd/units.cmake" || return
    for unit in "$WORK"/units/*.service; do
        check "$(basename "$unit") is clean" unit_is_clean "$unit"
    done
}

# As docker-compose 1.29 reads them: one that it takes has no key that only Compose v2 knows.
check_compose() {
    local files
    if ! command -v docker-compose >/dev/null; then
        skipped "compose files are clean: docker-compose is not here (Debian: docker-compose)"
        return
    fi
    for files in compose.yaml "compose.yaml compose/gpu.yaml" "compose.yaml compose/remote.yaml" compose/worker.yaml; do
        check "deploy/$files is clean" compose_is_clean "$files"
    done
}

compose_is_clean() { # files
    # shellcheck disable=SC2046,SC2086 # a list
    (cd "$ROOT/deploy" && docker-compose $(printf -- ' -f %s' $1) --profile comfyui config -q)
}

# With a program that is there. What is misspelt is only a warning: nothing may be said at all.
unit_is_clean() { # file
    local copy told
    copy=$WORK/$(basename "$1")
    sed 's|=/usr/local/bin/comfy-relay|=/bin/true|' "$1" >"$copy"
    if ! told=$(systemd-analyze verify --man=no "$copy" 2>&1) || [ -n "$told" ]; then
        echo "$told"
        return 1
    fi
    systemd-analyze security --no-pager --offline=true --threshold=20 "$copy" # tenths: 2.0
}

# What is applied to a cluster, against the API's schemas: of the oldest version that has all of it, and of a newer one.
check_manifests() {
    local folder=$ROOT/deploy/kubernetes programs each why log=$WORK/kustomize.log
    check "kubernetes: the example of a worker is valid" manifest_is_valid "$folder/examples/comfyui.yaml"
    if programs=$("$ROOT/tests/kubernetes/build.sh" kustomize 2>"$log"); then
        for each in base overlays/quick overlays/production sidecar; do
            check "kubernetes: $each is valid" rendered_is_valid "$programs/kustomize" "$folder/$each"
        done
        return
    fi
    # Go's modules cannot be had: go itself says so. All else is our own fault.
    if why=$(cd "$ROOT/tests/kubernetes" && GOTOOLCHAIN=local go mod download sigs.k8s.io/kustomize/kustomize/v5 2>&1); then
        failed "kubernetes: kustomize is built"
        cat "$log"
        return
    fi
    skipped "kubernetes: base, overlays and sidecar as kustomize makes them: kustomize cannot be built here: $(echo "$why" | tail -n 1)"
    find "$folder" -name '*.yaml' ! -name kustomization.yaml ! -name '*.patch.yaml' ! -path '*/examples/*' | sort | while read -r each; do
        check "kubernetes: ${each#"$folder"/} is valid by itself" manifest_is_valid "$each"
    done
}

rendered_is_valid() { # kustomize folder
    "$1" build "$2" >"$WORK/rendered.yaml" && manifest_is_valid "$WORK/rendered.yaml"
}

manifest_is_valid() { # file
    local version
    for version in 1.30 1.34; do
        "$LINT/bin/kubernetes-validate" --strict -k "$version" "$1" || return
    done
}

shell_is_clean() {
    find "$ROOT"/deploy "$ROOT"/tests "$ROOT"/.ci -name .work -prune -o \( -name '*.sh' -o -path '*/.ci/run' -o -path '*/debian/p*inst' -o -path '*/debian/p*rm' \) -print0 |
        (cd "$ROOT" && xargs -0 shellcheck -x -e SC1091,SC2317)
}

links_lead_somewhere() {
    find "$ROOT"/*.md "$ROOT"/adapters "$ROOT"/config "$ROOT"/deploy "$ROOT"/tests -name .work -prune -o -name '*.md' -print0 |
        xargs -0 /usr/bin/python3 "$ROOT/tests/support/links.py" "$ROOT"
}

run_debian() {
    local release
    for release in bookworm trixie; do
        if timeout 6600 "$ROOT/tests/debian.sh" "$release"; then
            passed "both commands on $release"
        else
            failed "both commands on $release"
        fi
    done
}

run_coverage() {
    check "the coverage build" cmake_preset coverage
    timeout 300 ctest --test-dir "$ROOT/build-coverage" -j "$JOBS" --timeout 120 >"$WORK/coverage.log" 2>&1 || failed "unit tests"
    (cd "$ROOT/tests/flow" && COMFY_RELAY_BINARY="$ROOT/build-coverage/comfy-relay" PYTHONDONTWRITEBYTECODE=1 \
        timeout -k 10 1200 "$VENV/bin/python" -m pytest -q . >>"$WORK/coverage.log" 2>&1) || failed "flow tests"
    check "figures" "$ROOT/tests/coverage.sh" "$ROOT/build-coverage"
    "$ROOT/tests/coverage.sh" "$ROOT/build-coverage"
}

# ---- the run ----------------------------------------------------------------------------------------------------

needs_dev() {
    case " $* " in *" unit "* | *" differential "* | *" flow "* | *" worker "* | *" e2e "* | *" deploy "* | *" kubernetes "*) return 0 ;; *) return 1 ;; esac
}

run_suite() {
    SUITE=$1
    local begin=$SECONDS
    echo
    echo "==== $SUITE"
    : >"$RESULTS/$SUITE"
    "run_$SUITE"
    [ -s "$RESULTS/$SUITE" ] || failed "$SUITE ran no test"
    echo "---- $SUITE: $(count passed "$SUITE") passed, $(count failed "$SUITE") failed, $(count skipped "$SUITE") skipped," \
        "$((SECONDS - begin)) s"
}

total() { # passed|failed|skipped
    cat "$RESULTS"/* 2>/dev/null | grep -c "^$1 " || true
}

summary() {
    echo
    echo "==== summary, $SECONDS s"
    grep -h '^skipped ' "$RESULTS"/* | sed 's/^/    /'
    grep -H '^failed ' "$RESULTS"/* | sed "s|^$RESULTS/|    |"
    echo
    echo "$(total passed) passed, $(total failed) failed, $(total skipped) skipped"
    [ "$(total failed)" = 0 ] && [ "$(total passed)" != 0 ]
}

parse() {
    SUITES=()
    local argument
    for argument in "$@"; do
        case $argument in
        unit | differential | flow | worker | e2e | deploy | kubernetes | fuzz | static | model | debian | coverage) SUITES+=("$argument") ;;
        [0-9]*) FUZZ_SECONDS=$argument ;;
        *)
            sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2
            exit 2
            ;;
        esac
    done
    # shellcheck disable=SC2206 # a list
    [ ${#SUITES[@]} -gt 0 ] || SUITES=($DEFAULT_SUITES)
}

main() {
    parse "$@"
    cd "$ROOT" || exit 1
    mkdir -p "$WORK"
    rm -rf "$RESULTS" && mkdir -p "$RESULTS"
    SUITE=setup
    install_for "${SUITES[@]}" || failed "installation"
    if needs_dev "${SUITES[@]}"; then
        echo "Building build-dev"
        build_dev || failed "the build"
    fi
    if [ ! -e "$RESULTS/setup" ]; then
        local suite
        for suite in "${SUITES[@]}"; do
            run_suite "$suite"
        done
    fi
    summary
}

main "$@"
