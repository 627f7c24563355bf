"""A stand-in for ComfyUI's REST side: clients speak HTTP and WebSocket to one address, so the socket is piped on to
the relay, byte for byte, and a prompt that is posted plays a recording into Redis as a worker would."""
import json
import re
import socket
import threading
import time
import uuid

import msgpack
from contract import conflation_key
from recording import golden
from servers import Publisher, free_port

PIXEL = bytes.fromhex("89504e470d0a1a0a0000000d4948445200000001000000010806000000"
                      "1f15c4890000000d49444154789c636060606000000005000157a2ab5b0000000049454e44ae426082")


class Run:
    """One prompt: a recording, replayed under the prompt's id for the client that posted it."""

    def __init__(self, recording, prompt_id, sid):
        self.prompt_id, self.sid, self.done = prompt_id, sid, False
        self.events = [self.mine(e) for e in one_prompt(golden.events(recording))]
        self.outputs = {e["data"]["node"]: e["data"]["output"] for e in self.events if e["type"] == "executed"}

    def mine(self, event):
        return {**event, "sid": self.sid if event["sid"] else event["sid"]}

    def packed(self):
        recorded = next(e["data"]["prompt_id"] for e in self.events if e["type"] == "execution_start")
        for e in self.events:
            yield e, msgpack.packb(e).replace(recorded.encode(), self.prompt_id.encode())


def one_prompt(events):
    """Up to the end of the first prompt."""
    for i, e in enumerate(events):
        if e["type"] == "executing" and e["data"]["node"] is None:
            return events[:i + 1]
    raise AssertionError("the recording has no end")


class ComfyUI:
    """shows_all: what a newer event may replace is sent before that is published, so that a client sees all there is."""

    def __init__(self, relay, server, recording="a_success_noflags", page=b"", shows_all=False):
        self.shows_all = shows_all
        self.relay, self.publisher, self.recording, self.page = relay, Publisher(server), recording, page
        self.runs, self.order, self.reports, self.unknown = {}, threading.Condition(), [], []
        self.port = free_port()
        self.listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self.accept, daemon=True).start()

    @property
    def host(self):
        return f"127.0.0.1:{self.port}"

    def close(self):
        self.listener.close()

    # -- connections

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def serve(self, client):
        try:
            head = b""
            while b"\r\n\r\n" not in head:
                data = client.recv(65536)
                if not data:
                    return
                head += data
            if head.split(b" ")[1].partition(b"?")[0].endswith(b"/ws"):
                self.pipe(client, head)
            else:
                self.answer(client, head)
        except OSError:
            pass
        finally:
            client.close()

    def pipe(self, client, head):
        """The reverse proxy: whatever either side sends, until either side ends."""
        with socket.create_connection(self.relay.address) as upstream:
            upstream.sendall(head)
            back = threading.Thread(target=copy, args=(upstream, client), daemon=True)
            back.start()
            copy(client, upstream)
            back.join()

    def answer(self, client, head):
        head, _, body = head.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        length = next((int(h.split(":")[1]) for h in lines if h.lower().startswith("content-length:")), 0)
        while len(body) < length:
            body += client.recv(65536)
        method, path, _ = lines[0].split(" ")
        path = path.partition("?")[0].removeprefix("/api")
        status, kind, reply = self.route(method, path, body)
        client.sendall(f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(reply)}\r\n"
                       f"Access-Control-Allow-Origin: *\r\nConnection: close\r\n\r\n".encode() + reply)
        if (method, path) == ("POST", "/prompt"):
            self.play(json.loads(reply)["prompt_id"])

    # -- REST

    def route(self, method, path, body):
        if (method, path) == ("POST", "/prompt"):
            return as_json(self.post_prompt(json.loads(body)))
        if (method, path) == ("POST", "/report"):
            with self.order:
                self.reports.append(json.loads(body))
                self.order.notify_all()
            return as_json({})
        if path == "/view":
            return 200, "image/png", PIXEL
        if path == "/page":
            return 200, "text/html; charset=utf-8", self.page
        if path.startswith("/history"):
            return as_json(self.history(path))
        known = {"/queue": self.queue, "/prompt": lambda: {"exec_info": {"queue_remaining": len(self.running())}},
                 "/system_stats": lambda: {"system": {"os": "posix", "python_version": "3", "embedded_python": False},
                                           "devices": []},
                 "/object_info": dict, "/extensions": list, "/embeddings": list, "/features": dict, "/settings": dict}
        if path in known:
            return as_json(known[path]())
        self.unknown.append(f"{method} {path}")
        return 404, "application/json", b'{"error":"not found"}'

    def post_prompt(self, body):
        run = Run(self.recording, body.get("prompt_id") or str(uuid.uuid4()), body["client_id"])
        self.runs[run.prompt_id] = run
        return {"prompt_id": run.prompt_id, "number": len(self.runs), "node_errors": {}}

    def history(self, path):
        wanted = path.removeprefix("/history").strip("/")
        return {r.prompt_id: {"prompt": [1, r.prompt_id, {}, {}, []], "outputs": r.outputs,
                              "status": {"status_str": "success", "completed": True, "messages": []}, "meta": {}}
                for r in self.runs.values() if r.done and wanted in ("", r.prompt_id)}

    def running(self):
        return [r for r in self.runs.values() if not r.done]

    def queue(self):
        return {"queue_running": [[1, r.prompt_id, {}, {}, []] for r in self.running()], "queue_pending": []}

    # -- the worker

    def play(self, prompt_id):
        """At the recorded pace. History is there when the last event tells the client to read it."""
        run = self.runs[prompt_id]
        began, first = time.monotonic(), run.events[0]["ts"]
        for event, packed in run.packed():
            time.sleep(max(0, began + (event["ts"] - first) / 1000 - time.monotonic()))
            if event["type"] == "execution_success":
                run.done = True
            before = self.latest_sent()
            self.publisher.script(packed)
            if before is not None and conflation_key(event):
                self.wait_sent(before)

    def latest_sent(self):
        """How many frames that a newer one may replace have been sent; None: nobody looks, or the relay has gone."""
        status, body = self.relay.get("/metrics") if self.shows_all else (None, "")
        return re.search(r'sent_frames_total{class="latest"} (\d+)', body)[1] if status == 200 else None

    def wait_sent(self, before):
        """On a busy machine the next one would come first, and replace it. Not for ever: who is to have it may be gone."""
        end = time.monotonic() + 1
        while self.latest_sent() == before and time.monotonic() < end:
            time.sleep(0.005)

    def wait_report(self, timeout):
        with self.order:
            assert self.order.wait_for(lambda: self.reports, timeout), "the page has reported nothing"
            return self.reports[0]


def as_json(value):
    return 200, "application/json", json.dumps(value).encode()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        for s in (source, target):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
