"""The bounded queue between ComfyUI's threads and the one that publishes.

    put() -> incoming -> queue -> take()

Whoever puts never waits: it appends to `incoming`, and moves what is there into the queue unless another thread is at
it just now, which then sees to it. A full queue first gives up what a newer event has made superfluous, then the oldest.
"""
import collections
import threading

TAKE_WAIT_S = 0.1


class Bell:
    """Wakes one thread from another; ringing never waits, wherever it interrupts."""

    def __init__(self):
        self._silent = threading.Lock()
        self._silent.acquire()

    def ring(self):
        """Wakes who waits, or who waits next."""
        try:
            self._silent.release()
        except RuntimeError:
            pass  # it has been rung already

    def wait(self, timeout_s):
        """Until somebody rings, at most that long. True: somebody did."""
        return self._silent.acquire(timeout=max(0, timeout_s))


class Outbox:
    """At most `max_events` items and about `max_bytes` bytes; an item larger than half of that counts as half, so that
    two of any size fit. `conflated` and `lost` count what a full queue gave up.

    An item has `sid`, `key` (None: it is never superseded; else a newer one with the same sid and key supersedes it)
    and `size` in bytes."""

    def __init__(self, max_events, max_bytes):
        self.conflated = self.lost = 0
        self._max_events, self._max_bytes = max_events, max_bytes
        self._incoming = collections.deque()
        self._lock = threading.Lock()  # of all below
        self._items = collections.OrderedDict()  # number -> (item, bytes), oldest first
        self._newest = {}  # (sid, key) -> number of the newest such item in the queue
        self._superseded = collections.OrderedDict()  # numbers of those that are not, first superseded first
        self._bytes = self._number = 0
        self.bell = Bell()  # rung at each put

    def __len__(self):
        return len(self._items) + len(self._incoming)

    def put(self, item):
        """Adds an item. From any thread, signal handlers too; never waits."""
        self._incoming.append(item)
        self._settle()
        self.bell.ring()

    def take(self, max_events, max_bytes):
        """The oldest items: as many as these bounds allow, at least one when there is any."""
        self._settle()
        if not self._lock.acquire(timeout=TAKE_WAIT_S):  # a signal handler has interrupted who holds it
            return []
        try:
            return self._take(max_events, max_bytes)
        finally:
            self._lock.release()
            self._settle()

    def holds(self, sid, key):
        """Whether an item of that sid and key waits."""
        self._settle()
        return (sid, key) in self._newest

    def close_in_child(self):
        """After a fork, in the child, where nobody takes: holds nothing more."""
        self._incoming = collections.deque(maxlen=0)

    def _settle(self):
        while self._incoming and self._lock.acquire(False):
            try:
                self._move()
            finally:
                self._lock.release()

    def _move(self):
        while self._incoming:
            try:
                self._add(self._incoming.popleft())
            except Exception:  # an item without size, or with a key that is none
                self.lost += 1

    def _add(self, item):
        size = min(item.size, self._max_bytes // 2)
        while len(self._items) >= self._max_events or self._items and self._bytes + size > self._max_bytes:
            self._make_room(item)
        self._number += 1
        self._supersede(item)
        self._items[self._number] = item, size
        self._bytes += size

    def _supersede(self, item):
        if item.key is None:
            return
        before = self._newest.get((item.sid, item.key))
        self._newest[item.sid, item.key] = self._number
        if before is not None:
            self._superseded[before] = None

    def _make_room(self, item):
        before = self._newest.get((item.sid, item.key)) if item.key is not None else None
        if self._superseded:
            self._remove(next(iter(self._superseded)))
            self.conflated += 1
        elif before is not None:
            self._remove(before)
            self.conflated += 1
        else:
            self._remove(next(iter(self._items)))
            self.lost += 1

    def _remove(self, number):
        item, size = self._items.pop(number)
        self._bytes -= size
        self._superseded.pop(number, None)
        if item.key is not None and self._newest.get((item.sid, item.key)) == number:
            del self._newest[item.sid, item.key]
        return item

    def _take(self, max_events, max_bytes):
        taken, held = [], 0
        while self._items and len(taken) < max_events:
            number = next(iter(self._items))
            held += self._items[number][1]
            if taken and held > max_bytes:
                break
            taken.append(self._remove(number))
        return taken
