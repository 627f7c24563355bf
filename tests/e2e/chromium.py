"""A browser and its pages, as a test drives them. A page of session.html says what its sockets have seen."""
import itertools
import json
import os
import subprocess

from servers import start

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT_MS = 20000


class Failed(Exception):
    """The browser refused, or something did not happen in time."""


class Browser:
    def __init__(self):
        self.process = start(["node", os.path.join(HERE, "browser.mjs")], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        self.ids = itertools.count()

    def call(self, page, name, *args):
        self.process.stdin.write(json.dumps({"page": page, "call": name, "args": args}) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the browser has ended with {self.process.poll()}"
        reply = json.loads(line)
        if "error" in reply:
            raise Failed(f"{name}{args}: {reply['error']}")
        return reply["value"]

    def open(self):
        page = Page(self, next(self.ids))
        self.call(page.id, "open")
        return page

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Page:
    def __init__(self, browser, id):
        self.browser, self.id = browser, id

    def call(self, name, *args):
        return self.browser.call(self.id, name, *args)

    def goto(self, url):
        self.call("goto", url, {"waitUntil": "commit"})
        return self

    def reload(self):
        self.call("reload", {"waitUntil": "commit"})

    def close(self):
        self.call("close")

    def evaluate(self, expression):
        return self.call("evaluate", expression)

    def wait(self, expression, timeout_ms=TIMEOUT_MS):
        self.call("waitForFunction", expression, None, {"polling": 10, "timeout": timeout_ms})

    # -- pages of session.html

    def frames(self):
        """What its newest socket has brought, but for `status` and `feature_flags`."""
        return self.evaluate("sockets.at(-1).frames")

    def wait_open(self):
        """Until its newest socket has brought a frame, which must be a status with its sid; returns that."""
        self.wait("window.sockets?.at(-1)?.first")
        first = json.loads(self.evaluate("sockets.at(-1).first"))
        assert first["type"] == "status" and first["data"]["sid"], first
        return first["data"]["sid"]

    def wait_frame(self, frame):
        """Until its newest socket has brought this frame."""
        self.wait(f"window.sockets?.at(-1)?.frames.includes({json.dumps(frame)})")

    def wait_frames(self, count):
        """Until its newest socket has brought so many, or never will; returns them."""
        try:
            self.wait(f"window.sockets?.at(-1)?.frames.length >= {count}")
        except Failed:
            pass  # the caller shows what is missing
        return self.frames()
