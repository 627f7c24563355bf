"""The extension's lines in ComfyUI's log: each begins with [comfy-relay], and none comes too often."""
import logging
import time

PREFIX = "[comfy-relay] "
EVERY_S = 10

log = logging.getLogger(__package__ or "comfy_relay")


class Rarely:
    """Says something of a kind about once in a while. From any thread; waits for nobody but the log."""

    def __init__(self, every_s=EVERY_S, clock=time.monotonic):
        self._every_s, self._clock = every_s, clock
        self._next, self._unsaid = {}, {}

    def say(self, kind, text, *args, level=logging.WARNING, every_s=None):
        """Logs text % args, unless something of this kind was logged less than `every_s` ago: then it is counted, and
        the next line tells how many there were. True: it was logged."""
        now = self._clock()
        if now < self._next.get(kind, now):
            self._unsaid[kind] = self._unsaid.get(kind, 0) + 1
            return False
        self._next[kind] = now + (self._every_s if every_s is None else every_s)
        unsaid = self._unsaid.pop(kind, 0)
        log.log(level, PREFIX + text + (f" ({unsaid} more like it before)" if unsaid else ""), *args)
        return True


def say(text, *args, level=logging.INFO):
    """Logs text % args."""
    log.log(level, PREFIX + text, *args)
