"""The proxies of deploy/proxies/, each run for real by its own program on the file that people copy; only its addresses
are changed, and its timeouts where a test says so."""
import glob
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from servers import ROOT, free_port, start, until
from ws import connect_tcp

RELAYS = ["10.0.0.1:8190", "10.0.0.2:8190"]
WORKERS = ["10.0.0.11:8188", "10.0.0.12:8188"]


def source(name):
    """The text that people copy: a file of deploy/proxies/, or the block in the README."""
    if name == "README":
        with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as f:
            return re.search(r"^    map \$http_upgrade.*?^    }$", f.read(), re.M | re.S)[0]
    with open(os.path.join(ROOT, "deploy", "proxies", name), encoding="utf-8") as f:
        return f.read()


def replaced(text, changes):
    for old, new in changes.items():
        assert old in text, f"{old!r} is not in:\n{text}"
        text = text.replace(old, new)
    return text


def program(name):
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin")
    return found or pytest.skip(f"{name} is not here (Debian: {name})")


class Proxy:
    """One that runs. `changes`: what else of its file is replaced."""

    file, listening, relays, workers = None, None, RELAYS, WORKERS
    hour = "1h"  # the file's timeout of a socket on which nothing happens, as a test may shorten it; None: there is none

    def __init__(self, relays, workers, changes=()):
        self.dir, self.port = tempfile.mkdtemp(prefix="proxy-"), free_port()
        self.address = ("127.0.0.1", self.port)
        hosts = dict(zip(self.relays + self.workers, [f"{host}:{port}" for host, port in [*relays, *workers]]))
        text = replaced(source(self.file), {**hosts, self.listening[0]: self.listening[1].format(self.port), **dict(changes)})
        text = text.replace("/var/log/nginx", self.dir)
        self.path = os.path.join(self.dir, self.file)
        with open(self.path, "w", encoding="utf-8") as f:
            f.write(self.whole(text))
        with open(os.path.join(self.dir, "log"), "wb") as log:
            self.process = start(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=self.environment())
        try:
            until(self.answers, f"{self.file} to be served")
        except BaseException:
            self.stop()
            raise

    def whole(self, text):
        return text

    def environment(self):
        return {**os.environ, "HOME": self.dir, "XDG_DATA_HOME": self.dir, "XDG_CONFIG_HOME": self.dir}

    def answers(self):
        assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.log()}"
        try:
            connect_tcp(self.address).close()
            return True
        except OSError:
            return False

    def log(self):
        with open(os.path.join(self.dir, "log"), encoding="utf-8", errors="replace") as f:
            return f.read()[-4000:]

    def logged(self):
        """All that it has written to its logs."""
        texts = []
        for name in glob.glob(os.path.join(self.dir, "*log")):
            with open(name, encoding="utf-8", errors="replace") as f:
                texts.append(f.read())
        return "".join(texts)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            print(f"--- the proxy's log\n{self.log()}")
        self.stop()


class Nginx(Proxy):
    file, listening = "nginx.conf", ("listen 80;", "listen 127.0.0.1:{};")
    around = """daemon off; master_process off; pid {dir}/pid; error_log stderr;
events {{ worker_connections 1024; }}
http {{
    access_log {dir}/access.log; client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi; uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
    {text}
}}
"""

    def whole(self, text):
        return self.around.format(dir=self.dir, text=text)

    def command(self):
        return [program("nginx"), "-c", self.path, "-e", "stderr"]

    def check(self):
        return [*self.command(), "-t"]


class Readme(Nginx):
    """One relay, one worker."""
    file, relays, workers = "README", ["127.0.0.1:8190"], ["127.0.0.1:8188"]


class Caddy(Proxy):
    file, listening, hour = "Caddyfile", ("comfy.example.org {", ":{} {{"), None

    def whole(self, text):
        assert text.count("\n{\n") == 1, "one block of global options"
        return text.replace("\n{\n", "\n{\n\tadmin off\n", 1)

    def command(self):
        return [program("caddy"), "run", "--config", self.path, "--adapter", "caddyfile"]

    def check(self):
        return [program("caddy"), "validate", "--config", self.path, "--adapter", "caddyfile"]


class Haproxy(Proxy):
    file, listening = "haproxy.cfg", ("bind :80 ", "bind 127.0.0.1:{} ")

    def command(self):
        return [program("haproxy"), "-db", "-f", self.path]

    def check(self):
        return [program("haproxy"), "-c", "-f", self.path]
