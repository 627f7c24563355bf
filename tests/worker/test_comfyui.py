"""The extension inside a real ComfyUI (COMFYUI_DIR): every recorded workflow is posted to it again, and what it tells its
own clients is compared with what the relay tells its clients, frame by frame.

    plain      without the extension: what a stock server tells, and what was recorded of one
    beside     with it, clients of both kinds under the same ids
    remote     with it, nobody connected to the worker itself
    everybody  with COMFY_RELAY_SCOPE=stock
"""
import itertools
import json
import os
import signal
import sys
import time

import pytest

sys.path[:0] = [os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "support"),
                os.path.dirname(os.path.abspath(__file__))]

import msgpack  # noqa: E402
import real_comfyui as real  # noqa: E402
from frames import (Told, anonymous, as_relay, assert_same, key_of, kind_of, of_own_prompts, outline,  # noqa: E402
                    statuses_obey_the_rules)
from recording import compact_text, golden, is_prompt_end, queue_number, stock_sockets  # noqa: E402
from servers import Redis, Relay, until  # noqa: E402
from workflows import UNSEEN, Run, node_types, scenarios  # noqa: E402
from ws import Client  # noqa: E402

if real.why_not():
    pytest.skip(real.why_not(), allow_module_level=True)

NAMES = pytest.mark.parametrize("name", scenarios())
# Whom a stock server tells of prompts that are another's or nobody's; behind a relay they are told nothing of them.
STRANGERS = {("i_progress_text", "b"), ("j_headless", "a"), ("j_headless", "b"), ("j2_empty_client_id", "a"),
             ("e2_interrupt_headless", "a"), ("k_broadcast", "b")}
ABOUT_SCOPE = sorted({name for name, _ in STRANGERS})
RECORDED_VERSION = "0.3.64"
UNFIT_EVENTS = 8
FIRST_COLOR = 0x203040
WORKER_TIMEOUT_S = 3
COLORS = itertools.count(1)


def picture():
    """One that no prompt before has used: nothing of it is cached."""
    return {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": next(COLORS)}}


def node(kind, **inputs):
    """A workflow of one node and its input and output."""
    return {"1": picture(), "2": {"class_type": kind, "inputs": {"image": ["1", 0], **inputs}},
            "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}}}


class Stage:
    """Redis, a relay, and workers that are started when they are first needed."""

    MODES = {"plain": ("plain", False, True), "beside": ("extension", True, True), "remote": ("extension", True, False),
             "everybody": ("scope", True, True)}

    def __init__(self):
        self.redis, self.relay, self.workers, self.played, self.failed = Redis(), None, {}, {}, None
        self.figures = {"version": real.version(), "compared with a stock frame": 0, "superseded": 0, "recorded": 0}
        self.relay = Relay(self.redis, status__interval="0ms", log__level="info")

    def worker(self, name):
        if self.failed:
            raise self.failed
        if name not in self.workers:
            settings = {"plain": {"extension": False}, "scope": {"redis": self.redis.url, "scope": "stock"}}
            try:
                self.workers[name] = real.ComfyUI(**settings.get(name, {"redis": self.redis.url}))
            except AssertionError as error:  # it will not start the next time either
                self.failed = error
                raise
        return self.workers[name]

    def run(self, mode, name):
        """This scenario in this mode; all of a mode are played one after the other, so that nothing is cached that was
        not cached when they were recorded."""
        if mode not in self.played:
            worker, relay, natives = self.MODES[mode]
            wanted = ABOUT_SCOPE if mode == "everybody" else scenarios()
            self.played[mode] = {n: self.play(n, mode, worker, relay, natives) for n in wanted if why_not(n) is None}
        run = self.played[mode][name]
        if isinstance(run, BaseException):
            raise run
        return run

    def play(self, name, mode, worker, relay, natives):
        color = FIRST_COLOR + scenarios().index(name)
        try:
            return Run(name, self.worker(worker), mode, color, self.relay if relay else None, natives).play()
        except (AssertionError, OSError) as error:  # its test tells
            return error

    def stop(self):
        for worker in self.workers.values():
            worker.stop()
        self.relay.stop()
        self.redis.stop()


@pytest.fixture(scope="module")
def stage(record_testsuite_property):
    before = real.listing()
    stage = Stage()
    try:
        yield stage
    finally:
        stage.stop()
    for what, n in stage.figures.items():
        record_testsuite_property(what, n)
    assert real.listing() == before, "the checkout was written to"


@pytest.fixture
def opened():
    """Opens sockets of the relay, and drops them at the end."""
    clients = []

    def open_one(relay, sid, flagged=True):
        c = Client(relay.address, f"/ws?clientId={sid}").wait_count(1)
        clients.append(c)
        c.flags(flagged)
        c.barrier()
        return c
    yield open_one
    for c in clients:
        c.drop()


def why_not(name):
    """Why this version cannot run this scenario."""
    if name == "m2_async" and not real.has_async_nodes():
        return f"ComfyUI {real.version()} has no asynchronous nodes"
    return None


def skip_what_it_cannot(name):
    if why_not(name):
        pytest.skip(why_not(name))


def labels(run):
    return [(v, f"{run.name} {v.label}") for v in run.viewers]


# ---- what clients are told ----------------------------------------------------------------------------------------


@NAMES
def test_nodes_cause_what_was_recorded(name, stage):
    if real.version() != RECORDED_VERSION:
        pytest.skip(f"recorded of ComfyUI {RECORDED_VERSION}, this is {real.version()}")
    if name in UNSEEN or name == "f_reconnect":
        pytest.skip("recorded without a socket all the time")
    run = stage.run("plain", name)
    for viewer, what in labels(run):
        mine, stock = Told(viewer.native), stock_sockets(name)[viewer.label].frames
        stage.figures["recorded"] += len(stock)
        wanted = [f for f in stock if kind_of(f) not in ("status", "logs")]
        assert [outline(f) for f in anonymous(mine.events, run)] == [outline(f) for f in anonymous(wanted, Recorded)], what
        numbers = [queue_number(compact_text(f)) for f in stock if kind_of(f) == "status"]
        assert mine.numbers[-len(numbers):] == numbers or not numbers, f"{what}: {mine.numbers}, recorded {numbers}"


class Recorded:
    """Has its names as they are."""

    prompts, sids = {}, {}


@NAMES
def test_native_client_is_told_what_it_was_without_the_extension(name, stage):
    skip_what_it_cannot(name)
    plain, beside = stage.run("plain", name), stage.run("beside", name)
    for (before, what), (after, _) in zip(labels(plain), labels(beside)):
        stock, mine = Told(before.native), Told(after.native)
        if name == "m2_async":  # how two nodes alternate is chance
            assert sorted(map(alone, mine.events)) == sorted(map(alone, stock.events)), what
            continue
        assert anonymous(mine.connect, beside) == anonymous(stock.connect, plain), what
        assert anonymous(mine.events, beside) == anonymous(stock.events, plain), what
        assert mine.numbers == stock.numbers, f"{what}: the queue was {mine.numbers}, without the extension {stock.numbers}"
        assert mine.lines == stock.lines, what


def alone(frame):
    """Of a frame only its type, and its node."""
    data = json.loads(frame).get("data") if isinstance(frame, str) else {}
    return f"{kind_of(frame)} {data.get('node')}"


@NAMES
def test_relay_tells_what_the_native_client_is_told(name, stage):
    skip_what_it_cannot(name)
    run = stage.run("beside", name)
    for viewer, what in labels(run):
        stock, mine = Told(viewer.native), Told(viewer.remote)
        wanted = as_relay(stock.events, real.has_progress_state())
        if (name, viewer.label) in STRANGERS:
            assert wanted, f"{what}: a stock server has told strangers nothing"
            wanted = [f for f in wanted if str(kind_of(f)).startswith("golden.loop")]
        wanted = of_own_prompts(wanted, run, viewer.mine)
        stage.figures["superseded"] += assert_same(mine.events, wanted, what)
        stage.figures["compared with a stock frame"] += len(wanted)
        assert mine.logs == as_relay(stock.logs, True), what
        statuses_obey_the_rules(mine, stock.numbers, what)


@NAMES
def test_relay_tells_the_same_when_nobody_is_connected_to_the_worker(name, stage):
    skip_what_it_cannot(name)
    beside, remote = stage.run("beside", name), stage.run("remote", name)
    for (with_native, what), (without, _) in zip(labels(beside), labels(remote)):
        wanted, mine = Told(with_native.remote), Told(without.remote)
        if name == "m2_async":
            assert sorted(kept(map(alone, mine.events))) == sorted(kept(map(alone, wanted.events))), what
            continue
        assert kept(anonymous(mine.events, remote)) == kept(anonymous(wanted.events, beside)), what
        assert mine.lines == wanted.lines, what
        statuses_obey_the_rules(mine, [0], what)


def kept(frames):
    """Those that must arrive; how many of the others there are is chance."""
    return [f for f in frames if not isinstance(f, (str, bytes)) or not f[:1] in ("{", b"\0") or not key_of(f)]


def test_previews_have_metadata_when_nobody_is_connected_to_the_worker(stage):
    if not real.has_progress_state():
        pytest.skip(f"ComfyUI {real.version()} makes no previews with metadata")
    told = Told(stage.run("remote", "z_no_socket").viewers[0].remote)
    nodes = {json.loads(f[8:8 + int.from_bytes(f[4:8], "big")])["node_id"] for f in told.events if kind_of(f) == 4}
    assert nodes >= {"57:8", "2.0.0.1", "save_image_websocket_node", "2"}, f"previews of the nodes {nodes}"
    assert not [f for f in told.events if kind_of(f) == 1], "and previews without metadata"


@pytest.mark.parametrize("name", ABOUT_SCOPE)
def test_scope_of_stock_tells_everybody_as_a_stock_server_does(name, stage):
    run = stage.run("everybody", name)
    for viewer, what in labels(run):
        stock, mine = Told(viewer.native), Told(viewer.remote)
        wanted = as_relay(stock.events, real.has_progress_state())
        assert wanted, f"{what}: a stock server has told nothing"
        # Stock's previews of a headless prompt are code 1 for all; here a client with the flag gets code 4.
        assert_same([without_metadata(f) for f in mine.events], [without_metadata(f) for f in wanted], what)
        if name == "j_headless" and viewer.is_flagged and real.has_progress_state():
            assert {4} <= {kind_of(f) for f in mine.events}, f"{what}: no preview with metadata"
        statuses_obey_the_rules(mine, stock.numbers, what)


def without_metadata(frame):
    if not isinstance(frame, bytes) or kind_of(frame) != 4:
        return frame
    length = int.from_bytes(frame[4:8], "big")
    return golden.code1("PNG" if b"image/png" in frame[8:8 + length] else "JPEG", frame[8 + length:])


NATIVE_END, END = '"executing", "data": {"node": null', '"executing","data":{"node":null'


@pytest.mark.parametrize("away", ["while_it_runs", "until_after_its_end", "until_it_has_begun"])
def test_client_that_was_away_is_told_what_its_native_twin_was_told(away, stage, opened):
    worker, sid = stage.worker("extension"), f"away-{away}"
    native = worker.native(sid)
    native.flags()
    native.barrier()
    parts = [opened(stage.relay, sid)] if away != "until_it_has_begun" else []
    worker.queue(node("GoldenProgress", steps=40, delay=0.05, preview="JPEG", size=96, max_size=64), sid)
    native.wait_for('"value": 5')
    for part in parts:
        part.wait_for('"executing","data":{"node":"2"')
        part.cut()
    native.wait_for('"value": 15')
    assert native.find(NATIVE_END) is None, "the prompt has ended already"
    if away == "until_after_its_end":
        native.wait_for(NATIVE_END)
    parts.append(opened(stage.relay, sid))
    parts[-1].wait_for(END)
    native.wait_for(NATIVE_END)
    native.drop()
    mine = [f for part in parts for f in Told(part).events if not key_of(f)]
    wanted = [f for f in as_relay(Told(native).events, real.has_progress_state()) if not key_of(f)]
    # What had come before the cut, and was not known to have come, may come again.
    assert list(dict.fromkeys(mine)) == wanted, f"told {mine}\nits twin {wanted}"


# ---- the log panel ------------------------------------------------------------------------------------------------


def test_log_panel_of_a_remote_tab_shows_lines_until_it_is_closed(stage, opened):
    worker, sid = stage.worker("extension"), "panel"
    tab = opened(stage.relay, sid)
    subscribe(worker, sid, True)
    worker.queue(node("GoldenText", text="x", to="client"), sid)
    tab.wait(lambda: Told(tab).lines == ["got prompt", "Prompt executed"], "the lines in the panel")
    subscribe(worker, sid, False)
    done = worker.executed
    worker.queue(node("GoldenText", text="y", to="client"), sid)
    worker.wait_executed(done + 1)
    worker.send("golden.mark", None, sid)
    tab.wait_for('"golden.mark"')
    assert len(Told(tab).lines) == 2, "lines after the panel was closed"


def subscribe(worker, sid, enabled):
    status, answer = worker.call("PATCH", "/internal/logs/subscribe", {"enabled": enabled, "clientId": sid})
    assert status == 200, f"{status} {answer}"


# ---- what must not happen -----------------------------------------------------------------------------------------


def test_without_the_variable_the_extension_changes_nothing(stage):
    plain = state(stage.worker("plain"))
    with real.ComfyUI() as worker:
        mine = state(worker)
        assert worker.log_lines("comfy_relay"), "the folder was not loaded"
        assert not worker.log_lines("[comfy-relay]"), worker.log_lines("[comfy-relay]")
    assert mine == plain, f"with the extension {mine}\nwithout it {plain}"


def test_with_the_variable_it_is_hooked(stage):
    """So that the test above can see a difference."""
    plain, mine = state(stage.worker("plain")), state(stage.worker("extension"))
    assert "comfy-relay" in mine["threads"], f"threads: {mine['threads']}"
    for what in ("execute", "methods", "SIGTERM"):
        assert mine[what] != plain[what], f"{what} is {mine[what]} as without the extension"


def state(worker):
    out = worker.get("/golden/state")
    out["threads"] = [t for t in out["threads"] if not t.startswith(("asyncio_", "ThreadPool"))]
    return out


def test_start_says_in_one_line_what_was_hooked(stage):
    said = stage.worker("extension").log_lines("[comfy-relay]")
    hooked = [line for line in said if "hooked" in line]
    assert len(hooked) == 1, said
    wanted = ["events", "prompts", "log panel"] + ["previews with metadata"] * real.has_progress_state()
    assert all(w in hooked[0] for w in wanted), f"{hooked[0]!r} names not all of {wanted}"


@pytest.mark.parametrize("to", ["client", "all"])
def test_event_that_cannot_be_encoded_is_dropped_and_the_worker_goes_on(to, stage, opened):
    """With a socket of its own a stock server dies of it: it has none here."""
    worker, sid = stage.worker("extension"), f"unfit-{to}"
    tab = opened(stage.relay, sid)
    done = worker.executed
    worker.queue(node("GoldenEvents", to=to, which="unfit"), sid)
    tab.wait_for('{"node":null,"prompt_id"')
    events = [f for f in Told(tab).events if str(kind_of(f)).startswith("golden.") or kind_of(f) == 12]
    assert events == ['{"type":"golden.fit","data":{"after":"all of them"}}'], f"of the unfit ones arrived: {events}"
    worker.wait_executed(done + 1)
    assert worker.log_lines("cannot be sent"), "nothing in the log"
    assert len(worker.log_lines("cannot be sent")) < UNFIT_EVENTS, worker.log_lines("cannot be sent")


# ---- ends and outages ---------------------------------------------------------------------------------------------


def share_of(relay, redis, worker_id="w-end"):
    """What is stored of the worker: (queue share, prompt), None when it is gone."""
    entry = redis.client.hget("comfy:workers", worker_id)
    return entry and {k: v for k, v in msgpack.unpackb(entry).items() if k in ("queue_remaining", "prompt_id", "sid")}


class Sleeping:
    """A worker that sleeps in the middle of a prompt of `tab`, which has been told so; `other` looks on."""

    def __init__(self, redis, relay, opened, sid="sleeper"):
        self.tab, self.other = opened(relay, sid), opened(relay, "onlooker")
        self.worker = real.ComfyUI(redis=redis.url, worker_id="w-end")
        try:
            self.prompt = self.worker.queue(node("GoldenSleep", seconds=600.0), sid)
            self.tab.wait_for('"executing","data":{"node":"2"')
            for c in (self.tab, self.other):
                c.wait(lambda c=c: numbers(c)[-1] == 1, "the queue to be 1")
            until(lambda: (share_of(relay, redis) or {}).get("prompt_id") == self.prompt, "the heartbeat with the prompt")
        except BaseException:
            self.worker.stop()
            raise


def numbers(client):
    return [queue_number(m) for m in client.messages if isinstance(m, str) and m.startswith('{"type":"status"')]


def test_killed_worker_is_told_of_once_and_its_share_is_taken_back(own_redis, opened):
    with Relay(own_redis, status__interval="0ms", worker__timeout=f"{WORKER_TIMEOUT_S}s") as relay:
        s = Sleeping(own_redis, relay, opened)
        with s.worker as worker:
            began = time.monotonic()
            before = len(numbers(s.other))
            worker.signal(signal.SIGKILL)
            s.tab.wait_for('"exception_type":"WorkerLost"')
            took = time.monotonic() - began
            assert took < WORKER_TIMEOUT_S + 1, f"told after {took:.1f} s"
            s.tab.wait_for('{"node":null,"prompt_id":"%s"}' % s.prompt)
            s.other.wait(lambda: numbers(s.other)[-1] == 0, "the queue to be empty")
            s.tab.barrier()
            lost = [m for m in s.tab.messages if "WorkerLost" in str(m)]
            assert len(lost) == 1 and '"node_id":"2"' in lost[0] and "w-end" in lost[0], lost
            assert sum(is_prompt_end(m) for m in s.tab.messages) == 1, "executing null came more than once"
            assert len(numbers(s.other)) == before + 1, f"the onlooker's queue: {numbers(s.other)}"
            assert share_of(relay, own_redis) is None


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "ctrl_c"])
def test_worker_that_is_told_to_end_takes_its_share_with_it(number, own_redis, opened):
    """At once: the relay would wait a minute for it."""
    with Relay(own_redis, status__interval="0ms", worker__timeout="60s") as relay:
        s = Sleeping(own_redis, relay, opened)
        with s.worker as worker:
            began = time.monotonic()
            worker.signal(number)
            s.other.wait(lambda: numbers(s.other)[-1] == 0, "the queue to be empty", 5)
            assert share_of(relay, own_redis) is None, f"its entry is there still: {share_of(relay, own_redis)}"
            took = time.monotonic() - began
            assert took < 3, f"its share went after {took:.1f} s"
            if number == signal.SIGTERM:
                assert worker.wait_exit(10) == -signal.SIGTERM


def test_redis_stopped_for_ten_seconds_loses_no_kept_event(own_redis, opened):
    """It keeps its data; the prompt runs all the time."""
    with Relay(own_redis, status__interval="0ms") as relay, real.ComfyUI(redis=own_redis.url) as worker:
        tab, native = opened(relay, "outage"), worker.native("outage")
        native.flags()
        native.barrier()
        worker.queue(long_chain(), "outage")
        tab.wait_for('"executing","data":{"node":"n4"')
        own_redis.kill()
        stopped = time.monotonic()
        native.wait(lambda: time.monotonic() > stopped + 10 and native.find('"node": "n14"'), "ten seconds to pass", 60)
        assert native.find(NATIVE_END) is None, "the prompt has ended meanwhile"
        own_redis.start()
        native.wait_for(NATIVE_END, 60)
        tab.wait_for(END, 60)
        native.drop()
        wanted = [f for f in as_relay(Told(native).events, real.has_progress_state()) if not key_of(f)]
        mine = [f for f in Told(tab).events if not key_of(f)]
        assert len(wanted) > 60, f"only {len(wanted)} kept events: {wanted}"
        assert list(dict.fromkeys(mine)) == wanted, f"{len(wanted)} kept events, {len(mine)} arrived"


def long_chain(length=24, seconds=0.7):
    """Nodes one after the other, each with kept events of its own."""
    prompt, last = {"1": picture()}, ["1", 0]
    for i in range(length):
        prompt[f"s{i}"] = {"class_type": "GoldenSleep", "inputs": {"image": last, "seconds": seconds}}
        said = {"image": [f"s{i}", 0], "text": f"step {i}", "to": "client"}
        prompt[f"n{i}"] = {"class_type": "GoldenText", "inputs": said}
        last = [f"n{i}", 0]
    prompt["end"] = {"class_type": "PreviewImage", "inputs": {"images": last}}
    return prompt
