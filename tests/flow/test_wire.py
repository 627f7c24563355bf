"""What a client sees, byte for byte, from events that workers publish."""
import json
import random
import struct

import msgpack
import pytest
from recording import golden
from ws import BINARY, PING, PONG, TEXT, encode, short

IMAGE = b"\xff\xd8\xff\xe0 a picture \xff\xd9"
METADATA = {"node_id": "7", "prompt_id": "p", "display_node_id": "7", "parent_node_id": None, "real_node_id": "7"}


def text_of(connect, publisher, data, kind="t"):
    """The text frame of an event with this data, for a client of its own session."""
    client = connect("wire")
    publisher.emit(kind, data, "wire")
    client.wait_count(2)
    return client.messages[1]


def test_text_frame_has_type_first_and_no_space(relay, connect, publisher):
    assert text_of(connect, publisher, {"a": [1, None, True, "x y"], "b": {}}) == \
        '{"type":"t","data":{"a":[1,null,true,"x y"],"b":{}}}'


@pytest.mark.parametrize("n", [0, -1, 127, 128, 255, 256, 65535, 65536, 2**31, 2**32 - 1, 2**32, 2**53 + 1, 2**63 - 1,
                               2**63, 2**64 - 1, -32, -33, -128, -129, -2**31, -2**53 - 1, -2**63])
def test_integer_comes_through_digit_for_digit(n, relay, connect, publisher):
    assert text_of(connect, publisher, {"seed": n}) == '{"type":"t","data":{"seed":%d}}' % n


def test_doubles_come_through_as_python_prints_them(relay, connect, publisher):
    pick = random.Random(20)
    numbers = [9.470509434538348, 0.0, -0.0, 1.0, 67.0, 1e22, 1e16, 1e-5, 0.0001, 5e-324, 1.7976931348623157e308,
               0.1, 123456789012345680.0]
    while len(numbers) < 5000:
        x = struct.unpack("<d", pick.randbytes(8))[0]
        if x == x and abs(x) != float("inf"):
            numbers.append(x)
    assert text_of(connect, publisher, numbers) == '{"type":"t","data":[%s]}' % ",".join(repr(x) for x in numbers)


def test_what_json_cannot_say_is_null_or_a_string(relay, connect, publisher):
    data = {"nan": float("nan"), "inf": float("inf"), "bin": b"\0\1\2", "time": msgpack.Timestamp(0, 0),
            "ext": msgpack.ExtType(5, b"x")}
    assert text_of(connect, publisher, data) == ('{"type":"t","data":{"nan":null,"inf":null,"bin":"AAEC",'
                                                 '"time":"1970-01-01T00:00:00Z","ext":null}}')


def test_bytes_that_are_not_utf8_become_replacement_characters(relay, connect, publisher):
    raw = msgpack.packb({"type": "t", "sid": "wire"}, use_bin_type=True)
    event = bytes([raw[0] + 1]) + raw[1:] + b"\xa4data" + b"\xa7a\xff\xe2\x82b\xc0c"
    client = connect("wire")
    publisher.events(event)
    client.wait_count(2)
    assert client.messages[1] == '{"type":"t","data":"a\ufffd\ufffdb\ufffdc"}'


def test_unknown_types_and_fields_pass_untouched(relay, connect, publisher):
    client = connect("wire")
    publisher.events({"type": "impact-node-feedback", "sid": "wire", "of a later version": [1, {}], "data": [None]})
    client.wait_count(2)
    assert client.messages[1] == '{"type":"impact-node-feedback","data":[null]}'


def test_absent_data_is_null(relay, connect, publisher):
    client = connect("wire")
    publisher.events({"type": "bare", "sid": "wire"})
    client.wait_count(2)
    assert client.messages[1] == '{"type":"bare","data":null}'


@pytest.mark.parametrize("size", [0, 100, 65500, 70000, 3 * 1024 * 1024])
def test_frame_of_any_length_arrives_whole(size, relay, connect, publisher):
    assert text_of(connect, publisher, "x" * size) == '{"type":"t","data":"%s"}' % ("x" * size)


@pytest.mark.parametrize("depth, arrives", [(62, True), (63, False)])
def test_nesting_passes_to_level_64_and_no_further(depth, arrives, relay, connect, publisher):
    """The event map is level 1, the outermost array of its data level 2."""
    data = []
    for _ in range(depth):
        data = [data]
    client = connect("wire")
    publisher.emit("deep", data, "wire")
    publisher.emit("after", None, "wire")
    client.wait_for('{"type":"after"')
    assert (client.find('{"type":"deep"') is not None) == arrives
    assert relay.dropped() == ({} if arrives else {"too_deep": 1})


# ---- binary ------------------------------------------------------------------------------------------------------

def code1(kind):
    return struct.pack(">II", 1, kind) + IMAGE


def code4(image_type, metadata=METADATA):
    head = json.dumps({**metadata, "image_type": image_type}, separators=(",", ":")).encode()
    return struct.pack(">II", 4, len(head)) + head + IMAGE


BINARIES = [
    (1, ["JPEG", IMAGE], code1(1), code1(1)),
    (1, ["PNG", IMAGE], code1(2), code1(2)),
    (1, ["WEBP", IMAGE], code1(1), code1(1)),
    (2, ["JPEG", IMAGE, 512], code1(1), code1(1)),
    (2, ["PNG", IMAGE, None], code1(2), code1(2)),
    (1, b"\0\0\0\1" + IMAGE, b"\0\0\0\1\0\0\0\1" + IMAGE, b"\0\0\0\1\0\0\0\1" + IMAGE),
    (3, ["7", "ünïcode"], b"\0\0\0\3\0\0\0\x017" + "ünïcode".encode(), b"\0\0\0\3\0\0\0\x017" + "ünïcode".encode()),
    (3, ["", b"\xff\0"], b"\0\0\0\3\0\0\0\0\xff\0", b"\0\0\0\3\0\0\0\0\xff\0"),
    (4, [["JPEG", IMAGE, 64], METADATA], code4("image/jpeg"), code1(1)),
    (4, [["PNG", IMAGE, None], METADATA], code4("image/png"), code1(2)),
    (4, [["JPEG", IMAGE, 64], None], code4("image/jpeg", {}), code1(1)),
    (4, b"framed by a node", b"\0\0\0\4framed by a node", b"\0\0\0\4framed by a node"),
    (10, b"", b"\0\0\0\x0a", b"\0\0\0\x0a"),
    (2**32 - 1, b"x", b"\xff\xff\xff\xffx", b"\xff\xff\xff\xffx"),
]


@pytest.mark.parametrize("code, data, with_flag, without", BINARIES, ids=range(len(BINARIES)))
def test_binary_event_is_framed_by_the_contract(code, data, with_flag, without, relay, connect, publisher):
    flagged, plain = connect("flagged"), connect("plain")
    flagged.flags()
    flagged.wait_count(2)
    publisher.emit(code, data)
    flagged.wait_count(3)
    plain.wait_count(2)
    assert flagged.messages[2] == with_flag, f"{short(flagged.messages[2])}, expected {short(with_flag)}"
    assert plain.messages[1] == without, f"{short(plain.messages[1])}, expected {short(without)}"


def test_image_type_of_metadata_is_replaced_where_it_stands(relay, connect, publisher):
    client = connect("wire")
    client.flags()
    client.wait_count(2)
    publisher.emit(4, [["PNG", IMAGE, None], {"image_type": "old", "node_id": "1"}], "wire")
    client.wait_count(3)
    head = b'{"image_type":"image/png","node_id":"1"}'
    assert client.messages[2] == struct.pack(">II", 4, len(head)) + head + IMAGE


@pytest.mark.parametrize("value", ["false", '"true"', "1", "null", "[true]"])
def test_flag_counts_only_when_exactly_true(value, relay, connect, publisher):
    client = connect("wire")
    client.text('{"type":"feature_flags","data":{"supports_preview_metadata":%s}}' % value)
    client.wait_count(2)
    publisher.emit(4, [["JPEG", IMAGE, 64], METADATA], "wire")
    client.wait_count(3)
    assert client.messages[2] == code1(1)


def test_flags_belong_to_the_socket_not_to_the_session(relay, connect, publisher):
    first = connect("wire")
    first.flags()
    first.wait_count(2)
    second = connect("wire")
    publisher.emit(4, [["JPEG", IMAGE, 64], METADATA], "wire")
    second.wait_count(2)
    assert second.messages[1] == code1(1)


def test_features_option_is_the_servers_reply(redis_server, connect):
    from servers import Relay
    with Relay(redis_server, features='{"a": [1, "x"], "supports_preview_metadata": true}') as relay:
        client = connect("wire", to=relay)
        client.flags()
        client.wait_count(2)
        assert json.loads(client.messages[1]) == {"type": "feature_flags",
                                                  "data": {"a": [1, "x"], "supports_preview_metadata": True}}
        assert client.messages[1].startswith('{"type":"feature_flags","data":{')


# ---- what a client may send --------------------------------------------------------------------------------------

@pytest.mark.parametrize("message", [encode(TEXT, b"hello"), encode(TEXT, b"[1]"), encode(TEXT, b'{"type":5}'),
                                     encode(TEXT, b"{}"), encode(BINARY, b"\0"), encode(TEXT, b""),
                                     encode(TEXT, b"[" * 100000), encode(PONG, b"nobody asked")])
def test_no_well_formed_message_closes_the_socket(message, relay, connect, publisher):
    client = connect("wire")
    client.send_bytes(message)
    client.barrier()
    publisher.emit("still", None, "wire")
    client.wait_count(2)
    assert client.messages[1:] == ['{"type":"still","data":null}']


def test_page_that_sends_plain_text_is_served_all_the_same(relay, connect, publisher):
    client = connect("wire")
    for line in ("ping", "", "not json", "ünïcode", "{"):
        client.text(line)
    client.flags()
    client.wait_for('{"type":"feature_flags"')
    publisher.emit("x", 1, "wire")
    client.wait_for('{"type":"x","data":1}')


def test_ping_is_answered_with_its_payload(relay, connect):
    client = connect("wire")
    client.barrier(b"exactly this")
    client.barrier(b"x" * 125)


def test_ping_between_fragments_is_answered_before_the_message_ends(relay, connect):
    client = connect("wire")
    body = b'{"type":"feature_flags","data":{}}'
    client.send_bytes(encode(TEXT, body[:10], fin=False) + encode(PING, b"mid") + encode(0, body[10:]))
    client.wait(lambda: b"mid" in client.pongs_seen, "the pong")
    client.wait_for('{"type":"feature_flags"')


def test_relay_pings_and_closes_a_socket_that_never_answers(redis_server, connect):
    from servers import Relay
    with Relay(redis_server, ws__ping_interval="200ms", ws__ping_timeout="300ms") as relay:
        good, dead = connect("good", to=relay), connect("dead", to=relay, pongs=False)
        dead.wait_closed()
        good.wait(lambda: len(good.pings) >= 3, "three pings")
        good.barrier()
        assert relay.metric("connections") == 1


def test_pong_that_nobody_asked_for_does_not_keep_a_socket_alive(redis_server, connect):
    from servers import Relay
    with Relay(redis_server, ws__ping_interval="200ms", ws__ping_timeout="300ms") as relay:
        liar = connect("liar", to=relay, pongs=False)
        for _ in range(3):
            liar.send(PONG, b"")
            liar.barrier()
        liar.wait_closed()


def test_control_frames_never_land_inside_a_data_frame(relay, connect, publisher):
    """The client's parser refuses anything that is not a whole frame; the payloads are compared besides."""
    client = connect("wire")
    big = "x" * 2_000_000
    for i in range(10):
        publisher.emit("big", [i, big], "wire")
        for j in range(20):
            client.send(PING, bytes([i, j]))
    client.wait_count(11, 60)
    client.wait(lambda: len(client.pongs_seen) == 200, "200 pongs")
    assert [json.loads(m)["data"][0] for m in client.messages[1:]] == list(range(10))
    assert all(len(m) == len(client.messages[1]) for m in client.messages[1:])


def test_every_recorded_event_is_taken(redis_server, relay, connect, publisher):
    """All recordings one after the other into one relay, to a client that stays."""
    client = connect("all")
    for name in golden.names():
        for envelope in golden.envelopes(name):
            publisher.events(envelope)
    publisher.emit("last", None, "all")
    client.wait_for('{"type":"last"', 60)
    assert set(relay.dropped()) == {"too_deep", "nobody"}
