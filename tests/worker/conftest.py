import os
import sys

import pytest

SUPPORT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support")
sys.path[:0] = [os.path.dirname(os.path.abspath(__file__)), SUPPORT]

from fixtures import redis_server, shared_redis  # noqa: E402, F401
from servers import Redis  # noqa: E402


@pytest.fixture
def own_redis():
    """One that may be killed; it keeps its data."""
    server = Redis("--appendonly", "yes", "--appendfsync", "always")
    yield server
    server.stop()
