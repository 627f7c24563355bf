"""A cluster's DNS, as far as pods need it here: the addresses of Services, asked from the API each time."""
import socket
import struct
import threading

SUFFIX = ".svc.cluster.local"
A, IN = 1, 1
ANSWER, NAME_ERROR = 0x8580, 3


class Names:
    """`sock` is bound where pods ask; `services()` gives {(namespace, name): address}."""

    def __init__(self, sock, services):
        self.sock, self.services = sock, services
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                question, whence = self.sock.recvfrom(512)
            except OSError:
                return
            self.sock.sendto(self.answer(question), whence)

    def answer(self, question):
        name, end = name_of(question)
        kind, _ = struct.unpack_from(">HH", question, end)
        address = self.address(name)
        records = b""
        if address and kind == A:
            records = b"\xc0\x0c" + struct.pack(">HHIH", A, IN, 5, 4) + socket.inet_aton(address)
        flags = ANSWER if address else ANSWER | NAME_ERROR
        head = question[:2] + struct.pack(">HHHHH", flags, 1, bool(records), 0, 0)
        return head + question[12:end + 4] + records

    def address(self, name):
        if not name.endswith(SUFFIX):
            return None
        service, _, namespace = name[:-len(SUFFIX)].partition(".")
        return self.services().get((namespace, service))

    def close(self):
        self.sock.close()


def name_of(question):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]].decode().lower())
        at += 1 + question[at]
    return ".".join(labels), at + 1
