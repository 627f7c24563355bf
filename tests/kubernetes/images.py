"""The images of the manifests, under the names that they have there, as tar files that containerd imports. The relay's is built
by deploy/Dockerfile; for Redis and nginx stand the same images as in tests/deploy."""
import os
import subprocess
import tarfile

import docker
from servers import ROOT

PAUSE = "localhost/pause:1"
RELAY = ["comfy-relay:0.1.0", "registry.example.com/comfy-relay:0.1.0"]
STAND_INS = os.path.join(ROOT, "tests", "deploy", "images")
REDIS, NGINX = "redis:8.2", "nginxinc/nginx-unprivileged:1.29"


def make_all(folder):
    """A tar of all images, and the program of the one that holds a pod's name spaces."""
    path, program = os.path.join(folder, "images.tar"), pause(folder)
    with docker.Store() as store, docker.Engine(store) as engine:
        engine.build(RELAY[0])
        for name in RELAY[1:]:
            engine.run("tag", RELAY[0], name)
        engine.build(REDIS, context=STAND_INS, dockerfile="redis.Dockerfile")
        engine.build(NGINX, context=STAND_INS, dockerfile="nginx.Dockerfile")
        engine.run("import", "-c", 'ENTRYPOINT ["/pause"]', program + ".tar", PAUSE)
        engine.run("save", "-o", path, *RELAY, REDIS, NGINX, PAUSE)
    return path, program


def pause(folder):
    program = os.path.join(folder, "pause")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pause.c")
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", program, source], check=True)
    with tarfile.open(program + ".tar", "w") as tar:
        tar.add(program, "pause")
    return program
