"""What is sent to Redis, as the relay's contract for workers (adapters/WORKERS.md) has it."""
import os
import time

import msgpack
import redis

FOLDER = os.path.dirname(os.path.abspath(__file__))
MESSAGE_BYTES = 64 << 20  # more is taken by no relay (its limits.message_bytes)
ID_BYTES = 64  # in front of an event there may be its id
QUEUE, RUN = "relay.worker queue", "relay.worker run"


class Contract:
    """The contract's commands, for one worker from its start to its end."""

    def __init__(self, settings, boot):
        self.worker_id, self._boot = settings.worker_id, boot
        self._prefix = settings.prefix
        self._ttl_ms, self._log_events = settings.session_ttl_ms, settings.session_log_events
        self._at_ms = 0  # of the last heartbeat
        with open(os.path.join(FOLDER, "publish.lua"), "rb") as f:
            self._script = b"".join(line for line in f if line.strip() and not line.startswith(b"--"))

    def event(self, event):
        """Publishes one: by the script when it is a session's."""
        if event.sid is None:
            return [self._to_all(event.packed)]
        channel = self._channel(event.sid)
        return [("EVAL", self._script, 2, channel + ":log", channel + ":latest", channel, event.packed, self._ttl_ms,
                 self._log_events, event.lua_key, int(event.ends))]

    def heartbeat(self, beat):
        """Stored, then told, and what is kept of the session lives on."""
        self._at_ms = max(self._at_ms, int(time.time() * 1000))
        data = {"boot": self._boot, "queue_remaining": beat.queue, "sid": beat.sid, "prompt_id": beat.prompt_id,
                "at": self._at_ms}
        commands = [("HSET", self._prefix + ":workers", self.worker_id, packed(data)), self._tell(data)]
        if beat.sid is not None:
            channel = self._channel(beat.sid)
            commands += [("PEXPIRE", channel + kept, self._ttl_ms) for kept in (":log", ":latest")]
        return commands

    def goodbye(self):
        """Its entry is deleted, and all relays told."""
        return [("HDEL", self._prefix + ":workers", self.worker_id), self._tell({"gone": True})]

    def listeners(self, sids):
        """How many relays listen for each of these sessions."""
        return [("PUBSUB", "NUMSUB", *map(self._channel, sids))]

    def _channel(self, sid):
        return f"{self._prefix}:sid:{{{sid}}}"

    def _tell(self, data):
        return self._to_all(packed({"type": "relay.worker", "worker": self.worker_id, "data": data}))

    def _to_all(self, event):
        return ("PUBLISH", self._prefix + ":events", event)


def packed(value):
    return msgpack.packb(value, unicode_errors="surrogatepass")


# ---- what waits for an answer: its commands, and what the answers mean for the publisher ---------------------------


class Event:
    """An event, packed. ValueError: it is too large."""

    def __init__(self, item, worker_id):
        self.sid, self.lua_key, self.ends = item.sid, item.lua_key, item.ends
        self.packed = item.packed(worker_id)
        if len(self.packed) > MESSAGE_BYTES - ID_BYTES:
            raise ValueError(f"{len(self.packed)} bytes, and relays take {MESSAGE_BYTES}")

    def commands(self, contract):
        return contract.event(self)

    def answered(self, publisher, answers):
        publisher.on_event(answers[0])


class Beat:
    """The worker's state at one moment, to be told."""

    def __init__(self, queue=0, sid=None, prompt_id=None):
        self.queue, self.sid, self.prompt_id = queue, sid, prompt_id

    def changed(self, change):
        """The state after this change."""
        if change.key == QUEUE:
            return Beat(change.value, self.sid, self.prompt_id)
        return Beat(self.queue, *change.value)

    def commands(self, contract):
        return contract.heartbeat(self)

    def answered(self, publisher, answers):
        publisher.on_heartbeat(answers)


class Listeners:
    """The question whether relays listen for these sessions."""

    def __init__(self, sids):
        self.sids = sids

    def commands(self, contract):
        return contract.listeners(self.sids)

    def answered(self, publisher, answers):
        publisher.on_listeners(self.sids, answers[0])


class Change:
    """An item of the outbox: a part of the worker's state has changed, and is told in order with the events."""

    sid, size = None, 200

    def __init__(self, key, value):
        self.key, self.value = key, value


def is_error(answer):
    return isinstance(answer, redis.ResponseError)
