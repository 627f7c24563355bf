"""Fixtures that several suites share; a conftest.py imports those that its tests use."""
import pytest
from servers import Publisher, Redis, Relay
from ws import Client


@pytest.fixture(scope="session")
def shared_redis():
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def redis_server(shared_redis):
    """A redis-server with nothing in it, as it was configured at its start."""
    before = shared_redis.client.config_get("*")
    shared_redis.client.flushall()
    yield shared_redis
    changed = {k: v for k, v in shared_redis.client.config_get("*").items() if before.get(k) != v}
    for name in changed:
        shared_redis.client.config_set(name, before[name])


@pytest.fixture
def own_redis():
    """One that may be killed."""
    server = Redis()
    yield server
    server.stop()


@pytest.fixture
def publisher(redis_server):
    return Publisher(redis_server)


@pytest.fixture
def relay(redis_server):
    with Relay(redis_server) as r:
        yield r


@pytest.fixture
def connect(request):
    """connect(sid) opens a socket and awaits its first status; all are dropped at the end. To the test's `relay`, unless
    it says to which."""
    clients = []
    relay = request.getfixturevalue("relay") if "relay" in request.fixturenames else None

    def open_one(sid=None, to=None, wait=True, **options):
        path = options.pop("path", "/ws" if sid is None else f"/ws?clientId={sid}")
        c = Client((to or relay).address, path, **options)
        clients.append(c)
        return c.wait_count(1) if wait else c

    yield open_one
    for c in clients:
        c.drop()
