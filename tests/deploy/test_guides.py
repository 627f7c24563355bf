"""What the guides tell people to type, as it stands there, where no other test runs it."""
import os
import re
import subprocess

from comfyui import ComfyUI
from fixtures import redis_server, relay, shared_redis  # noqa: F401
from servers import ROOT, Redis, Relay


def block(name, begins):
    """The indented block of a guide that begins with a line."""
    with open(os.path.join(ROOT, "deploy", "guides", name), encoding="utf-8") as f:
        lines = f.read().splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith("    " + begins))
    end = next(i for i in range(first, len(lines)) if not lines[i].startswith("    "))
    return "\n".join(line[4:] for line in lines[first:end])


def test_program_that_picks_a_worker_gives_the_prompt_to_the_emptiest(redis_server, relay):
    workers = [ComfyUI(relay, redis_server) for _ in range(3)]
    for i in (0, 2):
        workers[i].post_prompt({"client_id": "somebody"})
    names = {}
    exec(block("three-machines.md", "import json"), names)
    names["WORKERS"][:] = [f"http://{w.host}" for w in workers]
    worker, prompt_id = names["queue"]({"3": {}}, "me")
    for w in workers:
        w.close()
    assert worker == names["WORKERS"][1]
    assert [r.sid for w in workers for r in w.runs.values() if r.prompt_id == prompt_id] == ["me"]


def test_password_that_is_made_for_three_machines_opens_redis_for_the_relays(tmp_path):
    commands = re.search(r"mkdir -m 700.*?(?=cat >)", block("three-machines.md", "mkdir -m 700"), re.S)[0]
    subprocess.run(["/bin/bash", "-euc", commands], cwd=tmp_path, check=True, timeout=20)
    secrets = tmp_path / "deploy" / "compose" / "secrets"
    password = (secrets / "redis.password").read_text().strip()
    assert len(password) >= 32 and secrets.stat().st_mode & 0o777 == 0o700
    assert (secrets / "redis.conf").read_text().split() == ["requirepass", password]
    server = Redis(password=password)
    try:
        with Relay(server.tcp_url, redis__password_file=secrets / "redis.password") as r:
            assert r.get("/ready")[0] == 200
        with Relay(server.tcp_url, wait=False) as r:
            r.wait_log("NOAUTH")
            assert r.get("/ready") == (503, "not subscribed to Redis: NOAUTH Authentication required.\n")
    finally:
        server.stop()
