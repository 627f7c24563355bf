"""A stand-in for ComfyUI: the methods, threads and modules that the extension meets there, and nothing else.

    prompt thread:  PromptExecutor.execute -> nodes -> progress hook -> send_sync
    loop thread:    publish_loop -> send -> the sockets connected here

    with ComfyUI() as comfy:                    # its modules are in sys.modules as long
        comfy.load(extension)                   # then as ComfyUI does: hijack_progress, the threads
        socket = comfy.connect("sid", flags=True)
        comfy.run({"1": node}, client_id="sid") # node(step): what a node does with its thread; may be async
        socket.frames                           # what a native client got: str and bytes

Versions differ in what is there: `without` names what is left out, as older ones (or other ones) do.
"""
import asyncio
import contextvars
import itertools
import json
import queue
import struct
import sys
import threading
import types
from io import BytesIO

from PIL import Image, ImageOps

TIMEOUT = 20
METADATA_FLAG = "supports_preview_metadata"
UP_TO_0_3_43 = frozenset(("progress", "context"))


class Socket:
    """What one native client got, as it was on the wire."""

    def __init__(self):
        self.frames = []

    async def send_json(self, message):
        self.frames.append(json.dumps(message))

    async def send_bytes(self, message):
        self.frames.append(bytes(message))


# ---- the server ---------------------------------------------------------------------------------------------------


class Server:
    """PromptServer: send_sync from any thread, the rest on the loop's."""

    instance = None

    def __init__(self, loop):
        self.loop, self.messages = loop, asyncio.Queue()
        self.sockets, self.sockets_metadata = {}, {}
        self.client_id = self.last_node_id = self.last_prompt_id = None
        self.queue_remaining = 0
        self.broken = None  # what a stock server would have died of

    def send_sync(self, event, data, sid=None):
        self.loop.call_soon_threadsafe(self.messages.put_nowait, (event, data, sid))

    def queue_updated(self):
        self.send_sync("status", {"status": {"exec_info": {"queue_remaining": self.queue_remaining}}})

    async def publish_loop(self):
        while True:
            event, data, sid = await self.messages.get()
            if event is Barrier:
                data.set()
                continue
            try:
                await self.send(event, data, sid)
            except Exception as error:
                self.broken = error

    async def send(self, event, data, sid=None):
        if event == 2:
            await self.send_bytes(1, struct.pack(">I", 2 if data[0] == "PNG" else 1) + encode(data), sid)
        elif event == 4:
            picture, metadata = data
            metadata = {} if metadata is None else metadata
            metadata["image_type"] = "image/png" if picture[0] == "PNG" else "image/jpeg"
            head = json.dumps(metadata).encode()
            await self.send_bytes(4, struct.pack(">I", len(head)) + head + encode(picture), sid)
        elif isinstance(data, (bytes, bytearray)):
            await self.send_bytes(event, data, sid)
        else:
            for socket in self.addressed(sid):
                await socket.send_json({"type": event, "data": data})

    async def send_bytes(self, code, data, sid):
        for socket in self.addressed(sid):
            await socket.send_bytes(struct.pack(">I", code) + data)

    def addressed(self, sid):
        if sid is None:
            return list(self.sockets.values())
        return [self.sockets[sid]] if sid in self.sockets else []


class Barrier:
    """An event that only tells that all before it were sent."""


def encode(picture):
    form, image, max_size = picture
    if max_size is not None:
        image = ImageOps.contain(image, (max_size, max_size), Image.Resampling.BILINEAR)
    out = BytesIO()
    image.save(out, format=form, quality=95, compress_level=1)
    return out.getvalue()


class Terminal:
    """The terminal service: each flush of the log goes to who has subscribed and is still there."""

    def __init__(self, server):
        self.server, self.subscriptions = server, set()

    def subscribe(self, client_id):
        self.subscriptions.add(client_id)

    def unsubscribe(self, client_id):
        self.subscriptions.discard(client_id)

    def send_messages(self, entries):
        for client_id in self.subscriptions.copy():
            if client_id in self.server.sockets:
                self.server.send_sync("logs", {"entries": entries, "size": None}, client_id)
            else:
                self.unsubscribe(client_id)


class Assets:
    """The newest ComfyUI's asset manager: it is given the server's send_sync when that is made."""

    def set_event_sink(self, sink):
        self.sink = sink


# ---- prompts ------------------------------------------------------------------------------------------------------


class Step:
    """What a node has while it runs."""

    def __init__(self, comfy, node_id):
        self.comfy, self.server, self.node_id = comfy, comfy.server, node_id

    def progress(self, value, total, preview=None):
        """comfy.utils.ProgressBar."""
        self.comfy.hook(value, total, preview, self.node_id)

    def send(self, event, data, *sid):
        self.server.send_sync(event, data, *sid)

    def text(self, text):
        """Code 3, which has no sid unless the node gives one."""
        node = self.node_id.encode()
        self.server.send_sync(3, struct.pack(">I", len(node)) + node + text.encode())


class Executor:
    """PromptExecutor: on the prompt thread, one prompt at a time, with a loop of its own for async nodes."""

    def __init__(self, comfy):
        self.comfy, self.server = comfy, comfy.server

    def execute(self, prompt, prompt_id, extra_data={}, execute_outputs=[]):
        asyncio.run(self.execute_async(prompt, prompt_id, extra_data))

    async def execute_async(self, prompt, prompt_id, extra_data):
        self.server.client_id = extra_data["client_id"] if "client_id" in extra_data else None
        self.tell("execution_start", {"prompt_id": prompt_id})
        self.comfy.nodes = Nodes(self.comfy, prompt_id)
        for node_id, node in prompt.items():
            self.server.last_node_id = node_id
            self.comfy.nodes.moves(node_id, "running", 0.0, 1.0)
            self.tell("executing", {"node": node_id, "display_node": node_id, "prompt_id": prompt_id})
            error = await self.run_node(node, node_id, prompt_id)
            if error:
                self.tell("execution_error", {"prompt_id": prompt_id, "node_id": node_id, "exception_type": error})
                break
            self.comfy.nodes.moves(node_id, "finished", 1.0, 1.0)
        else:
            self.tell("execution_success", {"prompt_id": prompt_id})
        self.server.last_node_id = None

    async def run_node(self, node, node_id, prompt_id):
        token = self.comfy.context.set(types.SimpleNamespace(prompt_id=prompt_id, node_id=node_id))
        try:
            result = node(Step(self.comfy, node_id))
            if asyncio.iscoroutine(result):
                await asyncio.create_task(result)
        except Exception as error:
            return type(error).__name__
        finally:
            self.comfy.context.reset(token)
        return None

    def tell(self, event, data):
        if self.server.client_id is not None:
            self.server.send_sync(event, data, self.server.client_id)


class Nodes:
    """The progress registry with its one handler, the web UI's: a snapshot at each move, and previews with metadata for a
    client whose socket here has asked for them."""

    def __init__(self, comfy, prompt_id):
        self.comfy, self.server, self.prompt_id, self.states = comfy, comfy.server, prompt_id, {}

    def moves(self, node_id, state, value, total, preview=None):
        if "progress" in self.comfy.without:
            return
        self.states[node_id] = {"value": value, "max": total, "state": state, "node_id": node_id,
                                "prompt_id": self.prompt_id, "display_node_id": node_id, "parent_node_id": None,
                                "real_node_id": node_id}
        nodes = {n: dict(s) for n, s in self.states.items()}
        self.server.send_sync("progress_state", {"prompt_id": self.prompt_id, "nodes": nodes}, self.server.client_id)
        if preview and self.comfy.gate()(self.server.sockets_metadata, self.server.client_id, METADATA_FLAG):
            metadata = {"node_id": node_id, "prompt_id": self.prompt_id, "display_node_id": node_id,
                        "parent_node_id": None, "real_node_id": node_id}
            self.server.send_sync(4, (preview, metadata), self.server.client_id)


def supports_feature(sockets_metadata, sid, name):
    """comfy_api.feature_flags."""
    return sockets_metadata.get(sid, {}).get("feature_flags", {}).get(name, False) is True


# ---- all of it ----------------------------------------------------------------------------------------------------


class ComfyUI:
    """One process' worth of ComfyUI. without: "progress" and "context" (up to 0.3.43), "executor", "terminal", "assets",
    "send_sync"; is_gate_by_name: progress handlers import the gate as a function."""

    def __init__(self, without=(), is_gate_by_name=False):
        self.without, self.is_gate_by_name = frozenset(without), is_gate_by_name
        self.context = contextvars.ContextVar("executing", default=None)
        self.loop, self.nodes = asyncio.new_event_loop(), None
        server_class = type("PromptServer", (Server,), {})  # of this one alone: hooks on a class stay on it
        self.executor_class = type("PromptExecutor", (Executor,), {})
        self.server = server_class.instance = server_class(self.loop)
        if "assets" not in self.without:
            self.server.asset_manager = Assets()
            self.server.asset_manager.set_event_sink(self.server.send_sync)
        if "terminal" not in self.without:
            terminal = self.terminal = Terminal(self.server)
            self.server.internal_routes = types.SimpleNamespace(terminal_service=terminal)
        if "send_sync" in self.without:
            server_class.send_sync = None
        self.flags = types.SimpleNamespace(supports_feature=supports_feature, get_server_features=lambda: {METADATA_FLAG: True})
        self.prompts, self.threads = queue.Queue(), []
        self.numbers = itertools.count(1)

    # -- its modules

    def modules(self):
        found = {"server": {"PromptServer": type(self.server)}, "execution": {"PromptExecutor": self.executor_class},
                 "comfy_execution.progress": {"supports_feature": supports_feature} if self.is_gate_by_name
                 else {"feature_flags": self.flags},
                 "comfy_execution.utils": {"get_executing_context": lambda: self.context.get()}}
        left_out = {"executor": "execution", "progress": "comfy_execution.progress", "context": "comfy_execution.utils"}
        for name in self.without & set(left_out):
            del found[left_out[name]]
        return found

    def gate(self):
        """What the progress handler calls: looked up in its module each time."""
        progress = sys.modules["comfy_execution.progress"]
        return progress.supports_feature if self.is_gate_by_name else progress.feature_flags.supports_feature

    def __enter__(self):
        for name, contents in self.modules().items():
            module = sys.modules[name] = types.ModuleType(name)
            vars(module).update(contents)
        return self

    def __exit__(self, *_):
        for name in self.modules():
            del sys.modules[name]
        self.prompts.put(None)
        if self.threads:
            self.loop.call_soon_threadsafe(self.loop.stop)
        for thread in self.threads:
            thread.join(TIMEOUT)
        self.loop.close()

    # -- its life

    def load(self, extension=lambda: None):
        """Custom nodes are imported, then everything starts."""
        loaded = extension()
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self.serve, self.execute)]
        for thread in self.threads:
            thread.start()
        return loaded

    def serve(self):
        task = self.loop.create_task(self.server.publish_loop())
        self.loop.run_forever()
        task.cancel()
        self.loop.run_until_complete(asyncio.gather(task, return_exceptions=True))

    def execute(self):
        executor = self.executor_class(self)
        while (posted := self.prompts.get()) is not None:
            prompt, prompt_id, extra_data, after, done = posted
            self.server.last_prompt_id = prompt_id
            executor.execute(prompt, prompt_id, extra_data)
            self.server.queue_remaining -= 1
            self.server.queue_updated()
            if self.server.client_id is not None:
                self.server.send_sync("executing", {"node": None, "prompt_id": prompt_id}, self.server.client_id)
            after(self.server)
            done.set()

    def hook(self, value, total, preview, node_id):
        """hijack_progress: what a progress bar calls, with main.py's own preview gate."""
        prompt_id = self.server.last_prompt_id
        if "progress" not in self.without:
            self.nodes.moves(node_id, "running", value, total, preview)
        progress = {"value": value, "max": total, "prompt_id": prompt_id, "node": node_id}
        self.server.send_sync("progress", progress, self.server.client_id)
        is_new = "progress" not in self.without
        flags = self.server.sockets_metadata, self.server.client_id, METADATA_FLAG
        if preview is not None and not (is_new and self.flags.supports_feature(*flags)):
            self.server.send_sync(2, preview, self.server.client_id)

    # -- what a test does with it

    def connect(self, sid, flags=None):
        """A native socket; flags: whether it supports previews with metadata (None: it says nothing)."""
        socket = self.server.sockets[sid] = Socket()
        self.server.sockets_metadata[sid] = {"feature_flags": {} if flags is None else {METADATA_FLAG: flags}}
        return socket

    def disconnect(self, sid):
        self.server.sockets.pop(sid, None)
        self.server.sockets_metadata.pop(sid, None)

    def post(self, nodes, prompt_id=None, after=lambda server: None, **extra_data):
        """Queues a prompt. after: what the prompt thread does when it is over. Answers (prompt id, event of its end)."""
        prompt_id, done = prompt_id or f"prompt-{next(self.numbers)}", threading.Event()
        self.server.queue_remaining += 1
        self.server.queue_updated()
        self.prompts.put((nodes, prompt_id, extra_data, after, done))
        return prompt_id, done

    def run(self, nodes, **options):
        """Runs a prompt to its end, until all its events were sent. Answers its id."""
        prompt_id, done = self.post(nodes, **options)
        assert done.wait(TIMEOUT), "the prompt did not end"
        self.sent()
        return prompt_id

    def sent(self):
        """What was raised before this has been sent to the sockets here."""
        done = threading.Event()
        self.loop.call_soon_threadsafe(self.server.messages.put_nowait, (Barrier, done, None))
        assert done.wait(TIMEOUT), "the loop does not send"
