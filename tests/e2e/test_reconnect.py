"""Unmodified clients that lose their connection in mid-run: by their own account they have every kept event once, in order.
Where a library does not come back by itself, the test opens it again as its user would."""
import asyncio
import json
import uuid

import pytest
import websocket
import websockets
from interrupted import cut, silence
from recorded import frames
from test_clients import image_counts, is_end_of, node, output_nodes, post_prompt

# Places in the recordings where a sampler begins; what is missed then has previews and an output.
SAMPLER = {"b_success_flags": 16, "m2_async": 11}


def assert_seen_once_and_in_order(texts, comfy):
    expected = [json.loads(f) for f in frames(comfy.run.kept())]
    kinds = {e["type"] for e in expected}
    seen = [m for m in texts if m["type"] in kinds and "prompt_id" in m["data"]]
    assert seen == expected, f"seen: {[m['type'] for m in seen]}\nexpected: {[m['type'] for m in expected]}"


def run_interrupted(library, recording, interrupt, interrupted):
    comfy = interrupted(recording, SAMPLER[recording], interrupt)
    told = node("reconnect.mjs", library, comfy.host, *output_nodes(recording))
    assert_seen_once_and_in_order(told["texts"], comfy)
    return comfy, told["result"]


def test_comfy_ui_client_that_is_opened_again_has_missed_nothing(interrupted):
    _, images = run_interrupted("comfy-ui-client", "b_success_flags", cut, interrupted)
    assert images == image_counts("b_success_flags")


def test_stable_canvas_client_comes_back_and_has_missed_nothing(interrupted):
    comfy, result = run_interrupted("@stable-canvas/comfyui-client", "m2_async", cut, interrupted)
    assert result == {"prompt_id": comfy.run.events[2]["data"]["prompt_id"]}


@pytest.mark.parametrize("interrupt", [cut, silence])
def test_saintno_sdk_comes_back_and_has_missed_nothing(interrupt, interrupted):
    """After a silence its new socket is there before the old one is closed, without a code: its place is kept."""
    _, images = run_interrupted("@saintno/comfyui-sdk", "b_success_flags", interrupt, interrupted)
    assert images == image_counts("b_success_flags")


def test_websocket_client_comes_back_and_has_missed_nothing(interrupted):
    comfy = interrupted("b_success_flags", SAMPLER["b_success_flags"], cut)
    client_id, prompt_id, texts = str(uuid.uuid4()), str(uuid.uuid4()), []

    def on_message(app, message):
        if isinstance(message, bytes):
            return
        texts.append(json.loads(message))
        if len(texts) == 1:
            post_prompt(comfy, client_id, prompt_id)
        if is_end_of(message, prompt_id):
            app.close()

    app = websocket.WebSocketApp(f"ws://{comfy.host}/ws?clientId={client_id}", on_message=on_message)
    app.run_forever(reconnect=1)
    assert_seen_once_and_in_order(texts, comfy)


def test_websockets_comes_back_and_has_missed_nothing(interrupted):
    comfy = interrupted("b_success_flags", SAMPLER["b_success_flags"], cut)
    client_id, prompt_id = str(uuid.uuid4()), str(uuid.uuid4())

    async def run():
        texts = []
        async for ws in websockets.connect(f"ws://{comfy.host}/ws?clientId={client_id}"):
            try:
                async for message in ws:
                    if isinstance(message, bytes):
                        continue
                    texts.append(json.loads(message))
                    if len(texts) == 1:
                        await asyncio.to_thread(post_prompt, comfy, client_id, prompt_id)
                    if is_end_of(message, prompt_id):
                        return texts
            except websockets.ConnectionClosed:
                continue

    texts = asyncio.run(asyncio.wait_for(run(), 60))
    assert_seen_once_and_in_order(texts, comfy)
