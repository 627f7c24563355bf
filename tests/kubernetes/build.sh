#!/bin/bash
# Builds the programs of a Kubernetes node from source, those that are named, and prints the folder that they are in.
#
#     tests/kubernetes/build.sh PROGRAM...     kube-apiserver kube-controller-manager kube-scheduler kubectl kubelet kube-proxy kustomize
#
# go.mod and go.sum say which versions. What is built stays outside of the checkout, in a folder named after them: all of it
# takes 10 to 20 minutes the first time, kustomize alone about one.
set -eu
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/comfy-relay
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath"

source_of() { # program
    case $1 in
    kustomize) echo sigs.k8s.io/kustomize/kustomize/v5 ;;
    *) echo "k8s.io/kubernetes/cmd/$1" ;;
    esac
}

build() { # program to
    local version part=$2.part.$$
    version=$(sed -n 's|^\tk8s.io/kubernetes \(v[0-9.]*\).*|\1|p' "$HERE/go.mod")
    echo "Building $1" >&2
    (cd "$HERE" && nice go build -ldflags "-s -w -X k8s.io/component-base/version.gitVersion=$version" -o "$part" "$(source_of "$1")") >&2
    mv "$part" "$2"
}

forget_older() { # folder
    local old
    for old in "$CACHE"/kubernetes-*; do
        [ ! -d "$old" ] || [ "$old" = "$1" ] || rm -rf "$old"
    done
}

main() {
    local to program
    to=$CACHE/kubernetes-$(sha256sum "$HERE/go.mod" "$HERE/go.sum" | cut -d' ' -f1 | sha256sum | cut -c1-12)
    mkdir -p "$to"
    exec 9>"$CACHE/kubernetes.lock"
    flock 9
    forget_older "$to"
    for program in "$@"; do
        [ -x "$to/$program" ] || build "$program" "$to/$program"
    done
    echo "$to"
}

main "$@"
