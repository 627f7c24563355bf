"""The inspector, in a real browser: what a person who debugs a worker sees of recorded runs, and what a page that shows anything
that comes must never do."""
import base64
import io
import json
import os
import subprocess

import msgpack
import pytest
from comfyui import ComfyUI
from inspector import Inspector
from PIL import Image
from recorded import RecordedRun, frames
from recording import NAMES, golden
from servers import PUBLISH, PUBLISH_LUA, Publisher, Relay, free_port, until

AXE = os.path.join(os.environ.get("NODE", ""), "node_modules", "axe-core", "axe.min.js")
EVIL = "<img src=x onerror=hacked=1><script>hacked=1</script>\"'&\u202e"


@pytest.fixture
def inspect(browser, relay):
    opened = []

    def one(*args, **options):
        opened.append(Inspector(browser, options.pop("on", relay), *args, **options))
        return opened[-1]

    yield one
    try:
        for i in opened:
            i.check()
    finally:
        for i in opened:
            i.close()


@pytest.fixture
def inspector(inspect):
    return inspect().wait_connected()


@pytest.fixture
def publisher(redis_server):
    return Publisher(redis_server)


def play(server, recording="b_success_flags", to=None, sid="demo"):
    """Plays it as far as that place (kind, nth), or to its end."""
    run = RecordedRun(server, sid, recording)
    run.play(run.after(*to) if to else run.end)
    return run


def send(publisher, kind, data, sid="demo"):
    publisher.script({"type": kind, "sid": sid, "data": data})


def last_preview(run):
    """The bytes of the newest preview that was played."""
    return [e for e in run.events[:run.at] if e["type"] == 4][-1]["data"][0][1]


def close_to(seen, expected, by=6):
    return all(abs(a - b) <= by for s, e in zip(seen, expected) for a, b in zip(s, e))


# ---- a run

def test_run_is_seen_from_its_start_to_its_end(inspector, redis_server):
    inspector.evaluate("""void (held = new Set(), create = URL.createObjectURL, revoke = URL.revokeObjectURL,
        URL.createObjectURL = (blob) => { const url = create.call(URL, blob); held.add(url); return url; },
        URL.revokeObjectURL = (url) => { held.delete(url); revoke.call(URL, url); })""")
    run = play(redis_server, to=("progress", 2))
    inspector.wait_text("outcome", "running").wait_text("queue", "1")
    inspector.wait("document.querySelector('#previews figcaption')?.innerText.includes('no. 2')")
    nodes = inspector.nodes()
    assert nodes["57:8"] == ("running", "2/4"), nodes
    assert {state for name, (state, _) in nodes.items() if name != "57:8"} == {"finished"}, nodes
    picture, points = Image.open(io.BytesIO(last_preview(run))).convert("RGB"), [(1, 1), (62, 1), (30, 40), (62, 62)]
    seen = inspector.pixels("#previews img", points)
    assert close_to(seen, [picture.getpixel(p) for p in points]), seen
    assert len({tuple(p) for p in seen}) == len(points), "a picture of one colour proves nothing"
    run.play_on()
    inspector.wait_text("outcome", "done").wait_text("queue", "0")
    until(lambda: {state for state, _ in inspector.nodes().values()} == {"finished"}, "every node to be finished")
    assert inspector.text("prompt") in json.dumps(run.events[3], default=str)
    inspector.wait("document.querySelector('#previews figcaption').innerText.includes('no. 4')")
    assert inspector.evaluate("held.size") == 0, "pictures that are shown, or were replaced, hold no memory by an address"
    assert "golden_00016_.png" in inspector.text("results"), "without ComfyUI's address results are names"


def test_every_frame_is_listed_once_in_order_with_its_type_and_size(inspector, redis_server):
    run = play(redis_server)
    expected = frames(run.mine(0, None))
    until(lambda: len(inspector.frames()) >= len(run.kept()) and inspector.frames()[-1] == expected[-1], "the last frame")
    seen = inspector.frames()
    assert [f for f in seen if f in frames(run.kept())] == frames(run.kept())
    assert set(seen) <= set(expected)
    rows = inspector.rows()
    assert [int(r[0]) for r in rows] == list(range(int(rows[0][0]), int(rows[0][0]) + len(rows))), rows
    assert rows[-1][3:5] == [str(len(expected[-1])), "executing"], rows[-1]
    noted = inspector.evaluate("store.frames.filter((f) => f.notes.length).length")
    assert sum(inspector.types().values()) == inspector.evaluate("store.frames.length") + noted


def test_error_is_readable_with_its_traceback(inspector, redis_server):
    run = play(redis_server, "d_error")
    error = next(e["data"] for e in run.events if e["type"] == "execution_error")
    inspector.wait_text("outcome", "failed")
    assert inspector.evaluate("document.getElementById('error').getAttribute('role')") == "alert"
    shown = inspector.text("error")
    for text in (error["exception_type"], error["node_id"], error["node_type"], error["exception_message"].split("\n")[0]):
        assert text in shown, shown
    assert inspector.evaluate("document.getElementById('traceback').textContent") == "".join(error["traceback"])
    assert inspector.nodes()[error["node_id"]][0] == "error"
    inspector.click("#error-frame")
    assert inspector.has("error-frame")
    assert "execution_error" in inspector.text("detail-title")
    seed = str(2 ** 64 - 1)
    assert seed in json.dumps(error["current_inputs"]), "the recording has a seed that a browser's numbers cannot hold"
    assert seed in inspector.text("content"), "each digit as it came"
    inspector.click("#clear")
    inspector.drawn()
    assert inspector.has("error") and not inspector.has("error-frame"), "its frame is kept no more"


def test_interruption_is_told_and_where(inspector, redis_server, publisher):
    send(publisher, "execution_interrupted", {"prompt_id": "of nobody", "node_id": "1", "node_type": "A", "executed": []})
    run = play(redis_server, "e_interrupt")
    inspector.wait_text("outcome", "interrupted")
    where = next(e["data"]["node_id"] for e in run.events if e["type"] == "execution_interrupted")
    assert inspector.nodes()[where][0] == "interrupted"
    assert inspector.evaluate("store.types.get('execution_interrupted').count") == 2
    assert inspector.evaluate("run.all.size") == 1, "a prompt without a client is nobody's run"


def test_cached_nodes_are_told_apart(inspector, redis_server):
    for e in golden.events("c_cached"):
        Publisher(redis_server).script({**e, "sid": e["sid"] and "demo"})
    inspector.wait("document.querySelectorAll('#runs button').length === 2")
    inspector.wait_text("outcome", "done")
    assert {state for state, _ in inspector.nodes().values()} == {"cached"}
    inspector.page.call("press", "#runs li:last-child button", "Enter")
    inspector.wait("document.querySelector('#runs li:last-child button').ariaPressed === 'true'")
    assert inspector.evaluate("document.activeElement === document.querySelector('#runs li:last-child button')")
    until(lambda: {state for state, _ in inspector.nodes().values()} == {"finished"}, "the first run to be shown")


def test_socket_that_is_cut_in_mid_prompt_is_seen_and_the_run_is_whole_again(inspect, redis_server, relay, make_wire):
    wire = make_wire(relay)
    inspector = inspect(wire=wire).wait_connected()
    run = play(redis_server, "f_reconnect", ("progress", 5))
    inspector.wait("document.querySelector('#nodes tr:last-child .value')?.innerText.startsWith('5 /')")
    wire.shut_door()
    wire.newest.reset()
    inspector.wait_text("state", "Connection lost, trying again")
    run.play(run.after("progress", 20))
    wire.open_door()
    inspector.wait_connected()
    inspector.wait("document.querySelector('#nodes tr:last-child .value')?.innerText.startsWith('20 /')")
    run.play_on()
    inspector.wait_text("outcome", "done")
    marks = inspector.evaluate("store.frames.filter((f) => f.way === 'mark').map((f) => `${f.type} ${f.summary}`)")
    assert [m.split(" ")[0] for m in marks] == ["connect", "closed", "connect"], marks
    assert "1006" in marks[1] and marks[2].startswith("connect back after"), marks
    seen = inspector.frames()
    kept = frames(run.kept())
    assert list(dict.fromkeys(f for f in seen if f in kept)) == kept, "every kept event, in order"
    assert inspector.evaluate("document.querySelectorAll('#runs button').length") <= 1, "it is one run"
    inspector.wait("link.before.size === 0")


def test_address_where_nobody_answers_is_told_once_and_tried_on(inspect):
    nowhere = f"ws://127.0.0.1:{free_port()}/ws"
    inspector = inspect(f"sid=demo&relay={nowhere}")
    inspector.allowed.append(nowhere)
    inspector.wait_text("state", "Not reached, trying again")
    inspector.wait("document.getElementById('hint').checkVisibility()")
    assert "ws.origins" in inspector.text("hint")
    assert inspector.types().get("refused", 0) <= 1, "not a row for each try"


# ---- pictures

def test_flag_that_is_switched_off_brings_previews_without_metadata(inspector, redis_server):
    inspector.page.call("fill", "#sid", "not yet")
    inspector.click(".switch")
    inspector.wait("link.opens === 2 && link.flagsReceived !== null")
    assert inspector.evaluate("document.getElementById('sid').value") == "not yet", "what was not entered waits"
    play(redis_server)
    inspector.wait_text("outcome", "done")
    types = inspector.types()
    assert types["1 preview"] >= 1 and "4 preview+meta" not in types, types
    assert "flag=0" in inspector.evaluate("location.hash")


@pytest.mark.parametrize("fragment", ["sid=demo", "sid=demo&flag=0"], ids=["flag", "no flag"])
def test_picture_that_came_over_the_socket_is_a_result(fragment, inspect, redis_server):
    inspector = inspect(fragment).wait_connected()
    run = play(redis_server, "h_ws_image")
    inspector.wait("document.querySelector('#results img')?.naturalWidth > 0")
    picture = Image.open(io.BytesIO(last_preview(run))).convert("RGB")
    points = [(0, 0), (picture.width - 1, picture.height // 2)]
    selector = "#results li:last-child img"
    expected = [list(picture.getpixel(p)) for p in points]
    until(lambda: inspector.pixels(selector, points) == expected, "the last picture, to the pixel")


def test_result_files_are_shown_from_comfyui_when_its_address_is_known(inspect, redis_server, relay):
    comfy = ComfyUI(relay, redis_server)
    try:
        inspector = inspect().wait_connected()
        inspector.allowed.append(f"http://{comfy.host}/view?")
        play(redis_server)
        inspector.wait_text("outcome", "done")
        inspector.page.call("fill", "#comfyui", f"http://{comfy.host}/")
        inspector.press("Tab")
        inspector.wait("document.querySelector('#results img')?.naturalWidth === 1")
        assert f"http://{comfy.host}/view?filename=golden_00016_.png&subfolder=&type=output" in inspector.requests()
        assert not any("demo" in r for r in inspector.requests() if r.startswith("http")), "the client id goes nowhere"
    finally:
        comfy.close()


# ---- the list

def numbered(publisher, count, kind="mark"):
    """Events that are all kept, as fast as Redis takes them."""
    pipe = publisher.client.pipeline(transaction=False)
    with open(PUBLISH_LUA, encoding="utf-8") as f:
        digest = publisher.client.script_load(f.read())
    for i in range(count):
        message = msgpack.packb({"type": kind, "sid": "demo", "data": {"i": i, "text": f"row {i}"}})
        channel = "comfy:sid:{demo}"
        pipe.evalsha(digest, 2, channel + ":log", channel + ":latest", channel, message, 300000, 65536, "", 0)
    pipe.execute()


def test_filters_pause_follow_and_clear_do_what_they_say(inspector, publisher):
    numbered(publisher, 100)
    inspector.wait("store.types.get('mark')?.count === 100")
    assert inspector.rows()[-1][5] == '{"i":99,"text":"row 99"}', "it follows"
    inspector.page.call("fill", "#filter", "row -mark 9")
    assert inspector.rows() == []
    inspector.page.call("fill", "#filter", 'ROW "i":9')
    assert [r[5] for r in inspector.rows()] == [f'{{"i":{i},"text":"row {i}"}}' for i in [9, *range(90, 100)]]
    inspector.evaluate("listSelect(store.frames[0])")
    inspector.page.call("press", "#list", "Home")
    assert selected(inspector)[5] == '{"i":9,"text":"row 9"}', "of those that are shown"
    inspector.press("Escape")
    inspector.page.call("fill", "#filter", "/row 4\\d?\"/")
    assert len(inspector.rows()) == 11
    inspector.page.call("fill", "#filter", "/(/")
    assert inspector.evaluate("document.getElementById('filter').ariaInvalid") == "true"
    inspector.page.call("fill", "#filter", "")
    inspector.click("#types button:has-text('status')")
    assert {r[4] for r in inspector.rows()} == {"status"}
    inspector.click("#types button:has-text('status')")
    inspector.click("#pause")
    numbered(publisher, 50)
    inspector.wait("store.types.get('mark').count === 150")
    assert inspector.rows()[-1][5].startswith('{"i":99'), "it holds still"
    assert "50 wait" in inspector.text("shown")
    inspector.click("#pause")
    assert inspector.rows()[-1][5].startswith('{"i":49')
    inspector.click("#clear")
    assert inspector.rows() == [] and inspector.evaluate("store.bytes") == 0
    numbered(publisher, 1)
    inspector.wait("store.frames.length === 1")
    assert len(inspector.rows()) == 1


def test_strip_shows_when_frames_came_and_finds_them(inspector, redis_server):
    play(redis_server)
    inspector.wait_text("outcome", "done")
    inspector.drawn()
    inked = inspector.evaluate("""(() => {
        const canvas = document.getElementById('strip');
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((v, i) => i % 4 === 3 && v > 0).length;
    })()""")
    assert inked > 200, inked
    inspector.evaluate("void (document.getElementById('strip').scrollIntoView())")
    inspector.page.call("click", "#strip", {"position": {"x": 5, "y": 20}})
    assert selected(inspector)[0] == "1", "the nearest there is"
    assert inspector.evaluate("""(() => {
        const list = document.getElementById('list'), row = document.getElementById(list.getAttribute('aria-activedescendant'));
        return row.getBoundingClientRect().bottom <= list.getBoundingClientRect().bottom;
    })()"""), "and it is in sight"


def test_exported_frames_can_be_read_as_the_recordings_are(inspector, redis_server):
    play(redis_server)
    inspector.wait_text("outcome", "done")
    lines = [json.loads(line) for line in inspector.evaluate("storeExport(list.view).text()").splitlines()]
    assert [line["op"] for line in lines[:4]] == ["meta", "connect", "flags", "text"], lines[:4]
    assert {line["op"] for line in lines} == {"meta", "connect", "flags", "text", "binary"}
    seen = [line["text"] if line["op"] == "text" else "binary " + base64.b64decode(line["b64"]).hex()
            for line in lines if line["op"] in ("text", "binary")]
    assert [f for f in seen if not f.startswith(('{"type":"status"', '{"type":"feature_flags"'))] == inspector.frames()
    assert [line["t_ms"] for line in lines[1:]] == sorted(line["t_ms"] for line in lines[1:])


def test_what_does_not_fit_together_is_noted(inspector, publisher):
    send(publisher, "executing", {"node": "1", "prompt_id": "p"})
    send(publisher, "progress", {"node": "1", "value": 9, "max": 4, "prompt_id": "p"})
    send(publisher, "executing", {"node": None, "prompt_id": "p"})
    send(publisher, "executed", {"node": "1", "output": {}, "prompt_id": "p"})
    send(publisher, "made.up", {})
    for value in (4, 1, 3, 2):
        send(publisher, "progress", {"node": "2", "value": value, "max": 4, "prompt_id": "q"})
    inspector.evaluate("link.isFirst = true, linkOnText('{\"type\":\"status\",\"data\":{\"sid\":\"other\"}}')")
    send(publisher, 77, b"\0\1\2\3\4\5")
    inspector.wait("store.types.has('77 binary')")
    inspector.click("#types button:has-text('! noted')")
    notes = " ".join(r[5] for r in inspector.rows())
    for text in ("was not seen to start", "value is above max", "without execution_success", "prompt is over",
                 "another client id"):
        assert text in notes, notes
    backwards = inspector.evaluate("store.frames.filter((f) => f.notes.includes('value goes back')).map((f) => f.summary)")
    assert backwards == ["node 2: 2 / 4"], "from 4 of 4 it begins again"
    inspector.click("#types button:has-text('! noted')")
    inspector.click("#types button:has-text('made.up')")
    inspector.press("Tab")
    inspector.click("#rows .row:not([hidden])")
    assert "not of ComfyUI itself" in inspector.text("detail-facts")


def test_ten_thousand_frames_do_not_slow_it_down(inspect, redis_server, publisher):
    """A drawing with all of them takes about what one with a hundred does, and it draws on while they come."""
    with Relay(redis_server, session__log_events=65536) as relay:
        inspector = inspect(on=relay).wait_connected()
        numbered(publisher, 100)
        inspector.wait("store.types.get('mark')?.count === 100")
        few, elements = drawing_ms(inspector), inspector.evaluate("document.querySelectorAll('*').length")
        inspector.evaluate("void (draws = 0, drawers.push(() => draws++))")
        numbered(publisher, 10000)
        inspector.wait("store.types.get('mark').count === 10100")
        assert inspector.rows()[-1][5] == '{"i":9999,"text":"row 9999"}'
        assert inspector.evaluate("draws") >= 3
        many = drawing_ms(inspector)
        assert many < 5 * few, f"{many} ms with ten thousand, {few} ms with a hundred"
        assert inspector.evaluate("document.querySelectorAll('*').length") - elements < 20, "only rows in sight are elements"
        inspector.page.call("fill", "#filter", "/row 99/")
        assert len(inspector.rows()) < 80 and inspector.evaluate("list.view.length") == 112
        inspector.check()


def drawing_ms(inspector):
    """Of the processor, for one of many drawings with another frame each."""
    count = 40
    return inspector.cpu_ms("""(() => {
        for (let i = 0; i < %d; i++) {
            listSelect(list.view.at(-1 - i));
            drawers.forEach((drawer) => drawer());
            document.body.getBoundingClientRect();
        }
        listSelect(null);
        listFollow(true);
    })()""" % count) / count


def test_what_is_kept_is_bounded_in_frames_and_in_bytes(inspector):
    inspector.evaluate("for (let i = 0; i < 25000; i++) linkOnText(`{\"type\":\"t${i % 60}\",\"data\":${i}}`)")
    inspector.drawn()
    assert 18000 <= inspector.evaluate("store.frames.length") <= 20000
    assert "older dropped" in inspector.text("shown")
    assert inspector.evaluate("document.querySelectorAll('#types button').length") <= 45
    assert inspector.rows()[-1][5] == "24999"
    inspector.evaluate("for (let i = 0; i < 60; i++) linkOnBinary(new ArrayBuffer(2 * 1024 * 1024))")
    kept = inspector.evaluate("store.frames.reduce((sum, f) => sum + f.bytes, 0)")
    assert kept == inspector.evaluate("store.bytes") and kept <= 64 * 1024 * 1024


REACHABLE = """((of) => {
    const seen = new Set(), todo = [of], sum = { bytes: 0, characters: 0 };
    const add = (value) => value !== null && typeof value === 'object' && !seen.has(value) && seen.add(value) && todo.push(value);
    while (todo.length > 0) {
        const value = todo.pop();
        if (typeof value === 'string') {
            sum.characters += value.length;
        } else if (value instanceof ArrayBuffer) {
            sum.bytes += value.byteLength;
        } else {
            const parts = ArrayBuffer.isView(value) ? [value.buffer] :
                value instanceof Map ? [...value].flat() : Object.values(value);
            parts.forEach((part) => typeof part === 'string' ? todo.push(part) : add(part));
        }
    }
    return sum;
})"""


def test_runs_keep_few_pictures_in_whole_and_long_texts_in_part(inspector):
    inspector.evaluate("""for (let r = 0; r < 25; r++) {
        const tell = (type, data) => linkOnText(JSON.stringify({ type, data: { prompt_id: `p${r}`, ...data } }));
        const long = `${r}${"x".repeat(300000)}`;
        tell("execution_start", {});
        for (let i = 0; i < 12; i++) {
            tell("executing", { node: `${i}`, display_node: long });
            const bytes = new Uint8Array(1024 * 1024);
            bytes.set(i % 2 ? [0, 0, 0, 1, 0, 0, 0, 2, 0x89, 0x50, 0x4e, 0x47] : [0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8, 0xff]);
            linkOnBinary(bytes.buffer);
        }
        tell("executing", { node: long });
        tell("executed", { node: long, output: { [long]: [long, { filename: "a", more: long }] } });
        tell("execution_error", { node_id: "1", exception_message: long, traceback: [long], current_inputs: long });
    }""")
    inspector.drawn()
    kept = inspector.evaluate(f"{REACHABLE}(run.all)")
    assert 30 * 1024 * 1024 <= kept["bytes"] <= 32 * 1024 * 1024, kept
    assert kept["characters"] <= 20 * 150000, kept
    assert inspector.evaluate(f"{REACHABLE}(run).bytes") == kept["bytes"], "and none of runs that are forgotten"
    assert inspector.evaluate("document.querySelectorAll('#results img').length") == 6
    inspector.click("#runs li:last-child button")
    inspector.drawn()
    assert inspector.evaluate("document.querySelector('#results').innerText.includes('over the socket')")
    assert inspector.evaluate("document.querySelectorAll('#results img').length") == 0, "of an old run only the names"


def test_text_of_any_length_is_shown_in_part_and_what_is_no_json_as_it_came(inspector):
    inspector.evaluate("""linkOnText(`{"type":"long","data":"${"a".repeat(20000000)}"}`), listSelect(store.frames.at(-1))""")
    shown = inspector.evaluate("document.getElementById('content').textContent")
    assert len(shown) < 500000 and shown.endswith("more characters: Copy has all"), (len(shown), shown[-50:])
    inspector.evaluate("linkOnText('not  {json'), listSelect(store.frames.at(-1))")
    assert inspector.evaluate("document.getElementById('content').textContent") == "not  {json"


# ---- what comes is only shown

def test_nothing_that_comes_is_taken_for_html(inspect, publisher):
    sid = EVIL.replace("{", "")
    inspector = inspect("sid=" + "".join(f"%{b:02X}" for b in sid.encode())).wait_connected()
    own = inspector.evaluate("document.scripts.length")
    for kind, data in [
            ("execution_start", {"prompt_id": EVIL}), ("execution_cached", {"prompt_id": EVIL, "nodes": [EVIL]}),
            ("executing", {"prompt_id": EVIL, "node": EVIL + "1", "display_node": EVIL}),
            ("progress_state", {"prompt_id": EVIL, "nodes": {
                EVIL + "2": {"value": 1, "max": 2, "state": EVIL, "display_node_id": EVIL}}}),
            (3, [EVIL, EVIL.encode()]),
            ("executed", {"prompt_id": EVIL, "node": EVIL, "output": {"text": [EVIL], EVIL: [EVIL], "images": [
                {"filename": EVIL, "subfolder": "javascript:hacked=1", "type": EVIL}]}}),
            ("execution_error", {"prompt_id": EVIL, "node_id": EVIL, "node_type": EVIL, "exception_type": EVIL,
                                 "exception_message": EVIL, "traceback": [EVIL, EVIL], "current_inputs": {EVIL: EVIL}}),
            (EVIL, {EVIL: EVIL})]:
        send(publisher, kind, data, sid)
    inspector.wait(f"store.types.has({json.dumps(EVIL)})")
    inspector.wait_text("outcome", "failed")
    assert inspector.evaluate("document.getElementById('traceback').textContent") == EVIL + EVIL
    inspector.page.call("fill", "#comfyui", "javascript:hacked=1//")
    inspector.press("Tab")
    for i in range(inspector.evaluate("list.view.length")):
        inspector.evaluate(f"listSelect(list.view[{i}])")
    inspector.drawn()
    assert EVIL in inspector.evaluate("document.getElementById('content').textContent.replaceAll('\\\\\"', '\"')")
    assert inspector.evaluate("document.scripts.length") == own
    assert inspector.evaluate("document.querySelectorAll('[onerror], img[src=x], a[href^=javascript]').length") == 0
    assert inspector.evaluate("typeof hacked") == "undefined"


ODD = '{"toString":1}'  # no string can be made of it
SHAPES = ["null", "5", '"x"', "[]", "{}", *(shape.replace("ODD", ODD) for shape in (
    '{"prompt_id":ODD,"node":ODD,"node_id":[],"nodes":{"a":null,"__proto__":{"x":1}}}',
    '{"prompt_id":null,"node":null,"nodes":7,"output":{"images":[null,{"filename":1}],"text":ODD}}',
    '{"prompt_id":"s","node":"1","value":1e999,"max":-1,"nodes":{"1":{"value":"a","max":ODD,"state":ODD}}}',
    '{"status":{"exec_info":{"queue_remaining":ODD}},"sid":["\\ud800"],"output":null,"traceback":ODD}'))]


def test_data_of_any_shape_leaves_it_working(inspector):
    texts = [f'{{"type":"{kind}","data":{shape}}}' for shape in SHAPES for kind in (
        "status", "execution_start", "execution_cached", "executing", "progress", "progress_state", "executed",
        "execution_success", "execution_error", "execution_interrupted", "feature_flags", "toString", "__proto__")]
    texts += ["", "{", "[]", "null", '{"type":5}', '{"data":1}', '{"type":"\\ud800"}', '"' * 50, "[" * 3000]
    look = "listSelect(store.frames.at(-1)); drawers.forEach((d) => d());"
    inspector.evaluate("for (const text of %s) { linkOnText(text); %s }" % (json.dumps(texts), look))
    payloads = ["", "00", "00000001", "0000000100000002", "00000003ffffffff00", "0000000400000002", "00000004000000027b7d",
                    "000000040000001e" + b'{"node_id":{"toString":1},"a":1}'.hex(), "ffffffffff", "00000003000000010000"]
    inspector.evaluate("""for (const hex of %s) {
        linkOnBinary(new Uint8Array((hex.match(/../g) ?? []).map((b) => parseInt(b, 16))).buffer);
        %s
    }""" % (json.dumps(payloads), look))
    inspector.evaluate("linkOnText('{\"type\":\"execution_start\",\"data\":{\"prompt_id\":\"after all\"}}')")
    inspector.wait_text("prompt", "after all").wait_text("outcome", "running")
    kinds = inspector.evaluate("['toString', '__proto__', 'assets.x', 'progress'].map((type) => listKind({ type, content: '' }))")
    assert kinds == ["unknown", "unknown", "", ""], kinds


def test_every_recording_is_shown_without_a_complaint(inspector, redis_server):
    publisher = Publisher(redis_server)
    for name in NAMES:
        for e in golden.events(name):
            publisher.script({**e, "sid": e["sid"] and "demo"})
    send(publisher, "the.end", {})
    inspector.wait("store.types.has('the.end')")
    inspector.drawn()
    types = inspector.types()
    assert types["execution_error"] >= 2 and types["10 binary"] == 1 and types["3 text"] >= 6, types


# ---- the client id is a secret

def test_client_id_is_in_no_request_but_the_sockets(inspect):
    inspector = inspect("sid=secret-one").wait_connected()
    assert inspector.requests() == [f"{inspector.address}/", f"ws://127.0.0.1:{inspector.relay.port}/ws?clientId=secret-one"]


def test_without_a_client_id_the_relay_gives_one_and_a_reload_keeps_it(inspect, redis_server):
    inspector = inspect("")
    assert inspector.text("state") == "Not connected"
    assert inspector.evaluate("document.activeElement.id") == "sid"
    inspector.press("Enter")
    inspector.wait_connected()
    inspector.wait("/^[0-9a-f]{32}$/.test(document.getElementById('sid').value)")
    sid = inspector.evaluate("document.getElementById('sid').value")
    assert inspector.evaluate("location.hash") == f"#sid={sid}"
    run = play(redis_server, to=("progress", 2), sid=sid)
    inspector.wait_text("outcome", "running")
    inspector.page.reload()
    inspector.wait("document.readyState === 'complete' && typeof store === 'object'")
    inspector.wait_connected().wait_text("outcome", "running")
    run.play_on()
    inspector.wait_text("outcome", "done")


def test_client_id_in_the_query_moves_behind_the_number_sign(inspect):
    inspector = inspect("", path="/?sid=a%20b").wait_connected()
    assert inspector.evaluate("location.search + location.hash") == "#sid=a%20b"
    assert inspector.evaluate("document.getElementById('sid').value") == "a b"


def test_another_client_id_is_connected_from_the_form_and_shows_nothing_of_the_old_one(inspect, redis_server):
    inspector = inspect().wait_connected()
    play(redis_server)
    inspector.wait_text("outcome", "done")
    inspector.page.call("fill", "#sid", "other")
    inspector.wait_text("connect", "Reconnect")
    inspector.press("Enter")
    inspector.wait("link.opens === 2")
    inspector.wait_connected().wait_text("outcome", "")
    play(redis_server, "d_error", sid="other")
    inspector.wait_text("outcome", "failed")
    inspector.click("#connect")
    inspector.wait_text("state", "Not connected")


# ---- for everybody

def audit(inspector):
    """What axe finds wrong, each with the elements."""
    return inspector.evaluate("""axe.run(document, { resultTypes: ['violations'] }).then((r) =>
        r.violations.map((v) => [v.id, v.help, ...v.nodes.map((n) => [n.html.slice(0, 99), ...n.any.map((a) => a.message)])]))""")


def test_axe_finds_nothing_in_either_scheme_and_width(inspector, redis_server, publisher):
    play(redis_server)
    send(publisher, "made.up", {})
    play(redis_server, "d_error")
    inspector.wait_text("outcome", "failed")
    inspector.evaluate("listSelect(store.frames.find((f) => f.type === '4 preview+meta'))")
    with open(AXE, encoding="utf-8") as f:
        inspector.evaluate(f.read() + ";0")
    for scheme, width in [("light", 1360), ("dark", 1360), ("dark", 390)]:
        inspector.page.call("emulateMedia", {"colorScheme": scheme, "reducedMotion": "reduce"})
        inspector.page.call("setViewportSize", {"width": width, "height": 850})
        inspector.drawn()
        assert audit(inspector) == [], (scheme, width)
        background = inspector.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, background[4:-1].split(","))) < 200) == (scheme == "dark"), background


def test_narrow_window_never_scrolls_sideways(inspector, redis_server):
    play(redis_server, "d_error")
    inspector.wait_text("outcome", "failed")
    inspector.evaluate("listSelect(list.view[3])")
    for width in (320, 768, 1024):
        inspector.page.call("setViewportSize", {"width": width, "height": 700})
        inspector.drawn()
        assert inspector.evaluate("document.documentElement.scrollWidth") <= width


def test_everything_can_be_done_with_the_keyboard(inspect, redis_server):
    inspector = inspect("")
    inspector.press("d", "e", "m", "o", "Enter")
    inspector.wait_connected()
    play(redis_server, "d_error")
    inspector.wait_text("outcome", "failed")
    order = ["sid"]
    while not order or order[-1] != "list":
        inspector.press("Tab")
        order.append(inspector.evaluate("document.activeElement.id || document.activeElement.className"))
        assert is_outlined(inspector), f"nobody sees where {order[-1]} is"
        assert len(order) < 60, order
    wanted = ["sid", "relay", "comfyui", "flag", "connect", "traceback", "error-copy", "error-frame", "nodes-scroll", "filter",
              "follow", "pause", "clear", "export", "list"]
    assert [name for name in order if name in wanted] == wanted and "chip" in order, order
    inspector.press("Home")
    assert selected(inspector)[0] == "1"
    inspector.press("ArrowDown", "ArrowDown")
    assert selected(inspector)[0] == "3" and inspector.has("detail")
    inspector.press("End")
    assert selected(inspector)[0] == inspector.rows()[-1][0]
    inspector.press("PageUp", "Enter")
    assert inspector.evaluate("document.activeElement.id") == "detail-title"
    inspector.evaluate("void (document.getElementById('previous').focus())")
    while inspector.evaluate("document.activeElement.id") == "previous":
        inspector.press("Enter")
    assert inspector.evaluate("document.activeElement.id") == "detail-title", "there is none before"
    inspector.press("Escape")
    assert inspector.evaluate("document.activeElement.id") == "list"
    inspector.press("Escape")
    assert not inspector.has("detail")


def is_outlined(inspector):
    return inspector.evaluate("""[document.activeElement, document.activeElement.nextElementSibling].some((e) => e &&
        getComputedStyle(e).outlineStyle !== 'none' && parseFloat(getComputedStyle(e).outlineWidth) >= 2)""")


def selected(inspector):
    """The row that a screen reader is told of."""
    inspector.drawn()
    return inspector.evaluate("""(() => {
        const row = document.getElementById(document.getElementById('list').getAttribute('aria-activedescendant'));
        return row.ariaSelected === 'true' ? [...row.children].map((cell) => cell.textContent) : null;
    })()""")


def test_what_changes_is_told_to_a_screen_reader_and_frames_are_not(inspect):
    inspector = inspect("")
    live = inspector.evaluate("[...document.querySelectorAll('[role=status], [role=alert]')].map((e) => e.id)")
    assert live == ["state", "outcome", "error", "said"]
    assert inspector.evaluate("document.querySelector('#list').closest('[aria-live], [role=status], [role=log]')") is None


# ---- what no worker should send

def test_metadata_that_is_no_json_is_shown_as_it_came(inspector):
    inspector.evaluate("""linkOnBinary(new Uint8Array([0, 0, 0, 4, 0, 0, 0, 8, ...encoder.encode("]}} JSON")]).buffer),
        listSelect(store.frames.at(-1))""")
    assert "preview+meta\n]}} JSON\n" in inspector.evaluate("document.getElementById('content').textContent")


def test_file_of_an_odd_shape_hides_no_other_result(inspect, redis_server, relay):
    comfy = ComfyUI(relay, redis_server)
    try:
        inspector = inspect(f"sid=demo&comfyui=http://{comfy.host}").wait_connected()
        inspector.allowed.append(f"http://{comfy.host}/view?")
        files = [{"filename": "a"}, {"filename": "b", "subfolder": {"toString": 1}, "type": {"toString": 1}}, {"filename": "c"}]
        send(Publisher(redis_server), "executed", {"prompt_id": "p", "node": "1", "output": {"images": files}})
        inspector.wait("document.querySelectorAll('#results img').length === 3")
    finally:
        comfy.close()


def test_example_line_of_the_page_is_seen_in_it(inspector, redis_server):
    assert inspector.has("example")
    path = f"{os.path.dirname(PUBLISH)}:{os.environ['PATH']}"
    subprocess.run(["sh", "-c", inspector.text("example")], check=True, timeout=20,
                   env={**os.environ, "PATH": path, "COMFY_RELAY_REDIS_URL": redis_server.url})
    inspector.wait_text("prompt", "p1").wait_text("outcome", "running")
