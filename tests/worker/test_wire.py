"""From ComfyUI to a client of the relay: extension, Redis and relay are real, ComfyUI is the stand-in.

What a native socket of the stand-in gets is what the relay's client gets, but for the differences that
tests/support/recording.py names, and for `status`, which is the relay's own.
"""
import asyncio
import logging
import math
import os
import shutil
import struct
import threading

import pytest
from extension import FOLDER, load
from PIL import Image
from recording import (compact_metadata, compact_text, is_prompt_end, is_status,
                       preview_before_progress, queue_number)
from servers import Publisher, Relay, until
from stand_in import UP_TO_0_3_43, ComfyUI
from ws import Client, short

END = '{"type":"test.end","data":%d}'
BARRIER = '{"type":"test.barrier","data":%d}'
LATEST = '{"type":"progress'


def shade(i, form="JPEG", mode="RGB", max_size=None):
    return form, Image.new(mode, (48, 32), (i * 40 % 256, 90, 30, 128)[:len(mode)]), max_size


# ---- nodes --------------------------------------------------------------------------------------------------------


def sampler(step):
    for i in range(6):
        step.progress(i + 1, 6, shade(i, max_size=24 if i % 2 else None))


def final_pictures(step):
    for i in range(3):
        step.progress(i + 1, 3, shade(i, "PNG", "RGBA"))


def messages(step):
    step.text("größe: 64 \U0001f600")
    step.send("mine", {"node": step.node_id, "text": "zeile\n\"\\\x01é"})
    step.send("numbers", [2**64 - 1, -2**63, 2**70, 0.1, 67.0, -0.0, 1e22, math.nan, math.inf, "\ud800"], "me")
    for data in ({}, [], None, True, "", 5, {"1": None}):
        step.send("shape", data)


def raw_frames(step):
    step.send("VHS_latentpreview", {"length": 2, "rate": 8, "id": step.node_id})
    step.send(1, struct.pack(">I", 1) + bytes(24) + b"jpeg")
    step.send(10, b"bm")
    step.send(7, b"")
    step.send(2**32 - 1, bytearray(b"\0\xff"), "me")
    step.send(11, bytes(65536))


def own_pictures(step):
    step.send(2, shade(1, "PNG"), "me")
    step.send(4, (shade(2), {"node_id": "x", "parent_node_id": None}), "me")


async def async_node(step):
    await asyncio.to_thread(step.send, "thread", {"n": 1})
    await asyncio.create_task(task(step))


async def task(step):
    step.progress(1, 2)
    step.send("task", {"n": 2})


def failing(step):
    raise ValueError(step.node_id)


WORKFLOWS = {"sampler": {"1": sampler, "2": final_pictures}, "messages": {"1": messages}, "raw frames": {"9": raw_frames},
             "async": {"1": async_node, "2": sampler}, "error": {"1": sampler, "2": failing, "3": sampler}, "empty": {}}


class Worker:
    """A ComfyUI with the extension, and a relay before it. Unless it is hasty, each event waits for the one before to reach
    the clients, so that none stands for another."""

    def __init__(self, redis_server, scope="prompt", without=(), is_hasty=False, **options):
        self.comfy, self.ends, self.clients = ComfyUI(without), 0, []
        self.direct, self.barriers, self.put, self.is_hasty = Publisher(redis_server), 0, 0, is_hasty
        self.environ = {"COMFY_RELAY_REDIS_URL": redis_server.url, "COMFY_RELAY_SCOPE": scope, "COMFY_RELAY_WORKER_ID": "w1"}
        self.relay = Relay(redis_server, status__interval="0ms", log__level="info", **options)

    def __enter__(self):
        self.relay.__enter__()
        self.comfy.__enter__()
        self.comfy.load(lambda: load(self.environ))
        if not self.is_hasty:
            self.pace()
        return self

    def __exit__(self, *failure):
        for client in self.clients:
            client.drop()
        self.publisher.close()
        self.comfy.__exit__()
        self.relay.__exit__(*failure)

    def pace(self):
        put, send_sync = self.publisher.put, self.comfy.server.send_sync

        def counted(item):
            self.put += hasattr(item, "packed")
            put(item)

        def paced(*event):
            send_sync(*event)
            until(lambda: self.publisher.published + self.publisher.refused >= self.put, "Redis to have the event")
            self.barriers += 1
            self.direct.emit("test.barrier", self.barriers)
            for client in self.clients:
                client.wait_for(BARRIER % self.barriers)
        self.publisher.put, self.comfy.server.send_sync = counted, paced

    @property
    def publisher(self):
        return self.comfy.server._comfy_relay.publisher

    def client(self, sid, flags=None):
        client = Client(self.relay.address, f"/ws?clientId={sid}").wait_count(1)
        self.clients.append(client)
        if flags is not None:
            client.flags(flags)
            client.wait_count(2)
        return client

    def arrived(self):
        """Everything that was raised before has come to all sockets, on both sides."""
        self.ends += 1
        self.comfy.server.send_sync("test.end", self.ends)
        self.comfy.sent()
        for client in self.clients:
            client.wait_for(END % self.ends)

    def run(self, nodes, **options):
        prompt_id = self.comfy.run(nodes, **options)
        self.arrived()
        return prompt_id


def seen(client):
    """What came after the connect, `status` aside."""
    aside = '{"type":"feature_flags"', '{"type":"test.barrier"'
    return [m for m in client.messages if not is_status(m) and not str(m).startswith(aside)]


def stock(frames):
    """What a native socket got, as the relay writes it."""
    frames = [compact_metadata(compact_text(f)) for f in frames]
    previews = {f for f in frames if isinstance(f, bytes) and f[:4] == b"\0\0\0\1"}
    return [f for f in preview_before_progress(frames, previews) if not is_status(f)]


def same(mine, wanted):
    first = next((i for i, (a, b) in enumerate(zip(mine, wanted)) if a != b), min(len(mine), len(wanted)))
    assert mine == wanted, (f"{len(mine)} frames, expected {len(wanted)}; the first that differs is {first}:\n"
                            f"  {[short(f) for f in mine[first:first + 2]]}\n  {[short(f) for f in wanted[first:first + 2]]}")


# ---- promises -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("flags", [True, None])
@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_client_of_the_relay_gets_what_a_native_client_gets(redis_server, workflow, flags):
    with Worker(redis_server) as w:
        native, far = w.comfy.connect("me", flags), w.client("me", flags)
        w.run(WORKFLOWS[workflow], client_id="me")
        same(seen(far), stock(native.frames))
        assert len(seen(far)) > 2 and w.relay.dropped() == {}


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_what_must_arrive_arrives_in_order_however_fast_the_worker_is(redis_server, workflow):
    with Worker(redis_server, is_hasty=True) as w:
        native, far = w.comfy.connect("me", True), w.client("me", True)
        for _ in range(5):
            w.run(WORKFLOWS[workflow], client_id="me")
        same([f for f in seen(far) if not is_latest(f)], [f for f in stock(native.frames) if not is_latest(f)])


def is_latest(frame):
    return frame.startswith(LATEST) if isinstance(frame, str) else b"image/jpeg" in frame or frame[:8] == b"\0\0\0\1\0\0\0\1"


@pytest.mark.parametrize("workflow", WORKFLOWS)
def test_client_gets_the_same_with_no_socket_at_the_worker(redis_server, workflow):
    with Worker(redis_server) as w:
        native = w.comfy.connect("me", True)
        w.run(WORKFLOWS[workflow], client_id="me", prompt_id="p")
    wanted = stock(native.frames)
    with Worker(redis_server) as w:
        far = w.client("me", True)
        w.run(WORKFLOWS[workflow], client_id="me", prompt_id="p")
        same([without_time(f) for f in seen(far)], [without_time(f) for f in wanted])


def without_time(frame):
    return frame.split(',"timestamp"')[0] if isinstance(frame, str) else frame


def test_nodes_own_pictures_come_as_the_client_can_take_them(redis_server):
    with Worker(redis_server) as w:
        native, far, plain = w.comfy.connect("me", True), w.client("me", True), w.client("other")
        w.run({"1": own_pictures}, client_id="me")
        same(seen(far), stock(native.frames))
        assert [m[:4] for m in seen(far) if isinstance(m, bytes)] == [b"\0\0\0\1", b"\0\0\0\4"]
        assert seen(plain) == [END % 1]


def test_older_comfyui_yields_previews_without_metadata(redis_server):
    with Worker(redis_server, without=UP_TO_0_3_43) as w:
        native, far = w.comfy.connect("me"), w.client("me", True)
        w.run({"1": sampler}, client_id="me")
        wanted = [compact_text(f) for f in native.frames if not is_status(compact_text(f))]
        same(seen(far), wanted)
        assert sum(isinstance(m, bytes) for m in seen(far)) == 6


def test_stranger_sees_nothing_of_other_prompts(redis_server):
    with Worker(redis_server) as w:
        stranger = w.client("stranger", True)
        for client in ("me", None, "", 5):
            w.comfy.run(WORKFLOWS["sampler"], client_id=client)
            w.comfy.run({"1": async_node}, client_id=client)
        w.arrived()
        assert seen(stranger) == [END % 1]


@pytest.mark.parametrize("flags", [True, None])
def test_stock_scope_sends_a_headless_prompt_to_everybody_as_stock_does(redis_server, flags):
    with Worker(redis_server, scope="stock") as w:
        native, far = w.comfy.connect("me", flags), w.client("me", flags)
        w.run({"1": sampler})
        mine = seen(far)
        codes = {m[:4] for m in mine if isinstance(m, bytes)}
        assert codes == {b"\0\0\0\4" if flags else b"\0\0\0\1"}
        pictures = [m for m in stock(native.frames) if isinstance(m, bytes)]
        assert [m[-len(p) + 8:] for m, p in zip([m for m in mine if isinstance(m, bytes)], pictures)] == [p[8:] for p in pictures]
        same([m for m in mine if isinstance(m, str)], [m for m in stock(native.frames) if isinstance(m, str)])


def test_queue_number_follows_the_worker(redis_server):
    with Worker(redis_server, is_hasty=True) as w:
        far, hold = w.client("me"), threading.Event()
        posts = [w.comfy.post({"1": lambda step: hold.wait(20)}, client_id="me")[1] for _ in range(3)]
        far.wait(lambda: 3 in numbers(far), "a queue of 3")
        hold.set()
        assert all(done.wait(20) for done in posts)
        w.arrived()
        assert numbers(far)[-1] == 0
        ends = [i for i, m in enumerate(far.messages) if is_prompt_end(m)]
        assert len(ends) == 3 and all(is_status(far.messages[i - 1]) for i in ends)


def numbers(client):
    return [queue_number(m) for m in client.messages if is_status(m)]


def test_worker_tells_which_prompt_it_executes(redis_server):
    with Worker(redis_server) as w:
        inside, hold = threading.Event(), threading.Event()
        _, done = w.comfy.post({"1": lambda step: inside.set() or hold.wait(20)}, prompt_id="p", client_id="me")
        assert inside.wait(20)
        until(lambda: b"\xa9prompt_id\xa1p" in (redis_server.client.hget("comfy:workers", "w1") or b""), "the prompt in comfy:workers")
        hold.set()
        assert done.wait(20)
        until(lambda: b"\xa9prompt_id\xc0" in redis_server.client.hget("comfy:workers", "w1"), "no prompt in comfy:workers")
        w.publisher.close()
        assert redis_server.client.hgetall("comfy:workers") == {}


def test_log_panel_works_for_a_tab_at_the_relay(redis_server):
    with Worker(redis_server) as w:
        far = w.client("far")
        w.comfy.terminal.subscribe("far")
        w.comfy.terminal.send_messages([{"t": "now", "m": "a line\n"}])
        w.arrived()
        assert seen(far)[0] == '{"type":"logs","data":{"entries":[{"t":"now","m":"a line\\n"}],"size":null}}'


@pytest.mark.parametrize("again", ["the same folder", "a copy of it"])
def test_extension_that_is_imported_twice_publishes_once(redis_server, again, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    folder = FOLDER
    with Worker(redis_server) as w:
        if again == "a copy of it":
            folder = str(shutil.copytree(FOLDER, os.path.join(tmp_path, "copy"), ignore=shutil.ignore_patterns("__pycache__")))
        load(w.environ, folder=folder)
        native, far = w.comfy.connect("me", True), w.client("me", True)
        w.run(WORKFLOWS["sampler"], client_id="me")
        same(seen(far), stock(native.frames))
        assert len([t for t in threading.enumerate() if t.name == "comfy-relay"]) == 1
    assert caplog.text.count("hooked events") == 1 and caplog.text.count("at work already") == 1


def test_start_line_says_where_to_what_and_as_whom(redis_server, caplog):
    caplog.set_level(logging.INFO)
    with Worker(redis_server, without=("terminal",)):
        line = next(r.getMessage() for r in caplog.records if "hooked" in r.getMessage())
    assert "worker w1" in line and redis_server.path in line
    assert line.endswith("hooked events, prompts, previews with metadata, assets; not found: the log panel")


def test_events_that_cannot_be_sent_leave_no_trace_in_the_others(redis_server):
    def node(step):
        for bad in ({1}, b"bytes", object()):
            step.send("bad", bad)
        step.send(2, shade(1, "JPEG", "RGBA"), "me")
        step.send("good", 1)
    with Worker(redis_server) as w:
        far = w.client("me")
        w.run({"1": node}, client_id="me")
        assert [m for m in seen(far) if "good" in str(m) or "bad" in str(m)] == ['{"type":"good","data":1}']
        assert w.publisher.refused == 4 and w.publisher.lost == 0
