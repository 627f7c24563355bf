"""How much longer things take here just now than where a core is free: a promise of time is held to that many times longer. The
crowd's own work waits for a core like all others, and the kernel counts that."""
import time

# The promise to clients is 1 s; 0.3 s of it are the client's own wait before it tries again, however busy the machine is.
RETRY_S, COMING_BACK_S = 0.3, 0.7
AT_MOST = 3


class Slowness:
    """Since it was made, in this thread."""

    def __init__(self):
        self.began_at = worked_and_waited()

    def factor(self):
        """1: whoever wanted a core had one."""
        worked, waited = (now - before for now, before in zip(worked_and_waited(), self.began_at))
        return min((worked + waited) / worked, AT_MOST)

    def check_away(self, crowd):
        """That nobody was away for longer than is promised. How long one was, at most."""
        away = max(m.longest_away for m in crowd.members)
        allowed = RETRY_S + COMING_BACK_S * self.factor()
        print(crowd.figures(), f"away for {away:.2f} s at most, {allowed:.2f} s allowed")
        assert away <= allowed, f"a client was away for {away:.2f} s, and {allowed:.2f} s are allowed"
        return away


def worked_and_waited():
    """Seconds in which this thread had a core, and in which it could have used one and had none."""
    try:
        with open("/proc/thread-self/schedstat", encoding="ascii") as f:
            return [int(ns) / 1e9 for ns in f.read().split()[:2]]
    except FileNotFoundError:
        return [time.thread_time(), 0.0]
