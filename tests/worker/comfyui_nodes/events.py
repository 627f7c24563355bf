"""What GoldenEvents and GoldenRaw send: values at the borders of JSON, MessagePack and WebSocket."""
import io
import math
import struct

import numpy as np
import server

from .picture import gradient

KNOWS_METADATA = hasattr(server.BinaryEventTypes, "PREVIEW_IMAGE_WITH_METADATA")  # else a server dies of code 4

NUMBERS = {"nan": math.nan, "inf": math.inf, "ninf": -math.inf, "u64": 2**64 - 1, "u63": 2**63, "i64": -2**63,
           "u53": 2**53 + 1, "u32": 2**32 - 1, "i8": -128, "zero": 0, "f0": 0.0, "neg0": -0.0, "one": 1.0,
           "f": 9.470509434538348, "tenth": 0.1, "tiny": 1e-7, "e16": 1e16, "e21": 1e21, "e22": 1e22, "third": 1 / 3,
           "sub": 5e-324, "max": 1.7976931348623157e308, "f32": float(np.float32(0.1)), "np64": np.float64(0.25), "t": True,
           "n": None}
TEXT = {"emoji": "🙂 👨\u200d👩\u200d👧", "bmp": "ünïcode 漢字 العربية",
        "ctl": "\x00\x01\x08\t\n\x0c\r\x1b\x1f\x7f\x80", "sep": "\u2028\u2029\ufeff", "q": '"\\/</script>', "hi": "\U0010ffff",
        "empty": ""}
NESTED = {"list": [1, [2, [3, []]], {}], "map": {"a": {"b": {"c": {}}}}, "tuple": (1, "two", None)}
KEYS = {2: "int", -7: "neg", 1.5: "float", True: "true", None: "nil", "": "empty", "ü🙂\n": "str", "type": "x", "data": 1,
        "sid": "inner"}
MONITOR = {"cpu_utilization": 3.4, "ram_total": 25769803776, "ram_used": 1234567890, "ram_used_percent": 4.79, "hdd_total": 1,
           "hdd_used": 0, "hdd_used_percent": 0.0, "device_type": "cpu",
           "gpus": [{"gpu_utilization": 0, "gpu_temperature": 41, "vram_total": 1, "vram_used": 0, "vram_used_percent": 0.0}]}
# So that a relay's compact frame is as long as WebSocket's length field has borders.
FRAME_LENGTHS = (124, 125, 126, 127, 65535, 65536)


def deep(levels):
    """Maps and lists in turn, so many, around one that says how many."""
    x = {"leaf": levels}
    for level in range(1, levels):
        x = {"k": x} if level % 2 else [x]
    return x


def custom(is_long):
    yield from (("golden.numbers", NUMBERS), ("golden.text", TEXT), ("golden.nested", NESTED), ("golden.deep", deep(40)),
                ("golden.keys", KEYS), ("golden.null", None), ("golden.list", [1, "a", None]),
                ("golden.str", "just a string"), ("golden.int", 5), ("golden.float", 2.5), ("golden.true", True),
                ("golden.emptymap", {}), ('golden type/ünïcode 🙂 "q"', {"ok": 1}))
    if is_long:
        for length in FRAME_LENGTHS:
            yield "golden.len", "x" * (length - len('{"type":"golden.len","data":""}'))
        yield "golden.big", {"floats": [i / 7 for i in range(1000)], "text": "ü" * 4000}
    yield "crystools.monitor", MONITOR


def limits(is_long):
    yield "golden.bigint", {"u64plus1": 2**64, "i64minus1": -2**63 - 1, "huge": 10**30}
    yield "golden.surrogate", {"lone": "a\ud800b", "escape": "name\udcff.png"}
    yield "golden.deep60", deep(60)
    yield "golden.deep100", deep(100)


def unfit(is_long):
    """A server dies of them when it has a socket to send them to (of bytes in a text event even without)."""
    circle = []
    circle.append(circle)
    for name, value in (("scalar", np.float32(1.5)), ("integer", np.int64(5)), ("set", {1, 2}), ("bytes", b"raw"),
                        ("circle", circle), ("object", object())):
        yield "golden.unfit", {name: value}
    yield "golden.unfit", {(1, 2): "a tuple as its key"}
    yield 12, {"a binary event": "with a map"}
    yield "golden.fit", {"after": "all of them"}


WHICH = {"custom": custom, "limits": limits, "unfit": unfit}


def encoded(picture):
    out = io.BytesIO()
    picture.save(out, format="JPEG", quality=95)
    return out.getvalue()


def raw(node):
    """An animated preview as VideoHelperSuite frames it, a webp, codes of ComfyUI's own, and codes nobody knows."""
    yield "VHS_latentpreview", {"length": 2, "rate": 8, "id": node}
    yield 1, struct.pack(">III16p", 1, 1, 0, node.encode()) + encoded(gradient(24, 0.5))
    yield 1, struct.pack(">I", 3) + b"RIFF\x04\x00\x00\x00WEBP"
    yield 2, ("PNG", gradient(24, 0.5), None)
    yield 2, ("JPEG", gradient(96, 0.5), 24)
    if KNOWS_METADATA:
        yield 4, (("JPEG", gradient(24, 1), None), {"node_id": node, "display_node_id": node, "prompt_id": "p"})
        yield 4, (("PNG", gradient(24, 1), None), None)
    yield 10, bytearray(b"BM" + bytes(range(256)))
    yield 11, bytes(65531)
    yield 11, bytes(65532)
    yield 7, b""
    yield 2**32 - 1, b"\x00\xff"
    yield "progress", {"value": 12345, "max": 12345}
