"""What is copied of an event at the call, its class, and the envelope that is made of it."""
import enum
import json
import math
import timeit

import msgpack
import numpy
import pytest
from contract import conflation_key, ends_prompt
from extension import module
from PIL import Image
from recording import NAMES, golden

event = module("event")


def envelope(kind, data, sid="s", worker="w1"):
    packed = event.copied(kind, data, sid, worker).packed(worker)
    return msgpack.unpackb(packed, strict_map_key=False, unicode_errors="surrogatepass")


def data_of(data, kind="x"):
    return envelope(kind, data)["data"]


def image(mode="RGB", size=(8, 8)):
    return Image.new(mode, size, 7)


# ---- the envelope -------------------------------------------------------------------------------------------------


def test_envelope_is_that_of_the_contract_with_data_last():
    made = envelope("executing", {"node": "1"}, "abc")
    assert list(made) == ["type", "sid", "worker", "ts", "data"]
    assert (made["type"], made["sid"], made["worker"], made["data"]) == ("executing", "abc", "w1", {"node": "1"})
    assert isinstance(made["ts"], int)


def test_time_of_an_event_is_that_of_its_call(monkeypatch):
    monkeypatch.setattr(event.time, "time", lambda: 1234.5678)
    item = event.copied("x", 1)
    monkeypatch.setattr(event.time, "time", lambda: 9999)
    assert msgpack.unpackb(item.packed("w"))["ts"] == 1234567


def test_what_changes_after_the_call_changes_no_event():
    nodes = {"1": {"value": [1]}}
    raw = bytearray(b"abc")
    metadata = {"node_id": "5"}
    picture = image()
    items = [event.copied("x", nodes), event.copied(7, raw), event.copied(4, (("PNG", picture, None), metadata))]
    before = [i.packed("w") for i in items]
    nodes["1"]["value"].append(2)
    raw[0] = 0
    metadata["node_id"] = "6"
    picture.paste(255, (0, 0, 8, 8))
    assert [i.packed("w") for i in items] == before


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_event_has_the_data_that_a_worker_published(name):
    for e in golden.events(name):
        if isinstance(e["type"], str) or isinstance(e["data"], bytes):
            made = envelope(e["type"], e["data"], e["sid"])
            stock = e["data"] if isinstance(e["data"], bytes) else json.loads(json.dumps(e["data"]))
            assert (made["type"], made["sid"], repr(made["data"])) == (e["type"], e["sid"], repr(stock))


def test_integers_beyond_64_bits_are_the_nearest_float():
    numbers = [2**64 - 1, -2**63, 2**64, -2**63 - 1, 10**400, -10**400, 5]
    assert data_of(numbers) == [2**64 - 1, -2**63, float(2**64), float(-2**63 - 1), math.inf, -math.inf, 5]
    assert [type(n) for n in data_of(numbers)] == [int, int, float, float, float, float, int]


def test_numbers_that_json_does_not_have_go_as_they_are():
    assert math.isnan(data_of(math.nan)) and data_of([math.inf, -math.inf]) == [math.inf, -math.inf]


def test_lone_surrogates_go_as_their_bytes():
    packed = event.copied("x", "a\ud800").packed("w")
    assert b"a\xed\xa0\x80" in packed


def test_data_is_what_json_makes_of_it():
    assert data_of({5: "a", None: (1, 2), True: numpy.float64(0.5)}) == {"5": "a", "null": [1, 2], "true": 0.5}


def test_deepest_nesting_that_the_contract_allows_goes_through():
    nested = []
    for _ in range(62):
        nested = [nested]
    assert data_of(nested) == nested


def test_types_of_other_classes_go_as_their_plain_values():
    class Kind(str, enum.Enum):
        X = "x"

    class Code(enum.IntEnum):
        SEVEN = 7

    assert envelope(Kind.X, 1)["type"] == "x" and envelope(Code.SEVEN, b"")["type"] == 7


@pytest.mark.parametrize("data", [b"", b"\0" * 70000, bytearray(b"ab"), b"\0\0\0\1jpeg"])
@pytest.mark.parametrize("code", [0, 1, 3, 7, 10, 2**32 - 1])
def test_framed_bytes_go_untouched(code, data):
    made = envelope(code, data)
    assert (made["type"], made["data"]) == (code, bytes(data))


def test_picture_without_metadata_is_code_2_with_the_encoded_image():
    made = envelope(2, ("PNG", image(), None))
    assert made["type"] == 2 and made["data"][0] == "PNG" and made["data"][1].startswith(b"\x89PNG") and made["data"][2] is None


def test_picture_with_metadata_is_code_4():
    made = envelope(4, (("JPEG", image(), 512), {"node_id": "5", "prompt_id": "p"}))
    (form, encoded, max_size), metadata = made["data"]
    assert (form, encoded[:2], max_size, metadata) == ("JPEG", b"\xff\xd8", 512, {"node_id": "5", "prompt_id": "p"})


def test_picture_may_have_no_metadata():
    assert envelope(4, (("JPEG", image(), None), None))["data"][1] is None


def test_size_counts_what_an_item_holds():
    assert event.copied("x", "a" * 1000).size >= 1000
    assert event.copied(7, bytes(5000)).size >= 5000
    assert event.copied(2, ("JPEG", image("RGB", (100, 50)), None)).size >= 100 * 50 * 3


# ---- what is refused ----------------------------------------------------------------------------------------------


def circular():
    loop = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("data", [numpy.float32(1), numpy.int64(1), numpy.bool_(True), numpy.zeros(2), {1, 2}, {"a": b"b"},
                                  object(), {(1, 2): 3}, circular(), 1j, b"bytes", bytearray(b"b")], ids=lambda d: type(d).__name__)
def test_text_event_that_json_cannot_hold_is_refused(data):
    with pytest.raises((TypeError, ValueError)):
        event.copied("x", data)


@pytest.mark.parametrize("kind", [True, False, -1, 2**32, None, 1.5, b"x", ["x"], numpy.int64(7)], ids=repr)
def test_type_that_is_no_type_is_refused(kind):
    with pytest.raises(event.Refused):
        event.copied(kind, b"data")


@pytest.mark.parametrize("code,data", [(7, {"a": 1}), (1, "text"), (3, ["5", "text"]), (0, None), (2, b"bytes"), (2, None),
                                       (2, ("JPEG", "no image", None)), (2, ("JPEG", image(), 1.5)), (2, (b"JPEG", image(), None)),
                                       (4, b"xx"), (4, (("PNG", image(), None), "text")),
                                       (4, (("PNG", image(), None), [])), (4, ("JPEG", image(), None)),
                                       (4, (("JPEG", image(), None), {"a": {1}}))],
                         ids=lambda v: str(v)[:24])
def test_binary_event_of_the_wrong_shape_is_refused(code, data):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        event.copied(code, data)


def test_types_of_the_contract_itself_are_refused():
    with pytest.raises(event.Refused):
        event.copied("relay.worker", {"gone": True})


def test_picture_that_pillow_cannot_encode_is_an_error_of_the_background_thread():
    item = event.copied(2, ("JPEG", image("RGBA"), None))
    with pytest.raises(OSError):
        item.packed("w")


# ---- classes ------------------------------------------------------------------------------------------------------

JPEG, PNG = ("JPEG", image(), None), ("PNG", image(), None)
KEPT = [("progress", {"value": 1}), ("progress", {"node": None}), ("progress", "text"), ("executed", {"node": "1"}), ("logs", {}),
        (1, b"\0\0\0\2png"), (1, b"\0\0\0"), (3, b"\0\0\0\1text"), (10, b"\0\0\0\1"), (2, PNG), (4, (PNG, {"node_id": "5"})),
        (2, ("jpeg", image(), None)), (2, ("WEBP", image(), None)), ("status", {})]
SAME = [(("progress", {"node": "1", "prompt_id": "p", "value": 1}), ("progress", {"node": "1", "prompt_id": "p", "value": 2})),
        (("progress_state", {"prompt_id": "p", "nodes": {}}), ("progress_state", {"prompt_id": "p", "nodes": {"1": {}}})),
        (("crystools.monitor", {"cpu": 1}), ("crystools.monitor", {"cpu": 2})),
        ((4, (JPEG, {"node_id": "5"})), (4, (JPEG, {"node_id": "5", "prompt_id": "p"}))),
        ((2, JPEG), (4, (JPEG, None))), ((2, JPEG), (1, b"\0\0\0\1jpeg"))]
DIFFERENT = [(("progress", {"node": "1", "prompt_id": "p"}), ("progress", {"node": "2", "prompt_id": "p"})),
             (("progress", {"node": "1", "prompt_id": "p"}), ("progress", {"node": "1", "prompt_id": "q"})),
             (("progress", {"node": "1 2", "prompt_id": "p"}), ("progress", {"node": "2", "prompt_id": "p 1"})),
             (("progress_state", {"prompt_id": "p"}), ("progress_state", {"prompt_id": "q"})),
             ((4, (JPEG, {"node_id": "5"})), (4, (JPEG, {"node_id": "6"}))), ((4, (JPEG, {"node_id": "5"})), (2, JPEG))]


@pytest.mark.parametrize("kind,data", KEPT, ids=lambda v: str(v)[:24])
def test_what_must_arrive_has_no_key(kind, data):
    item = event.copied(kind, data, "s", "w")
    assert (item.key, item.lua_key) == (None, "")


@pytest.mark.parametrize("one,other", SAME, ids=lambda e: str(e)[:24])
def test_newer_events_of_the_same_key_stand_for_older_ones(one, other):
    one, other = (event.copied(*e, "s", "w") for e in (one, other))
    assert one.key is not None and one.key == other.key == one.lua_key == other.lua_key


@pytest.mark.parametrize("one,other", DIFFERENT, ids=lambda e: str(e)[:24])
def test_events_of_different_keys_do_not(one, other):
    one, other = (event.copied(*e, "s", "w") for e in (one, other))
    assert None not in (one.key, other.key) and one.key != other.key


def test_monitors_of_two_workers_do_not_stand_for_each_other():
    assert event.copied("crystools.monitor", {}, "s", "a").key != event.copied("crystools.monitor", {}, "s", "b").key


def test_a_key_is_hashable_whatever_the_event_names():
    for item in (event.copied("progress", {"node": ["1"], "prompt_id": {}}), event.copied(4, (JPEG, {"node_id": [5]}))):
        assert isinstance(hash(item.key), int)


@pytest.mark.parametrize("name", NAMES)
def test_an_envelope_has_the_same_key_and_end_as_the_event_it_was_made_of(name):
    for e in golden.events(name):
        if isinstance(e["type"], str) or isinstance(e["data"], bytes):
            item = event.copied(e["type"], e["data"], e["sid"], e["worker"])
            assert (item.lua_key, item.ends) == (conflation_key(e), ends_prompt(e)), e


def test_previews_as_envelopes_have_the_keys_of_their_events():
    for kind, data in ((2, JPEG), (2, PNG), (4, (JPEG, {"node_id": "5"})), (4, (PNG, None)), (4, (JPEG, None))):
        assert conflation_key(envelope(kind, data)) == event.copied(kind, data).lua_key
    assert conflation_key({"type": 1, "data": ["JPEG", b"x"]}) == event.copied(2, JPEG).lua_key


def test_keep_overrides_the_table():
    assert conflation_key({"type": "progress_state", "data": {"prompt_id": "p"}, "keep": True}) == ""
    one = conflation_key({"type": "mine", "data": {"prompt_id": "p", "node": "1"}, "keep": False})
    other = conflation_key({"type": "mine", "data": {"prompt_id": "p", "node": "2"}, "keep": False})
    assert one and other and one != other
    assert conflation_key({"type": "mine", "data": 5, "keep": False})


@pytest.mark.parametrize("kind,data,ends", [
    ("execution_success", {}, True), ("execution_interrupted", {}, True), ("execution_error", {"exception_type": "X"}, True),
    ("execution_error", {"exception_type": "ExecutionBlocked"}, False), ("executing", {"node": None}, True),
    ("executing", {"node": "1"}, False), ("executed", {"node": None}, False), ("execution_start", {}, False)])
def test_end_of_a_prompt_is_known(kind, data, ends):
    assert ends_prompt({"type": kind, "data": data}) is ends
    assert event.copied(kind, data).ends is ends


# ---- what it costs ------------------------------------------------------------------------------------------------


def test_copying_costs_the_caller_little_more_than_its_json():
    data = {"prompt_id": "p", "nodes": {str(i): {"value": 1.0, "max": 2.0, "state": "running", "node_id": str(i)} for i in range(20)}}
    ours = min(timeit.repeat(lambda: event.copied("progress_state", data, "s", "w"), number=200, repeat=15))
    floor = min(timeit.repeat(lambda: json.dumps(data), number=200, repeat=15))
    assert (ours - floor) / 200 < 50e-6, f"{ours / 200 * 1e6:.1f} us, JSON alone {floor / 200 * 1e6:.1f} us"
