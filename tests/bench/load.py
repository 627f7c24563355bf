"""The load of a benchmark, in one thread: clients that answer pings, and a publisher that keeps its pace.

    load = Load(relay.address, redis.path, sids)
    load.paced(groups, interval_s) or load.publish(groups)      a group is what is sent to Redis in one write
    load.receive(frames)                                        until the clients have had so many more
    load.rest(seconds)
"""
import os
import selectors
import socket
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"))

from ws import BINARY, PING, PONG, TEXT, Parser, connect_tcp, encode, read_head, upgrade_request  # noqa: E402

READ_BYTES = 1 << 18
TIMEOUT_S = 60


class Client:
    """A session's client, as far as the relay can tell."""

    def __init__(self, address, sid):
        self.sock, self.parser = connect_tcp(address), Parser()
        self.sock.sendall(upgrade_request(f"/ws?clientId={sid}"))
        head, rest = read_head(self.sock)
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.sock.setblocking(False)
        self.frames = self.count(rest)

    def receive(self):
        """How many frames have come."""
        data = self.sock.recv(READ_BYTES)
        assert data, "the relay has closed a connection"
        return self.count(data)

    def count(self, data):
        frames = 0
        for opcode, payload in self.parser.feed(data):
            if opcode == PING:
                self.sock.send(encode(PONG, payload))
            frames += opcode in (TEXT, BINARY)
        return frames


class Publisher:
    """A connection to Redis that sends commands as they go over the wire, and counts the answers."""

    def __init__(self, path):
        self.sock = connect_tcp(path)
        self.due, self.answered = 0, 0

    def send(self, group):
        """group: how many commands, and their bytes."""
        self.sock.sendall(group[1])
        self.due += group[0]

    def receive(self):
        """Answers are integers, of one line, and strings, of two."""
        data = self.sock.recv(READ_BYTES)
        assert data and not data.startswith(b"-") and b"\n-" not in data, data[:200]
        self.answered += data.count(b"\r\n") - data.count(b"$")
        return 0


class Load:
    def __init__(self, address, redis_path, sids):
        self.selector, self.frames = selectors.DefaultSelector(), 0
        self.publisher = Publisher(redis_path)
        self.clients = [Client(address, sid) for sid in sids]
        for end in [self.publisher, *self.clients]:
            self.selector.register(end.sock, selectors.EVENT_READ, end)
        self.frames = sum(c.frames for c in self.clients)

    def turn(self, seconds):
        """Takes what has come, or comes within that time."""
        for key, _ in self.selector.select(max(0, seconds)):
            self.frames += key.data.receive()

    def until(self, condition, what):
        end = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < end, f"waited {TIMEOUT_S} s for {what()}"
            self.turn(0.1)

    def paced(self, groups, interval_s):
        """A group each interval, by the clock."""
        at = time.monotonic()
        for group in groups:
            while (left := at - time.monotonic()) > 0:
                self.turn(left)
            self.publisher.send(group)
            at += interval_s
        self.wait_answers()

    def publish(self, groups):
        """As fast as Redis takes them. Nobody but Redis need be running."""
        for group in groups:
            self.publisher.send(group)
            self.wait_answers()

    def wait_answers(self):
        p = self.publisher
        self.until(lambda: p.answered == p.due, lambda: f"{p.due} answers of Redis, not {p.answered}")

    def receive(self, upto):
        self.until(lambda: self.frames >= upto, lambda: f"{upto} frames, not {self.frames}")
        assert self.frames == upto, f"{self.frames} frames, expected {upto}"

    def rest(self, seconds):
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.turn(left)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for end in [self.publisher, *self.clients]:
            end.sock.close()
        self.selector.close()
