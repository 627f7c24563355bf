import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from docker_fixtures import engine, images, store  # noqa: E402, F401
from machine import machine, machine_root, packages  # noqa: E402, F401
