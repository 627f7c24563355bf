"""Private servers for tests: a redis-server and the relay, each on its own port or socket, always stopped."""
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request

import msgpack
import redis
from contract import conflation_key, ends_prompt
from redis.backoff import NoBackoff
from redis.retry import Retry

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.environ.get("COMFY_RELAY_BINARY") or os.path.join(ROOT, "build-dev", "comfy-relay")
PUBLISH_LUA = os.path.join(ROOT, "adapters", "redis", "publish.lua")
PUBLISH = os.path.join(os.path.dirname(BINARY), "comfy-publish")
SANITIZERS = {"ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99:allocator_may_return_null=1",
              "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1:exitcode=99"}
TIMEOUT = 20
SESSION_TTL_MS, LOG_EVENTS = 300_000, 4096

# A socket that has just been pinged rests for half of ws.ping_interval, 2 s at most, before it is asked again how far it has got.
# Tests await that all the time, so their relays ask sooner; those that are about pings or writes take the relay's own defaults.
SOON = {"ws.ping_interval": "1s", "ws.ping_timeout": "40s"}
AS_BY_DEFAULT = {"ws__ping_interval": "20s", "ws__ping_timeout": "20s"}

HANDED_OUT = set()


def free_port():
    """A port below those that outgoing connections are given, which could take it before its user does."""
    while True:
        port = random.randrange(10000, 30000)
        with socket.socket() as s:
            if port not in HANDED_OUT and s.connect_ex(("127.0.0.1", port)) != 0:
                HANDED_OUT.add(port)
                return port


def is_sanitized(binary=BINARY):
    """Then it costs a multiple."""
    with open(binary, "rb") as f:
        return b"__asan_init" in f.read()


def until(condition, what, timeout=TIMEOUT):
    """Waits for something outside of this process that gives no sign when it happens."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout} s for {what}; the last answer was {value!r}")
        time.sleep(0.01)


def start(args, descriptors=None, **options):
    """A child that dies with us, whatever happens; descriptors: its soft and its hard limit of them."""
    def prepare():
        die_with_parent()
        if descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, descriptors)
    return subprocess.Popen(args, preexec_fn=prepare, **options)


def die_with_parent():
    import ctypes
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


class Redis:
    """A redis-server on a unix socket and a free port. `kill` and `start` as often as wanted: the address stays."""

    def __init__(self, *options, password=None):
        self.dir, self.password = tempfile.mkdtemp(prefix="redis-"), password
        if password:
            options += ("--requirepass", password)
        self.path = os.path.join(self.dir, "redis.sock")
        self.port, self.options, self.process = free_port(), options, None
        self.start()

    @property
    def url(self):
        return "redis+unix://" + self.path

    @property
    def tcp_url(self):
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self):
        self.process = start(["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", self.path,
                              "--client-output-buffer-limit", "pubsub", "0", "0", "0",  # tests publish faster than any worker
                              "--save", "", "--appendonly", "no", "--dir", self.dir, "--logfile",
                              os.path.join(self.dir, "log"), *self.options],
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
        self.client = redis.Redis(unix_socket_path=self.path, password=self.password, retry=Retry(NoBackoff(), 0))
        until(self.answers, "redis-server to answer")
        return self

    def answers(self):
        assert self.process.poll() is None, open(os.path.join(self.dir, "log")).read()
        try:
            return self.client.ping()
        except redis.ConnectionError:
            return False

    def kill(self):
        self.client.close()
        self.process.kill()
        self.process.wait()

    def wipe(self):
        """Between kill and start: it has lost all its data."""
        for name in os.listdir(self.dir):
            path = os.path.join(self.dir, name)
            shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path)

    def stop(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)


class Publisher:
    """A worker's side, by the contract's three ways."""

    def __init__(self, server, prefix="comfy"):
        self.redis, self.prefix = server, prefix
        self.published = 0
        self._script = None

    @property
    def client(self):
        return self.redis.client

    def sid_channel(self, sid):
        return b"%s:sid:{%s}" % (self.prefix.encode(), as_bytes(sid))

    def events(self, event):
        """PUBLISH on the channel of all."""
        self.published += 1
        return self.client.publish(f"{self.prefix}:events", packed(event))

    def session(self, sid, event):
        """PUBLISH on a session's own channel."""
        self.published += 1
        return self.client.publish(self.sid_channel(sid), packed(event))

    def script(self, event):
        """By publish.lua, the way that loses nothing; what is for no session goes to all."""
        known = unpacked(event)
        if not known.get("sid"):
            return self.events(event)
        if self._script is None:
            with open(PUBLISH_LUA, encoding="utf-8") as f:
                self._script = self.client.register_script(f.read())
        self.published += 1
        return self._script(**script_arguments(self.prefix, known, packed(event)))

    def emit(self, kind, data=None, sid=None, **more):
        return self.events({"type": kind, "sid": sid, **more, "data": data})

    def heartbeat(self, worker, boot="b1", queue_remaining=0, sid=None, prompt_id=None, entry=True):
        data = {"boot": boot, "queue_remaining": queue_remaining, "sid": sid, "prompt_id": prompt_id,
                "at": int(time.time() * 1000)}
        if entry:
            self.client.hset(f"{self.prefix}:workers", worker, msgpack.packb(data))
        return self.events({"type": "relay.worker", "worker": worker, "data": data})

    def gone(self, worker):
        self.client.hdel(f"{self.prefix}:workers", worker)
        return self.events({"type": "relay.worker", "worker": worker, "data": {"gone": True}})


def script_arguments(prefix, event, message):
    """The keys and arguments of publish.lua for an event of a session."""
    channel = f"{prefix}:sid:{{{event['sid']}}}"
    return {"keys": [channel + ":log", channel + ":latest"],
            "args": [channel, message, SESSION_TTL_MS, LOG_EVENTS, conflation_key(event), int(ends_prompt(event))]}


def packed(event):
    return event if isinstance(event, bytes) else msgpack.packb(event)


def unpacked(event):
    if isinstance(event, dict):
        return event
    return msgpack.unpackb(event, strict_map_key=False, unicode_errors="replace")


def as_bytes(s):
    return s if isinstance(s, bytes) else s.encode()


class Relay:
    """The relay on free ports. Leaving the `with` stops it and fails on a sanitizer's report or a bad exit."""

    def __init__(self, server=None, *args, wait=True, binary=None, env=None, listen=None, expect_exit=0, descriptors=None,
                 **options):
        self.dir = tempfile.mkdtemp(prefix="relay-")
        self.port, self.ops_port = free_port(), free_port()
        self.address = ("127.0.0.1", self.port)
        self.expect_exit = expect_exit
        url = server if isinstance(server, str) else server.url if server else f"redis+unix://{self.dir}/none"
        given = {"listen": listen or f"127.0.0.1:{self.port}", "ops.listen": f"127.0.0.1:{self.ops_port}",
                 "redis.url": url, "drain.time": "0ms", "log.level": "debug", **SOON}
        given.update({k.replace("__", "."): v for k, v in options.items()})
        self.command = [binary or BINARY, *args]
        for name, value in given.items():
            self.command += [f"--{name}", str(value)]
        self.stderr, self.changed = "", threading.Condition()
        self.process = start(self.command, descriptors=descriptors, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL,
                             stdin=subprocess.DEVNULL, env={**os.environ, **SANITIZERS, **(env or {})})
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            self.wait_live()
            if wait and server:
                self.wait_ready()
        except BaseException:
            self.kill()
            raise

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.stderr += line.decode("utf-8", "replace")
                self.changed.notify_all()

    # -- what it says

    def get(self, path, timeout=5):
        """(status, body) of the operations address, or (None, why)."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ops_port}{path}", timeout=timeout) as r:
                return r.status, r.read().decode()
        except urllib.error.HTTPError as e:
            return e.code, e.read().decode()
        except OSError as e:
            return None, str(e)

    def wait_live(self):
        until(lambda: self._alive() and self.get("/live")[0] == 200, "/live to answer 200")

    def wait_ready(self, timeout=TIMEOUT):
        until(lambda: self._alive() and self.get("/ready")[0] == 200, "/ready to answer 200", timeout)

    def wait_not_ready(self):
        until(lambda: self._alive() and self.get("/ready")[0] == 503, "/ready to answer 503")

    def _alive(self):
        assert self.process.poll() is None, f"the relay ended with {self.process.returncode}:\n{self.stderr}"
        return True

    def metrics(self):
        """{'connections': 1, 'messages_dropped_total{reason="malformed"}': 0, ...} without comfy_relay_."""
        status, body = self.get("/metrics")
        assert status == 200, f"/metrics: {status} {body}"
        return {m[1]: float(m[2]) for m in re.finditer(r"^comfy_relay_(\S+) (\S+)$", body, re.M)}

    def metric(self, name):
        return self.metrics().get(name, 0)

    def dropped(self):
        """Events dropped so far, by reason, those that are zero left out."""
        return {m[1]: int(v) for k, v in self.metrics().items()
                if (m := re.fullmatch(r'messages_dropped_total\{reason="(\w+)"\}', k)) and v}

    def wait_metric(self, name, value, timeout=TIMEOUT):
        return until(lambda: self.metric(name) >= value, f"{name} to reach {value}", timeout)

    def wait_log(self, text, timeout=TIMEOUT):
        with self.changed:
            assert self.changed.wait_for(lambda: text in self.stderr, timeout), f"no {text!r} in:\n{self.stderr}"

    def rss(self):
        with open(f"/proc/{self.process.pid}/status") as f:
            return int(re.search(r"VmRSS:\s+(\d+) kB", f.read())[1]) * 1024

    # -- its end

    def signal(self, number):
        self.process.send_signal(number)

    def wait_exit(self, timeout=TIMEOUT):
        code = self.process.wait(timeout)
        self.reader.join(timeout)
        return code

    def stop(self):
        """SIGTERM; then it must be gone with the expected code and nothing to report."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        try:
            code = self.wait_exit()
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the relay did not end on SIGTERM:\n{self.stderr[-4000:]}") from None
        shutil.rmtree(self.dir, ignore_errors=True)
        for mark in ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:"):
            assert mark not in self.stderr, self.stderr[-8000:]
        assert code == self.expect_exit, f"exit code {code}, expected {self.expect_exit}:\n{self.stderr[-4000:]}"

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *rest):
        if kind is None:
            return self.stop()
        self.kill()
        print(f"--- the relay's log (its last lines)\n{self.stderr[-4000:]}")
        return None


NGINX = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    upstream relays {{ {servers} }}
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{
            proxy_pass http://relays;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade;
            proxy_read_timeout 1h;
            proxy_buffering off;
            proxy_next_upstream error timeout http_503;
            proxy_next_upstream_tries 2;
            proxy_connect_timeout 1s;
        }}
    }}
}}
"""


class Nginx:
    """A real nginx in front of relays: one that is not there or is draining is passed over."""

    def __init__(self, upstreams):
        self.dir, self.port = tempfile.mkdtemp(prefix="nginx-"), free_port()
        self.address = ("127.0.0.1", self.port)
        servers = " ".join(f"server {host}:{port} max_fails=0;" for host, port in upstreams)
        path = os.path.join(self.dir, "nginx.conf")
        with open(path, "w", encoding="utf-8") as f:
            f.write(NGINX.format(dir=self.dir, port=self.port, servers=servers))
        self.process = start([shutil.which("nginx") or "/usr/sbin/nginx", "-c", path, "-e", os.path.join(self.dir, "error.log")],
                             stdin=subprocess.DEVNULL)
        until(self.answers, "nginx to answer")

    def answers(self):
        assert self.process.poll() is None, f"nginx ended with {self.process.returncode}"
        with socket.socket() as s:
            return s.connect_ex(self.address) == 0

    def stop(self):
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)
