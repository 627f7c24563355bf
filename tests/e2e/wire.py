"""The network between clients and a relay, which fails as networks do: with a reset, or without a word."""
import socket
import struct
import threading

from servers import TIMEOUT, free_port

RESET = struct.pack("ii", 1, 0)


class Connection:
    """Both sides of one connection. Each direction has a gate: while it is shut, nothing goes through."""

    def __init__(self, wire, client, relay):
        self.wire, self.client, self.relay = wire, client, relay
        self.up, self.down = threading.Event(), threading.Event()
        self.told = b""  # what the relay has sent and the client was given
        self.held = b""  # what the client has sent and waits at the gate
        self.is_cut = self.is_over = False
        self.open_gates()
        self.threads = [threading.Thread(target=self.pump, args=a, daemon=True)
                        for a in ((client, relay, self.up, False), (relay, client, self.down, True))]
        for t in self.threads:
            t.start()

    def pump(self, source, target, gate, is_told):
        try:
            while data := source.recv(65536):
                if not is_told:
                    self.note(held=data)
                gate.wait()
                if self.is_cut:
                    return
                target.sendall(data)
                if is_told:
                    self.note(told=data)
            gate.wait()
            if not self.is_cut:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        finally:
            if is_told:
                self.note(is_over=True)

    def note(self, told=b"", held=b"", is_over=False):
        with self.wire.changed:
            self.told += told
            self.held = b"" if self.up.is_set() else self.held + held
            self.is_over = self.is_over or is_over
            self.wire.changed.notify_all()

    @property
    def held_close_code(self):
        """Of the close frame that waits (RFC 6455, sections 5.2 and 5.5.1: masked, its code in two bytes)."""
        if self.held[:2] != b"\x88\x82":
            return None
        mask, code = self.held[2:6], self.held[6:8]
        return (code[0] ^ mask[0]) << 8 | code[1] ^ mask[1]

    def open_gates(self):
        self.up.set()
        self.down.set()

    def fall_silent(self):
        self.up.clear()
        self.down.clear()

    def reset(self):
        """Both sides see a reset, at once."""
        self.is_cut = True
        for s in (self.client, self.relay):
            reset(s)
        self.open_gates()
        for t in self.threads:
            t.join(TIMEOUT)
        for s in (self.client, self.relay):
            s.close()

    def lose_client(self):
        """The client sees a reset; the relay hears nothing more, and is not told."""
        self.fall_silent()
        reset(self.client)
        self.client.close()

    def close(self):
        self.reset()


def reset(s):
    """The close that follows sends one. The reader is woken first: until it is gone, nothing is sent."""
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        s.shutdown(socket.SHUT_RD)
    except OSError:
        pass


class Wire:
    def __init__(self, target):
        self.target, self.connections, self.changed = target, [], threading.Condition()
        self.port, self.door = free_port(), threading.Event()
        self.door.set()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def address(self):
        return "127.0.0.1", self.port

    @property
    def newest(self):
        return self.connections[-1]

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        self.door.wait()
        relay = socket.create_connection(self.target)
        for s in (client, relay):
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.changed:
            self.connections.append(Connection(self, client, relay))
            self.changed.notify_all()

    def shut_door(self):
        """New connections get no further than here, until the door is opened."""
        self.door.clear()

    def open_door(self):
        self.door.set()

    def wait(self, condition, what):
        with self.changed:
            assert self.changed.wait_for(condition, TIMEOUT), f"waited {TIMEOUT} s for {what}"

    def close(self):
        self.listener.close()
        self.door.set()
        for c in self.connections:
            c.close()
