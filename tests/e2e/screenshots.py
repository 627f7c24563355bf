#!/usr/bin/env python3
"""Makes the pictures of the inspector that the README shows, from recordings: tests/e2e/screenshots.py [FOLDER], which is
deploy/images unless it is told otherwise. tests/run.sh e2e must have run once: it installs the browser and builds the relay."""
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tests", "support"))
os.environ.setdefault("NODE", os.path.join(ROOT, "tests", ".work", "node"))

from chromium import Browser  # noqa: E402
from inspector import Inspector  # noqa: E402
from PIL import Image  # noqa: E402
from recorded import RecordedRun  # noqa: E402
from servers import Redis, Relay  # noqa: E402

SIZE = (1280, 800)
LARGEST = 150_000


def play(run, to):
    """At about the recorded pace."""
    while run.at < to:
        run.play(run.at + 1) if run.at >= 3 else run.play(4)
        time.sleep(0.03)


def running(inspector, redis):
    """In the middle of a node, after one run that is done."""
    run = RecordedRun(redis, "demo", "b_success_flags")
    play(run, run.end)
    run = RecordedRun(redis, "demo", "f_reconnect")
    play(run, run.after("progress", 19))
    inspector.wait_text("outcome", "running")


def failed(inspector, redis):
    """With an error, and the preview before it chosen."""
    run = RecordedRun(redis, "demo", "d_error")
    play(run, run.end)
    inspector.wait_text("outcome", "failed")
    inspector.evaluate("listSelect(store.frames.findLast((f) => f.type === '4 preview+meta'))")
    time.sleep(0.5)  # the rate


def save(inspector, path):
    """Without loss, in the smaller of the browser's formats."""
    png, shot = path + ".png", path + ".webp"
    inspector.drawn().page.call("screenshot", {"path": png})
    Image.open(png).convert("RGB").save(shot, lossless=True, quality=100, method=6)
    os.unlink(png)
    assert os.path.getsize(shot) < LARGEST, f"{shot}: {os.path.getsize(shot)} bytes"
    print(f"{shot}: {os.path.getsize(shot)} bytes")


def main(folder):
    os.makedirs(folder, exist_ok=True)
    redis, browser = Redis(), Browser()
    try:
        with Relay(redis) as relay:
            inspector = Inspector(browser, relay, size=SIZE).wait_connected()
            running(inspector, redis)
            save(inspector, os.path.join(folder, "inspector"))
            inspector.page.call("emulateMedia", {"colorScheme": "dark"})
            failed(inspector, redis)
            save(inspector, os.path.join(folder, "inspector-error"))
            inspector.check()
    finally:
        browser.stop()
        redis.stop()


main(sys.argv[1] if len(sys.argv) > 1 else os.path.join(ROOT, "deploy", "images"))
