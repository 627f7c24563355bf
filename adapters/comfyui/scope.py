"""Whose event it is: one session's, everybody's or nobody's.

A stock server sends what has no sid to everybody. Behind a relay there are strangers, so what a running prompt causes
goes to that prompt's client only, and to nobody when the prompt has none.
"""
import collections
import re
import threading

EVERYBODY, NOBODY = None, ""
FOR_ALL = "status"
SID_BYTES = 128
PROMPTS = 64  # so many are remembered for what their nodes left running

BAD_IN_SID = re.compile(r"[\x00-\x1f\x7f-\x9f{}]")


def session(client_id):
    """The sid of a client, or NOBODY when it is no sid: 1 to 128 bytes of UTF-8, no control characters, no braces."""
    return str.__str__(client_id) if isinstance(client_id, str) and is_sid(client_id) else NOBODY


def is_sid(text):
    try:
        return 1 <= len(text.encode()) <= SID_BYTES and BAD_IN_SID.search(text) is None
    except UnicodeEncodeError:  # a lone surrogate
        return False


class Here(threading.local):
    """What this thread works for."""

    sids = ()  # of its running prompts, the innermost last


class Scope:
    """Knows which thread works for which prompt, and whose prompts they are. `is_stock`: what has no sid is for
    everybody, whoever raised it. `context` answers ComfyUI's executing context of this thread and task, or None."""

    def __init__(self, is_stock=False, context=lambda: None):
        self._is_stock, self._context = is_stock, context
        self._here = Here()
        self._sids = collections.OrderedDict()  # prompt id -> sid
        self._lock = threading.Lock()

    def begins(self, prompt_id, client_id):
        """From now on this thread works for this prompt. Answers its sid, or NOBODY."""
        sid = session(client_id)
        self._here.sids += (sid,)
        with self._lock:
            self._sids[prompt_id] = sid
            self._sids.move_to_end(prompt_id)
            while len(self._sids) > PROMPTS:
                self._sids.popitem(last=False)
        return sid

    def ends(self):
        """This thread's prompt has ended: what it does from now on is not that client's."""
        self._here.sids = self._here.sids[:-1]

    def addressee(self, kind, sid):
        """EVERYBODY, NOBODY or a sid, for an event of this type that was raised with this sid, on this thread."""
        if sid is not None:
            return session(sid)
        if self._is_stock or kind == FOR_ALL:
            return EVERYBODY
        return self._here.sids[-1] if self._here.sids else self._of_context()

    def _of_context(self):
        """Of a thread that works for no prompt: a node may have brought its context there."""
        context = self._context()
        if context is None:
            return EVERYBODY
        return self._sids.get(context.prompt_id, NOBODY)
