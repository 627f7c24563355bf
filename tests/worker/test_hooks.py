"""The extension in a ComfyUI: what is published, and that nothing else changes for it and its own clients."""
import asyncio
import itertools
import logging
import shutil
import signal
import sys
import threading
import timeit

import numpy
import pytest
from extension import FOLDER, load, module
from PIL import Image
from recorder import Recorder
from servers import until
from stand_in import METADATA_FLAG, UP_TO_0_3_43, ComfyUI

hooks = module("hooks")
PICTURE = ("JPEG", Image.new("RGB", (16, 16), 9), None)


@pytest.fixture
def recorder():
    return Recorder()


class Hooked:
    """A stand-in with the hooks, and a publisher that remembers."""

    def __init__(self, recorder, scope="prompt", before=lambda comfy: None, after=lambda comfy: None, **options):
        self.comfy, self.recorder, self.scope, self.before, self.after = ComfyUI(**options), recorder, scope, before, after

    def __enter__(self):
        self.comfy.__enter__()
        self.before(self.comfy)
        self.found = hooks.install(hooks.find_server(), self.recorder, self.scope, "w1")
        self.after(self.comfy)
        self.comfy.load()
        return self.comfy

    def __exit__(self, *_):
        self.comfy.__exit__()
        assert self.comfy.server.broken is None or self.may_break, f"the server has died of {self.comfy.server.broken!r}"

    may_break = False


def sampler(step):
    """Three steps, each with a preview."""
    for i in range(3):
        step.progress(i + 1, 3, ("JPEG", Image.new("RGB", (16, 16), 80 * i), None))


def saver(step):
    """Its final pictures go the way of previews."""
    step.progress(1, 1, ("PNG", Image.new("RGB", (4, 4), 3), None))
    step.send("mine", {"node": step.node_id})
    step.text("done")


NODES = {"1": sampler, "2": saver}


def story(hooked, **options):
    """What clients with flag, without and of another session get of a run, and what is published of it."""
    with hooked as comfy:
        sockets = [comfy.connect(sid, flags) for sid, flags in options.pop("sockets")]
        comfy.run(NODES, prompt_id="p", **options)
        return [s.frames for s in sockets]


class Bare(Hooked):
    """A stand-in without the extension."""

    def __enter__(self):
        self.comfy.__enter__()
        self.comfy.load()
        return self.comfy


# ---- clients of its own sockets get what stock gives them ----------------------------------------------------------

SOCKETS = {"with the flag": [("me", True)], "without": [("me", None)], "flag is false": [("me", False)],
           "with another, flagged": [("me", None), ("you", True)], "another without": [("me", True), ("you", None)],
           "only others": [("you", True), ("they", None)], "none": []}


@pytest.mark.parametrize("is_gate_by_name", [False, True])
@pytest.mark.parametrize("without", [(), UP_TO_0_3_43])
@pytest.mark.parametrize("client", [{"client_id": "me"}, {}, {"client_id": ""}, {"client_id": None}, {"client_id": 5}], ids=str)
@pytest.mark.parametrize("sockets", SOCKETS)
def test_local_clients_get_exactly_what_stock_gives_them(recorder, sockets, client, without, is_gate_by_name):
    options = {"without": without, "is_gate_by_name": is_gate_by_name}
    stock = story(Bare(recorder, **options), sockets=SOCKETS[sockets], **client)
    ours = story(Hooked(recorder, **options), sockets=SOCKETS[sockets], **client)
    assert ours == stock
    assert not sockets.startswith("with") or not client.get("client_id") == "me" or len(stock[0]) > 10


@pytest.mark.parametrize("flags", [True, None])
def test_a_nodes_own_preview_with_metadata_reaches_every_client_as_in_stock(recorder, flags):
    def node(step):
        step.progress(1, 2, PICTURE)
        step.send(4, (PICTURE, {"node_id": "9"}), "me")
        step.send(2, PICTURE, "me")
    with Bare(recorder) as comfy:
        stock = comfy.connect("me", flags)
        comfy.run({"1": node}, client_id="me", prompt_id="p")
    with Hooked(recorder) as comfy:
        ours = comfy.connect("me", flags)
        comfy.run({"1": node}, client_id="me", prompt_id="p")
    assert ours.frames == stock.frames
    assert [f[:4] for f in ours.frames if isinstance(f, bytes)].count(b"\0\0\0\4") == (2 if flags else 1)


# ---- what is published --------------------------------------------------------------------------------------------


def kinds(recorder, *left_out):
    return [i.kind for i in recorder.items if i.kind not in left_out]


STEP = ["progress_state", 4, "progress"]
RUN = ["status", "execution_start", "progress_state", "executing", *STEP * 3, "progress_state", "progress_state", "executing", *STEP,
       "mine", 3, "progress_state", "execution_success", "status", "executing"]


@pytest.mark.parametrize("sockets", SOCKETS)
def test_prompt_yields_all_its_events_whoever_is_connected(recorder, sockets):
    story(Hooked(recorder), sockets=SOCKETS[sockets], client_id="me")
    assert kinds(recorder) == RUN
    assert {i.sid for i in recorder.items if i.kind != "status"} == {"me"}
    assert recorder.addressed("status") == [("status", None)] * 2


def test_previews_come_with_metadata_although_no_socket_is_open(recorder):
    story(Hooked(recorder), sockets=[], client_id="me")
    (form, image, max_size), metadata = recorder.events(4)[0]["data"]
    assert (form, image[:2], max_size) == ("JPEG", b"\xff\xd8", None)
    assert metadata == {"node_id": "1", "prompt_id": "p", "display_node_id": "1", "parent_node_id": None, "real_node_id": "1"}
    assert len(recorder.events(4)) == 4 and recorder.events(2) == []


def test_older_versions_yield_previews_without_metadata(recorder):
    hooked = Hooked(recorder, without=UP_TO_0_3_43)
    story(hooked, sockets=[], client_id="me")
    assert kinds(recorder).count(2) == 4 and 4 not in kinds(recorder)
    assert hooked.found == (["events", "prompts", "log panel", "assets"], ["a preview gate (previews without metadata)"])


@pytest.mark.parametrize("client", [{}, {"client_id": ""}, {"client_id": None}, {"client_id": 5}, {"client_id": "{a}"}], ids=str)
def test_prompt_of_nobody_yields_status_and_nothing_else(recorder, client):
    story(Hooked(recorder), sockets=[("x", True)], **client)
    assert recorder.addressed() == [("status", None), ("status", None)]


def test_stock_scope_sends_a_headless_prompts_events_to_everybody(recorder):
    story(Hooked(recorder, scope="stock"), sockets=[])
    assert recorder.addressed() == [(k, None) for k in RUN if k not in ("execution_start", "executing", "execution_success")]


def test_nodes_messages_without_sid_are_their_prompts_clients(recorder):
    story(Hooked(recorder), sockets=[], client_id="me")
    assert recorder.addressed("mine", 3) == [("mine", "me"), (3, "me")]


def test_events_of_other_threads_are_for_everybody(recorder):
    def node(step):
        other = threading.Thread(target=step.send, args=("monitor", {"cpu": 1}))
        other.start()
        other.join()
    with Hooked(recorder) as comfy:
        comfy.run({"1": node}, client_id="me")
        comfy.server.send_sync("download", {})
    assert recorder.addressed("monitor", "download") == [("monitor", None), ("download", None)]


async def async_node(step):
    step.send("task", 1)
    await asyncio.gather(asyncio.create_task(inner(step)), asyncio.to_thread(step.send, "thread", 3))


async def inner(step):
    await asyncio.sleep(0)
    step.send("inner", 2)


@pytest.mark.parametrize("client_id,sid", [("me", "me"), (None, None)])
def test_tasks_and_threads_of_async_nodes_work_for_their_prompt(recorder, client_id, sid):
    with Hooked(recorder) as comfy:
        comfy.run({"1": async_node}, client_id=client_id)
    assert sorted(recorder.addressed("task", "inner", "thread")) == sorted([(k, sid) for k in ("task", "inner", "thread")] if sid else [])


@pytest.mark.parametrize("client_id", ["me", None])
def test_what_the_prompt_thread_sends_after_the_prompt_is_for_everybody(recorder, client_id):
    with Hooked(recorder) as comfy:
        comfy.run(NODES, client_id=client_id, after=lambda server: server.asset_manager.sink("assets.seed.resumed", {}))
    assert recorder.addressed("assets.seed.resumed") == [("assets.seed.resumed", None)]


def test_one_clients_events_never_reach_the_next_one(recorder):
    with Hooked(recorder) as comfy:
        for client in ("a", "b", None, "c"):
            comfy.run(NODES, client_id=client, prompt_id=f"of {client}")
    for e in recorder.events("progress", "progress_state", "executing"):
        assert e["data"]["prompt_id"] == f"of {e['sid']}", e
    assert {i.sid for i in recorder.items} == {None, "a", "b", "c"}


def test_a_picture_that_is_sent_again_is_published_again(recorder):
    def node(step):
        for _ in range(3):
            step.progress(1, 3, PICTURE)
        step.send(2, PICTURE)
        step.send(2, PICTURE, "me")
    with Hooked(recorder) as comfy:
        comfy.run({"1": node}, client_id="me")
    assert [k for k in kinds(recorder) if k in (2, 4)] == [4, 4, 4, 2, 2]


def test_a_picture_that_is_only_equal_to_a_preview_is_published(recorder):
    def node(step):
        step.send(4, (PICTURE, {}))
        step.send(2, (PICTURE[0], PICTURE[1].copy(), PICTURE[2]))
    with Hooked(recorder) as comfy:
        comfy.run({"1": node}, client_id="me")
    assert recorder.addressed(2, 4) == [(4, "me"), (2, "me")]


def test_last_preview_is_not_held_longer_than_its_prompt(recorder):
    held = []
    with Hooked(recorder) as comfy:
        comfy.connect("me", flags=True)
        comfy.run(NODES, client_id="me", after=lambda server: held.append(server._comfy_relay.here.previewed))
    assert held == [None]


def test_a_preview_of_which_only_the_picture_is_good_is_published_without_metadata(recorder):
    def node(step):
        step.send(4, (PICTURE, {"bad": {1}}), "you")
        step.send("progress", {"value": 1}, "you")
        step.send(2, PICTURE, "you")
    hooked = Hooked(recorder)
    hooked.may_break = True
    with hooked as comfy:
        comfy.run({"1": node}, client_id="me")
    assert recorder.addressed(2, 4) == [(2, "you")] and recorder.refused == 1


def test_queue_and_prompt_are_told_in_order_with_the_events(recorder):
    story(Hooked(recorder), sockets=[], client_id="me")
    told = [t for t in recorder.told if t in ("status", "execution_start", "execution_success") or isinstance(t, tuple)]
    assert told == ["status", ("queue", 1), ("executes", "p", "me"), "execution_start", "execution_success", ("executes", None, None),
                    "status", ("queue", 0)]


def test_headless_prompt_is_told_without_a_session(recorder):
    story(Hooked(recorder), sockets=[])
    assert [t for t in recorder.told if t[0] == "executes"] == [("executes", "p", None), ("executes", None, None)]


def test_prompt_that_raises_is_told_to_have_ended(recorder):
    with Hooked(recorder) as comfy:
        executor = comfy.executor_class(comfy)
        with pytest.raises(AttributeError):
            executor.execute(None, "p", {"client_id": "me"})
    assert [t for t in recorder.told if t[0] == "executes"] == [("executes", "p", "me"), ("executes", None, None)]


def test_a_second_executor_does_not_end_the_firsts_prompt(recorder):
    with Hooked(recorder) as comfy:
        inside, may_end = threading.Event(), threading.Event()
        _, done = comfy.post({"1": lambda step: inside.set() or may_end.wait(20)}, prompt_id="p", client_id="me")
        inside.wait(20)
        comfy.executor_class(comfy).execute({}, "q", {"client_id": "you"})
        may_end.set()
        assert done.wait(20)
    assert [t for t in recorder.told if t[0] == "executes"] == [
        ("executes", "p", "me"), ("executes", "q", "you"), ("executes", "p", "me"), ("executes", None, None)]


# ---- nothing escapes ----------------------------------------------------------------------------------------------


def circular():
    loop = []
    loop.append(loop)
    return loop


BAD = [("x", {"a": numpy.float32(1)}), ("x", {1, 2}), ("x", b"bytes"), (7, {"a": 1}), (None, {}), (2, "no picture"), (4, None),
       ("x", circular()), (numpy.zeros(2), {}), (-1, b""), (True, b""), ("status", {}), ("status", {"status": {"exec_info": 5}}),
       ("status", {"status": {"exec_info": {"queue_remaining": "1"}}}), ("status", {"status": {"exec_info": {"queue_remaining": True}}}),
       ("status", {"status": {"exec_info": {"queue_remaining": -1}}}), ("status", {"status": {"exec_info": {"queue_remaining": 1 << 63}}})]


@pytest.mark.parametrize("event,data", BAD, ids=lambda v: str(v)[:16])
def test_event_that_cannot_be_sent_is_dropped_and_counted_and_handed_on(recorder, event, data, caplog):
    hooked = Hooked(recorder)
    hooked.may_break = True
    with hooked as comfy:
        got = []
        comfy.server.send = lambda *a: got.append(a) or asyncio.sleep(0)
        comfy.server.send_sync(event, data, "me")
        comfy.server.send_sync("good", 1, "me")
        comfy.sent()
    assert got[0][0] is event and got[0][1] is data and got[0][2] == "me"
    assert (recorder.refused, recorder.addressed(), recorder.told) == (1, [("good", "me")], ["good"])
    assert "is dropped" in caplog.text


def test_a_flood_of_bad_events_is_one_line_in_the_log(recorder, caplog):
    hooked = Hooked(recorder)
    hooked.may_break = True
    with hooked as comfy:
        for _ in range(1000):
            comfy.server.send_sync("x", {1}, "me")
    assert recorder.refused == 1000 and len([r for r in caplog.records if "is dropped" in r.message]) == 1


def test_a_bad_log_event_is_not_logged(recorder, caplog):
    hooked = Hooked(recorder)
    hooked.may_break = True
    with hooked as comfy:
        comfy.server.send_sync("logs", {1}, "me")
    assert recorder.refused == 1 and caplog.records == []


class Bad:
    def __getattr__(self, name):
        raise RuntimeError(name)


def test_a_publisher_that_fails_costs_comfyui_nothing(recorder):
    def fails(*_):
        raise RuntimeError("no")
    recorder.put = recorder.queue_is = recorder.executes = fails
    stock = story(Bare(recorder), sockets=[("me", True)], client_id="me")
    assert story(Hooked(recorder), sockets=[("me", True)], client_id="me") == stock


@pytest.mark.parametrize("first, count", [(1, 1), (1, 2), (2, 1)], ids=["begin", "both", "end"])
def test_a_prompt_that_cannot_be_told_of_runs_and_is_over_afterwards(recorder, caplog, first, count):
    calls, executes = itertools.count(1), recorder.executes

    def failing(*run):
        if first <= next(calls) < first + count:
            raise MemoryError("no room")
        executes(*run)
    recorder.executes = failing
    with Hooked(recorder) as comfy:
        comfy.run(NODES, client_id="me", prompt_id="p", after=lambda server: server.send_sync("after", 1))
        comfy.run(NODES, client_id="you", prompt_id="q")
    told = [t for t in recorder.told if isinstance(t, tuple) and t[0] == "executes"]
    assert told[-2:] == [("executes", "q", "you"), ("executes", None, None)]
    assert recorder.addressed("mine", "after") == [("mine", "me"), ("after", None), ("mine", "you")]
    assert "could not be told: MemoryError('no room')" in caplog.text


def test_wrong_arguments_are_the_originals_to_refuse(recorder):
    with Hooked(recorder) as comfy:
        with pytest.raises(TypeError):
            comfy.server.send_sync("x")
        with pytest.raises(TypeError):
            comfy.executor_class(comfy).execute({})
    assert recorder.items == []


def test_arguments_may_be_given_by_name(recorder):
    with Hooked(recorder) as comfy:
        socket = comfy.connect("me")
        comfy.server.send_sync(sid="me", data=1, event="x")
        comfy.executor_class(comfy).execute(prompt_id="p", prompt={}, extra_data={"client_id": "me"})
        comfy.sent()
    assert ("x", "me") in recorder.addressed() and '"x"' in socket.frames[0]
    assert ("executes", "p", "me") in recorder.told


# ---- other extensions ---------------------------------------------------------------------------------------------


def on_the_class(seen):
    def wrap(comfy):
        owner, original = type(comfy.server), type(comfy.server).send_sync

        def send_sync(self, event, data, sid=None):
            seen.append(event)
            return original(self, event, data, sid)
        owner.send_sync = send_sync
    return wrap


def on_the_instance(seen):
    def wrap(comfy):
        original = comfy.server.send_sync

        def send_sync(event, data, sid=None):
            seen.append(event)
            return original(event, data, sid)
        comfy.server.send_sync = send_sync
    return wrap


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("where", [on_the_class, on_the_instance])
def test_other_wrappers_of_send_sync_and_ours_each_see_every_event_once(recorder, where, when):
    seen = []
    with Hooked(recorder, **{when: where(seen)}) as comfy:
        socket = comfy.connect("me", flags=True)
        comfy.run(NODES, client_id="me")
    assert kinds(recorder) == RUN and seen == RUN and len(socket.frames) == len(RUN)


def test_wrapper_inside_ours_sees_what_stock_would_raise(recorder):
    ours, stock = [], []
    with Hooked(recorder, before=on_the_class(ours)) as comfy:
        comfy.connect("me")
        comfy.run(NODES, client_id="me")
    bare = Bare(recorder)
    on_the_class(stock)(bare.comfy)
    with bare as comfy:
        comfy.connect("me")
        comfy.run(NODES, client_id="me")
    assert ours == stock and 2 in stock and 4 not in stock


def test_two_servers_classes_are_not_mixed_up(recorder):
    with Hooked(recorder):
        pass
    with ComfyUI() as comfy:
        comfy.load()
        comfy.server.send_sync("x", 1)
    assert recorder.items == []


def test_events_of_the_asset_manager_are_seen(recorder):
    with Hooked(recorder) as comfy:
        comfy.server.asset_manager.sink("assets.seed.progress", {"n": 1})
    assert recorder.addressed() == [("assets.seed.progress", None)]


def test_rest_of_the_flags_module_is_as_it_was(recorder):
    with Hooked(recorder) as comfy:
        flags = sys.modules["comfy_execution.progress"].feature_flags
        assert flags.get_server_features() == {METADATA_FLAG: True}
        assert flags.supports_feature({"a": {"feature_flags": {"other": True}}}, "a", "other") is True
        assert flags.supports_feature({}, "a", "other") is False
        assert comfy.flags.supports_feature({}, "a", METADATA_FLAG) is False


# ---- hooks that are not there -------------------------------------------------------------------------------------

ALL = ["events", "prompts", "previews with metadata", "log panel", "assets"]


@pytest.mark.parametrize("without,left_out,said", [
    ((), None, ""), (("executor",), "prompts", "prompt executor"), (("progress",), "previews with metadata", "without metadata"),
    (("terminal",), "log panel", "log panel"), (("assets",), "assets", ""), (("context",), None, "")])
def test_what_is_not_there_is_said_and_the_rest_works(recorder, without, left_out, said):
    hooked = Hooked(recorder, without=without)
    with hooked as comfy:
        comfy.run(NODES, client_id="me")
    found, missing = hooked.found
    assert found == [name for name in ALL if name != left_out]
    assert said in " ".join(missing) and len(missing) == (1 if said else 0)
    assert recorder.addressed("executing") == [("executing", "me")] * 3


def test_without_send_sync_there_is_no_server_to_hook():
    with ComfyUI(without=("send_sync",)):
        assert hooks.find_server() is None


def test_without_comfyui_there_is_no_server_to_hook():
    assert hooks.find_server() is None


@pytest.mark.parametrize("change", [
    lambda comfy: setattr(comfy.server, "internal_routes", Bad()),
    lambda comfy: setattr(comfy.executor_class, "execute", lambda self, job: None),
    lambda comfy: setattr(sys.modules["comfy_execution.progress"], "feature_flags", Bad()),
    lambda comfy: setattr(comfy.server.asset_manager, "set_event_sink", Bad())], ids=["terminal", "executor", "gate", "assets"])
def test_a_hook_point_of_another_shape_is_one_that_is_not_there(recorder, change):
    hooked = Hooked(recorder, before=change)
    with hooked as comfy:
        comfy.server.send_sync("x", 1)
    assert len(hooked.found[0]) == 4 and recorder.addressed() == [("x", None)]


async def async_execute(self, prompt, prompt_id, extra_data={}):
    pass


def test_an_executor_that_is_a_coroutine_is_left_alone(recorder):
    hooked = Hooked(recorder, before=lambda comfy: setattr(comfy.executor_class, "execute", async_execute))
    with hooked as comfy:
        assert comfy.executor_class.execute is async_execute
    assert "prompts" not in hooked.found[0]


# ---- the log panel ------------------------------------------------------------------------------------------------


def logs(recorder):
    return [sid for _, sid in recorder.addressed("logs")]


def test_log_panel_of_a_tab_at_a_relay_gets_its_lines(recorder):
    with Hooked(recorder) as comfy:
        comfy.terminal.subscribe("far")
        comfy.terminal.send_messages([{"m": "one"}])
        recorder.asked(far=True)
        comfy.terminal.send_messages([{"m": "two"}])
    assert recorder.addressed("logs") == [("logs", "far")] * 2 and recorder.watched == {"far"}
    assert recorder.events("logs")[1]["data"] == {"entries": [{"m": "two"}], "size": None}


def test_subscription_ends_when_nobody_listened_two_times_in_a_row(recorder):
    with Hooked(recorder) as comfy:
        comfy.terminal.subscribe("far")
        for answer in (True, False, False):
            recorder.asked(far=answer)
            for _ in range(3):
                comfy.terminal.send_messages([])
    assert logs(recorder) == ["far"] * 6 and comfy.terminal.subscriptions == set() and recorder.watched == set()


def test_one_answer_that_nobody_listens_ends_nothing(recorder):
    with Hooked(recorder) as comfy:
        comfy.terminal.subscribe("far")
        for answer in (False, True, False, True, False):
            recorder.asked(far=answer)
            comfy.terminal.send_messages([])
    assert logs(recorder) == ["far"] * 5


def test_local_panel_works_as_in_stock_and_ends_with_its_socket(recorder):
    with Hooked(recorder) as comfy:
        socket = comfy.connect("near")
        comfy.terminal.subscribe("near")
        recorder.asked(near=False)
        for _ in range(2):
            comfy.terminal.send_messages([])
        comfy.sent()
        comfy.disconnect("near")
        comfy.terminal.send_messages([])
    assert len(socket.frames) == 2 and logs(recorder) == ["near"] * 2 and comfy.terminal.subscriptions == set()


def test_socket_that_closes_here_while_its_session_is_at_a_relay_keeps_its_panel(recorder):
    with Hooked(recorder) as comfy:
        comfy.connect("near")
        comfy.terminal.subscribe("near")
        recorder.asked(near=True)
        comfy.terminal.send_messages([])
        comfy.disconnect("near")
        comfy.terminal.send_messages([])
    assert logs(recorder) == ["near"] * 2


@pytest.mark.parametrize("was_heard", [True, False])
def test_socket_that_closes_here_while_redis_is_away_ends_its_panel(recorder, was_heard):
    with Hooked(recorder) as comfy:
        comfy.connect("near")
        comfy.terminal.subscribe("near")
        if was_heard:
            recorder.asked(near=True)
        comfy.terminal.send_messages([])
        recorder.listeners = {}
        comfy.disconnect("near")
        comfy.terminal.send_messages([])
    assert logs(recorder) == ["near"] and comfy.terminal.subscriptions == set()


@pytest.mark.parametrize("was_here", [True, False])
def test_panel_of_a_tab_at_a_relay_outlives_an_outage_of_redis(recorder, was_here):
    with Hooked(recorder) as comfy:
        comfy.terminal.subscribe("far")
        if was_here:
            comfy.connect("far")
            comfy.terminal.send_messages([])
            comfy.disconnect("far")
        recorder.asked(far=True)
        comfy.terminal.send_messages([])
        recorder.listeners = {}
        comfy.terminal.send_messages([])
    assert logs(recorder)[-2:] == ["far"] * 2 and comfy.terminal.subscriptions == {"far"}


@pytest.mark.parametrize("sid", ["", None, 5, "{a}", "a" * 129])
def test_subscriber_that_is_no_session_is_dropped_as_in_stock(recorder, sid):
    with Hooked(recorder) as comfy:
        comfy.terminal.subscribe(sid)
        comfy.terminal.send_messages([])
        assert comfy.terminal.subscriptions == set()
    assert recorder.items == []


def test_panel_sees_the_servers_own_sockets(recorder):
    with Hooked(recorder) as comfy:
        socket = comfy.connect("near")
        sockets = comfy.terminal.server.sockets
        assert sockets.get("near") is socket and list(sockets.items()) == [("near", socket)]
        assert comfy.terminal.server.queue_remaining == 0


# ---- as an extension of ComfyUI -----------------------------------------------------------------------------------


def test_without_the_variable_nothing_at_all_happens(caplog):
    with ComfyUI() as comfy:
        before = dict(vars(type(comfy.server))), dict(vars(comfy.server)), comfy.executor_class.execute, threading.enumerate()
        for environ in ({}, {"COMFY_RELAY_REDIS_URL": ""}, {"COMFY_RELAY_PREFIX": "x"}):
            package = load(environ)
            assert package.NODE_CLASS_MAPPINGS == {}
        after = dict(vars(type(comfy.server))), dict(vars(comfy.server)), comfy.executor_class.execute, threading.enumerate()
    assert after == before and caplog.records == []


@pytest.mark.parametrize("environ,said", [
    ({"COMFY_RELAY_REDIS_URL": "http://x"}, "COMFY_RELAY_REDIS_URL"),
    ({"COMFY_RELAY_REDIS_URL": "redis://127.0.0.1:1", "COMFY_RELAY_SCOPE": "mine"}, "COMFY_RELAY_SCOPE='mine'")])
def test_a_wrong_setting_is_said_in_one_line_and_comfyui_is_left_alone(environ, said, caplog):
    with ComfyUI() as comfy:
        before = type(comfy.server).send_sync
        load(environ)
        assert type(comfy.server).send_sync is before
    assert [r.getMessage().split(said)[0] for r in caplog.records] == ["[comfy-relay] nothing is published: "]


@pytest.mark.parametrize("package", ["redis", "msgpack"])
def test_a_package_that_is_not_installed_is_said_in_one_line(package, caplog, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with ComfyUI() as comfy:
        before = type(comfy.server).send_sync
        load({"COMFY_RELAY_REDIS_URL": "redis://127.0.0.1:1"})
        assert type(comfy.server).send_sync is before
    assert len(caplog.records) == 1 and package in caplog.text and "requirements.txt" in caplog.text


def test_a_comfyui_without_send_sync_is_left_alone_and_it_is_said(caplog):
    with ComfyUI(without=("send_sync",)) as comfy:
        before = comfy.executor_class.execute
        load({"COMFY_RELAY_REDIS_URL": "redis://127.0.0.1:1"})
        assert comfy.executor_class.execute is before
    assert len(caplog.records) == 1 and "send_sync was not found" in caplog.text


def test_a_thread_that_cannot_be_started_leaves_comfyui_alone(caplog, monkeypatch):
    def fails(_):
        raise RuntimeError("can't start new thread")
    with ComfyUI() as comfy:
        before = dict(vars(type(comfy.server))), dict(vars(comfy.server)), signal.getsignal(signal.SIGTERM)
        with monkeypatch.context() as patched:
            patched.setattr(threading.Thread, "start", fails)
            load({"COMFY_RELAY_REDIS_URL": "redis://127.0.0.1:1"})
        assert (dict(vars(type(comfy.server))), dict(vars(comfy.server)), signal.getsignal(signal.SIGTERM)) == before
    assert [r.getMessage() for r in caplog.records] == [
        "[comfy-relay] nothing is published: RuntimeError: can't start new thread"]


def test_a_server_that_cannot_be_hooked_leaves_nothing_running(redis_server, caplog):
    def is_fixed(self, name, value):
        raise AttributeError(f"no {name}")
    with ComfyUI() as comfy:
        before = type(comfy.server).send_sync, signal.getsignal(signal.SIGTERM)
        type(comfy.server).__setattr__ = is_fixed
        load({"COMFY_RELAY_REDIS_URL": redis_server.tcp_url})
        assert (type(comfy.server).send_sync, signal.getsignal(signal.SIGTERM)) == before
    until(lambda: "comfy-relay" not in [t.name for t in threading.enumerate()], "its thread to end")
    assert "nothing is published: AttributeError: no _comfy_relay" in caplog.text


def test_folder_that_is_moved_meanwhile_is_not_missed(redis_server, tmp_path):
    """ComfyUI-Manager renames it to disable it, and ComfyUI runs on until it is started again."""
    folder = shutil.copytree(FOLDER, tmp_path / "comfy-relay", ignore=shutil.ignore_patterns("__pycache__"))
    with ComfyUI() as comfy:
        load({"COMFY_RELAY_REDIS_URL": redis_server.tcp_url}, str(folder))
        comfy.load()
        folder.rename(tmp_path / "comfy-relay.disabled")
        comfy.server.send_sync(2, PICTURE, "me")
        comfy.server.send_sync("x", 1, "me")
        publisher = comfy.server._comfy_relay.publisher
        until(lambda: publisher.published + publisher.refused == 2, "both events")
        publisher.close()
    assert (publisher.published, publisher.refused) == (2, 0)


# ---- what it costs ------------------------------------------------------------------------------------------------


def test_an_event_of_nobody_costs_the_caller_next_to_nothing(recorder):
    with Hooked(recorder) as comfy:
        server, cost = comfy.server, []
        bare = timeit.repeat(lambda: server.loop.call_soon_threadsafe(int), number=200, repeat=15)
        comfy.run({"1": lambda step: cost.extend(timeit.repeat(lambda: step.send("x", {"a": 1}, ""), number=200, repeat=15))})
    assert (min(cost) - min(bare)) / 200 < 50e-6, f"{min(cost) / 200 * 1e6:.1f} us, without {min(bare) / 200 * 1e6:.1f} us"


@pytest.fixture(autouse=True)
def info_is_logged(caplog):
    caplog.set_level(logging.INFO)
