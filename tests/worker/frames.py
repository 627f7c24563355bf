"""What a client was told, sorted and compared.

A relay sends otherwise than a stock server where tests/golden/README.md says so; those differences are functions of
tests/support/recording.py, applied here to what ComfyUI's own client got in the same run."""
import base64
import json
import re
import struct

from contract import conflation_key, ends_prompt
from recording import (compact_metadata, compact_text, golden, is_prompt_end, is_status, preview_before_progress,
                       queue_number)
from workflows import is_end
from ws import short

TOO_DEEP = ("golden.deep100",)
FILE_NAME = re.compile(r"(golden|ComfyUI_temp)_(?:[a-z]{5}_)?\d+_")


class Told:
    """connect: what came with the connection; events: what prompts and others sent; numbers: of the queue; logs."""

    def __init__(self, client):
        s = golden.Socket("")
        for m in client.messages:
            is_text = isinstance(m, str)
            s.server_sent({"op": "text", "text": m} if is_text else {"op": "binary", "b64": base64.b64encode(m).decode()})
        frames = [f for f in s.frames if not is_end(f)]
        self.connect, self.frames = s.at_connect, frames
        self.numbers = [queue_number(f) for f in map(compact_text, frames) if is_status(f)]
        self.logs = [f for f in frames if kind_of(f) == "logs"]
        self.events = [f for f in frames if kind_of(f) not in ("logs", "status")]

    @property
    def lines(self):
        """Of the log, as it said of prompts."""
        text = "".join(entry["m"] for f in self.logs for entry in json.loads(f)["data"]["entries"])
        return re.findall(r"^(got prompt|Prompt executed)", text, re.M)


def kind_of(frame):
    return json.loads(frame)["type"] if isinstance(frame, str) else int.from_bytes(frame[:4], "big")


def as_relay(frames, with_metadata):
    """What a relay must send where a stock server sent these. with_metadata: this ComfyUI makes previews with metadata."""
    frames = [compact_metadata(compact_text(f)) for f in frames]
    frames = [f for f in frames if kind_of(f) not in TOO_DEEP]
    if not with_metadata:
        return frames
    return preview_before_progress(frames, {f for f in frames if isinstance(f, bytes) and kind_of(f) == 1})


def of_own_prompts(frames, run, sid):
    """Without what names a prompt of another client, or of none: older versions tell everybody of progress_state."""
    return [f for f in frames if run.owners.get(prompt_of(f), sid) == sid]


def prompt_of(frame):
    data = json.loads(frame)["data"] if isinstance(frame, str) else None
    return data.get("prompt_id") if isinstance(data, dict) else None


def assert_same(relay, wanted, what):
    """The same frames in the same order; of a newest-only kind an older one may be missing when its newer one came before
    the prompt's end. Returns how many were missing."""
    at, missing = 0, 0
    for i, frame in enumerate(wanted):
        if at < len(relay) and relay[at] == frame:
            at += 1
            continue
        assert is_superseded(frame, wanted[i + 1:]), (
            f"{what}, frame {i} of {len(wanted)}:\n  relay {short(relay[at]) if at < len(relay) else 'nothing more'}\n"
            f"  stock {short(frame)}")
        missing += 1
    more = [short(f) for f in relay[at:at + 3]]
    assert not more, f"{what}: {len(relay) - at} frames more than stock's {len(wanted)}: {more}"
    return missing


def is_superseded(frame, later):
    key = key_of(frame)
    for f in later if key else ():
        if key_of(f) == key:
            return True
        if isinstance(f, str) and ends_prompt(json.loads(f)):
            return False
    return False


def key_of(frame):
    """The conflation key of the event in this frame; "": it is kept."""
    if isinstance(frame, str):
        return conflation_key(json.loads(frame))
    kind = kind_of(frame)
    if kind == 4:
        try:
            metadata = json.loads(frame[8:8 + struct.unpack(">I", frame[4:8])[0]])
        except ValueError:
            return ""
        return f"preview {metadata.get('node_id')}" if metadata.get("image_type") == "image/jpeg" else ""
    return "preview" if kind == 1 and frame[4:8] == b"\0\0\0\1" else ""


def anonymous(frames, run):
    """Without what is another in each run: ids, times, names of files, where code lies, what a tensor prints."""
    names = [(mine, stock) for stock, mine in (*run.prompts.items(), *run.sids.items()) if mine]
    return [without_names(f, names) for f in frames]


def without_names(frame, names):
    if isinstance(frame, bytes):
        for mine, stock in names:
            if len(mine) == len(stock):  # else the lengths in the frame would be wrong
                frame = frame.replace(mine.encode(), stock.encode())
        return frame
    for mine, stock in names:
        frame = frame.replace(mine, stock)
    value = json.loads(FILE_NAME.sub(r"\1_", frame))
    if isinstance(value["data"], dict):
        value["data"].update(settled(value["data"]))
    return json.dumps(value)


def settled(data):
    """What differs from run to run, by name."""
    out = {name: settle(data[name]) for name, settle in VARYING.items() if name in data}
    if isinstance(data.get("current_inputs"), dict):
        out["current_inputs"] = {k: ["tensor" if str(x).startswith("tensor(") else x for x in v]
                                 for k, v in data["current_inputs"].items()}
    return out


VARYING = {"timestamp": lambda t: 0, "traceback": len}


def outline(frame):
    """A frame as a recording of another day and machine must have it too: sets have no order, places are other
    ones, and a whole picture has the colour of its run."""
    if isinstance(frame, bytes):
        return compact_metadata(frame.partition(b"\x89PNG")[0])
    value = json.loads(frame)
    data = value["data"] if isinstance(value["data"], dict) else {}
    for name in ("executed", "current_outputs"):
        if name in data:
            data[name] = sorted(data[name])
    if "traceback" in data:  # its places are another version's
        data["traceback"] = bool(data["traceback"])
    return json.dumps(value, sort_keys=True)


def statuses_obey_the_rules(told, stock, what):
    """Each is new or precedes a prompt's end, and the last is stock's last."""
    frames, before = told.frames, queue_number(told.connect[0])
    for i, f in enumerate(frames):
        if is_prompt_end(f):
            assert i and is_status(frames[i - 1]), f"{what}: no status before {f}, but {short(frames[i - 1])}"
        if is_status(f):
            ends = i + 1 < len(frames) and is_prompt_end(frames[i + 1])
            assert queue_number(f) != before or ends, f"{what}: status {queue_number(f)} again, at frame {i}"
            before = queue_number(f)
    assert before == (stock[-1:] or [0])[0], f"{what}: the last status is {before}, stock's {stock}"
