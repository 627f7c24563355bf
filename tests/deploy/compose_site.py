"""deploy/compose.yaml brought up in a private engine, and what stands around it: workers on other machines, browsers."""
import http.client
import json
import os
import socket
import subprocess
import threading
import uuid

import redis
from comfyui import ComfyUI
from docker import program
from docker_fixtures import RELAY
from servers import ROOT, until

COMPOSE = os.path.join(ROOT, "deploy", "compose.yaml")
NGINX = ("127.0.0.1", 8080)


class Site:
    """One project. `file` may be a copy; `variables` are what .env may set."""

    def __init__(self, engine, *services, files=(COMPOSE,), profiles=(), **variables):
        self.engine, self.project = engine, f"site{os.getpid()}x{uuid.uuid4().hex[:6]}"
        self.files, self.profiles = files, profiles
        self.env = {**{k: v for k, v in engine.env.items() if not k.startswith("COMPOSE_")}, "COMFY_RELAY_IMAGE": RELAY, "COMFYUI_IMAGE": "comfyui:test",
                    **variables}
        self.process = object()  # what a Teller looks at, to know of a new Redis
        try:
            self.compose("up", "-d", "--no-build", *services)
        except BaseException:
            self.down()
            raise

    def command(self, *args):
        files = [x for f in self.files for x in ("-f", f)] + [x for p in self.profiles for x in ("--profile", p)]
        return [program("docker-compose"), "--ansi", "never", "-p", self.project, *files, *args]

    def compose(self, *args):
        done = subprocess.run(self.command(*args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=180, check=False)
        assert done.returncode == 0, f"docker-compose {' '.join(args)}: {done.returncode}\n{done.stdout[-4000:]}"
        return done.stdout

    def begin(self, *args):
        """The same, and what goes on meanwhile is the caller's affair."""
        return subprocess.Popen(self.command(*args), env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    # -- its containers

    def container(self, service):
        return self.engine.run("ps", "-aq", "--filter", f"label=com.docker.compose.project={self.project}", "--filter",
                               f"label=com.docker.compose.service={service}")

    def inspect(self, service):
        return self.engine.inspect(self.container(service))

    def address(self, service, network="front"):
        return self.inspect(service)["NetworkSettings"]["Networks"][f"{self.project}_{network}"]["IPAddress"]

    def is_healthy(self, service):
        name = self.container(service)
        return bool(name) and self.engine.inspect(name)["State"].get("Health", {}).get("Status") == "healthy"

    def wait_healthy(self, service):
        until(lambda: self.is_healthy(service), f"{service} to be healthy", 60)

    @property
    def client(self):
        """Of its Redis, as Redis and Publisher in servers.py have it."""
        if not hasattr(self, "redis"):
            self.redis = redis.Redis(host=self.address("redis", "back"))
        return self.redis

    # -- its end

    def left(self):
        """What is left of it, of each kind."""
        of = ("--filter", f"label=com.docker.compose.project={self.project}")
        return [self.engine.run(*kind, "ls", "-q", *more, *of) for kind, more in ((["container"], ["-a"]), (["network"], []), (["volume"], []))]

    def down(self):
        self.compose("down", "-v", "-t", "20")


class Worker(ComfyUI):
    """A ComfyUI on another machine: at an address of its own, which nginx reaches from its container."""

    def __init__(self, site, address, port=8188):
        super().__init__(None, site, "b_success_flags")
        self.listener.close()
        self.seen, self.where, self.breaks_off = [], (address, port), False
        self.come_back()

    def come_back(self):
        self.listener = socket.create_server(self.where)
        threading.Thread(target=self.accept, daemon=True).start()

    def go(self):
        """Its port is closed."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def answer(self, client, head):
        lines = head.partition(b"\r\n\r\n")[0].decode("latin-1").split("\r\n")
        self.seen.append((lines[0], dict(h.split(": ", 1) for h in lines[1:])))
        if not self.breaks_off:
            super().answer(client, head)

    def route(self, method, path, body):
        if path == "/who":
            return 200, "text/plain", self.where[0].encode()
        if path == "/upload/image":
            return 200, "application/json", json.dumps({"bytes": len(body)}).encode()
        return super().route(method, path, body)


class Browser:
    """Keeps cookies, as far as this needs it."""

    def __init__(self, accept="text/html,application/xhtml+xml,*/*;q=0.8"):
        self.accept, self.cookie = accept, None

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection(*NGINX, timeout=30)
        headers = {"Accept": self.accept, **({"Cookie": self.cookie} if self.cookie else {}), **headers}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        cookie = answer.getheader("Set-Cookie")
        if cookie:
            self.cookie = cookie.partition(";")[0]
        with answer:
            return answer.status, answer.read()

    def worker(self):
        status, body = self.ask("GET", "/who")
        assert status == 200, (status, body)
        return body.decode().strip()
