"""Unmodified clients run a recorded prompt to its end, by their own account."""
import asyncio
import json
import os
import subprocess
import urllib.parse
import urllib.request
import uuid

import pytest
import websocket
import websockets
from recording import golden, is_status
from ws import short

HERE = os.path.dirname(os.path.abspath(__file__))
RECORDINGS = pytest.mark.parametrize("recording", ["a_success_noflags", "b_success_flags"])


def output_nodes(recording):
    return {e["data"]["node"]: e["data"]["output"] for e in golden.events(recording) if e["type"] == "executed"}


def image_counts(recording):
    return {node: len(output["images"]) for node, output in output_nodes(recording).items()}


def count(recording, kind):
    return sum(e["type"] == kind for e in golden.events(recording))


def node(script, *args):
    """The last line that a script prints begins with RESULT."""
    major = int(subprocess.run(["node", "-p", "process.versions.node.split('.')[0]"], capture_output=True,
                               text=True, timeout=30).stdout)
    flags = ["--experimental-global-customevent"] if major < 19 else []
    done = subprocess.run(["node", *flags, os.path.join(HERE, script), *args], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout}\n{done.stderr}"
    lines = [x[len("RESULT "):] for x in done.stdout.splitlines() if x.startswith("RESULT ")]
    return json.loads(lines[-1]) if lines else None


@RECORDINGS
def test_comfy_ui_client_gets_its_images(recording, start):
    comfy = start(recording)
    result = node("clients.mjs", "comfy-ui-client", comfy.host, *output_nodes(recording))
    assert result == {"images": image_counts(recording)}


@pytest.mark.parametrize("recording", ["f_reconnect", "m2_async"])
def test_stable_canvas_client_resolves_with_images_and_progress(recording, start):
    """It is done with the first `executed`: recordings with one output, at their end."""
    comfy = start(recording)
    result = node("clients.mjs", "@stable-canvas/comfyui-client", comfy.host, *output_nodes(recording))
    assert result.pop("images") >= 1, "it counts previews among them"
    assert result == {"prompt_id": next(iter(comfy.runs)), "progress": count(recording, "progress"),
                      "previews": count(recording, 4)}


@RECORDINGS
def test_saintno_sdk_finishes_its_call(recording, start):
    comfy = start(recording)
    result = node("clients.mjs", "@saintno/comfyui-sdk", comfy.host, *output_nodes(recording))
    assert result["failed"] is None and result["images"] == image_counts(recording)
    assert result["progress"] >= 1 and result["previews"] >= 1, result


# ---- Python ------------------------------------------------------------------------------------------------------

def post_prompt(comfy, client_id, prompt_id):
    body = json.dumps({"prompt": {}, "client_id": client_id, "prompt_id": prompt_id}).encode()
    with urllib.request.urlopen(urllib.request.Request(f"http://{comfy.host}/prompt", data=body), timeout=30) as r:
        return json.loads(r.read())["prompt_id"]


def history_of(comfy, prompt_id):
    with urllib.request.urlopen(f"http://{comfy.host}/history/{prompt_id}", timeout=30) as r:
        return json.loads(r.read())[prompt_id]


def view(comfy, image):
    with urllib.request.urlopen(f"http://{comfy.host}/view?{urllib.parse.urlencode(image)}", timeout=30) as r:
        return r.read()


def is_end_of(message, prompt_id):
    m = json.loads(message)
    return m["type"] == "executing" and m["data"]["node"] is None and m["data"]["prompt_id"] == prompt_id


@RECORDINGS
def test_api_example_flow_with_websocket_client_fetches_every_image(recording, start):
    comfy = start(recording)
    client_id, prompt_id = str(uuid.uuid4()), str(uuid.uuid4())
    ws = websocket.WebSocket()
    ws.connect(f"ws://{comfy.host}/ws?clientId={client_id}", timeout=30)
    post_prompt(comfy, client_id, prompt_id)
    previews = 0
    while True:
        out = ws.recv()
        if isinstance(out, bytes):
            previews += 1
        elif is_end_of(out, prompt_id):
            break
    outputs = history_of(comfy, prompt_id)["outputs"]
    images = {n: [view(comfy, i) for i in o["images"]] for n, o in outputs.items()}
    ws.close()
    assert previews == count(recording, 4)
    assert {n: len(i) for n, i in images.items()} == image_counts(recording)


@RECORDINGS
def test_websockets_with_its_pings_on_runs_to_the_end(recording, start):
    comfy = start(recording)

    async def run():
        client_id, frames = str(uuid.uuid4()), []
        async with websockets.connect(f"ws://{comfy.host}/ws?clientId={client_id}", ping_interval=0.05,
                                      ping_timeout=5) as ws:
            frames.append(await ws.recv())
            prompt_id = await asyncio.to_thread(post_prompt, comfy, client_id, str(uuid.uuid4()))
            while isinstance(frames[-1], bytes) or not is_end_of(frames[-1], prompt_id):
                frames.append(await asyncio.wait_for(ws.recv(), 30))
            await (await ws.ping())
            return frames, ws.latency

    frames, latency = asyncio.run(run())
    assert sum(isinstance(f, bytes) for f in frames) == count(recording, 4)
    assert latency > 0, "no ping of the client was answered"


# ---- the browser -------------------------------------------------------------------------------------------------

@RECORDINGS
def test_browser_sees_every_frame_of_the_run(recording, start, browser):
    with_flags = recording == "b_success_flags"
    with open(os.path.join(HERE, "page.html"), "rb") as f:
        page = f.read().replace(b"FLAGS", b"true" if with_flags else b"false")
    comfy = start(recording, page)
    browser.open().goto(f"http://{comfy.host}/page").wait("window.reported")
    report = comfy.wait_report(10)
    run = comfy.runs[report["prompt"]]
    assert report["ended"] == run.prompt_id and list(report["history"]) == [run.prompt_id]
    recorded = next(e["data"]["prompt_id"] for e in golden.events(recording) if e["type"] == "execution_start")
    expected = [as_page_sees(golden.frame(e, with_flags), recorded, run.prompt_id) for e in run.events]
    seen = [f for f in report["frames"] if not is_status(f) and not f.startswith('{"type":"feature_flags"')]
    expected = [f for f in expected if not is_status(f)]
    for i, (mine, stock) in enumerate(zip(seen, expected)):
        assert mine == stock, f"frame {i}:\n  seen     {short(mine)}\n  expected {short(stock)}"
    assert len(seen) == len(expected)


def as_page_sees(frame, old, new):
    if isinstance(frame, str):
        return frame.replace(old, new)
    return "binary " + frame.replace(old.encode(), new.encode()).hex()
