"""The test's way into the server: an event from the event loop, which nodes are at
work, and what an extension has changed."""
import contextlib
import signal
import sys
import threading

from aiohttp import web
from server import PromptServer

RUNNING = []  # names of nodes that are at work, for those that take their time


@contextlib.contextmanager
def running(node):
    RUNNING.append(node)
    try:
        yield
    finally:
        RUNNING.remove(node)


def add():
    routes = PromptServer.instance.routes

    @routes.post("/golden/send")
    async def send(request):
        said = await request.json()
        PromptServer.instance.send_sync(said["type"], said.get("data"), said.get("sid"))
        return web.json_response({})

    @routes.get("/golden/running")
    async def at_work(_):
        return web.json_response(RUNNING)

    @routes.get("/golden/state")
    async def state(_):
        return web.json_response(changeable(PromptServer.instance))


def changeable(server):
    """What an extension could have changed, in words: threads, the methods that make and send events, signals."""
    import execution
    progress = sys.modules.get("comfy_execution.progress")
    terminal = server.internal_routes.terminal_service
    gates = {} if progress is None else {name: where(getattr(progress, name)) for name in ("feature_flags", "supports_feature")
                                         if hasattr(progress, name)}
    return {"threads": sorted(t.name for t in threading.enumerate()), "class": where(type(server)),
            "methods": {name: where(getattr(server, name)) for name in ("send_sync", "send", "add_on_prompt_handler")},
            "own": sorted(n for n in vars(server) if n.startswith("send")), "execute": where(execution.PromptExecutor.execute),
            "gates": gates, "terminal": where(type(terminal.server)), "SIGTERM": where(signal.getsignal(signal.SIGTERM)),
            "redis": "redis" in sys.modules}


def where(x):
    """Which code it is: the place of a function, the name of a module or class."""
    code = getattr(x, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else str(getattr(x, "__name__", type(x).__name__))
