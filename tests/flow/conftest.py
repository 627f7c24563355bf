import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from fixtures import connect, own_redis, publisher, redis_server, relay, shared_redis  # noqa: E402, F401
