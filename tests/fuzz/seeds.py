"""Writes inputs to begin with, from recorded traffic, for the fuzz targets: seeds.py DIRECTORY."""
import base64
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "golden"))

import read as golden  # noqa: E402

with open(os.path.join(golden.HERE, "handshake.jsonl"), encoding="utf-8") as f:
    HANDSHAKES = [json.loads(line) for line in f]


def envelopes():
    return {e for name in golden.names() for e in golden.envelopes(name) if len(e) < 65536}


def events():
    """As JSON: of those without bytes."""
    return {json.dumps(e).encode() for name in golden.names() for e in golden.events(name) if isinstance(e["type"], str)}


def replies():
    """What Redis sends of them. One byte first: how fuzz_pubsub.c cuts its input."""
    return {b"\x10" + array(b"subscribe", b"comfy:events") + array(b"message", b"comfy:sid:{a}", e) for e in envelopes()}


def array(*strings):
    return b"*%d\r\n" % len(strings) + b"".join(b"$%d\r\n%s\r\n" % (len(s), s) for s in strings)


def requests():
    return {h["request"].encode() for h in HANDSHAKES}


def client_frames():
    """Two bytes first: how fuzz_websocket.c cuts its input, and what kind of socket it feeds."""
    return {b"\x20\x83" + base64.b64decode(h["sent_b64"]) for h in HANDSHAKES if h["sent_b64"] and " " not in h["sent_b64"]}


# A part of a target's name, and what it reads.
KINDS = {"json": events, "msgpack": envelopes, "codec": envelopes, "event": envelopes, "upgrade": requests, "request": requests,
         "http": requests, "websocket": client_frames, "receiver": client_frames, "connection": client_frames, "pubsub": replies}


def main(directory):
    for source in sorted(os.listdir(HERE)):
        if source.startswith("fuzz_") and source.endswith(".c"):
            write(os.path.join(directory, source[:-2]), next((KINDS[k] for k in KINDS if k in source), set))


def write(directory, seeds):
    os.makedirs(directory, exist_ok=True)
    for i, seed in enumerate(sorted(seeds())):
        with open(os.path.join(directory, f"{i:04}"), "wb") as f:
            f.write(seed)


main(sys.argv[1])
