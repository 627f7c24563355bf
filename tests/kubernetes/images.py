"""The images of the manifests, under the names that they have there, as tar files that containerd imports. The relay's is built
by deploy/Dockerfile; Redis and nginx are Debian's."""
import hashlib
import io
import json
import os
import subprocess
import tarfile

import debian
import docker

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PAUSE = "localhost/pause:1"
RELAY = ["comfy-relay:0.1.0", "registry.example.com/comfy-relay:0.1.0"]
REDIS_AND_NGINX = ["docker.io/library/redis:8.2", "docker.io/nginxinc/nginx-unprivileged:1.29"]


def relay(folder):
    path = os.path.join(folder, "relay.tar")
    with docker.Store() as store, docker.Engine(store) as engine:
        engine.build(RELAY[0])
        for name in RELAY[1:]:
            engine.run("tag", RELAY[0], name)
        engine.run("save", "-o", path, *RELAY)
    return path


def redis_and_nginx(folder):
    root = debian.root_tar("bookworm", "redis-server", "nginx-light")
    return archive(os.path.join(folder, "servers.tar"), root, REDIS_AND_NGINX, Env=[PATH])


def pause(folder):
    """The image of what holds a pod's name spaces, and the program itself."""
    program, layer = os.path.join(folder, "pause"), os.path.join(folder, "pause.layer.tar")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pause.c")
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", program, source], check=True)
    with tarfile.open(layer, "w") as tar:
        tar.add(program, "pause")
    return archive(os.path.join(folder, "pause.tar"), layer, [PAUSE], Entrypoint=["/pause"]), program


def archive(path, layer, names, **config):
    """An image of one layer, as `docker save` writes it."""
    with open(layer, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    image = {"architecture": "amd64", "os": "linux", "config": config,
             "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]}}
    manifest = [{"Config": "image.json", "RepoTags": names, "Layers": ["layer.tar"]}]
    with tarfile.open(path, "w") as tar:
        add(tar, "image.json", image)
        add(tar, "manifest.json", manifest)
        tar.add(layer, "layer.tar")
    return path


def add(tar, name, value):
    data = json.dumps(value).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
