"""Makes this ComfyUI a worker of comfy-relay: its events go to Redis as well, for clients that are at a relay.

Set COMFY_RELAY_REDIS_URL. Without it nothing happens at all.
"""
from . import settings as _settings
from .notes import say as _say

NODE_CLASS_MAPPINGS = {}
NODE_DISPLAY_NAME_MAPPINGS = {}
__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]

_ERROR = 40


def _start():
    """Hooks ComfyUI and begins to publish, and says so; ValueError: a setting is wrong."""
    settings = _settings.read()
    if settings is None:
        return None
    try:
        from . import hooks
        from .publisher import Publisher
    except ImportError as error:
        return _say("nothing is published: %s (pip install -r requirements.txt, in this extension's folder)", error,
                    level=_ERROR)
    server = hooks.find_server()
    if server is None:
        return _say("nothing is published: ComfyUI's PromptServer.send_sync was not found", level=_ERROR)
    if hooks.is_hooked(server):
        return _say("at work already; changes take effect when ComfyUI is started again")
    publisher = Publisher(settings)
    publisher.start()
    try:
        found, missing = hooks.install(server, publisher, settings.scope, settings.worker_id)
    except Exception:
        publisher.close()
        raise
    return _say("publishing to %s as worker %s: hooked %s%s", settings.where, settings.worker_id, ", ".join(found),
                "; not found: " + ", ".join(missing) if missing else "")


try:
    _start()
except ValueError as _error:
    _say("nothing is published: %s", _error, level=_ERROR)
except Exception as _error:
    _say("nothing is published: %s: %s", type(_error).__name__, _error, level=_ERROR)
