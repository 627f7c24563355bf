"""Where the extension listens in ComfyUI. Everything is looked for, nothing is taken for granted.

    PromptServer.send_sync           every event but those made at a socket's connect        must be there
    PromptExecutor.execute           which prompt runs, on which thread, for whom
    comfy_execution.progress         its preview gate: with it, previews come with metadata
    TerminalService                  the log panel of tabs that are at a relay
    asset manager                    holds a send_sync from before ours

What clients of ComfyUI's own sockets get stays what it was.
"""
import functools
import inspect
import sys
import threading

from .event import PREVIEW_WITH_METADATA, UNENCODED_PREVIEW, Refused, copied
from .notes import Rarely
from .scope import FOR_ALL, NOBODY, Scope, session

MARK = "_comfy_relay"  # on a server that is hooked, whichever copy of the extension has done it
FLAG = "supports_preview_metadata"


def find_server():
    """ComfyUI's server, or None when it is not there or has no send_sync."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    return server if callable(getattr(server, "send_sync", None)) else None


def is_hooked(server):
    return hasattr(server, MARK)


def install(server, publisher, scope="prompt", worker_id=None):
    """Hooks a server that find_server() has found, once. Answers (what was hooked, what was not found), for the log."""
    tap = Tap(publisher, Scope(scope == "stock", executing_context()), worker_id)
    setattr(server, MARK, tap)
    hook_send_sync(server, tap)
    found, missing = ["events"], []
    for name, otherwise, hook in OPTIONAL:
        try:
            is_there = hook(server, tap)
        except Exception:  # it is there, and not as we know it
            is_there = False
        if is_there:
            found.append(name)
        elif otherwise:
            missing.append(otherwise)
    return found, missing


def executing_context():
    """ComfyUI's own notion of the node that the current thread or task works for."""
    context = getattr(sys.modules.get("comfy_execution.utils"), "get_executing_context", None)
    return context if callable(context) else lambda: None


# ---- events -------------------------------------------------------------------------------------------------------


class Here(threading.local):
    """What this thread has just done."""

    is_withheld = False  # the preview that it raises next is one that a stock server would not raise
    previewed = None  # the picture that it has published with metadata


class Tap:
    """Sees each send_sync before ComfyUI decides who gets it, and publishes it. Raises nothing."""

    def __init__(self, publisher, scope, worker_id):
        self.publisher, self.scope, self.here = publisher, scope, Here()
        self._worker_id, self._rarely = worker_id, Rarely()
        self._running, self._lock = [], threading.Lock()

    def passes(self, args, kwargs):
        """Publishes the event of these arguments of send_sync. Answers whether ComfyUI is to have it."""
        try:
            return self._passes(*args, **kwargs)
        except Exception as error:
            self._drop(args[0] if args else kwargs.get("event"), error)
            return True

    def _passes(self, event, data, sid=None):
        is_withheld, self.here.is_withheld = self.here.is_withheld, False
        try:
            self._publish(event, data, sid)
        except Exception as error:
            self._drop(event, error)
        return not (is_withheld and event == PREVIEW_WITH_METADATA)

    def _publish(self, event, data, sid):
        addressee = self.scope.addressee(event, sid)
        if addressee == NOBODY or event == UNENCODED_PREVIEW and self._is_published(data):
            return
        item = copied(event, data, addressee, self._worker_id)
        remaining = queue_remaining(data) if event == FOR_ALL else None
        self.publisher.put(item)
        if event == PREVIEW_WITH_METADATA:
            self.here.previewed = data[0]
        elif remaining is not None:
            self.publisher.queue_is(remaining)

    def _is_published(self, picture):
        """ComfyUI raises a preview for clients without the flag just after the same one with metadata."""
        previewed, self.here.previewed = self.here.previewed, None
        return picture is previewed

    def _drop(self, event, error):
        """Counts, and says so now and then; not from inside the log."""
        self.publisher.refused += 1
        if not isinstance(event, str) or event != "logs":
            self._rarely.say("refused", "the event %.80r cannot be sent, and is dropped: %s: %.200s", event,
                             type(error).__name__, error)

    # -- prompts

    def begins(self, prompt_id, client_id):
        """This thread begins to execute a prompt."""
        run = prompt_id, self.scope.begins(prompt_id, client_id) or None
        self._runs(self._running.append, run)
        return run

    def ends(self, run):
        """That prompt is executed; another thread may execute one still."""
        self.here.previewed = None
        self.scope.ends()
        self._runs(self._running.remove, run)

    def _runs(self, change, run):
        try:
            with self._lock:
                change(run)
                self.publisher.executes(*(self._running[-1] if self._running else (None, None)))
        except Exception as error:
            self._rarely.say("untold", "what is executed could not be told: %r", error)


def queue_remaining(status):
    """How many prompts wait or run. Refused for a `status` that does not tell: it breaks the contract."""
    try:
        remaining = status["status"]["exec_info"]["queue_remaining"]
    except (TypeError, KeyError, IndexError):
        remaining = None
    if not isinstance(remaining, int) or isinstance(remaining, bool) or not 0 <= remaining < 1 << 63:
        raise Refused("a status without queue_remaining")
    return int(remaining)


def hook_send_sync(server, tap):
    """On the server's class, so that what others wrap around it, before or after, goes on working; on the server
    itself when somebody has put one there, which the class' would not reach."""
    owner = server if "send_sync" in vars(server) else type(server)
    original = owner.send_sync

    @functools.wraps(original)
    def send_sync(*args, **kwargs):
        if tap.passes(args if owner is server else args[1:], kwargs):
            return original(*args, **kwargs)
        return None

    owner.send_sync = send_sync


# ---- prompts ------------------------------------------------------------------------------------------------------


def hook_executor(_server, tap):
    executor = getattr(sys.modules.get("execution"), "PromptExecutor", None)
    original = getattr(executor, "execute", None)
    if original is None or inspect.iscoroutinefunction(original):
        return False
    signature = inspect.signature(original)
    if not {"prompt_id", "extra_data"} <= set(signature.parameters):
        return False

    @functools.wraps(original)
    def execute(*args, **kwargs):
        run = begin(tap, signature, args, kwargs)
        try:
            return original(*args, **kwargs)
        finally:
            if run:
                tap.ends(run)

    executor.execute = execute
    return True


def begin(tap, signature, args, kwargs):
    """Tells of the prompt that these arguments of execute() are about. None: they are about none."""
    try:
        given = signature.bind(*args, **kwargs).arguments
        extra = given.get("extra_data")
        return tap.begins(str(given["prompt_id"]), extra.get("client_id") if isinstance(extra, dict) else None)
    except Exception:  # the original will say what is wrong
        return None


# ---- previews -----------------------------------------------------------------------------------------------------


def hook_previews(server, tap):
    """Progress handlers make a preview with metadata only if the client's socket here wants it. Theirs always does now;
    send_sync keeps from ComfyUI what stock would not have made."""
    progress = sys.modules.get("comfy_execution.progress")
    if callable(getattr(getattr(progress, "feature_flags", None), "supports_feature", None)):
        progress.feature_flags = Gate(progress.feature_flags, tap.here)
    elif callable(getattr(progress, "supports_feature", None)):
        progress.supports_feature = Gate(progress, tap.here, progress.supports_feature).supports_feature
    else:
        return False
    return True


class Gate:
    """Stands for ComfyUI's module of feature flags where progress handlers ask it."""

    def __init__(self, flags, here, supports_feature=None):
        self._flags, self._here, self._supports_feature = flags, here, supports_feature

    def __getattr__(self, name):
        return getattr(self._flags, name)

    def supports_feature(self, sockets_metadata, sid, feature_name):
        """As the original, but a preview with metadata is always wanted."""
        ask = self._supports_feature or self._flags.supports_feature
        answer = ask(sockets_metadata, sid, feature_name)
        if feature_name != FLAG:
            return answer
        self._here.is_withheld = not answer
        return True


# ---- the log panel ------------------------------------------------------------------------------------------------


def hook_log_panel(server, tap):
    terminal = getattr(getattr(server, "internal_routes", None), "terminal_service", None)
    if getattr(terminal, "server", None) is None or not isinstance(getattr(terminal, "subscriptions", None), set):
        return False
    terminal.server = Panel(terminal.server, terminal.subscriptions, tap.publisher)
    return True


class Panel:
    """Stands for the server where the terminal service looks who is still there."""

    def __init__(self, server, subscriptions, publisher):
        self._server = server
        self.sockets = Subscribers(server, subscriptions, publisher)

    def __getattr__(self, name):
        return getattr(self._server, name)


class Subscribers:
    """The server's sockets, among which are also the sids of subscribers that a relay listens for. Who has gone is
    gone when nobody listened for it two times in a row; a socket of our own that closes, at once, unless a relay is
    known to listen."""

    def __init__(self, server, subscriptions, publisher):
        self._server, self._subscriptions, self._publisher = server, subscriptions, publisher
        self._watched, self._silent_since = set(), {}

    def __getattr__(self, name):
        return getattr(self._server.sockets, name)

    def __contains__(self, sid):
        is_here = sid in self._server.sockets
        try:
            return self._is_remote(sid, is_here) or is_here
        except Exception:
            return is_here

    def _is_remote(self, sid, is_here):
        if session(sid) == NOBODY:
            return False
        if sid not in self._watched:
            self._watch(self._subscriptions | {sid})
        asked, is_heard = self._publisher.listeners_asked, self._publisher.has_listener(sid)
        if is_here:
            self._silent_since[sid] = -1
        elif is_heard or is_heard is None and sid not in self._silent_since:
            self._silent_since.pop(sid, None)
        elif self._silent_since.setdefault(sid, asked) < asked:
            self._watch(self._subscriptions - {sid})
            return False
        return True

    def _watch(self, sids):
        self._watched = {sid for sid in sids if session(sid) != NOBODY}
        self._silent_since = {sid: n for sid, n in self._silent_since.copy().items() if sid in self._watched}
        self._publisher.watch(self._watched)


# ---- assets -------------------------------------------------------------------------------------------------------


def hook_assets(server, _tap):
    """The newest ComfyUI's asset manager was given send_sync before it was ours."""
    set_event_sink = getattr(getattr(server, "asset_manager", None), "set_event_sink", None)
    if set_event_sink is None:
        return False
    set_event_sink(server.send_sync)
    return True


# What it is called in the log, what is said when it is not found ("": nothing), how it is hooked.
OPTIONAL = (
    ("prompts", "the prompt executor (what prompts cause goes to everybody)", hook_executor),
    ("previews with metadata", "a preview gate (previews without metadata)", hook_previews),
    ("log panel", "the log panel", hook_log_panel),
    ("assets", "", hook_assets),
)
