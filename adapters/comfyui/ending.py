"""The end of the interpreter: something is done before, however it comes about."""
import atexit
import os
import signal
import threading
import weakref


def before_end(act):
    """Calls act() when the interpreter exits, and on SIGTERM unless somebody else handles it: ComfyUI does not, so
    Python would die of it on the spot. The exit status stays that of the signal. Answers how to take it back."""
    atexit.register(act)
    handler = None
    if is_main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        handler = die_after(act)
        signal.signal(signal.SIGTERM, handler)

    def undo():
        atexit.unregister(act)
        if handler and is_main_thread() and signal.getsignal(signal.SIGTERM) is handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
    return undo


def after_fork(act):
    """Calls this method in each forked child, as long as its object lives."""
    method = weakref.WeakMethod(act)

    def forked():
        if method():
            method()()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=forked)


def is_main_thread():
    return threading.current_thread() is threading.main_thread()


def die_after(act):
    """A handler of SIGTERM that calls act() and then lets the signal have its way."""
    def on_sigterm(_number, _frame):
        try:
            act()
        finally:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTERM)
        raise SystemExit(128 + signal.SIGTERM)  # PID 1 does not die of a signal
    return on_sigterm
