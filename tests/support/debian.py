"""Root file systems of Debian as tar files, made by mmdebstrap from where this machine's apt gets its packages. They are kept
outside of the checkout for the week, so that a clean one does not fetch them again."""
import datetime
import fcntl
import hashlib
import os
import shutil
import subprocess

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "comfy-relay")


def root_tar(release, *packages):
    """Path of a tar of a minimal root of this release with these packages. Needs root, mmdebstrap, and some minutes the first time."""
    year, week, _ = datetime.date.today().isocalendar()
    of = hashlib.sha256(" ".join(sorted(packages)).encode()).hexdigest()[:12]
    path = os.path.join(CACHE, f"{release}-{of}-{year}-{week:02}.tar")
    os.makedirs(CACHE, exist_ok=True)
    with open(os.path.join(CACHE, f"{release}-{of}.lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(path):
            forget_older(f"{release}-{of}-")
            make(release, packages, path)
    return path


def forget_older(prefix):
    for name in os.listdir(CACHE):
        if name.startswith(prefix):
            os.unlink(os.path.join(CACHE, name))


def make(release, packages, path):
    eatmydata = ["eatmydata"] if shutil.which("eatmydata") else []
    include = [f"--include={','.join(packages)}"] if packages else []
    part = path + ".part.tar"
    done = subprocess.run([*eatmydata, "mmdebstrap", "--variant=minbase", "--aptopt=Acquire::Languages \"none\"", *include, release, part],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=1800, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    os.rename(part, path)
