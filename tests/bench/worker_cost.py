"""What the extension costs a ComfyUI: on the thread that raises an event, and over a whole run.

calls    the time of send_sync with the extension beyond without it, less what the copy of the event's data takes,
         while the background thread publishes to a Redis. The thread's own CPU time, so that other processes do not count.
run      a prompt with 1000 progress updates and 100 previews, each step some milliseconds of work that
         holds the interpreter and some that does not: without the extension, with it, and with it while Redis is stopped. Each in a
         process of its own, in turns. In a stand-in of ComfyUI's server, or in the checkout that COMFYUI_DIR names.
"""
import argparse
import json
import os
import signal
import statistics
import struct
import subprocess
import sys
import time
import zlib

HERE = os.path.dirname(os.path.abspath(__file__))
for folder in ("support", "worker"):
    sys.path.insert(0, os.path.join(HERE, "..", folder))

import extension  # noqa: E402
from PIL import Image  # noqa: E402
from servers import Redis  # noqa: E402
from stand_in import ComfyUI  # noqa: E402

STEPS, PREVIEW_EVERY, SIZE = 1000, 10, 512
HOLDS, RELEASES = 50_000, 40  # rounds of either kind of work in a step: some 20 ms, as on a fast GPU
STEP_S = 0.02
REACH_RUN, REACH_US = 1.02, 50
WAYS = ("without", "with", "Redis stopped")
RUN_S = 300


# ---- on the caller's thread ---------------------------------------------------------------------------------------


def noise():
    return Image.frombytes("RGB", (SIZE, SIZE), os.urandom(3 * SIZE * SIZE))


def snapshot(nodes):
    return {"prompt_id": "p", "nodes": {str(n): {
        "value": 3.0, "max": 20.0, "state": "running", "node_id": str(n), "prompt_id": "p", "display_node_id": str(n),
        "parent_node_id": None, "real_node_id": str(n)} for n in range(nodes)}}


def kinds():
    """name -> (the arguments of send_sync, what copying its data takes)."""
    progress = {"value": 3, "max": 20, "prompt_id": "35cdf645-9487-48c3-a8cd-45859004428b", "node": "57:8"}
    image, text = noise(), struct.pack(">I", 1) + b"3" + b"50 %" * 10
    metadata = {"node_id": "57:8", "prompt_id": "p", "display_node_id": "57", "parent_node_id": None, "real_node_id": "57:8"}
    texts = {"progress": progress, "progress_state, 1 node": snapshot(1), "progress_state, 20 nodes": snapshot(20)}
    named = {name: ((name.partition(",")[0], data, "sid"), lambda data=data: json.dumps(data)) for name, data in texts.items()}
    named["text, code 3"] = (3, text, "sid"), lambda: bytes(bytearray(text))
    named["preview 512 x 512, code 4"] = ((4, (("JPEG", image, None), metadata), "sid"),
                                          lambda: (image.copy(), json.dumps(metadata)))
    return named


def thread_us(act):
    begin = time.thread_time_ns()
    act()
    return (time.thread_time_ns() - begin) / 1000


def calls(times):
    """name -> the sorted microseconds of (copying its data and stock's send_sync, send_sync with the extension)."""
    found = {}
    with_redis = Redis()
    try:
        with ComfyUI() as comfy:
            stock = comfy.server.send_sync
            comfy.load(lambda: extension.load({"COMFY_RELAY_REDIS_URL": with_redis.url}))
            for name, (arguments, copy) in kinds().items():
                us = paced(comfy.server, stock, arguments, copy, times // 10 if "preview" in name else times)
                found[name] = [sorted(column) for column in zip(*us)]
            getattr(comfy.server, extension.module("hooks").MARK).publisher.close()
    finally:
        with_redis.stop()
    return found


def paced(server, stock, arguments, copy, count):
    """One call a millisecond, as a fast sampler has them: (copy and stock, hooked), in turns the one or the other first."""
    us = []
    for i in range(count):
        timed = [lambda: thread_us(lambda: (copy(), stock("nothing", None, "nobody"))),
                 lambda: thread_us(lambda: server.send_sync(*arguments))]
        first = timed[i % 2]()
        second = timed[1 - i % 2]()
        us.append((first, second) if i % 2 == 0 else (second, first))
        time.sleep(0.001)
    return us


def print_calls(found):
    print(f"\n{'us on the caller thread, to reach: ' + str(REACH_US):36} {'copy and stock':>22} {'with the extension':>22} {'beyond':>16}")
    print(f"{'':36} {'median':>11} {'p99':>10} {'median':>11} {'p99':>10} {'median':>8} {'p99':>7}")
    for name, columns in found.items():
        (a, b), (c, d) = ([us[int(len(us) * q)] for q in (0.5, 0.99)] for us in columns)
        print(f"{name:36} {a:11.1f} {b:10.1f} {c:11.1f} {d:10.1f} {c - a:8.1f} {d - b:7.1f}")


# ---- a whole run --------------------------------------------------------------------------------------------------


def work(block):
    """A step: some that holds the interpreter, as Python does, and some that does not, as a GPU's or a codec's."""
    n = 0
    for i in range(HOLDS):
        n += i & 3
    for _ in range(RELEASES):
        zlib.crc32(block)


def node(step):
    block, image = os.urandom(1 << 20), noise()
    for i in range(STEPS):
        work(block)
        step.progress(i + 1, STEPS, ("JPEG", image, None) if i % PREVIEW_EVERY == 0 else None)


def run_here(redis_url):
    """The seconds of one prompt, in this process."""
    with ComfyUI() as comfy:
        comfy.load(lambda: extension.load({"COMFY_RELAY_REDIS_URL": redis_url} if redis_url else {}))
        begin = time.perf_counter()
        comfy.run({"1": node}, client_id="sid")
        return time.perf_counter() - begin


def in_stand_in(redis_url):
    out = subprocess.run([sys.executable, os.path.abspath(__file__), "--one", redis_url], stdout=subprocess.PIPE, timeout=RUN_S,
                         check=True)
    return float(out.stdout)


def in_comfyui(redis_url):
    """In a real one, whose steps wait as for a GPU: between a prompt's execution_start and its execution_success."""
    import real_comfyui
    prompt = {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
              "2": steps_of("1", STEPS - STEPS // PREVIEW_EVERY, "none"), "3": steps_of("2", STEPS // PREVIEW_EVERY, "JPEG"),
              "4": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}}}
    with real_comfyui.ComfyUI(extension=bool(redis_url), redis=redis_url or None) as comfy:
        prompt_id = comfy.queue(prompt, "sid")
        comfy.wait_executed(1, RUN_S)
        messages = dict(comfy.get(f"/history/{prompt_id}")[prompt_id]["status"]["messages"])
        return (messages["execution_success"]["timestamp"] - messages["execution_start"]["timestamp"]) / 1000


def steps_of(image, steps, preview):
    return {"class_type": "GoldenProgress", "inputs": {"image": [image, 0], "steps": steps, "delay": STEP_S, "preview": preview,
                                                       "size": SIZE, "max_size": SIZE}}


def rounds(count, run):
    """way -> seconds, interleaved."""
    seconds = {way: [] for way in WAYS}
    redis = Redis()
    try:
        for _ in range(count):
            seconds["without"].append(run(""))
            seconds["with"].append(run(redis.url))
            redis.process.send_signal(signal.SIGSTOP)
            seconds["Redis stopped"].append(run(redis.url))
            redis.process.send_signal(signal.SIGCONT)
    finally:
        redis.process.send_signal(signal.SIGCONT)
        redis.stop()
    return seconds


def print_rounds(where, seconds):
    floor = statistics.median(seconds["without"])
    print(f"\n{where + ', ' + str(STEPS) + ' steps':36} {'median s':>9} {'ratio':>7}  of single rounds")
    for way, all_of_it in seconds.items():
        each = sorted(b / a for a, b in zip(seconds["without"], all_of_it))
        reach = "" if way == "without" else f"  to reach: {REACH_RUN}"
        print(f"{way:36} {statistics.median(all_of_it):9.3f} {statistics.median(all_of_it) / floor:7.3f}  {each[0]:.3f} to {each[-1]:.3f}{reach}")


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--calls", type=int, default=5000, help="of each kind of event")
    p.add_argument("--json", metavar="FILE", help="the figures for a program")
    p.add_argument("--one", help=argparse.SUPPRESS)
    options = p.parse_args()
    if options.one is not None:
        print(run_here(options.one))
        return
    real = bool(os.environ.get("COMFYUI_DIR"))
    found = calls(options.calls)
    print_calls(found)
    seconds = rounds(options.rounds, in_comfyui if real else in_stand_in)
    print_rounds("ComfyUI" if real else "stand-in", seconds)
    if options.json:
        with open(options.json, "w", encoding="utf-8") as f:
            json.dump({"calls_us": {name: {"floor": floor, "hooked": hooked} for name, (floor, hooked) in found.items()},
                       "run_s": seconds}, f)


if __name__ == "__main__":
    main()
