/* The envelope: addressee, class, and every way in which it may be broken. */
#include "tests/unit/adapters/msgpack/messages.h"

static struct event decoded(struct span message, struct span channel_sid)
{
    struct codec *codec = codec_msgpack();
    struct event event;
    expect_reason(codec->decode(codec, message, channel_sid, &event), DROP_NOTHING);
    return event;
}

static void expect_decode(struct span message, struct span channel_sid, enum drop_reason reason)
{
    struct codec *codec = codec_msgpack();
    struct span copy = exact_copy(message);
    struct event event;
    expect_reason(codec->decode(codec, copy, channel_sid, &event), reason);
    free_copy(copy);
}

static void a_type_that_is_a_string_makes_a_text_event(void **state)
{
    (void)state;
    struct event e = decoded(BYTES("\x81" TYPE "\243abc"), SPAN_NONE);
    assert_false(e.is_binary);
    expect_span(e.type, BYTES("abc"));
    assert_int_equal(e.data.len, 0);
    assert_int_equal(e.to, TO_ALL);
    assert_int_equal(e.keep, KEEP_BY_TYPE);
    assert_true(stream_id_is_none(e.id));
}

static void expect_code(struct span message, uint32_t code)
{
    struct event e = decoded(message, SPAN_NONE);
    assert_true(e.is_binary);
    assert_int_equal(e.code, code);
}

static void a_type_that_is_an_unsigned_32_bit_integer_is_a_code_in_whatever_form_it_is_written(void **state)
{
    (void)state;
    expect_code(BYTES("\x81" TYPE "\x00"), 0);
    expect_code(BYTES("\x81" TYPE "\x7f"), 127);
    expect_code(BYTES("\x81" TYPE "\xcc\xff"), 255);
    expect_code(BYTES("\x81" TYPE "\xcd\xff\xff"), 65535);
    expect_code(BYTES("\x81" TYPE "\xce\xff\xff\xff\xff"), UINT32_MAX);
    expect_code(BYTES("\x81" TYPE "\xcf\0\0\0\0\xff\xff\xff\xff"), UINT32_MAX);
    expect_code(BYTES("\x81" TYPE "\xd0\x04"), 4);
    expect_code(BYTES("\x81" TYPE "\xd3\0\0\0\0\0\0\0\x04"), 4);
}

static void any_other_type_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES("\x81" TYPE "\xcf\0\0\0\x01\0\0\0\0"), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE "\xff"), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE "\xca\x3f\x80\0\0"), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE NIL), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE TRUE), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE "\xc4\001a"), DROP_BAD_TYPE);
    expect_drop(BYTES("\x81" TYPE "\x91\x01"), DROP_BAD_TYPE);
}

static void no_type_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES("\x80"), DROP_NO_TYPE);
    expect_drop(BYTES("\x81" DATA "\x01"), DROP_NO_TYPE);
    expect_drop(BYTES("\x81\xc4\x04type\xa1t"), DROP_NO_TYPE); /* a bin is not the key */
}

static void what_is_not_a_map_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES("\x01"), DROP_NOT_A_MAP);
    expect_drop(BYTES("\x90"), DROP_NOT_A_MAP);
    expect_drop(BYTES(NIL), DROP_NOT_A_MAP);
    expect_drop(BYTES("\xc4\001a"), DROP_NOT_A_MAP);
    expect_drop(BYTES("{\"type\":\"t\"}"), DROP_NOT_A_MAP);
}

static void an_empty_message_is_truncated(void **state)
{
    (void)state;
    expect_drop(SPAN_NONE, DROP_TRUNCATED);
    expect_decode(SPAN_NONE, BYTES("s"), DROP_TRUNCATED);
}

static void the_byte_that_begins_nothing_is_malformed_wherever_it_stands(void **state)
{
    (void)state;
    expect_drop(BYTES("\xc1"), DROP_MALFORMED);
    expect_drop(BYTES("\x81\xc1\x01"), DROP_MALFORMED);
    expect_drop(BYTES("\x81" TYPE "\xc1"), DROP_MALFORMED);
    expect_drop(BYTES("\x82" T DATA "\xc1"), DROP_MALFORMED);
    expect_drop(BYTES("\x82\x01\x91\xc1" T), DROP_MALFORMED);
}

static void a_count_beyond_what_the_message_can_hold_is_truncated_at_once(void **state)
{
    (void)state;
    expect_drop(BYTES("\xdf\xff\xff\xff\xff" T), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xdd\xff\xff\xff\xff"), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xdf\xff\xff\xff\xff"), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xdb\xff\xff\xff\xff"), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xd4"), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xc7\x00"), DROP_TRUNCATED);
    expect_drop(BYTES("\x82" T DATA "\xc9\xff\xff\xff\xff\x01"), DROP_TRUNCATED);
}

static void bytes_after_the_event_are_trailing(void **state)
{
    (void)state;
    expect_drop(BYTES("\x81" T NIL), DROP_TRAILING);
    expect_drop(BYTES("\x82" T DATA "\x01\x02"), DROP_TRAILING);
    expect_drop(BYTES("\x82" T DATA "\x81\x01\x02\xc1"), DROP_TRAILING);
    expect_drop(BYTES("\x82" DATA "\x01" T "\x02"), DROP_TRAILING);
    expect_drop(BYTES("\x82" TYPE "\x07" DATA "\xc4\x00\x00"), DROP_TRAILING);
}

static void a_sid_addresses_a_session(void **state)
{
    (void)state;
    struct event e = decoded(BYTES("\x82" T SID "\xa2s1"), SPAN_NONE);
    assert_int_equal(e.to, TO_SESSION);
    expect_span(e.sid, BYTES("s1"));
}

static void nil_or_no_sid_addresses_all_and_the_empty_one_nobody(void **state)
{
    (void)state;
    assert_int_equal(decoded(BYTES("\x81" T), SPAN_NONE).to, TO_ALL);
    assert_int_equal(decoded(BYTES("\x82" T SID NIL), SPAN_NONE).to, TO_ALL);
    assert_int_equal(decoded(BYTES("\x82" T SID "\xa0"), SPAN_NONE).to, TO_NOBODY);
}

static void a_sid_of_another_form_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES("\x82" T SID "\xa1{"), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID "\xa1\n"), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID "\xa1\xff"), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID "\x05"), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID FALSE), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID "\xc4\x01s"), DROP_BAD_SID);
    expect_drop(BYTES("\x82" T SID "\x91\xa1s"), DROP_BAD_SID);
}

static void expect_from_channel(struct span message)
{
    struct event e = decoded(message, BYTES("mine"));
    assert_int_equal(e.to, TO_SESSION);
    expect_span(e.sid, BYTES("mine"));
}

static void an_event_on_a_sessions_channel_is_for_it_whatever_sid_it_carries(void **state)
{
    (void)state;
    expect_from_channel(BYTES("\x81" T));
    expect_from_channel(BYTES("\x82" T SID NIL));
    expect_from_channel(BYTES("\x82" T SID "\xa0"));
    expect_from_channel(BYTES("\x82" T SID "\xa5other"));
    expect_from_channel(BYTES("\x82" T SID "\xa1{"));
    expect_from_channel(BYTES("\x82" T SID "\x81\x01\x02"));
}

static void expect_id(struct span message, struct span id)
{
    struct event e = decoded(message, BYTES("s"));
    char text[STREAM_ID_TEXT_BYTES];
    expect_span(span_of(text, stream_id_format(e.id, text)), id);
    expect_span(e.type, BYTES("t"));
}

static void a_stream_id_may_stand_before_the_event_on_a_sessions_channel(void **state)
{
    (void)state;
    expect_id(BYTES("\2430-1\x81" T), BYTES("0-1"));
    expect_id(BYTES("\2571795310959693-0\x81" T), BYTES("1795310959693-0"));
    expect_id(BYTES("\xd9\05118446744073709551615-18446744073709551615\x81" T),
              BYTES("18446744073709551615-18446744073709551615"));
}

static void an_id_that_is_not_a_stream_id_is_dropped(void **state)
{
    (void)state;
    expect_decode(BYTES("\xa0\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\2411\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\2421-\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\xa2-1\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\2441-2 \x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\2451-2-3\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\2431-*\x81" T), BYTES("s"), DROP_BAD_ID);
    expect_decode(BYTES("\26618446744073709551616-0\x81" T), BYTES("s"), DROP_BAD_ID);
}

static void an_id_on_the_events_channel_is_dropped(void **state)
{
    (void)state;
    expect_drop(BYTES("\2430-1\x81" T), DROP_BAD_ID);
}

static void after_an_id_comes_an_event_and_nothing_else(void **state)
{
    (void)state;
    expect_decode(BYTES("\2430-1"), BYTES("s"), DROP_TRUNCATED);
    expect_decode(BYTES("\2430-1\2430-2\x81" T), BYTES("s"), DROP_NOT_A_MAP);
    expect_decode(BYTES("\2430-1\x81" T NIL), BYTES("s"), DROP_TRAILING);
}

static void the_worker_is_a_string_or_nil(void **state)
{
    (void)state;
    expect_span(decoded(BYTES("\x82" T WORKER "\xa2w1"), SPAN_NONE).worker, BYTES("w1"));
    expect_span(decoded(BYTES("\x82" T WORKER NIL), SPAN_NONE).worker, SPAN_NONE);
    expect_drop(BYTES("\x82" T WORKER "\x01"), DROP_BAD_ENVELOPE);
    expect_drop(BYTES("\x82" T WORKER "\xc4\x01w"), DROP_BAD_ENVELOPE);
}

static void keep_is_true_false_or_nil(void **state)
{
    (void)state;
    assert_int_equal(decoded(BYTES("\x82" T KEEP TRUE), SPAN_NONE).keep, KEEP_ALWAYS);
    assert_int_equal(decoded(BYTES("\x82" T KEEP FALSE), SPAN_NONE).keep, KEEP_NEWEST);
    assert_int_equal(decoded(BYTES("\x82" T KEEP NIL), SPAN_NONE).keep, KEEP_BY_TYPE);
    expect_drop(BYTES("\x82" T KEEP "\x01"), DROP_BAD_ENVELOPE);
    expect_drop(BYTES("\x82" T KEEP "\xa4true"), DROP_BAD_ENVELOPE);
}

static void ts_is_any_number_or_nil(void **state)
{
    (void)state;
    expect_decode(BYTES("\x82" T TS "\xcf\0\0\x01\xa2\x02\0\0\0"), SPAN_NONE, DROP_NOTHING);
    expect_decode(BYTES("\x82" T TS "\xff"), SPAN_NONE, DROP_NOTHING);
    expect_decode(BYTES("\x82" T TS "\xca\0\0\0\0"), SPAN_NONE, DROP_NOTHING);
    expect_decode(BYTES("\x82" T TS "\xcb\x7f\xf8\0\0\0\0\0\0"), SPAN_NONE, DROP_NOTHING);
    expect_decode(BYTES("\x82" T TS NIL), SPAN_NONE, DROP_NOTHING);
    expect_drop(BYTES("\x82" T TS "\2411"), DROP_BAD_ENVELOPE);
    expect_drop(BYTES("\x82" T TS TRUE), DROP_BAD_ENVELOPE);
}

static void ts_is_told_in_milliseconds_and_what_cannot_be_one_is_1(void **state)
{
    (void)state;
    assert_int_equal(decoded(BYTES("\x81" T), SPAN_NONE).ts_ms, 0);
    assert_int_equal(decoded(BYTES("\x82" T TS NIL), SPAN_NONE).ts_ms, 0);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcf\0\0\x01\x8b\xcf\xe5\x68\0"), SPAN_NONE).ts_ms,
                     1700000000000);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcb\x42\x78\xbc\xfe\x56\x80\x08\0"), SPAN_NONE).ts_ms,
                     1700000000000); /* and a half */
    assert_int_equal(decoded(BYTES("\x82" T TS "\xca\x44\x7a\0\0"), SPAN_NONE).ts_ms, 1000);
    assert_int_equal(decoded(BYTES("\x82" T TS "\0"), SPAN_NONE).ts_ms, 1);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xff"), SPAN_NONE).ts_ms, 1);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcb\x7f\xf8\0\0\0\0\0\0"), SPAN_NONE).ts_ms, 1);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcb\xff\xf0\0\0\0\0\0\0"), SPAN_NONE).ts_ms, 1);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcb\x7f\xf0\0\0\0\0\0\0"), SPAN_NONE).ts_ms, INT64_C(1)
                                                                                                  << 53);
    assert_int_equal(decoded(BYTES("\x82" T TS "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), SPAN_NONE).ts_ms,
                     INT64_C(1) << 53);
}

static void unknown_keys_of_any_kind_are_ignored_but_must_be_well_formed(void **state)
{
    (void)state;
    expect_payload(BYTES("\x85\x01\x02\xa1x\x93\x01\x80\x90" NIL NIL "\x82\x01\x02\x03\x04\xa1v" T),
                   BYTES("{\"type\":\"t\",\"data\":null}"));
    expect_drop(BYTES("\x82\x01\x92\x01\xc1" T), DROP_MALFORMED);
    expect_drop(BYTES("\x82" T "\x01\x92\x01"), DROP_TRUNCATED);
}

static void key_order_does_not_matter(void **state)
{
    (void)state;
    struct span json = BYTES("{\"type\":\"t\",\"data\":[1,\"x\"]}");
    expect_payload(BYTES("\x83" SID "\xa1s" DATA "\x92\x01\xa1x" T), json);
    expect_payload(BYTES("\x83" DATA "\x92\x01\xa1x" T SID "\xa1s"), json);
    expect_payload(BYTES("\x83" T SID "\xa1s" DATA "\x92\x01\xa1x"), json);
}

static void of_equal_keys_the_last_one_counts(void **state)
{
    (void)state;
    struct event e =
        decoded(BYTES("\x86" TYPE "\x07" T SID "\x05" SID "\xa1s" DATA "\x01" DATA "\x02"), SPAN_NONE);
    assert_false(e.is_binary);
    expect_span(e.sid, BYTES("s"));
    expect_span(e.data, BYTES("\x02"));
    e = decoded(BYTES("\x83" DATA "\x01" DATA "\x03" T), SPAN_NONE);
    expect_span(e.data, BYTES("\x03"));
}

static void data_that_comes_last_is_not_looked_at_by_decode(void **state)
{
    (void)state;
    struct event e = decoded(BYTES("\x82" T DATA "\xc1\xc1"), SPAN_NONE);
    expect_span(e.data, BYTES("\xc1\xc1"));
    expect_decode(BYTES("\x82" DATA "\xc1" T), SPAN_NONE, DROP_MALFORMED);
}

static void a_key_data_without_a_value_is_truncated(void **state)
{
    (void)state;
    expect_decode(BYTES("\x82" T DATA), SPAN_NONE, DROP_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_type_that_is_a_string_makes_a_text_event),
        cmocka_unit_test(a_type_that_is_an_unsigned_32_bit_integer_is_a_code_in_whatever_form_it_is_written),
        cmocka_unit_test(any_other_type_is_dropped),
        cmocka_unit_test(no_type_is_dropped),
        cmocka_unit_test(what_is_not_a_map_is_dropped),
        cmocka_unit_test(an_empty_message_is_truncated),
        cmocka_unit_test(the_byte_that_begins_nothing_is_malformed_wherever_it_stands),
        cmocka_unit_test(a_count_beyond_what_the_message_can_hold_is_truncated_at_once),
        cmocka_unit_test(bytes_after_the_event_are_trailing),
        cmocka_unit_test(a_sid_addresses_a_session),
        cmocka_unit_test(nil_or_no_sid_addresses_all_and_the_empty_one_nobody),
        cmocka_unit_test(a_sid_of_another_form_is_dropped),
        cmocka_unit_test(an_event_on_a_sessions_channel_is_for_it_whatever_sid_it_carries),
        cmocka_unit_test(a_stream_id_may_stand_before_the_event_on_a_sessions_channel),
        cmocka_unit_test(an_id_that_is_not_a_stream_id_is_dropped),
        cmocka_unit_test(an_id_on_the_events_channel_is_dropped),
        cmocka_unit_test(after_an_id_comes_an_event_and_nothing_else),
        cmocka_unit_test(the_worker_is_a_string_or_nil),
        cmocka_unit_test(keep_is_true_false_or_nil),
        cmocka_unit_test(ts_is_any_number_or_nil),
        cmocka_unit_test(ts_is_told_in_milliseconds_and_what_cannot_be_one_is_1),
        cmocka_unit_test(unknown_keys_of_any_kind_are_ignored_but_must_be_well_formed),
        cmocka_unit_test(key_order_does_not_matter),
        cmocka_unit_test(of_equal_keys_the_last_one_counts),
        cmocka_unit_test(data_that_comes_last_is_not_looked_at_by_decode),
        cmocka_unit_test(a_key_data_without_a_value_is_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
