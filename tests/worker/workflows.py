"""The recorded scenarios, run anew: their workflows are posted to a real ComfyUI, and clients of its own socket and of the
relay's sit beside each other under the same ids."""
import base64
import copy
import json

from recording import golden
from servers import until
from ws import BINARY, TEXT, Client

# Where a prompt is meant to be running when the next request comes.
WHILE_IT_RUNS = {"e_interrupt", "e2_interrupt_headless", "l_two_clients", "l2_queue_edit"}
# Of the others' sockets each has a prompt; these are about sockets only.
CLIENTS = {"p_no_client_id": ("a", "h")}
# Recorded without a socket: whose prompts they are.
UNSEEN = {"z_no_socket": "abc"}
ABOUT_SOCKETS = {"f2_reconnect_after_end", "f3_late_first_connect", "g_same_sid", "g2_same_sid_both_open"}
END = "golden.end"


def scenarios():
    """Those with workflows of their own: what closes and opens sockets meanwhile is f_reconnect's workflow again."""
    return [name for name in golden.names() if name not in ABOUT_SOCKETS]


def node_types(name):
    return {node["class_type"] for call in calls_of(name) for node in (call["body"].get("prompt") or {}).values()}


def calls_of(name):
    return [line for line in golden.lines(name) if line["op"] == "rest"]


class Viewer:
    """A client of the scenario: its id, what it says first, and its sockets."""

    def __init__(self, label, path, said):
        self.label, self.path, self.said = label, path, said
        self.sid = path.partition("clientId=")[2].partition("&")[0] or None
        self.native = self.remote = self.mine = None  # mine: its id in this run

    @property
    def is_flagged(self):
        first = json.loads(self.said[0]["text"]) if self.said and "text" in self.said[0] else {}
        return first.get("data", {}).get("supports_preview_metadata") is True

    @property
    def sockets(self):
        return [s for s in (self.native, self.remote) if s]

    def open(self, worker, relay, natives, sid):
        """The relay's first: it names who comes without an id."""
        if relay:
            self.remote = Client(relay.address, f"/ws?clientId={sid}" if sid else "/ws").wait_count(1)
            sid = sid or own_sid(self.remote)
        if natives:
            self.native = worker.native(sid)
            sid = sid or own_sid(self.native)
        for s in self.sockets:
            for line in self.said:
                s.send(*((TEXT, line["text"].encode()) if "text" in line else (BINARY, base64.b64decode(line["b64"]))))
            s.barrier()
        return sid


def own_sid(client):
    return json.loads(client.messages[0])["data"]["sid"]


def viewers_of(name):
    lines, wanted = golden.lines(name), CLIENTS.get(name)
    out = {}
    for line in lines:
        label = line.get("client")
        if line["op"] == "connect" and (wanted is None or label in wanted) and not label.endswith("2"):
            out[label] = Viewer(label, line["path"], [])
        elif line["op"] in ("flags", "sent") and label in out:
            out[label].said.append(line)
    if name in UNSEEN:
        out["a"] = Viewer("a", f"/ws?clientId={UNSEEN[name]}", [{"text": golden.text(
            {"type": "feature_flags", "data": {"supports_preview_metadata": True}})}])
    return list(out.values())


class Run:
    """One scenario on one worker. `natives`: clients of ComfyUI's own socket take part; `relay`: clients of the relay do.

    `tag` makes the ids of this run its own; `color` its pictures, so that a node is cached only where the recording had
    it."""

    def __init__(self, name, worker, tag, color, relay=None, natives=True):
        self.name, self.worker, self.relay, self.tag, self.color = name, worker, relay, tag, color
        self.viewers, self.natives = viewers_of(name), natives
        self.sids, self.prompts, self.owners, self.begun = {}, {}, {}, worker.executed

    def play(self):
        try:
            for v in self.viewers:
                stock = v.sid or golden_sid(self.name, v.label)
                self.sids[stock] = v.mine = v.open(self.worker, self.relay, self.natives, v.sid and f"{v.sid}-{self.tag}")
            for call in calls_of(self.name):
                self.call(call)
            self.wait_prompts()
            self.wait_told()
        finally:
            for v in self.viewers:
                for s in v.sockets:
                    s.drop()
        return self

    def call(self, line):
        body = self.mine(line["body"])
        is_prompt = line["path"] == "/prompt"
        if body.get("enabled") is False:  # the last line is on its way to the log panel still
            self.wait_sockets(lambda s: s.find("Prompt executed") is not None, "the last line of the log")
        if is_prompt:
            body.pop("prompt_id", None)
        status, answer = self.worker.call(line["method"], line["path"], body)
        assert status == line["status"], f"{self.name}: {line['method']} {line['path']}: {status} {answer}"
        if not is_prompt or status != 200:
            return
        self.prompts[line["body"]["prompt_id"]] = answer["prompt_id"]
        self.owners[answer["prompt_id"]] = body.get("client_id") or None
        if self.name not in WHILE_IT_RUNS:
            self.wait_prompts()
        elif len(self.prompts) == 1:
            until(lambda: self.worker.get("/golden/running"), "a node to run")

    def wait_prompts(self):
        """All that were posted have run, been interrupted or been deleted, and the worker has said what it had to say."""
        self.worker.wait_idle()
        ran = sum(p in self.worker.get(f"/history/{p}") for p in self.prompts.values())
        self.worker.wait_executed(self.begun + ran)

    def mine(self, x):
        """The recorded body with this run's ids and colour."""
        if isinstance(x, dict):
            return {k: self.color if k == "color" else self.mine(v) for k, v in x.items()}
        if isinstance(x, list):
            return [self.mine(v) for v in x]
        return self.sids.get(x, self.prompts.get(x, x)) if isinstance(x, str) else copy.copy(x)

    def wait_told(self):
        """What was sent so far has reached every client: a last event to each, and one to all."""
        for sid in (*self.sids.values(), None):
            self.worker.send(END, self.tag, sid)
        self.wait_sockets(lambda s: sum(map(is_end, s.messages)) >= 2, "the end of the scenario")

    def wait_sockets(self, condition, what):
        for v in self.viewers:
            for s in v.sockets:
                s.wait(lambda s=s: condition(s), what)


def golden_sid(name, label):
    return next(s.sid for s in golden.sockets(name) if s.label == label)


def is_end(m):
    return isinstance(m, str) and m.startswith(('{"type":"golden.end"', '{"type": "golden.end"'))
