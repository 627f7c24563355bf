"""Nodes that need no model, for a real ComfyUI: the ones whose traffic is recorded in tests/golden, and a few events that
a server must survive. Copied into custom_nodes beside the extension.

    picture.py   what previews show
    events.py    what GoldenEvents and GoldenRaw send
    routes.py    POST /golden/send and GET /golden/state: the test's own way in
"""
import asyncio
import time

import comfy.model_management
import comfy.utils
from server import PromptServer

from . import events, routes
from .picture import gradient

try:
    from comfy_execution.graph_utils import ExecutionBlocker, GraphBuilder
except ImportError:  # an older layout
    from comfy_execution.graph import ExecutionBlocker
    from comfy_execution.graph_utils import GraphBuilder

SEED = ("INT", {"default": 0, "min": 0, "max": 2**64 - 1})
STEPS = ("INT", {"default": 4, "min": 1, "max": 10000})
DELAY = ("FLOAT", {"default": 0.05, "min": 0.0, "max": 60.0, "step": 0.001})
PIXELS = ("INT", {"default": 0, "min": 0, "max": 8192})
TO = (["client", "all"],)


class Node:
    """Takes an image and hands it on; what a node does besides is its own."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "run", "relay tests"
    MORE, HIDDEN = {}, {}

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"image": ("IMAGE",), **cls.MORE}, "hidden": dict(cls.HIDDEN)}


def client_of(to):
    return PromptServer.instance.client_id if to == "client" else None


class GoldenProgress(Node):
    """A sampler's traffic: progress, and a preview with each step."""

    MORE = {"steps": STEPS, "delay": DELAY, "preview": (["JPEG", "PNG", "none"],), "size": PIXELS, "max_size": PIXELS}

    def run(self, image, steps, delay, preview, size, max_size):
        bar = comfy.utils.ProgressBar(steps)
        with routes.running("GoldenProgress"):
            for step in range(1, steps + 1):
                time.sleep(delay)
                shown = None if preview == "none" else (preview, gradient(size, step / steps), max_size or None)
                bar.update_absolute(step, steps, shown)
        return (image,)


class GoldenAsync(Node):
    """The same in a coroutine: two of them run at once."""

    MORE = {"steps": STEPS, "delay": DELAY}

    async def run(self, image, steps, delay):
        bar = comfy.utils.ProgressBar(steps)
        for step in range(1, steps + 1):
            await asyncio.sleep(delay)
            bar.update_absolute(step, steps, ("JPEG", gradient(32, step / steps), None))
        return (image,)


class GoldenRaise(Node):
    MORE = {"message": ("STRING", {"multiline": True}), "seed": SEED, "cfg": ("FLOAT", {"max": 100.0, "step": 1e-15})}

    def run(self, image, message, seed, cfg):
        raise ValueError(message)


class GoldenSleep(Node):
    """Says nothing for a while; an interrupt ends it."""

    MORE = {"seconds": ("FLOAT", {"default": 1.0, "max": 3600.0})}

    def run(self, image, seconds):
        end = time.monotonic() + seconds
        with routes.running("GoldenSleep"):
            while time.monotonic() < end:
                comfy.model_management.throw_exception_if_processing_interrupted()
                time.sleep(0.02)
        return (image,)


class GoldenBlock(Node):
    MORE = {"message": ("STRING", {})}

    def run(self, image, message):
        return (ExecutionBlocker(message),)


class GoldenText(Node):
    """Code 3, three times: from a str, from bytes, and empty."""

    MORE, HIDDEN = {"text": ("STRING", {}), "to": TO}, {"node": "UNIQUE_ID"}

    def run(self, image, text, to, node):
        for said in (text, (text + " (bytes)").encode(), ""):
            PromptServer.instance.send_progress_text(said, node, client_of(to))
        return (image,)


class GoldenEvents(Node):
    """Text events of its own; `unfit` are those that JSON cannot hold."""

    MORE = {"to": TO, "which": (["custom", "limits", "unfit"],)}

    def run(self, image, to, which):
        for kind, data in events.WHICH[which](is_long=to == "client"):
            PromptServer.instance.send_sync(kind, data, client_of(to))
        return (image,)


class GoldenRaw(Node):
    """Binary events that a node frames itself."""

    MORE, HIDDEN = {"to": TO}, {"node": "UNIQUE_ID"}

    def run(self, image, to, node):
        for kind, data in events.raw(node):
            PromptServer.instance.send_sync(kind, data, client_of(to))
        return (image,)


class GoldenSubgraph(Node):
    """Expands into three nodes; all of them are shown as this one."""

    MORE = {"steps": STEPS, "delay": DELAY}

    def run(self, image, steps, delay):
        graph = GraphBuilder()
        progress = graph.node("GoldenProgress", image=image, steps=steps, delay=delay, preview="JPEG", size=32, max_size=0)
        inverted = graph.node("ImageInvert", image=progress.out(0))
        graph.node("PreviewImage", images=inverted.out(0))
        return {"result": (inverted.out(0),), "expand": graph.finalize()}


class GoldenUI(Node):
    """Output for the frontend that is no picture."""

    RETURN_TYPES, OUTPUT_NODE = (), True

    def run(self, image):
        return {"ui": {"text": ["ünïcode 🙂", ""], "value": [1.0, 0.5, 3, None, True], "nan": [float("nan")],
                       "animated": (False,), "m": [{"a": {"b": 1}}]}}


NODES = (GoldenProgress, GoldenAsync, GoldenRaise, GoldenSleep, GoldenBlock, GoldenText, GoldenEvents, GoldenRaw,
         GoldenSubgraph, GoldenUI)
NODE_CLASS_MAPPINGS = {node.__name__: node for node in NODES}

routes.add()
