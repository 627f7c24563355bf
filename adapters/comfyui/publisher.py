"""The background thread that publishes: events in order by the publish script, heartbeats, and a goodbye.

    put(), queue_is(), executes()  ->  outbox  ->  batch  ->  Redis
    any thread, never waits            bounded     kept until answered
"""
import collections
import logging
import random
import threading
import time
import uuid

from . import ending
from .link import Link, Lost
from .notes import Rarely, say
from .outbox import Bell, Outbox
from .posts import QUEUE, RUN, Beat, Change, Contract, Event, Listeners, is_error

HEARTBEAT_S = 5
CLOSE_S = 2
FLUSH_SHARE = 0.75  # of the time to close; the rest is for the goodbye
BATCH_EVENTS = 256
BATCH_BYTES = 4 << 20
COMPANY_S = 0.002  # a sampler's step raises several events: they go together, when ComfyUI's thread is done with them
BACK_OFF_S = (0.05, 1)
STILL_AWAY_S = 60
CUTS = 3  # by a Redis that answers, at one and the same event alone: it is that event


class Publisher:
    """Publishes a worker's events and says that it lives. ValueError when the URL's options are none of redis-py's.

    An item to publish has
        sid        None: it is for everybody; else the session it is for
        key        None: it must arrive; else newer items of the same sid and key may stand for it
        lua_key    publish.lua's KEY: str, empty for what must arrive
        ends       whether it ends its prompt
        size       about how many bytes it holds
        packed(worker_id) -> bytes, the event; called once, on the background thread

    `published` counts events that Redis has taken, `refused` those that could not be packed or that Redis answered with
    an error, `conflated` and `lost` what a full queue gave up."""

    def __init__(self, settings, heartbeat_s=HEARTBEAT_S):
        self.published = self.refused = 0
        self.listeners_asked = 0  # how often has_listener() was brought up to date
        self._settings, self._heartbeat_s = settings, heartbeat_s
        self._contract = Contract(settings, boot=uuid.uuid4().hex)
        self._outbox = Outbox(settings.queue_events, settings.queue_bytes)
        self._link, self._rarely = Link(settings), Rarely()
        self._queue, self._run = 0, (None, None)  # as last told to us
        self._said = Beat()  # as of the events published so far
        self._batch = collections.deque()  # not answered yet, oldest first
        self._is_careful, self._cuts = False, 0  # one by one after a cut; how many at the same one
        self._failures = self._next_beat = self._told_lost = 0
        self._watched, self._listeners = (), {}
        self._thread = self._undo = None
        self._flush_until = self._deadline = None
        self._hurry, self._ended = Bell(), Bell()

    @property
    def conflated(self):
        return self._outbox.conflated

    @property
    def lost(self):
        return self._outbox.lost

    # -- from any thread; never waits, raises or logs

    def put(self, item):
        """Publishes it after what was put before."""
        self._outbox.put(item)

    def queue_is(self, remaining):
        """So many prompts wait or run here: told when it changes. Callers take turns, as with executes()."""
        if remaining != self._queue:
            self._queue = remaining
            self.put(Change(QUEUE, remaining))

    def executes(self, prompt_id, sid):
        """This prompt of this session (None: of nobody) runs now; None, None: none does. Told when it changes."""
        if (sid, prompt_id) != self._run:
            self._run = (sid, prompt_id)
            self.put(Change(RUN, (sid, prompt_id)))

    def watch(self, sids):
        """With each heartbeat it is asked whether relays listen for these sessions, and for no others."""
        self._watched = tuple(sids)

    def has_listener(self, sid):
        """Whether a relay listened for it when last asked; None: not known."""
        return self._listeners.get(sid)

    # -- its life

    def start(self):
        """Begins to publish, on a thread of its own, until the interpreter ends."""
        thread = threading.Thread(target=self._live, name="comfy-relay", daemon=True)
        thread.start()
        self._thread, self._undo = thread, ending.before_end(self.close)
        ending.after_fork(self._forget)

    def close(self, timeout_s=CLOSE_S):
        """Publishes what waits, says goodbye, ends the thread; takes no longer than this. Again: nothing."""
        if self._thread is None:
            return
        if self._deadline is None:
            now = time.monotonic()
            self._flush_until, self._deadline = now + timeout_s * FLUSH_SHARE, now + timeout_s
            self._outbox.bell.ring()
            self._hurry.ring()
        if self._ended.wait(self._deadline - time.monotonic()):
            self._ended.ring()  # for whoever else waits
        self._undo()

    def _forget(self):
        """A forked child has no thread that publishes: there nothing waits, and nothing is done at the end."""
        self._thread = None
        self._outbox.close_in_child()
        self._undo()

    # -- on the background thread

    def _live(self):
        try:
            while not self._may_end():
                self._guarded(self._turn)
            while time.monotonic() < self._deadline and not self._guarded(self._say_goodbye):
                pass
            self._link.close()
            say("published %d, conflated %d, lost %d, refused %d", self.published, self.conflated, self.lost, self.refused,
                level=logging.DEBUG)
        finally:
            self._ended.ring()

    def _may_end(self):
        if self._deadline is None:
            return False
        return time.monotonic() >= self._flush_until or not self._batch and not len(self._outbox)

    def _guarded(self, act):
        """Whether it went well. Whatever is raised costs the connection at most, never the thread."""
        try:
            act()
            return True
        except Lost as error:
            self._on_lost(error)
        except Exception as error:
            self._link.close()
            self._rarely.say("fault", "a fault in publishing, going on: %r", error, level=logging.ERROR)
        self._back_off()
        return False

    def _turn(self):
        """Publishes one batch, or waits for something to publish."""
        self._tell_losses()
        if not self._batch:
            self._is_careful = False
            self._fill()
        if not self._batch:
            if self._outbox.bell.wait(self._next_beat - time.monotonic()):
                time.sleep(COMPANY_S)
            return
        self._connect()
        self._exchange()

    def _fill(self):
        if time.monotonic() >= self._next_beat:
            self._beat()
        for item in self._outbox.take(BATCH_EVENTS, BATCH_BYTES):
            if isinstance(item, Change):
                self._said = self._said.changed(item)
                self._batch.append(self._said)
            else:
                self._pack(item)

    def _beat(self):
        self._next_beat = time.monotonic() + self._heartbeat_s
        self._catch_up(QUEUE, self._queue)
        self._catch_up(RUN, self._run)
        self._batch.append(self._said)
        if self._watched:
            self._batch.append(Listeners(self._watched))

    def _catch_up(self, key, value):
        """A change that a full queue has lost holds all the same."""
        if not self._outbox.holds(None, key):
            self._said = self._said.changed(Change(key, value))

    def _pack(self, item):
        try:
            self._batch.append(Event(item, self._contract.worker_id))
        except Exception as error:
            self._refuse(error)

    def _refuse(self, error):
        self.refused += 1
        self._rarely.say("refused", "an event cannot be published, and is dropped: %s: %s", type(error).__name__, error)

    def _connect(self):
        if self._link.is_connected:
            return
        self._link.connect()
        self._is_answered = False
        if not isinstance(self._batch[0], Beat):
            self._next_beat = 0  # this Redis may have forgotten us
        if self._is_careful:
            self._link.send(self._link.packed([("PING",)]))
            self._link.answer()

    def _exchange(self):
        """Sends the batch, and takes from it what is answered, in order."""
        try:
            sent = self._wire()
            self._link.send([piece for _, pieces in sent for piece in pieces])
            for count, _ in sent:
                answers = [self._link.answer() for _ in range(count)]
                self._on_answer()
                self._batch.popleft().answered(self, answers)
        except Lost as error:
            if error.is_cut:
                self._on_cut(error)
            raise

    def _wire(self):
        """For each of the batch how many commands it is, and the bytes."""
        sent = []
        for post in list(self._batch)[:1 if self._is_careful else None]:
            try:
                commands = post.commands(self._contract)
                sent.append((len(commands), self._link.packed(commands)))
            except Exception as error:  # it would be the same the next time
                self._batch.remove(post)
                self._refuse(error)
        return sent

    def _say_goodbye(self):
        self._link.connect()
        commands = self._contract.goodbye()
        self._link.send(self._link.packed(commands))
        for _ in commands:
            self._link.answer()

    def _on_cut(self, error):
        """It may be for what was sent, such as an event that is too large for this Redis."""
        self._cuts += self._is_careful
        self._is_careful = True
        if self._cuts == CUTS:
            self._batch.popleft()
            self._cuts = 0
            self._refuse(error)

    def _on_lost(self, error):
        self._listeners = {}
        self._failures += 1
        if self._failures == 1:
            self._rarely.say("lost", "%s: %s; trying again", self._settings.where, error)
        else:
            self._rarely.say("away", "%s: %s; still trying, %d events wait", self._settings.where, error,
                             len(self._outbox) + len(self._batch), every_s=STILL_AWAY_S)

    def _back_off(self):
        least, most = BACK_OFF_S
        pause = min(most, least * 2 ** min(self._failures, 10))
        self._hurry.wait(pause * random.uniform(0.5, 1))

    def _tell_losses(self):
        if self.lost > self._told_lost and self._rarely.say(
                "queue", "%d events lost so far: the queue (%d events, %d bytes) was full", self.lost,
                self._settings.queue_events, self._settings.queue_bytes):
            self._told_lost = self.lost

    # -- answers, on the background thread

    def _on_answer(self):
        self._failures = self._cuts = 0
        if not self._is_answered:
            self._is_answered = True
            self._rarely.say("connected", "connected to %s", self._settings.where, level=logging.INFO)

    def on_event(self, answer):
        """Redis has taken an event, or has answered with an error: then it is not kept, and connected clients have it
        only if Redis ran the script at all."""
        if is_error(answer):
            self.refused += 1
            self._rarely.say("error", "Redis could not keep an event: %s", self._link.told(answer))
        else:
            self.published += 1

    def on_heartbeat(self, answers):
        for answer in filter(is_error, answers):
            self._rarely.say("heartbeat", "Redis refused a heartbeat: %s", self._link.told(answer))

    def on_listeners(self, sids, answer):
        """A list of channels, each followed by how many listen, in the order asked for."""
        if is_error(answer):
            self._listeners = {}
            self._rarely.say("listeners", "Redis refused to say who listens: %s", self._link.told(answer))
            return
        self._listeners = {sid: count > 0 for sid, count in zip(sids, answer[1::2])}
        self.listeners_asked += 1
