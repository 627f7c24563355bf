import os
import sys

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "support"))

from chromium import Browser  # noqa: E402
from comfyui import ComfyUI  # noqa: E402
from fixtures import redis_server, relay, shared_redis  # noqa: E402, F401
from interrupted import InterruptedComfyUI  # noqa: E402
from servers import Relay  # noqa: E402
from tab import Tab  # noqa: E402
from wire import Wire  # noqa: E402


@pytest.fixture(scope="session")
def browser():
    b = Browser()
    yield b
    b.stop()


@pytest.fixture
def other(redis_server):
    with Relay(redis_server) as r:
        yield r


@pytest.fixture(params=[1, 2], ids=["one relay", "two relays"])
def relays(request):
    return [request.getfixturevalue(name) for name in ("relay", "other")[:request.param]]


@pytest.fixture
def make_wire():
    made = []

    def make(relay):
        made.append(Wire(relay.address))
        return made[-1]

    yield make
    for w in made:
        w.close()


@pytest.fixture
def wire(make_wire, relays):
    """What lies between clients and relays; at first it leads to the first."""
    return make_wire(relays[0])


@pytest.fixture
def open_tab(browser, redis_server):
    """open_tab(relays) opens session.html there."""
    made = []

    def make(relays, **options):
        made.append(Tab(browser, redis_server, relays, **options))
        return made[-1]

    yield make
    for t in made:
        t.close()


@pytest.fixture
def interrupted(redis_server, make_wire):
    """interrupted(recording, place, interrupt) -> ComfyUI in front of a relay, whose client is interrupted at this place."""
    with Relay(redis_server) as relay:
        started = []

        def one(recording, place, interrupt):
            started.append(InterruptedComfyUI(make_wire(relay), redis_server, recording, place, interrupt))
            return started[-1]

        yield one
        for c in started:
            c.close()


@pytest.fixture
def start(redis_server):
    """start(recording) -> ComfyUI in front of a relay."""
    with Relay(redis_server, ws__ping_interval="300ms") as relay:
        started = []

        def one(recording, page=b""):
            started.append(ComfyUI(relay, redis_server, recording, page, shows_all=True))
            return started[0]

        yield one
        for c in started:
            c.close()
