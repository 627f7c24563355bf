#!/usr/bin/env python3
"""MessagePack to JSON, against independent implementations: Python's repr, json, base64, datetime, its UTF-8
decoder, and msgpack's packer.

    test_transcode.py [TRANSCODE [SEED]]

TRANSCODE is the filter made from tests/differential/transcode.c; by default the environment's COMFY_RELAY_TRANSCODE,
or that of the build in build-dev. Needs msgpack (PyPI). Frames are compared byte for byte. The seed is printed; the
same seed gives the same values.
"""
import base64
import datetime
import decimal
import json
import math
import os
import random
import struct
import subprocess
import sys
import unittest

import msgpack

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "golden"))
import read as golden  # noqa: E402

SEED = 20240229
TRANSCODE = os.environ.get("COMFY_RELAY_TRANSCODE", os.path.join(ROOT, "build-dev", "transcode"))
decimal.getcontext().prec = 200  # every float32 is exact

COMPACT = {"separators": (",", ":"), "ensure_ascii": False}

DOUBLES_BY_BITS = 1_000_000
DOUBLES_BY_SHAPE = 200_000
FLOATS = 30_000
TREES = 1_000
ODD_VALUES = 5_000
TEXTS = 20_000
BINARIES = 2_000


def transcode(messages):
    """The frames, as (kind, payload): kind 0 is a drop and its reason, 1 text, 2 binary."""
    sent = b"".join(struct.pack(">I", len(m)) + m for m in messages)
    done = subprocess.run([TRANSCODE], input=sent, stdout=subprocess.PIPE, timeout=120, check=True)
    frames, at = [], 0
    while at < len(done.stdout):
        kind, length = struct.unpack_from(">BI", done.stdout, at)
        frames.append((kind, done.stdout[at + 5:at + 5 + length]))
        at += 5 + length
    return frames


def event(packed_data, kind=None):
    """An event with this value as its data; `type` is a str, or the code of a binary event."""
    return b"\x82\xa4type" + (b"\xa1t" if kind is None else msgpack.packb(kind)) + b"\xa4data" + packed_data


def text_frame(json_text):
    return 1, b'{"type":"t","data":' + json_text.encode() + b"}"


# ---- the contract: what becomes of a value that Python's json does not know ---------------------------------------

def json_float(x):
    return repr(x) if math.isfinite(x) else "null"


def json_float32(x):
    """The fewest digits that read back as this float32; of those the nearest to it, then the even. Laid out by repr."""
    if x == 0 or not math.isfinite(x):
        return json_float(x)
    packed = struct.pack(">f", abs(x))
    for digits in range(1, 10):
        nearest, exponent = f"{abs(x):.{digits - 1}e}".split("e")
        scaled = int(nearest.replace(".", ""))
        tries = [decimal.Decimal(f"{n}e{int(exponent) - digits + 1}") for n in (scaled, scaled + 1, scaled - 1)]
        fit = [t for t in tries if pack_float32(float(t)) == packed]
        if fit:
            exact = decimal.Decimal(abs(x))
            best = min(fit, key=lambda t: (abs(t - exact), t.as_tuple().digits[-1] % 2))
            return ("-" if x < 0 else "") + repr(float(best))
    raise AssertionError(f"nine digits are not enough for {x!r}")


def pack_float32(x):
    try:
        return struct.pack(">f", x)
    except OverflowError:
        return struct.pack(">f", math.inf)


ESCAPES = {i: f"\\u{i:04x}" for i in range(0x20)}
ESCAPES.update({8: "\\b", 9: "\\t", 10: "\\n", 12: "\\f", 13: "\\r", 0x22: '\\"', 0x5C: "\\\\"})


def json_text(raw):
    return '"' + raw.decode("utf-8", "replace").translate(ESCAPES) + '"'


def json_timestamp(payload):
    forms = {4: lambda p: (struct.unpack(">I", p)[0], 0),
             8: lambda p: (struct.unpack(">Q", p)[0] & (2**34 - 1), struct.unpack(">Q", p)[0] >> 34),
             12: lambda p: struct.unpack(">Iq", p)[::-1]}
    if len(payload) not in forms:
        return "null"
    seconds, nanos = forms[len(payload)](payload)
    if nanos > 999_999_999 or not -62167219200 <= seconds <= 253402300799:
        return "null"
    # datetime begins with year 1; the calendar repeats after 400 years, which are 12622780800 seconds.
    shift = 400 if seconds < -62135596800 else 0
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(seconds=seconds + (12622780800 if shift else 0))
    fraction = f".{nanos:09d}" if nanos else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f'"{at.year - shift:04d}-{at:%m-%dT%H:%M:%S}{fraction}Z"'


# ---- random values, each as (MessagePack, JSON text, its text as a key) --------------------------------------------

class Values:
    """Makes values in every form of the format, the longer ones for short values too."""

    def __init__(self, rng):
        self.rng = rng

    def head(self, short, forms, n):
        """The header for a length or a count: `short` is (first byte, most), `forms` are (byte, struct code, most)."""
        fit = [form for form in forms if n <= form[2]]
        if short and n <= short[1] and self.rng.random() < 0.7:
            return bytes([short[0] + n])
        byte, code, _ = self.rng.choice(fit)
        return struct.pack(">B" + code, byte, n)

    def nil(self):
        return b"\xc0", "null", '"null"'

    def boolean(self):
        return self.rng.choice([(b"\xc3", "true", '"true"'), (b"\xc2", "false", '"false"')])

    def integer(self):
        n = self.rng.choice([self.rng.getrandbits(self.rng.randint(1, 64)), 2 ** self.rng.randint(0, 63)])
        n = self.rng.choice([n, -n, n - 1])
        forms = [(0xCC, "B", 0, 2**8), (0xCD, "H", 0, 2**16), (0xCE, "I", 0, 2**32), (0xCF, "Q", 0, 2**64),
                 (0xD0, "b", -2**7, 2**7), (0xD1, "h", -2**15, 2**15), (0xD2, "i", -2**31, 2**31),
                 (0xD3, "q", -2**63, 2**63)]
        fit = [struct.pack(">B" + code, byte, n) for byte, code, low, high in forms if low <= n < high]
        if -32 <= n <= 127:
            fit.append(struct.pack("b", n))
        return (self.rng.choice(fit), str(n), f'"{n}"') if fit else self.nil()

    def double(self):
        x = struct.unpack(">d", self.rng.randbytes(8))[0]
        return struct.pack(">Bd", 0xCB, x), json_float(x), f'"{json_float(x)}"'

    def float32(self):
        x = struct.unpack(">f", self.rng.randbytes(4))[0]
        return struct.pack(">Bf", 0xCA, x), json_float32(x), f'"{json_float32(x)}"'

    def raw_text(self):
        """Bytes near UTF-8: characters of all lengths, cut, mixed with stray bytes."""
        rng = self.rng
        pieces = [
            lambda: rng.randbytes(1),
            lambda: bytes([rng.randint(0xC0, 0xFF), rng.choice([0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF])]),
            lambda: chr(rng.choice([0x22, 0x5C, 0x7F, 0x80, 0x7FF, 0x800, 0xFFFD, 0xFFFF, 0x10FFFF])).encode(),
            lambda: chr(rng.randint(0x10000, 0x10FFFF)).encode()[:rng.randint(1, 4)],
            lambda: chr(rng.randint(0, 0x1F)).encode(),
            lambda: b"plain text of some length"[:rng.randint(1, 25)],
        ]
        return b"".join(rng.choice(pieces)() for _ in range(rng.choice([0, 1, 2, 5, 20, 60])))

    def string(self):
        raw = self.raw_text()
        head = self.head((0xA0, 31), [(0xD9, "B", 255), (0xDA, "H", 65535), (0xDB, "I", 2**32 - 1)], len(raw))
        return head + raw, json_text(raw), json_text(raw)

    def binary(self):
        raw = self.rng.randbytes(self.rng.choice([0, 1, 2, 3, 4, 5, 100, 300]))
        head = self.head(None, [(0xC4, "B", 255), (0xC5, "H", 65535), (0xC6, "I", 2**32 - 1)], len(raw))
        return head + raw, f'"{base64.b64encode(raw).decode()}"', f'"{base64.b64encode(raw).decode()}"'

    def ext_head(self, kind, n):
        fixed = {1: 0xD4, 2: 0xD5, 4: 0xD6, 8: 0xD7, 16: 0xD8}
        head = self.head(None, [(0xC7, "B", 255), (0xC8, "H", 65535), (0xC9, "I", 2**32 - 1)], n)
        if n in fixed and self.rng.random() < 0.5:
            head = bytes([fixed[n]])
        return head + struct.pack("b", kind)

    def ext(self):
        kind = self.rng.choice([-128, -2, 0, 1, 127])
        raw = self.rng.randbytes(self.rng.choice([0, 1, 2, 3, 4, 8, 12, 16, 17]))
        return self.ext_head(kind, len(raw)) + raw, "null", '"null"'

    def timestamp(self):
        rng = self.rng
        seconds = rng.choice([rng.randint(-62167219200 - 10, 253402300799 + 10), -62167219201, -62167219200,
                              253402300799, 253402300800, -1, 0, rng.getrandbits(64) - 2**63])
        nanos = rng.choice([0, 250_000_000, 1_000, 123_456_789, 999_999_999, 1_000_000_000, rng.getrandbits(32)])
        raw = rng.choice([struct.pack(">I", rng.getrandbits(32)), rng.randbytes(8),
                          struct.pack(">Q", nanos % 2**30 << 34 | seconds % 2**34),
                          struct.pack(">Iq", nanos, seconds), rng.randbytes(rng.choice([0, 3, 5, 13]))])
        return self.ext_head(-1, len(raw)) + raw, json_timestamp(raw), '"null"'

    def array(self, depth):
        items = [self.any(depth - 1) for _ in range(self.rng.choice([0, 1, 2, 5, 17]))]
        head = self.head((0x90, 15), [(0xDC, "H", 65535), (0xDD, "I", 2**32 - 1)], len(items))
        return head + b"".join(i[0] for i in items), "[" + ",".join(i[1] for i in items) + "]", '"null"'

    def map(self, depth):
        pairs = [(self.any(depth - 1), self.any(depth - 1)) for _ in range(self.rng.choice([0, 1, 2, 5, 17]))]
        head = self.head((0x80, 15), [(0xDE, "H", 65535), (0xDF, "I", 2**32 - 1)], len(pairs))
        members = ",".join(f"{k[2]}:{v[1]}" for k, v in pairs)
        return head + b"".join(k[0] + v[0] for k, v in pairs), "{" + members + "}", '"null"'

    def any(self, depth):
        scalars = [self.nil, self.boolean, self.integer, self.double, self.float32, self.string, self.binary, self.ext,
                   self.timestamp]
        if depth > 0 and self.rng.random() < 0.4:
            return self.rng.choice([self.array, self.map])(depth)
        return self.rng.choice(scalars)()


# ---- the tests ----------------------------------------------------------------------------------------------------

class Transcode(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        print(f"seed {SEED}")
        self.rng = random.Random(f"{SEED} {self._testMethodName}")
        self.values = Values(self.rng)

    def expect(self, messages, frames):
        got = transcode(messages)
        self.assertEqual(len(got), len(frames))
        for message, one, expected in zip(messages, got, frames):
            if one != expected:
                self.fail(f"seed {SEED}\n  message  {message.hex()}\n  expected {expected}\n  got      {one}")

    def expect_numbers(self, code, numbers, write):
        """Many in one event: an array of each thousand."""
        slices = [numbers[i:i + 1000] for i in range(0, len(numbers), 1000)]
        byte = {"d": 0xCB, "f": 0xCA}[code]
        events = [event(struct.pack(">BH", 0xDC, len(s)) + b"".join(struct.pack(">B" + code, byte, x) for x in s))
                  for s in slices]
        for s, (kind, frame) in zip(slices, transcode(events)):
            self.assertEqual(kind, 1)
            written = frame[len('{"type":"t","data":['):-2].decode().split(",")
            self.assertEqual(len(written), len(s))
            for x, one in zip(s, written):
                if one != write(x):
                    self.fail(f"seed {SEED}\n  number   {x.hex()}\n  expected {write(x)}\n  got      {one}")

    def test_a_million_doubles_of_random_bits_are_what_repr_makes_of_them(self):
        bits = self.rng.randbytes(8 * DOUBLES_BY_BITS)
        self.expect_numbers("d", struct.unpack(f">{DOUBLES_BY_BITS}d", bits), json_float)

    def test_doubles_that_people_use_and_their_neighbours_are_what_repr_makes_of_them(self):
        rng = self.rng
        shapes = [rng.random,
                  lambda: round(rng.uniform(-1000, 1000), rng.randint(0, 8)),
                  lambda: rng.randint(0, 2**60) / 10 ** rng.randint(0, 22),
                  lambda: float(rng.randint(0, 10**rng.randint(1, 18))),
                  lambda: rng.random() * 10.0 ** rng.randint(-8, 20)]
        numbers = [0.0, -0.0, 5e-324, 2.2250738585072014e-308, 2.225073858507201e-308, 1.7976931348623157e308]
        numbers += [2.0 ** e for e in range(-1074, 1024)] + [float(f"1e{e}") for e in range(-323, 309)]
        numbers += [rng.choice(shapes)() for _ in range(DOUBLES_BY_SHAPE // 4)]
        numbers += [math.nextafter(x, d) for x in numbers for d in (math.inf, -math.inf)] + [-x for x in numbers]
        self.expect_numbers("d", numbers, json_float)

    def test_floats_have_the_fewest_digits_that_read_back_as_a_float(self):
        numbers = list(struct.unpack(f">{FLOATS}f", self.rng.randbytes(4 * FLOATS)))
        numbers += [2.0 ** e for e in range(-149, 128)]
        numbers += [struct.unpack(">f", struct.pack(">I", n))[0] for n in range(200)]
        numbers += [struct.unpack(">f", struct.pack(">f", round(self.rng.uniform(0, 100), 2)))[0] for _ in range(5000)]
        self.expect_numbers("f", numbers, json_float32)

    def test_trees_are_what_the_json_module_makes_of_them(self):
        def tree(depth):
            if depth == 0 or self.rng.random() < 0.3:
                return self.rng.choice([None, True, False, self.rng.getrandbits(64), -self.rng.getrandbits(63),
                                        self.rng.uniform(-1e6, 1e6), word()])
            if self.rng.random() < 0.5:
                return [tree(depth - 1) for _ in range(self.rng.randint(0, 20))]
            return {word(): tree(depth - 1) for _ in range(self.rng.randint(0, 20))}

        def word():
            ranges = [(0, 0x7F), (0, 0xD7FF), (0xE000, 0x10FFFF)]
            length = self.rng.choice([0, 1, 3, 10, 40])
            return "".join(chr(self.rng.randint(*self.rng.choice(ranges))) for _ in range(length))

        trees = [tree(3) for _ in range(TREES)]
        self.expect([event(msgpack.packb(t)) for t in trees],
                    [text_frame(json.dumps(t, **COMPACT)) for t in trees])

    def test_every_form_of_every_value_and_every_kind_of_key(self):
        values = [self.values.any(3) for _ in range(ODD_VALUES)]
        self.expect([event(v[0]) for v in values], [text_frame(v[1]) for v in values])

    def test_text_that_is_not_utf8_is_decoded_as_python_decodes_it(self):
        texts = [self.values.string() for _ in range(TEXTS)]
        self.expect([event(t[0]) for t in texts], [text_frame(t[1]) for t in texts])

    def test_every_pair_of_bytes_after_every_lead_byte(self):
        texts = [bytes([lead, second, 0x80, 0x41]) for lead in range(0x80, 0x100) for second in range(0x100)]
        self.expect([event(b"\xa4" + t) for t in texts], [text_frame(json_text(t)) for t in texts])

    def test_a_type_is_written_by_the_same_rules(self):
        types = [self.values.raw_text() for _ in range(2000)]
        self.expect([b"\x81\xa4type" + struct.pack(">BI", 0xDB, len(t)) + t for t in types],
                    [(1, b'{"type":' + json_text(t).encode() + b',"data":null}') for t in types])

    def test_recorded_events_are_what_the_reader_of_the_recordings_makes_of_them(self):
        events, frames = [], []
        for name in golden.names():
            for envelope, one in zip(golden.envelopes(name), golden.events(name)):
                frame = golden.frame(one, preview_metadata=True)
                events.append(envelope)
                frames.append((1, frame.encode()) if isinstance(frame, str) else (2, frame))
                if one["type"] == "golden.deep100":
                    frames[-1] = (0, b"too_deep")
        self.assertGreater(len(events), 1000)
        self.expect(events, frames)

    def test_a_cut_value_is_dropped_and_never_half_sent(self):
        values = [event(self.values.any(3)[0]) for _ in range(500)]
        cut = [v[:self.rng.randint(0, len(v) - 1)] for v in values]
        self.expect(cut, [(0, b"truncated")] * len(cut))

    def test_previews_with_metadata_are_what_struct_and_json_make_of_them(self):
        events, frames = [], []
        for _ in range(BINARIES):
            image_format = self.rng.choice(["PNG", "JPEG", "jpeg", "WEBP", ""])
            image = self.rng.randbytes(self.rng.choice([0, 1, 50, 3000]))
            metadata = self.rng.choice([None, {}, {"node_id": "57:8", "prompt_id": "p"},
                                        {"image_type": "x", "n": [1, 2.5]},
                                        {"a": None, "image_type": {"deep": [0]}, "ü": "\n"}])
            kind = "image/png" if image_format == "PNG" else "image/jpeg"
            head = json.dumps({**(metadata or {}), "image_type": kind}, **COMPACT).encode()
            events.append(event(msgpack.packb([[image_format, image, self.rng.choice([None, 512])], metadata]), 4))
            frames.append((2, struct.pack(">II", 4, len(head)) + head + image))
        self.expect(events, frames)

    def test_the_other_codes_are_what_struct_makes_of_them(self):
        events, frames = [], []
        for _ in range(BINARIES):
            raw, text = self.rng.randbytes(self.rng.choice([0, 3, 4, 700])), self.values.raw_text()
            code = self.rng.choice([0, 1, 3, 4, 7, 10, 255, 65536, 2**32 - 1])
            image_format, image_type = self.rng.choice([("PNG", 2), ("JPEG", 1), ("png", 1)])
            node = self.rng.choice(["", "57:8", "ü"])
            events += [event(msgpack.packb(raw), code), event(msgpack.packb([image_format, raw]), 1),
                       event(msgpack.packb([image_format, raw, None]), 2), event(msgpack.packb([node, text]), 3)]
            frames += [(2, struct.pack(">I", code) + raw), (2, struct.pack(">II", 1, image_type) + raw),
                       (2, struct.pack(">II", 1, image_type) + raw),
                       (2, struct.pack(">II", 3, len(node.encode())) + node.encode() + text)]
        self.expect(events, frames)


if __name__ == "__main__":
    TRANSCODE = sys.argv[1] if len(sys.argv) > 1 else TRANSCODE
    SEED = int(sys.argv[2]) if len(sys.argv) > 2 else SEED
    print(f"seed {SEED}", flush=True)
    unittest.main(argv=sys.argv[:1], verbosity=2, buffer=True)
