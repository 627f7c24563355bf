"""A ComfyUI whose clients lose their connection once in mid-run, while the worker goes on."""
from comfyui import ComfyUI
from recorded import RecordedRun


class InterruptedComfyUI(ComfyUI):
    """`interrupt(wire, run)` is called when the client has acknowledged the run so far; then the client has come back."""

    def __init__(self, wire, server, recording, place, interrupt):
        super().__init__(wire, server, recording)
        self.wire, self.server, self.place, self.interrupt = wire, server, place, interrupt
        self.run = None

    def play(self, prompt_id):
        posted = self.runs[prompt_id]
        self.run = run = RecordedRun(self.server, posted.sid, self.recording, prompt_id)
        run.play(self.place)
        run.wait_acknowledged()
        old = self.wire.newest
        self.interrupt(self.wire, run)
        self.wire.wait(lambda: self.wire.newest is not old and b'"sid":' in self.wire.newest.told, "the client's return")
        run.play(run.after("execution_success") - 1)
        posted.done = True
        run.play_on()


def cut(wire, run):
    """The client is away until it has missed an output and more."""
    wire.shut_door()
    wire.newest.reset()
    run.play(run.after("execution_success") - 2)
    wire.open_door()


def silence(wire, run):
    """Nothing happens: some clients take that for a lost connection."""
