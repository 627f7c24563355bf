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

ARCHITECTURE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PAUSE = "localhost/pause:1"
RELAY = ["comfy-relay:0.1.0", "registry.example.com/comfy-relay:0.1.0"]
REDIS, NGINX = "docker.io/library/redis:8.2", "docker.io/nginxinc/nginx-unprivileged:1.29"


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
    images = {REDIS: {"Env": [PATH]}, NGINX: {"Env": [PATH], "StopSignal": "SIGQUIT"}}  # as nginx' own image has it
    return archive(os.path.join(folder, "servers.tar"), root, images)


def pause(folder):
    """The image of what holds a pod's name spaces, and the program itself."""
    program, layer = os.path.join(folder, "pause"), os.path.join(folder, "pause.layer.tar")
    source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pause.c")
    subprocess.run(["gcc", "-O2", "-static", "-s", "-o", program, source], check=True)
    with tarfile.open(layer, "w") as tar:
        tar.add(program, "pause")
    return archive(os.path.join(folder, "pause.tar"), layer, {PAUSE: {"Entrypoint": ["/pause"]}}), program


def archive(path, layer, images):
    """Images of one layer, {name: configuration}, as `docker save` writes them."""
    with open(layer, "rb") as f:
        digest = hashlib.file_digest(f, "sha256").hexdigest()
    rootfs = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    manifest = [{"Config": f"{i}.json", "RepoTags": [name], "Layers": ["layer.tar"]} for i, name in enumerate(images)]
    with tarfile.open(path, "w") as tar:
        for i, config in enumerate(images.values()):
            add(tar, f"{i}.json", {"architecture": ARCHITECTURE, "os": "linux", "config": config, "rootfs": rootfs})
        add(tar, "manifest.json", manifest)
        tar.add(layer, "layer.tar")
    return path


def add(tar, name, value):
    data = json.dumps(value).encode()
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    tar.addfile(entry, io.BytesIO(data))
