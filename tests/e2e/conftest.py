import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from comfyui import ComfyUI  # noqa: E402
from servers import Redis, Relay  # noqa: E402


@pytest.fixture(scope="session")
def redis_server():
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def start(redis_server):
    """start(recording) -> ComfyUI in front of a relay."""
    redis_server.client.flushall()
    with Relay(redis_server, ws__ping_interval="300ms") as relay:
        started = []

        def one(recording, page=b""):
            started.append(ComfyUI(relay, redis_server, recording, page))
            return started[0]

        yield one
        for c in started:
            c.close()
