"""A page in a browser whose session goes on: reloaded, left, closed, or cut off, on one relay or on two.

A relay waits 150 ms for a new page's flags and for the old one's goodbye, and what comes later it need not know of. On a busy
machine they do come later. When they came is seen in what the page was sent, and in the relays' logs.
"""
import datetime
import os
import re

from comfyui import ComfyUI
from recorded import RecordedRun, assert_goes_on, assert_same, frames
from servers import until

HERE = os.path.dirname(os.path.abspath(__file__))
IN_TIME_MS = 100
ATTEMPTS = 10
OPENED_OR_CLOSED = re.compile(r'^time=(\S+) level=debug msg="connection (opened|closed)" sid=(\S+)(?: reason=(\S+))?', re.M)


class Tab:
    """A page and the relays it may be given; the page is told at each load where its relay is."""

    def __init__(self, browser, server, relays, wire=None, has_flag=True):
        self.browser, self.server, self.wire, self.has_flag = browser, server, wire, has_flag
        self.relays, self.relay = relays, relays[0]
        self.comfy = ComfyUI(relays[0], server)
        self.serve()
        self.page = browser.open().goto(self.url)
        self.sid = self.page.wait_open()
        self.run = RecordedRun(server, self.sid)

    @property
    def url(self):
        return f"http://{self.comfy.host}/page"

    def serve(self):
        host = "%s:%d" % (self.wire or self.relay).address
        with open(os.path.join(HERE, "session.html"), encoding="utf-8") as f:
            page = f.read().replace("RELAY", host).replace("FLAGS", "true" if self.has_flag else "false")
        self.comfy.page = page.encode()

    def next_relay(self):
        """The next socket goes to the other relay, if there are two."""
        self.relay = self.relays[(self.relays.index(self.relay) + 1) % len(self.relays)]
        if self.wire:
            self.wire.target = self.relay.address
        self.serve()

    def played(self, to):
        """Up to a place, and the page has it all and has acknowledged it."""
        (newest,) = frames([self.run.play(to)], self.has_flag)
        self.page.wait_frame(newest)
        self.run.wait_acknowledged()

    # -- ways to go

    def reload(self):
        self.next_relay()
        self.page.reload()

    def leave_and_return(self):
        self.page.goto("about:blank")
        self.run.wait_forgotten()
        self.next_relay()
        self.page.goto(self.url)

    def close_and_open(self):
        """As a browser opens a closed tab again: with its session."""
        self.page.close()
        self.run.wait_forgotten()
        self.next_relay()
        self.page = self.browser.open()
        self.page.call("addInitScript", f'window.name = "{self.sid}"')
        self.page.goto(self.url)

    def reload_with_goodbye_first(self):
        old = self.wire.newest
        self.wire.shut_door()
        self.page.reload()
        self.wire.wait(lambda: old.is_over, "the relay to close the old socket")
        self.next_relay()
        self.wire.open_door()

    def reload_with_goodbye_last(self):
        """The relay hears it when the new socket has had its first status."""
        old = self.wire.newest
        old.up.clear()
        self.wire.shut_door()
        self.next_relay()
        self.page.reload()
        self.wire.wait(lambda: old.held, "the goodbye")
        assert old.held_close_code == 1001, old.held
        self.wire.open_door()
        self.wire.wait(lambda: self.wire.newest is not old and b'"sid":' in self.wire.newest.told, "the first status")
        old.up.set()

    def go_in_time(self, go, with_flags=False):
        """Again, until the old page's goodbye (and the new one's flags) came in time."""
        for _ in range(ATTEMPTS):
            go()
            assert self.page.wait_open() == self.sid
            if self.goodbye_came_in_time() and (not with_flags or self.flags_came_in_time()):
                return
            self.run.wait_acknowledged()
        raise AssertionError(f"never in time, in {ATTEMPTS} attempts")

    def goodbye_came_in_time(self):
        """The old socket was closed by the page, not much later than the new one was opened. One that the browser drops while
        events come is reset, and its goodbye may be lost with it."""
        opened, (closed, reason) = until(self.all_but_one_closed, "the old socket to be closed")
        return reason == "client" and closed - opened <= datetime.timedelta(milliseconds=IN_TIME_MS)

    def all_but_one_closed(self):
        """When the newest was opened, and the last one closed, with the reason; None: another one is still open."""
        times = {"opened": [], "closed": []}
        for relay in self.relays:
            for at, what, sid, reason in OPENED_OR_CLOSED.findall(relay.stderr):
                if self.sid.startswith(sid.removesuffix("...")):
                    times[what].append((datetime.datetime.fromisoformat(at.replace("Z", "+00:00")), reason))
        is_so = len(times["closed"]) == len(times["opened"]) - 1
        return (max(times["opened"])[0], max(times["closed"])) if is_so else None

    def flags_came_in_time(self):
        """Before anything was replayed."""
        if not self.has_flag:
            return True
        self.page.wait("sockets.at(-1).unflagged !== null")
        return self.page.evaluate("sockets.at(-1).unflagged") == 0

    # -- what the new page must see

    def expect_whole_run(self):
        """Since `execution_start`, in the form that it asked for, if it asked in time; returns how many frames that is."""
        assert self.page.wait_open() == self.sid
        has_flag = self.has_flag and self.flags_came_in_time()
        kept, conflated = frames(self.run.kept(), has_flag), frames(self.run.conflated(), has_flag)
        seen = self.page.wait_frames(len(kept) + len(conflated))
        if len(self.relays) == 1:
            assert_same(seen, frames(self.run.log(), has_flag))
        else:  # read back from Redis: the conflated ones follow, in no order
            assert_same(seen[:len(kept)] + sorted(seen[len(kept):]), kept + sorted(conflated))
        return len(seen)

    def wait_next_socket(self, count):
        """The page has come back by itself, and has been told so many frames."""
        self.page.wait("sockets.at(-2)?.code != null && sockets.at(-1).first")
        assert self.page.wait_open() == self.sid
        return self.page.wait_frames(count)

    def expect_end(self):
        """Every kept event, once and in order, over all sockets of this page."""
        (newest,) = frames([self.run.play_on()], self.has_flag)
        self.page.wait_frame(newest)
        kept = frames(self.run.kept(), self.has_flag)
        seen = self.page.evaluate("sockets.flatMap((s) => s.frames)")
        assert_same([f for f in seen if f in kept], kept)

    def expect_the_rest(self, had):
        begin = self.run.at
        (newest,) = frames([self.run.play_on()], self.has_flag)
        self.page.wait_frame(newest)
        assert_goes_on(self.page.frames()[had:], self.run.mine(begin, None), self.has_flag)

    def close(self):
        self.page.close()
        self.comfy.close()
