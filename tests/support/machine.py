"""A Debian that has booted under systemd, in systemd-nspawn, with a network of its own; and the packages to install there."""
import contextlib
import glob
import os
import shutil
import socket
import subprocess
import tempfile

import pytest
import spaces
from debian import root_tar
from servers import ROOT, start, until

DEBS = os.path.join(ROOT, "tests", ".work", "package")
MACHINES = os.path.join(ROOT, "tests", ".work", "machines")
LIBRARIES = ("libuv1", "libwslay1", "libhiredis0.14", "libssl3", "libjansson4")


def release():
    with open("/etc/os-release", encoding="utf-8") as f:
        return dict(line.rstrip().split("=", 1) for line in f if "=" in line).get("VERSION_CODENAME", "").strip('"')


def require_machines():
    """Skips where none can be. What is built here runs on this release of Debian; systemd of a later one wants cgroups v2."""
    if release() != "bookworm":
        pytest.skip(f"the machine is a Debian 12, and what is built on {release() or 'this system'} does not run there")
    if os.geteuid() != 0:
        pytest.skip("a machine needs root")
    apart = subprocess.run(["unshare", "--mount", "--pid", "--net", "--fork", "true"], capture_output=True, check=False)
    if apart.returncode != 0:
        pytest.skip("a machine needs name spaces, which this system does not give")


def run(*args, **options):
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=900, check=False, **options)
    assert done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout[-4000:]}"
    return done.stdout


def program(pid):
    try:
        return os.path.basename(os.readlink(f"/proc/{pid}/exe"))
    except FileNotFoundError:  # it has ended, as those do that prepare the machine
        return None


def build_packages():
    """{name: path} of the packages, built like a user's."""
    run(os.path.join(ROOT, "deploy", "debian", "build.sh"), DEBS)
    return {os.path.basename(p).split("_")[0]: p for p in glob.glob(os.path.join(DEBS, "*.deb"))}


def as_version(deb, version, to):
    """The same package as another version."""
    with tempfile.TemporaryDirectory() as d:
        run("dpkg-deb", "-R", deb, f"{d}/x")
        run("sed", "-i", f"s/^Version: .*/Version: {version}/", f"{d}/x/DEBIAN/control")
        run("dpkg-deb", "--root-owner-group", "-b", f"{d}/x", to)


def own_cgroups(name):
    """Without them the services of two machines would be in the same ones. Where this system's systemd looks after them there
    are none to be made, and none needed."""
    made = []
    for hierarchy in ("systemd", "unified"):
        path = os.path.join(spaces.CGROUPS, hierarchy, name)
        with contextlib.suppress(FileNotFoundError, PermissionError):
            os.mkdir(path)
            made.append(path)
    return made


class Machine:
    """Boots at once. Its root is read-only below a tmpfs, so nothing is left of it; `folder` is /mnt there."""

    def __init__(self, root, folder):
        self.folder, self.name = folder, spaces.cgroup_name("machine")
        self.log = open(os.path.join(folder, "boot.log"), "wb")
        enter = "".join(f"echo $$ >{path}/cgroup.procs; " for path in own_cgroups(self.name))
        # The machine's processes outlive a systemd-nspawn that is killed, but not the first process of their name space.
        apart = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
        nspawn = ("systemd-nspawn", "-q", "-D", root, "--volatile=overlay", "--register=no", "--keep-unit", "--private-network",
                  f"--machine={self.name}", f"--bind={folder}:/mnt", "-b")
        self.nspawn = start(["sh", "-c", enter + 'exec "$@"', "-", *apart, *nspawn],
                            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        try:
            self.pid = until(self.init, "the machine's first process")
            until(lambda: self.run("systemctl", "is-system-running", check=False).stdout.strip() in ("running", "degraded"),
                  "the machine to boot", timeout=120)
        except BaseException:
            self.stop()
            raise

    def init(self):
        assert self.nspawn.poll() is None, open(self.log.name, encoding="utf-8", errors="replace").read()
        grandchildren = [p for child in spaces.children(self.nspawn.pid) for p in spaces.children(child)]
        return next((p for p in grandchildren if program(p) == "systemd"), None)

    def stop(self):
        """Off, at once."""
        self.nspawn.kill()
        self.nspawn.wait()
        self.log.close()
        until(lambda: not spaces.remove_cgroups(self.name), "the machine's cgroups to be empty")

    # -- what is done there

    def run(self, *args, check=True, env=None):
        given = [f"{k}={v}" for k, v in {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", **(env or {})}.items()]
        done = subprocess.run(["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "env", "-i", *given, *args],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=180, check=False)
        assert not check or done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}\n{self.journal()[-6000:]}"
        return done

    def apt(self, *args, check=True):
        return self.run("apt-get", "-y", "--no-install-recommends", *args, env={"DEBIAN_FRONTEND": "noninteractive"}, check=check)

    def put(self, package):
        """A package's path there."""
        shutil.copy(package, self.folder)
        return "/mnt/" + os.path.basename(package)

    def write(self, path, text):
        """Keeps owner and mode of what is there."""
        self.run("mkdir", "-p", os.path.dirname(path))
        self.run("sh", "-c", 'printf %s "$1" >"$2"', "-", text, path)

    def drop_in(self, unit, text):
        """Until the machine is off; an empty one takes it away."""
        self.write(f"/run/systemd/system/{unit}.service.d/test.conf", f"[Service]\n{text}\n")
        self.run("systemctl", "daemon-reload")

    def show(self, unit="comfy-relay"):
        """{property: value}"""
        return dict(line.split("=", 1) for line in self.run("systemctl", "show", unit).stdout.splitlines() if "=" in line)

    def wait_active(self, unit="comfy-relay", but=None):
        """Its properties, once it is active with a process that is not that one."""
        def properties():
            found = self.show(unit)
            return found if found["ActiveState"] == "active" and found["MainPID"] not in ("0", but) else None
        return until(properties, f"{unit} to be active with a process other than {but}:\n{self.journal(unit)}", timeout=60)

    def wait_status(self, text, unit="comfy-relay"):
        return until(lambda: text in (found := self.show(unit)).get("StatusText", "") and found, f"the status {text!r}")

    def journal(self, unit="comfy-relay"):
        return self.run("journalctl", "--no-pager", "-o", "cat", "-u", unit, check=False).stdout

    def network(self):
        """What is opened within is a socket of the machine's network."""
        return spaces.inside(self.pid)

    def get(self, path, port=9190):
        """(status, body), or (None, why)."""
        try:
            with self.network():
                s = socket.create_connection(("127.0.0.1", port), timeout=5)
            with s:
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
                answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
                return int(answer.split(" ", 2)[1]), answer.partition("\r\n\r\n")[2]
        except OSError as e:
            return None, str(e)


@pytest.fixture(scope="session")
def packages():
    return build_packages()


@pytest.fixture(scope="session")
def machine_root():
    """Unpacked once for many runs: what runs on it writes elsewhere."""
    require_machines()
    tar = root_tar("bookworm", "systemd", "systemd-sysv", "dbus", "redis-server", *LIBRARIES)
    root = os.path.join(MACHINES, os.path.basename(tar).removesuffix(".tar"))
    if not os.path.exists(root):
        shutil.rmtree(MACHINES, ignore_errors=True)
        os.makedirs(root + ".part")
        run("tar", "-C", root + ".part", "--exclude=./dev", "-xf", tar)
        os.rename(root + ".part", root)
    return root


@pytest.fixture(scope="module")
def machine(machine_root):
    with tempfile.TemporaryDirectory(prefix="machine-mnt-") as folder:
        m = Machine(machine_root, folder)
        yield m
        m.stop()
