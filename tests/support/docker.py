"""A private Docker engine (Debian's docker.io): its containers, mounts and network are in name spaces of its own, and all of
them go when it stops or this process dies. Needs root.

    with docker.Store() as store:                    # what is on disk: images and the builder's cache, kept for the week
        with docker.Engine(store) as engine:         # on this machine's network, to build with
            engine.build("comfy-relay:test")
            engine.save("comfy-relay:test", path)
        with docker.Engine(store, network=True) as engine:      # in a network of its own
            engine.run("run", "-d", ..., "comfy-relay:test")
            with engine.inside():                    # this thread's sockets, and the children it starts, are in that network
                ...
"""
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile

import debian
import spaces
from servers import ROOT, die_with_parent, until

BASE = "debian:{}-slim"


def why_not():
    """Why there can be no engine here; None when there can."""
    missing = [name for name in ("dockerd", "docker", "unshare", "nsenter", "ip", "mmdebstrap") if not program(name)]
    if missing:
        return f"not here: {', '.join(missing)}"
    if os.getuid() != 0:
        return "a Docker engine needs root"
    if not os.path.ismount("/sys/fs/cgroup"):
        return "a Docker engine needs cgroups, and there are none at /sys/fs/cgroup (a chroot?)"
    return None


def program(name):
    """Debian's own first: its client still knows how to build without a plugin."""
    return shutil.which(name, path="/usr/bin:/usr/sbin:/bin:/sbin:" + os.environ.get("PATH", ""))


class Store:
    """A data root. The one in the cache when nobody else has it, else one of our own that is deleted at the end. A release's base
    image is imported when it is first asked for; a cache with an older base is begun anew."""

    def __init__(self, release="bookworm"):
        self.release, self.temporary = release, None
        self.tar = debian.root_tar(release)
        cached = os.path.join(debian.CACHE, f"docker-{release}")
        os.makedirs(cached, exist_ok=True)
        self.lock = open(os.path.join(cached, "lock"), "w", encoding="ascii")
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.dir = cached
        except BlockingIOError:
            self.dir = self.temporary = tempfile.mkdtemp(prefix="comfy-relay-docker-", dir="/var/tmp")
        self.data = os.path.join(self.dir, "data")
        if self.base_stamp() != os.path.basename(self.tar):
            shutil.rmtree(self.data, ignore_errors=True)

    def base_stamp(self):
        try:
            with open(os.path.join(self.dir, "base"), encoding="ascii") as f:
                return f.read()
        except OSError:
            return None

    def base_is_there(self):
        with open(os.path.join(self.dir, "base"), "w", encoding="ascii") as f:
            f.write(os.path.basename(self.tar))

    def close(self):
        if self.temporary:
            shutil.rmtree(self.temporary, ignore_errors=True)
        self.lock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Engine:
    """One dockerd. Only one at a time on a store."""

    def __init__(self, store, network=False):
        self.store, self.network = store, network
        self.dir = tempfile.mkdtemp(prefix="dockerd-")
        self.cgroup = spaces.cgroup_name("docker")
        self.address = f"unix://{self.dir}/sock"
        self.env = {**os.environ, "DOCKER_HOST": self.address, "DOCKER_CONFIG": os.path.join(self.dir, "client"),
                    "DOCKER_CLI_HINTS": "false"}
        self.env.pop("DOCKER_CONTEXT", None)
        self.parent = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=open(os.path.join(self.dir, "log"), "wb"), preexec_fn=die_with_parent,
                                       start_new_session=True)  # a terminal's Ctrl-C is for the tests, which end it
        try:
            until(self.answers, "dockerd to answer", 60)
            if network:
                self.in_network(["ip", "link", "set", "lo", "up"])
            self.import_base()
        except BaseException:
            self.stop()
            raise

    def command(self):
        spaces = ["--mount", "--pid", "--mount-proc", "--fork", "--kill-child=SIGKILL", *(["--net"] if self.network else [])]
        changes_nothing = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--ip-masq=false"]
        return [program("unshare"), *spaces, program("dockerd"), *([] if self.network else changes_nothing),
                "--data-root", self.store.data, "--exec-root", self.dir + "/exec", "--pidfile", self.dir + "/pid",
                "--host", self.address, "--cgroup-parent", "/" + self.cgroup]

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def answers(self):
        assert self.parent.poll() is None, f"dockerd has ended:\n{self.log()}"
        return self.client("version", check=False).returncode == 0

    @property
    def pid(self):
        """dockerd itself; None when it is gone."""
        return spaces.first_child(self.parent.pid)

    # -- the client

    def client(self, *args, check=True, timeout=600, **options):
        done = subprocess.run([program("docker"), *args], env={**self.env, **options.pop("env", {})}, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, check=False, **options)
        done.stdout, done.stderr = done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")
        if check and done.returncode != 0:
            raise AssertionError(f"docker {' '.join(args)}: {done.returncode}\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
        return done

    def run(self, *args, **options):
        """What `docker ARGS` prints."""
        return self.client(*args, **options).stdout.strip()

    def inspect(self, what):
        return json.loads(self.run("inspect", what))[0]

    def build(self, tag, context=ROOT, dockerfile="deploy/Dockerfile", buildkit=False, target=None, **arguments):
        """What the builder printed. On this machine's network, where apt-get finds its packages."""
        given = [f"--build-arg={name}={value}" for name, value in arguments.items()] + ([f"--target={target}"] if target else [])
        done = self.client("build", "--network=host", "-t", tag, "-f", os.path.join(context, dockerfile), *given, context,
                           env={"DOCKER_BUILDKIT": str(int(buildkit))}, timeout=1200)
        return done.stdout + done.stderr

    def save(self, image, path):
        """Into a tar file, as `ctr images import` and `docker load` take it."""
        self.run("save", "-o", path, image)
        return path

    def import_base(self):
        name = BASE.format(self.store.release)
        if self.store.base_stamp() is None or self.client("image", "inspect", name, check=False).returncode != 0:
            self.run("import", "-c", 'CMD ["bash"]', self.store.tar, name)
            self.store.base_is_there()

    # -- its network

    def in_network(self, command, **options):
        return subprocess.run(["nsenter", f"--net=/proc/{self.pid}/ns/net", *command], check=True, **options)

    def inside(self):
        """This thread is in the engine's network meanwhile, and so is what it starts."""
        return spaces.inside(self.pid)

    # -- its end

    def stop(self):
        if self.parent.poll() is None:
            if pid := self.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGTERM)
            try:
                self.parent.wait(30)
            except subprocess.TimeoutExpired:
                self.parent.kill()
                self.parent.wait()
        until(lambda: not spaces.remove_cgroups(self.cgroup), "the engine's cgroups to be empty")
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print(f"--- dockerd's log (its last lines)\n{self.log()}")
        self.stop()
