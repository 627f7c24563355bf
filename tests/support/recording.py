"""The golden recordings as scenarios: what happened in which order, and what a relay must send in each.

`tests/golden/README.md` lists where a relay must differ from a stock server; each such difference is one function
below, named after it.
"""
import json
import math
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))

import read as golden  # noqa: E402

NAMES = golden.names()
# A stock server takes any clientId. One with braces is refused here with 400: they delimit a sid in channel names.
REFUSED = {("p_no_client_id", "d")}
STOCK_BUG_SILENCES = {("g_same_sid", "a2")}


class Step:
    """One thing that happened: `event` is published, or a socket does `op`."""

    def __init__(self, at_ms, event=None, envelope=None, op=None, line=None):
        self.at_ms, self.event, self.envelope, self.op, self.line = at_ms, event, envelope, op, line


def steps(name):
    """Everything that happened, in order: events by their own order, what sockets did by its time."""
    lines = golden.lines(name)
    started = lines[0]["started"]
    happened = [Step(e["ts"] - started, event=e, envelope=raw)
                for e, raw in zip(golden.events(name), golden.envelopes(name))]
    happened += [Step(line["t_ms"], op=line["op"], line=line) for line in lines[1:]
                 if line["op"] in ("connect", "flags", "sent", "close", "cut")]
    # Events have whole milliseconds, so one of the same millisecond comes first.
    return sorted(happened, key=lambda s: (s.at_ms if s.event is None else int(s.at_ms)))


def path_of(name, label):
    return next(x["path"] for x in golden.lines(name) if x["op"] == "connect" and x["client"] == label)


def stock_sockets(name):
    return {s.label: s for s in golden.sockets(name)}


# ---- the differences, one function each ------------------------------------------------------------------------

def compact_text(frame):
    """No spaces and UTF-8 where json.dumps has `", "` and `\\uXXXX`."""
    return golden.text(json_value(frame)) if isinstance(frame, str) else frame


def json_value(frame):
    """The value of a stock text frame, with the three things that only the worker side can settle."""
    return settle(json.loads(frame))


def settle(x):
    """NaN and infinities are null; integers beyond 64 bits the nearest float64; a lone surrogate U+FFFD for each of
    the three bytes in which a publisher sends it."""
    if isinstance(x, float):
        return x if math.isfinite(x) else None
    if isinstance(x, int) and not isinstance(x, bool) and not -2**63 <= x < 2**64:
        return float(x)
    if isinstance(x, str):
        return "".join("\ufffd" * 3 if 0xD800 <= ord(c) <= 0xDFFF else c for c in x)
    if isinstance(x, dict):
        return {settle(k): settle(v) for k, v in x.items()}
    return [settle(v) for v in x] if isinstance(x, list) else x


def compact_metadata(frame):
    """The metadata JSON of code 4 without spaces, so its length differs too. Nothing else of it changes."""
    if isinstance(frame, str) or frame[:4] != b"\0\0\0\4":
        return frame
    length = struct.unpack(">I", frame[4:8])[0]
    try:
        metadata = golden.text(json.loads(frame[8:8 + length])).encode()
    except ValueError:  # a node framed this one itself, with another layout
        return frame
    return struct.pack(">II", 4, len(metadata)) + metadata + frame[8 + length:]


def preview_before_progress(frames, previews):
    """Without the flag stock sends `progress` before the preview that one event causes, with it after: always after."""
    out = list(frames)
    for i in range(1, len(out)):
        if out[i] in previews and isinstance(out[i - 1], str) and out[i - 1].startswith('{"type":"progress",'):
            out[i - 1], out[i] = out[i], out[i - 1]
    return out


def headless_previews_with_metadata(frames, events, flagged):
    """Stock sends a headless prompt's previews as code 1 to all; a client with the flag gets code 4 here."""
    if not flagged:
        return frames
    longer = {golden.frame(e, False): golden.frame(e, True)
              for e in events if e["type"] == 4 and e["sid"] is None and not isinstance(e["data"], bytes)}
    return [longer.get(f, f) for f in frames]


def without_too_deep(frames, name):
    """Nesting beyond 64 is dropped by the contract."""
    return [f for f in frames if not (name == "n2_limits" and isinstance(f, str)
                                      and f.startswith('{"type":"golden.deep100"'))]


def with_what_the_stock_bug_lost(name, socket, frames, events, flagged):
    """Stock unregisters the newer socket when the older one of its sid closes: what it then lost is sent here."""
    if (name, socket.label) not in STOCK_BUG_SILENCES:
        return frames
    mine = [golden.frame(e, flagged) for e in events if e.get("sid") in (None, socket.sid)]
    first = mine.index(frames[0])
    assert mine[first:first + len(frames)] == frames, "the recording's own frames are not in its events"
    return mine[first:]


def expected_frames(name, label):
    """What the relay must send this socket after its connect, `status` aside, as stock sent it but for the above."""
    socket = stock_sockets(name)[label]
    events = golden.events(name)
    flagged = is_flagged(socket)
    previews = {golden.frame(e, False) for e in events if e["type"] == 4 and not isinstance(e["data"], bytes)}
    frames = [compact_metadata(compact_text(f)) for f in socket.frames]
    frames = preview_before_progress(frames, previews)
    frames = headless_previews_with_metadata(frames, events, flagged)
    frames = without_too_deep(frames, name)
    frames = with_what_the_stock_bug_lost(name, socket, frames, events, flagged)
    return frames


def is_flagged(socket):
    return isinstance(socket.flags, dict) and socket.flags.get("supports_preview_metadata") is True


def is_status(frame):
    return isinstance(frame, str) and frame.startswith('{"type":"status",')


def is_prompt_end(frame):
    return isinstance(frame, str) and frame.startswith('{"type":"executing","data":{"node":null')


def without_repeated_status(frames, told):
    """A `status` is sent only when its number changes, and before a prompt's own end in any case."""
    out = []
    for i, f in enumerate(frames):
        if is_status(f):
            number = json.loads(f)["data"]["status"]["exec_info"]["queue_remaining"]
            before_end = i + 1 < len(frames) and is_prompt_end(frames[i + 1])
            if number == told and not before_end:
                continue
            told = number
        out.append(f)
    return out


def queue_number(status):
    return json.loads(status)["data"]["status"]["exec_info"]["queue_remaining"]
