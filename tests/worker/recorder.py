"""A publisher that only remembers, for tests of what is published."""
import msgpack


class Recorder:
    def __init__(self):
        self.items, self.told = [], []  # told: ("queue", n) and ("executes", prompt, sid), and the types of events, in order
        self.refused = self.listeners_asked = 0
        self.watched, self.listeners = (), {}

    def put(self, item):
        self.items.append(item)
        self.told.append(item.kind)

    def queue_is(self, remaining):
        self.told.append(("queue", remaining))

    def executes(self, prompt_id, sid):
        self.told.append(("executes", prompt_id, sid))

    def watch(self, sids):
        self.watched = set(sids)

    def has_listener(self, sid):
        return self.listeners.get(sid)

    def asked(self, **listeners):
        """Redis has answered who listens."""
        self.listeners, self.listeners_asked = listeners, self.listeners_asked + 1

    def events(self, *kinds):
        """The envelopes as they are published; of these types only, or all."""
        return [msgpack.unpackb(i.packed("w1"), strict_map_key=False, unicode_errors="surrogatepass")
                for i in self.items if not kinds or i.kind in kinds]

    def addressed(self, *kinds):
        """[(type, sid)] of them."""
        return [(i.kind, i.sid) for i in self.items if not kinds or i.kind in kinds]
