import os
import sys

import pytest

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), SUPPORT]

from servers import Redis  # noqa: E402


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
    """One that may be killed; it keeps its data."""
    server = Redis("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()
