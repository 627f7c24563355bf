"""Name spaces and cgroups of Linux: what the private Docker engine, machine and node have in common."""
import contextlib
import ctypes
import glob
import os
import re

CGROUPS = "/sys/fs/cgroup"
CLONE_NEWNET = 0x40000000


def children(pid):
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(p) for p in f.read().split()]
    return []


def first_child(pid):
    """Of `unshare --pid --fork`: the first process in the new name space, as it is called out here. None before there is one."""
    return next(iter(children(pid)), None)


@contextlib.contextmanager
def inside(pid):
    """This thread is in that process' network meanwhile, and so is what it starts."""
    with open(f"/proc/{pid}/ns/net", "rb") as there, open("/proc/thread-self/ns/net", "rb") as here:
        enter(there)
        try:
            yield
        finally:
            enter(here)


def enter(network):
    if ctypes.CDLL(None, use_errno=True).setns(network.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def cgroup_name(kind):
    """For one of its kind in this process. What runs that were killed have left is removed."""
    remove_abandoned(kind)
    return f"comfy-relay-{kind}-{os.getpid()}"


def remove_abandoned(kind):
    for top in find_cgroups(f"comfy-relay-{kind}-*"):
        pid = re.search(r"-(\d+)$", top)
        if pid and not os.path.exists(f"/proc/{pid[1]}"):
            remove_cgroups(os.path.basename(top))


def remove_cgroups(name):
    """Deepest first. Those that are left: some process is in them."""
    folders = [d for top in find_cgroups(name) for d, _, _ in os.walk(top, topdown=False)]
    for folder in folders:
        with contextlib.suppress(OSError):
            os.rmdir(folder)
    return [f for f in folders if os.path.exists(f)]


def find_cgroups(name):
    """In all hierarchies."""
    return glob.glob(f"{CGROUPS}/{name}") + glob.glob(f"{CGROUPS}/*/{name}")
