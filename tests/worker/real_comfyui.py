"""A real ComfyUI from the checkout in COMFYUI_DIR, as a private process: on the CPU, on a free port of loopback, with a base
directory of its own, so that the checkout is never written to.

COMFYUI_PYTHON is the interpreter that has its packages; else the checkout's own venv, else python3.
"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))

from servers import free_port, start, until  # noqa: E402
from ws import Client  # noqa: E402

CHECKOUT = os.environ.get("COMFYUI_DIR", "")
EXTENSION = os.path.join(ROOT, "adapters", "comfyui")
FOLDERS = ("custom_nodes", "input", "output", "temp", "user", "models")
STARTS_WITHIN_S = 110
TIMEOUT = 60


def why_not():
    """Why these tests cannot run here; None: they can."""
    if not CHECKOUT:
        return "COMFYUI_DIR is not set: it names a checkout of ComfyUI to run the extension in"
    if not os.path.isfile(os.path.join(CHECKOUT, "main.py")):
        return f"COMFYUI_DIR={CHECKOUT} is no checkout of ComfyUI: it has no main.py"
    return None


def interpreter():
    own = os.path.join(CHECKOUT, "venv", "bin", "python")
    return os.environ.get("COMFYUI_PYTHON") or (own if os.path.exists(own) else shutil.which("python3"))


def text_of(name):
    path = os.path.join(CHECKOUT, name)
    if not os.path.exists(path):
        return ""
    with open(path, encoding="utf-8") as f:
        return f.read()


def version():
    found = re.search(r'__version__ = "([^"]+)"', text_of("comfyui_version.py"))
    return found[1] if found else "unknown"


def has_option(name):
    return f'"{name}"' in text_of(os.path.join("comfy", "cli_args.py"))


def has_progress_state():
    """This version tells the state of all nodes, and previews with metadata."""
    return os.path.exists(os.path.join(CHECKOUT, "comfy_execution", "progress.py"))


def has_async_nodes():
    return "async def execute" in text_of("execution.py")


def listing():
    """Every file of the checkout, and when it changed: it must be the same afterwards."""
    out = {}
    for folder, folders, names in os.walk(CHECKOUT):
        folders[:] = [f for f in folders if f not in (".git", "venv")]
        out.update((p, os.stat(p).st_mtime_ns) for p in (os.path.join(folder, n) for n in names) if os.path.exists(p))
    return out


class ComfyUI:
    """extension: it is in custom_nodes. redis: its address is in the environment. `scope` and the rest: COMFY_RELAY_*."""

    def __init__(self, extension=True, redis=None, **settings):
        self.base, self.port = tempfile.mkdtemp(prefix="comfyui-"), free_port()
        self.lay_out(extension)
        self.output, self.changed = "", threading.Condition()
        command = [interpreter(), os.path.join(CHECKOUT, "main.py"), "--cpu", "--listen", "127.0.0.1",
                   "--port", str(self.port), *self.places(), *self.quiet()]
        self.process = start(command, cwd=self.base, env=environment(redis, settings), stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            until(self.answers, "ComfyUI to answer", STARTS_WITHIN_S)
        except BaseException:
            print(f"--- ComfyUI's log (its last lines)\n{self.output[-4000:]}")
            self.stop()
            raise

    # -- its start

    def lay_out(self, extension):
        for name in FOLDERS:
            os.mkdir(os.path.join(self.base, name))
        nodes, unwanted = os.path.join(self.base, "custom_nodes"), shutil.ignore_patterns("__pycache__")
        shutil.copytree(os.path.join(HERE, "comfyui_nodes"), os.path.join(nodes, "relay_golden"), ignore=unwanted)
        if extension:
            shutil.copytree(EXTENSION, os.path.join(nodes, "comfy_relay"), ignore=unwanted)
        own = os.path.join(CHECKOUT, "custom_nodes", "websocket_image_save.py")
        if has_option("--base-directory") and os.path.exists(own):
            shutil.copy(own, nodes)

    def places(self):
        if has_option("--base-directory"):
            return ["--base-directory", self.base]
        paths = os.path.join(self.base, "paths.yaml")
        with open(paths, "w", encoding="utf-8") as f:
            f.write(f"relay:\n    base_path: {self.base}\n    custom_nodes: custom_nodes\n")
        given = [f"--{name}-directory" for name in ("input", "output", "temp", "user")]
        return ["--extra-model-paths-config", paths,
                *[x for option in given if has_option(option) for x in (option, os.path.join(self.base, option[2:-10]))]]

    def quiet(self):
        """No network, no browser, a database of its own, the previous prompt's nodes cached and no others; each where
        this version has such a thing."""
        out = [name for name in ("--disable-auto-launch", "--disable-api-nodes", "--cache-classic") if has_option(name)]
        return out + (["--database-url", f"sqlite:///{self.base}/user/comfyui.db"] if has_option("--database-url") else [])

    def answers(self):
        assert self.process.poll() is None, f"ComfyUI ended with {self.process.returncode}:\n{self.output[-6000:]}"
        try:
            return self.get("/system_stats", timeout=2)
        except (OSError, ValueError):
            return None

    def _read(self):
        for line in self.process.stdout:
            with self.changed:
                self.output += line.decode("utf-8", "replace")
                self.changed.notify_all()

    # -- what it is asked

    def call(self, method, path, body=None, timeout=TIMEOUT):
        """(status, body), whatever the status."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:
                return answer.status, parsed(answer.read())
        except urllib.error.HTTPError as error:
            return error.code, parsed(error.read())

    def get(self, path, timeout=TIMEOUT):
        status, body = self.call("GET", path, timeout=timeout)
        assert status == 200, f"GET {path}: {status} {body}"
        return body

    def send(self, kind, data=None, sid=None):
        """An event from its event loop, to everybody unless there is a sid."""
        status, body = self.call("POST", "/golden/send", {"type": kind, "data": data, "sid": sid})
        assert status == 200, f"/golden/send: {status} {body}"

    def queue(self, prompt, sid=None, **more):
        """Posts a prompt; returns its id."""
        body = {"prompt": prompt, **({} if sid is None else {"client_id": sid}), **more}
        status, answer = self.call("POST", "/prompt", body)
        assert status == 200, f"POST /prompt: {status} {answer}"
        return answer["prompt_id"]

    @property
    def executed(self):
        """So many prompts have come to an end of whatever kind: the last thing it says of each."""
        return self.output.count("Prompt executed in ")

    def wait_executed(self, n, timeout=TIMEOUT):
        with self.changed:
            ended = self.changed.wait_for(lambda: self.executed >= n, timeout)
        assert ended, f"{self.executed} prompts of {n} have ended:\n{self.output[-6000:]}"

    def wait_idle(self, timeout=TIMEOUT):
        until(lambda: self.get("/prompt")["exec_info"]["queue_remaining"] == 0, "the queue to be empty", timeout)

    def wait_log(self, text, timeout=TIMEOUT):
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.output, timeout), f"no {text!r} in:\n{self.output[-6000:]}"

    def log_lines(self, text):
        return [line for line in self.output.splitlines() if text in line]

    def native(self, sid=None, path=None, **options):
        """A client of ComfyUI's own socket; it has got its first status."""
        path = path or ("/ws" if sid is None else f"/ws?clientId={sid}")
        return Client(("127.0.0.1", self.port), path, **options).wait_count(1)

    # -- its end

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=TIMEOUT):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
        self.process.wait()
        shutil.rmtree(self.base, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is not None:
            print(f"--- ComfyUI's log (its last lines)\n{self.output[-4000:]}")
        self.stop()


def environment(redis, settings):
    """Nothing of COMFY_RELAY_* but what is given; the same order of sets in every run."""
    out = {k: v for k, v in os.environ.items() if not k.startswith("COMFY_RELAY_")}
    out.update(PYTHONDONTWRITEBYTECODE="1", PYTHONHASHSEED="0", PYTHONUNBUFFERED="1", HF_HUB_OFFLINE="1")
    if redis:
        out["COMFY_RELAY_REDIS_URL"] = redis
    out.update({f"COMFY_RELAY_{name.upper()}": str(value) for name, value in settings.items()})
    return out


def parsed(body):
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")
