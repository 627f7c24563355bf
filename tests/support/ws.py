"""A WebSocket client that shows the bytes: what the relay sent, frame by frame, as RFC 6455 section 5 has it."""
import base64
import os
import socket
import struct
import threading
import time

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = base64.b64encode(b"the sample nonce").decode()
TIMEOUT = 20


def encode(opcode, payload=b"", fin=True, rsv=0, mask=True):
    """One frame of a client."""
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    n = len(payload)
    if n < 126:
        head += bytes([bit | n])
    elif n < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if not mask:
        return head + payload
    key = os.urandom(4)
    stretched = (key * (n // 4 + 1))[:n]
    return head + key + (int.from_bytes(payload, "big") ^ int.from_bytes(stretched, "big")).to_bytes(n, "big")


class Parser:
    """Takes a server's bytes, gives its frames. Refuses what a server must not send."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        self.buffer += data
        out = []
        while (frame := self._take()) is not None:
            out.append(frame)
        return out

    def _take(self):
        b = self.buffer
        if len(b) < 2:
            return None
        assert b[0] & 0x70 == 0, f"reserved bits are set: {bytes(b[:16]).hex()}"
        assert b[0] & 0x80, f"a fragment: {bytes(b[:16]).hex()}"
        assert not b[1] & 0x80, f"a server's frame is masked: {bytes(b[:16]).hex()}"
        n, at = b[1], 2
        if n == 126:
            if len(b) < 4:
                return None
            n, at = struct.unpack_from(">H", b, 2)[0], 4
            assert n >= 126, "a length is not in its shortest form"
        elif n == 127:
            if len(b) < 10:
                return None
            n, at = struct.unpack_from(">Q", b, 2)[0], 10
            assert n >= 65536, "a length is not in its shortest form"
        if len(b) < at + n:
            return None
        opcode, payload = b[0] & 15, bytes(b[at:at + n])
        assert opcode in (TEXT, BINARY, CLOSE, PING, PONG), f"opcode {opcode}"
        del b[:at + n]
        return opcode, payload


def connect_tcp(address, timeout=TIMEOUT):
    """address: (host, port), or the path of a unix socket."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    if not isinstance(address, str) and ":" in address[0]:
        family = socket.AF_INET6
    s = socket.socket(family)
    s.settimeout(timeout)
    s.connect(address)
    if family != socket.AF_UNIX:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def upgrade_request(path, host="relay.test", headers=()):
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_head(s):
    """The head of an HTTP response, and what came after it."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = s.recv(65536)
        if not chunk:
            return data, b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head, rest


class Refused(Exception):
    def __init__(self, head):
        self.head = head.decode("latin-1")
        self.status = int(self.head.split(" ", 2)[1]) if self.head.startswith("HTTP/") else None
        super().__init__(self.head)


class Client:
    """An open socket. A thread reads all the time, answers pings, and keeps every message."""

    def __init__(self, address, path="/ws", headers=(), pongs=True, read=True, receive_buffer=None):
        self.sock = socket_with_buffer(address, receive_buffer)
        self.sock.sendall(upgrade_request(path, headers=headers))
        self.head, rest = read_head(self.sock)
        if not self.head.startswith(b"HTTP/1.1 101 "):
            self.sock.close()
            raise Refused(self.head)
        self.pongs, self.changed = pongs, threading.Condition()
        self.messages, self.times, self.pings, self.pongs_seen = [], [], [], []
        self.pinged_at = []  # how many messages had come before each ping
        self.closed, self.close_code, self.failure = False, None, None
        self.parser, self.early = Parser(), rest
        self.thread = threading.Thread(target=self._read, daemon=True)
        if read:
            self.start_reading()

    def start_reading(self):
        self.thread.start()
        return self

    def _read(self):
        data = self.early
        try:
            self.sock.settimeout(None)
            while True:
                for opcode, payload in self.parser.feed(data):
                    self._got(opcode, payload)
                data = self.sock.recv(262144)
                if not data:
                    break
        except OSError:
            pass
        except Exception as e:  # shown by whoever waits
            self.failure = e
        with self.changed:
            self.closed = True
            self.changed.notify_all()

    def _got(self, opcode, payload):
        if opcode == PING and self.pongs:
            self.send(PONG, payload)
        with self.changed:
            if opcode == TEXT:
                self.messages.append(payload.decode())
                self.times.append(time.monotonic())
            elif opcode == BINARY:
                self.messages.append(payload)
                self.times.append(time.monotonic())
            elif opcode == PING:
                self.pings.append(payload)
                self.pinged_at.append(len(self.messages))
            elif opcode == PONG:
                self.pongs_seen.append(payload)
            elif opcode == CLOSE:
                self.send(CLOSE, payload[:2])
                self.close_code = struct.unpack(">H", payload[:2])[0] if payload else 1005
            self.changed.notify_all()

    # -- what a client does

    def send_bytes(self, data):
        self.sock.sendall(data)

    def send(self, opcode, payload=b""):
        try:
            self.sock.sendall(encode(opcode, payload))
        except OSError:
            pass

    def text(self, s):
        self.send(TEXT, s.encode())

    def flags(self, value=True):
        self.text('{"type":"feature_flags","data":{"supports_preview_metadata":%s}}' % ("true" if value else "false"))

    def close(self, code=1000):
        """Says goodbye and waits for the answer."""
        self.send(CLOSE, b"" if code is None else struct.pack(">H", code))
        self.wait(lambda: self.closed, "the close to be answered")
        self.sock.close()

    def cut(self):
        """A reset, as when a machine vanishes."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            self.sock.shutdown(socket.SHUT_RD)
        except OSError:
            pass
        self.thread.join(TIMEOUT)
        self.sock.close()

    def drop(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    # -- what a test awaits

    def wait_acknowledged(self):
        """The server has asked how far this client has got, after the last message that it has now, and knows."""
        n = len(self.messages)
        self.wait(lambda: self.pinged_at and self.pinged_at[-1] >= n, "a ping after the last message")
        self.barrier()
        return self

    def wait(self, condition, what, timeout=TIMEOUT):
        with self.changed:
            ok = self.changed.wait_for(lambda: condition() or self.failure, timeout)
        if self.failure:
            raise AssertionError(f"the server broke RFC 6455: {self.failure}")
        assert ok, (f"waited {timeout} s for {what}; open: {not self.closed}, close code {self.close_code}, "
                    f"{len(self.messages)} messages, the last: {[short(m) for m in self.messages[-5:]]}")
        return self

    def wait_count(self, n, timeout=TIMEOUT):
        return self.wait(lambda: len(self.messages) >= n, f"{n} messages", timeout)

    def wait_for(self, text, timeout=TIMEOUT):
        """A text message that contains this; returns its index."""
        self.wait(lambda: self.find(text) is not None, f"a message with {text!r}", timeout)
        return self.find(text)

    def wait_closed(self, code=None, timeout=TIMEOUT):
        self.wait(lambda: self.closed, "the server to close", timeout)
        if code is not None:
            assert self.close_code == code, f"close code {self.close_code}, expected {code}"
        return self

    def find(self, text):
        return next((i for i, m in enumerate(self.messages) if isinstance(m, str) and text in m), None)

    def barrier(self, mark=b""):
        """A ping and its pong: what the server had read before is answered."""
        mark = mark or os.urandom(8)
        self.send(PING, mark)
        self.wait(lambda: mark in self.pongs_seen, "the pong")


def socket_with_buffer(address, receive_buffer):
    if receive_buffer is None:
        return connect_tcp(address)
    s = socket.socket(socket.AF_INET)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    s.settimeout(TIMEOUT)
    s.connect(address)
    return s


def short(m):
    s = m if isinstance(m, str) else f"<{len(m)} bytes {m[:12].hex()}>"
    return s if len(s) < 160 else s[:140] + f"... ({len(s)})"
