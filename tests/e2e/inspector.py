"""The inspector in a browser, as a person has it: what it shows, what it does when it is asked to."""
import json
import re

from servers import until

BLOCKED = re.compile(r"WebSocket connection to .* failed")  # the browser's own words for a socket that is lost or refused


class Inspector:
    def __init__(self, browser, relay, fragment="sid=demo", wire=None, path="/", size=(1360, 850)):
        self.browser, self.relay, self.allowed = browser, relay, []
        self.page = browser.open()
        self.page.call("setViewportSize", {"width": size[0], "height": size[1]})
        if wire:
            self.allowed.append("ws://%s:%d/ws" % wire.address)
            fragment += f"&relay={self.allowed[0]}"
        self.address = f"http://127.0.0.1:{relay.ops_port}"
        self.page.goto(f"{self.address}{path}#{fragment}" if fragment else f"{self.address}{path}")
        self.wait("document.readyState === 'complete'")

    # Its policy forbids evaluation to pages, and so to Playwright's waitForFunction, but not to the debugger.
    def evaluate(self, expression):
        return self.page.evaluate(expression)

    def wait(self, expression):
        return until(lambda: self.evaluate(expression), expression)

    def press(self, *keys):
        for key in keys:
            self.page.call("keyboard.press", key)

    def click(self, selector):
        self.page.call("click", selector)

    def drawn(self):
        """Once what has come is on the screen."""
        self.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return self

    # -- what it shows

    def text(self, id):
        return self.evaluate(f"document.getElementById('{id}').innerText")

    def wait_text(self, id, text):
        until(lambda: self.text(id) == text, f"{id} to show {text!r}, it shows {self.text(id)!r}")
        return self

    def wait_connected(self):
        return self.wait_text("state", "Connected")

    def has(self, id):
        return self.evaluate(f"document.getElementById('{id}').checkVisibility()")

    def nodes(self):
        """{node: (state, progress)} as the table has them."""
        rows = self.evaluate("""[...document.querySelectorAll('#nodes tr')].map((row) => [row.querySelector('code').innerText,
            row.querySelector('.badge').innerText, row.querySelector('progress').value, row.querySelector('progress').max])""")
        return {name: (state, f"{value:g}/{most:g}") for name, state, value, most in rows}

    def rows(self):
        """The rows in sight: [number, time, after, bytes, type, content]."""
        self.drawn()
        return self.evaluate("""[...document.querySelectorAll('#rows .row:not([hidden])')]
            .sort((a, b) => a.ariaRowIndex - b.ariaRowIndex).map((row) => [...row.children].map((cell) => cell.textContent))""")

    def types(self):
        """{type: count} of the buttons that filter by it."""
        self.drawn()
        chips = self.evaluate("""[...document.querySelectorAll('#types button')].filter((c) => c.checkVisibility())
            .map((c) => [c.firstChild.textContent, c.lastChild.textContent])""")
        return {name: int(count.replace(",", "")) for name, count in chips}

    def frames(self):
        """What it has received, but for status and feature flags, as session.html shows it."""
        return self.evaluate("""store.frames.filter((f) => f.way === 'in' && f.type !== 'status' && f.type !== 'feature_flags')
            .map((f) => typeof f.content === 'string' ? f.content :
            'binary ' + [...new Uint8Array(f.content)].map((b) => b.toString(16).padStart(2, '0')).join(''))""")

    def cpu_ms(self, expression):
        """How much of the processor's time it takes, however busy the machine is."""
        before = self.page.call("cpu")
        self.evaluate(expression)
        return (self.page.call("cpu") - before) * 1000

    def pixels(self, selector, points):
        """[r, g, b] at points of a picture."""
        return self.evaluate(f"""(() => {{
            const img = document.querySelector({json.dumps(selector)}), canvas = document.createElement('canvas');
            canvas.width = img.naturalWidth; canvas.height = img.naturalHeight;
            const context = canvas.getContext('2d', {{ willReadFrequently: true }});
            context.drawImage(img, 0, 0);
            return {json.dumps(points)}.map(([x, y]) => [...context.getImageData(x, y, 1, 1).data].slice(0, 3));
        }})()""")

    # -- what it must never do

    def complaints(self):
        return [c for c in self.browser.call(self.page.id, "told")["complaints"] if not BLOCKED.match(c)]

    def requests(self):
        """All that left the page, pictures in its memory not counted."""
        return [r for r in self.browser.call(self.page.id, "told")["requests"] if not r.startswith(("blob:", "data:"))]

    def check(self):
        """No complaint of the browser, no violation of its policy, and nothing was asked of anybody but the relay."""
        assert self.complaints() == []
        allowed = (f"{self.address}/", f"ws://127.0.0.1:{self.relay.port}/ws", *self.allowed)
        assert [r for r in self.requests() if not r.startswith(allowed)] == []

    def close(self):
        self.page.close()
