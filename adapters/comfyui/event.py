"""One event: what is copied of it at the call, what class it is of, and the envelope that is made of it later.

    copied(event, data, sid, worker)  on ComfyUI's thread: all that may change afterwards is copied, nothing is encoded
    item.packed(worker)               on the background thread: MessagePack, pictures encoded

Publishers in other languages find the same rules in adapters/WORKERS.md.
"""
import json
import operator
import time

import msgpack

from . import picture

PREVIEW, UNENCODED_PREVIEW, PREVIEW_WITH_METADATA = 1, 2, 4
RAW_JPEG = b"\0\0\0\1"
RESERVED = "relay."
ENDS = frozenset(("execution_success", "execution_interrupted"))
ENVELOPE_BYTES = 256  # what an item costs beyond its data, about
U32_MAX = 0xFFFFFFFF


class Refused(ValueError):
    """An event that cannot be published: a stock server could not send it either, or the contract has no place for it."""


# ---- the table of classes -----------------------------------------------------------------------------------------


def text_key(kind, fields, worker):
    """What makes newer events with the same key stand for this one; "" for one that must arrive, in order."""
    if kind == "progress" and fields.get("node") is not None:
        return key_of(kind, fields.get("prompt_id"), fields["node"])
    if kind == "progress_state":
        return key_of(kind, fields.get("prompt_id"))
    if kind == "crystools.monitor":
        return key_of(kind, worker)
    return ""


def raw_key(code, data):
    return key_of("preview", None) if code == PREVIEW and data[:4] == RAW_JPEG else ""


def picture_key(form, metadata):
    """JPEG pictures are previews; others may be results."""
    return key_of("preview", (metadata or {}).get("node_id")) if form == "JPEG" else ""


def key_of(*parts):
    """Equal for equal parts only."""
    return repr(parts)


def is_end(kind, fields):
    """Whether it ends its prompt: no event that is of class `latest` counts after it."""
    if kind == "executing":
        return fields.get("node") is None
    if kind == "execution_error":
        return fields.get("exception_type") != "ExecutionBlocked"
    return kind in ENDS


# ---- the copy at the call -----------------------------------------------------------------------------------------


def copied(event, data, sid=None, worker=None):
    """An item to publish, of the arguments of a send_sync. Refused when it cannot be published, or whatever its data
    raises while it is copied."""
    if isinstance(event, str):
        return text_item(str.__str__(event), data, sid, worker)
    if not isinstance(event, int) or isinstance(event, bool) or not 0 <= event <= U32_MAX:
        raise Refused(f"{event!r} is no type of event")
    code = int(event)
    if code == UNENCODED_PREVIEW:
        return Picture(code, sid, picture_parts(data), None)
    if code == PREVIEW_WITH_METADATA:
        parts, metadata = data
        return Picture(code, sid, picture_parts(parts), checked_metadata(metadata))
    if not isinstance(data, (bytes, bytearray)):
        raise Refused(f"data of code {code} is {type(data).__name__}, not bytes")
    return Raw(code, sid, bytes(data))


def text_item(kind, data, sid, worker):
    if kind.startswith(RESERVED):
        raise Refused(f"types that begin with {RESERVED} are reserved")
    if isinstance(data, (bytes, bytearray)):
        raise Refused("bytes in a text event")
    fields = data if isinstance(data, dict) else {}
    return Text(kind, sid, json.dumps(data), text_key(kind, fields, worker), is_end(kind, fields))


def picture_parts(data):
    """(format, a copy of the image, max_size): nobody else encodes or changes this image while we do."""
    form, image, max_size = data[0], data[1], data[2]
    return str.__str__(form), image.copy(), None if max_size is None else operator.index(max_size)


def checked_metadata(metadata):
    if metadata is not None and not isinstance(metadata, dict):
        raise Refused(f"a preview's metadata is {type(metadata).__name__}, not a dict")
    return metadata


class Item:
    """What a publisher needs: sid, key (None: it must arrive), lua_key (the same, ""), ends, size, packed()."""

    __slots__ = ("kind", "sid", "key", "lua_key", "ends", "size", "at_ms")

    def __init__(self, kind, sid, key, ends, size):
        self.kind, self.sid, self.key, self.lua_key, self.ends = kind, sid, key or None, key, ends
        self.size = size + ENVELOPE_BYTES
        self.at_ms = int(time.time() * 1000)

    def packed(self, worker_id):
        """The envelope as bytes. Takes its time (a picture: milliseconds); raises what encoding raises."""
        return self._packed(worker_id, self.data())

    def _packed(self, worker_id, data):
        return msgpack.packb({"type": self.kind, "sid": self.sid, "worker": worker_id, "ts": self.at_ms, "data": data},
                             unicode_errors="surrogatepass")


class Text(Item):
    """A text event, as the JSON that a stock server would send."""

    __slots__ = ("text",)

    def __init__(self, kind, sid, text, key, ends):
        super().__init__(kind, sid, key, ends, len(text))
        self.text = text

    def packed(self, worker_id):
        try:
            return self._packed(worker_id, json.loads(self.text))
        except OverflowError:
            return self._packed(worker_id, json.loads(self.text, parse_int=settled_int))


class Raw(Item):
    """A binary event that its sender has framed."""

    __slots__ = ("bytes",)

    def __init__(self, code, sid, data):
        super().__init__(code, sid, raw_key(code, data), False, len(data))
        self.bytes = data

    def data(self):
        return self.bytes


class Picture(Item):
    """A picture to encode, with metadata (copied as JSON) or without."""

    __slots__ = ("parts", "metadata")

    def __init__(self, code, sid, parts, metadata):
        super().__init__(code, sid, picture_key(parts[0], metadata), False, image_bytes(parts[1]))
        self.parts, self.metadata = parts, json.dumps(metadata)

    def data(self):
        form, image, max_size = self.parts
        encoded = form, picture.encoded(form, image, max_size), max_size
        return (encoded, json.loads(self.metadata)) if self.kind == PREVIEW_WITH_METADATA else encoded


def settled_int(digits):
    """An integer as MessagePack can hold it: beyond 64 bits the nearest float64, or an infinity."""
    number = int(digits)
    return number if -1 << 63 <= number < 1 << 64 else float(digits)


def image_bytes(image):
    """About how much memory an image takes."""
    width, height = image.size
    return width * height * len(image.getbands())
