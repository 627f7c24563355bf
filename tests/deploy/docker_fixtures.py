"""What the tests with containers share: the images, built once, and an engine with a network of its own."""
import os
import time
from concurrent.futures import ThreadPoolExecutor

import docker
import pytest

IMAGES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "images")
RELAY, BUILT, BUILDKIT = "comfy-relay:test", "comfy-relay-build:test", "comfy-relay-buildkit:test"


class Images:
    """What building them said, and how long it took."""

    def __init__(self, engine):
        self.took = {}
        with ThreadPoolExecutor() as both:
            done = [both.submit(self.build_relay, engine), both.submit(self.build_stand_ins, engine)]
        for each in done:
            each.result()
        engine.run("image", "prune", "-f")
        print("built in", self.took)

    def build_relay(self, engine):
        self.build(engine, BUILT, target="build")
        self.build(engine, RELAY)
        # On what the plain builder has just installed: the other builder need not install it again.
        engine.run("tag", BUILT, docker.BASE.format("built"))
        self.build(engine, BUILDKIT, buildkit=True, DEBIAN="built")

    def build_stand_ins(self, engine):
        for tag, name in (("redis:7-bookworm", "redis"), ("nginx:stable", "nginx"), ("comfyui:test", "comfyui")):
            self.build(engine, tag, context=IMAGES, dockerfile=name + ".Dockerfile")

    def build(self, engine, tag, **how):
        begin = time.monotonic()
        engine.build(tag, **how)
        self.took[tag] = round(time.monotonic() - begin, 1)


@pytest.fixture(scope="session")
def store():
    why = docker.why_not()
    if why:
        pytest.skip(why)
    with docker.Store() as s:
        yield s


@pytest.fixture(scope="session")
def images(store):
    with docker.Engine(store) as engine:
        return Images(engine)


@pytest.fixture(scope="session")
def engine(store, images):
    with docker.Engine(store, network=True) as e:
        yield e
