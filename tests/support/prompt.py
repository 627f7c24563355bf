"""A prompt of one session as its worker publishes it, step by step: each step returns the frame that a client gets."""
import json
import struct

from servers import until
from ws import Client

IMAGE = b"\xff\xd8 a picture \xff\xd9"


def frame_of(kind, data):
    return json.dumps({"type": kind, "data": data}, separators=(",", ":"))


def own_executing(node):
    """What is told first when the executing node is not replayed."""
    return frame_of("executing", {"node": node})


class Prompt:
    def __init__(self, publisher, sid, prompt_id="p"):
        self.publisher, self.sid, self.prompt_id = publisher, sid, prompt_id
        self.last_id = None  # of the newest event in the log

    def emit(self, kind, data, **more):
        answer = self.publisher.script({"type": kind, "sid": self.sid, **more, "data": data})
        self.last_id = answer or self.last_id
        return frame_of(kind, data)

    def start(self):
        return self.emit("execution_start", {"prompt_id": self.prompt_id, "timestamp": 1})

    def executing(self, node):
        return self.emit("executing", {"node": node, "display_node": node, "prompt_id": self.prompt_id})

    def executed(self, node):
        return self.emit("executed", {"node": node, "display_node": node, "output": {}, "prompt_id": self.prompt_id})

    def progress(self, value, node="5"):
        return self.emit("progress", {"value": value, "max": 30, "prompt_id": self.prompt_id, "node": node})

    def preview(self, number, node="5", format="JPEG"):
        """Returns the frame with metadata and the one without."""
        image = IMAGE + struct.pack(">I", number)
        metadata = {"node_id": node, "prompt_id": self.prompt_id}
        answer = self.publisher.script({"type": 4, "sid": self.sid, "data": [[format, image, 512], metadata]})
        self.last_id = answer or self.last_id
        mime, code = ("image/png", 2) if format == "PNG" else ("image/jpeg", 1)
        head = json.dumps({**metadata, "image_type": mime}, separators=(",", ":")).encode()
        return struct.pack(">II", 4, len(head)) + head + image, struct.pack(">II", 1, code) + image

    def success(self):
        return self.emit("execution_success", {"prompt_id": self.prompt_id, "timestamp": 2})

    def end(self):
        """The last two frames; the status between them is not its own."""
        return [self.success(), self.emit("executing", {"node": None, "prompt_id": self.prompt_id})]

    def mark(self, text):
        """An event that tells nothing of a prompt."""
        return self.emit("mark", text)

    # -- what is known of the client

    def ack(self):
        return self.publisher.client.get(f"comfy:sid:{{{self.sid}}}:ack")

    def wait_placed(self):
        """Its client's place is known to every relay."""
        until(lambda: self.ack() is not None, "the place to be stored")
        return self

    def wait_acknowledged(self):
        """Its client has everything so far, and Redis knows it."""
        until(lambda: self.ack() == self.last_id, f"{self.last_id} to be acknowledged, the last was {self.ack()}")
        return self


def come_and_go(connect, prompt, **options):
    """The client was here, has nothing yet, and was cut off."""
    client = connect(prompt.sid, **options)
    prompt.wait_placed()
    client.cut()


def story_of(client):
    """What a client got, statuses and answers to its flags left out."""
    return [m for m in client.messages
            if not (isinstance(m, str) and m.startswith(('{"type":"status"', '{"type":"feature_flags"')))]


def open_with_flags(address, sid):
    """As the frontend does: its flags go out when the socket opens, before it has read a thing."""
    client = Client(address, f"/ws?clientId={sid}", read=False)
    client.flags()
    client.start_reading()
    return client.wait_for('{"type":"feature_flags"') and client
