/* Queue shares, heartbeats, strings, and the frames that the relay makes itself. */
#include <stdio.h>

#include "tests/unit/adapters/msgpack/messages.h"

#define QUEUE         "\xafqueue_remaining"
#define STATUS(data)  BYTES("\x82" TYPE "\xa6status" DATA data)
#define SHARE(number) STATUS("\x81\xa6status\x81\251exec_info\x81" QUEUE number)

static enum drop_reason read_share(struct span message, int64_t *share)
{
    struct codec *codec = codec_msgpack();
    struct span copy = exact_copy(message);
    struct event event;
    *share = -1;
    enum drop_reason why = codec->decode(codec, copy, SPAN_NONE, &event);
    why = why ? why : codec->read_share(codec, &event, share);
    free_copy(copy);
    return why;
}

static void expect_share(struct span message, int64_t expected)
{
    int64_t share;
    expect_reason(read_share(message, &share), DROP_NOTHING);
    assert_int_equal(share, expected);
}

static void expect_no_share(struct span message, enum drop_reason reason)
{
    int64_t share;
    expect_reason(read_share(message, &share), reason);
}

static void a_share_is_the_queue_remaining_of_a_status(void **state)
{
    (void)state;
    expect_share(SHARE("\x00"), 0);
    expect_share(SHARE("\x07"), 7);
    expect_share(SHARE("\xd1\x01\x00"), 256);
    expect_share(SHARE("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), INT64_MAX);
    expect_share(STATUS("\x82\xa3sid\xa1s\xa6status\x82\x01\x02\251exec_info\x82" QUEUE "\x03\xa1x\x90"), 3);
}

static void a_status_without_that_number_is_dropped(void **state)
{
    (void)state;
    expect_no_share(BYTES("\x81" TYPE "\xa6status"), DROP_BAD_DATA);
    expect_no_share(STATUS(NIL), DROP_BAD_DATA);
    expect_no_share(STATUS("\x80"), DROP_BAD_DATA);
    expect_no_share(STATUS("\x81\xa6status" NIL), DROP_BAD_DATA);
    expect_no_share(STATUS("\x81\xa6status\x81\251exec_info\x80"), DROP_BAD_DATA);
    expect_no_share(SHARE(NIL), DROP_BAD_DATA);
    expect_no_share(SHARE("\xff"), DROP_BAD_DATA);
    expect_no_share(SHARE("\2413"), DROP_BAD_DATA);
    expect_no_share(SHARE("\xcb\x40\x08\0\0\0\0\0\0"), DROP_BAD_DATA); /* 3.0 */
    expect_no_share(SHARE("\xcf\x80\0\0\0\0\0\0\0"), DROP_BAD_DATA);
}

static void a_status_is_checked_whole(void **state)
{
    (void)state;
    expect_no_share(STATUS("\x82\xa6status\x81\251exec_info\x81" QUEUE "\x03\xa1x\xc1"), DROP_MALFORMED);
    expect_no_share(STATUS("\x82\xa6status\x81\251exec_info\x81" QUEUE "\x03\xa1x"), DROP_TRUNCATED);
    expect_no_share(STATUS("\x81\xa6status\x81\251exec_info\x81" QUEUE "\x03\x01"), DROP_TRAILING);
}

static enum drop_reason read_heartbeat(struct span data, struct heartbeat *h)
{
    struct codec *codec = codec_msgpack();
    return codec->read_heartbeat(codec, data, h);
}

#define BOOT   "\244boot"
#define PROMPT "\xa9prompt_id"
#define AT     "\242at"
#define GONE   "\xa4gone"

static void a_heartbeat_says_what_its_worker_does(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(
        read_heartbeat(BYTES("\x85" BOOT "\242b1" QUEUE "\x03" SID "\xa1s" PROMPT "\xa1p" AT "\xcd\x03\xe8"),
                       &h),
        DROP_NOTHING);
    expect_span(h.boot, BYTES("b1"));
    assert_int_equal(h.queue_remaining, 3);
    expect_span(h.sid, BYTES("s"));
    expect_span(h.prompt, BYTES("p"));
    assert_int_equal(h.at_ms, 1000);
    assert_false(h.is_gone);
}

static void a_heartbeats_clock_is_any_number_and_0_without_one(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x83" BOOT "\241b" QUEUE "\x00" AT "\xcb\x40\x8f\x44\0\0\0\0\0"), &h),
                  DROP_NOTHING);
    assert_int_equal(h.at_ms, 1000);
    expect_reason(read_heartbeat(BYTES("\x83" BOOT "\241b" QUEUE "\x00" AT "\xcb\x7f\xf8\0\0\0\0\0\0"), &h),
                  DROP_NOTHING);
    assert_int_equal(h.at_ms, 0);
    expect_reason(read_heartbeat(BYTES("\x83" BOOT "\241b" QUEUE "\x00" AT "\xa3now"), &h), DROP_NOTHING);
    assert_int_equal(h.at_ms, 0);
}

static void an_idle_worker_names_no_session(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x85" BOOT "\241b" QUEUE "\x00" SID NIL PROMPT NIL AT "\x01"), &h),
                  DROP_NOTHING);
    expect_span(h.sid, SPAN_NONE);
    expect_span(h.prompt, SPAN_NONE);
}

static void a_sid_that_is_none_counts_as_absent(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x83" BOOT "\241b" QUEUE "\x00" SID "\xa1{"), &h), DROP_NOTHING);
    expect_span(h.sid, SPAN_NONE);
    expect_reason(read_heartbeat(BYTES("\x83" BOOT "\241b" QUEUE "\x00" SID "\x07"), &h), DROP_NOTHING);
    expect_span(h.sid, SPAN_NONE);
}

static void a_worker_that_leaves_says_only_that(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x81" GONE TRUE), &h), DROP_NOTHING);
    assert_true(h.is_gone);
    expect_reason(read_heartbeat(BYTES("\x81" GONE FALSE), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(BYTES("\x81" GONE "\x01"), &h), DROP_BAD_DATA);
}

static void a_heartbeat_without_boot_or_queue_is_dropped(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x81" QUEUE "\x00"), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(BYTES("\x81" BOOT "\241b"), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(BYTES("\x82" BOOT "\x01" QUEUE "\x00"), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(BYTES("\x82" BOOT "\241b" QUEUE "\xff"), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(BYTES("\x90"), &h), DROP_BAD_DATA);
    expect_reason(read_heartbeat(SPAN_NONE, &h), DROP_BAD_DATA);
}

static void a_heartbeat_is_checked_whole(void **state)
{
    (void)state;
    struct heartbeat h;
    expect_reason(read_heartbeat(BYTES("\x81" GONE TRUE NIL), &h), DROP_TRAILING);
    expect_reason(read_heartbeat(BYTES("\x82" GONE TRUE "\x01"), &h), DROP_TRUNCATED);
    expect_reason(read_heartbeat(BYTES("\x82" GONE TRUE "\x01\xc1"), &h), DROP_MALFORMED);
}

static void the_text_of_a_string_is_empty_when_it_is_none(void **state)
{
    (void)state;
    struct codec *codec = codec_msgpack();
    expect_span(codec->read_str(codec, BYTES("\243abc")), BYTES("abc"));
    expect_span(codec->read_str(codec, BYTES("\xd9\003abc")), BYTES("abc"));
    expect_span(codec->read_str(codec, BYTES("\xc4\003abc")), SPAN_NONE);
    expect_span(codec->read_str(codec, BYTES("\243abcd")), SPAN_NONE);
    expect_span(codec->read_str(codec, BYTES("\243ab")), SPAN_NONE);
    expect_span(codec->read_str(codec, BYTES("\x01")), SPAN_NONE);
    expect_span(codec->read_str(codec, SPAN_NONE), SPAN_NONE);
}

static void expect_text(struct frame *frame, const char *text)
{
    assert_non_null(frame);
    expect_span(frame_payload(frame), span_str(text));
    assert_int_equal(frame_wire(frame).bytes[0], 0x81);
    frame_unref(frame);
}

static void a_status_carries_the_number_and_for_its_first_time_the_sid(void **state)
{
    (void)state;
    struct codec *codec = codec_msgpack();
    expect_text(codec->make_status(codec, 3, SPAN_NONE),
                "{\"type\":\"status\",\"data\":{\"status\":{\"exec_info\":{\"queue_remaining\":3}}}}");
    expect_text(
        codec->make_status(codec, INT64_MAX, BYTES("s\"\xc3\xbc")),
        "{\"type\":\"status\",\"data\":{\"status\":{\"exec_info\":{\"queue_remaining\":9223372036854775807}},"
        "\"sid\":\"s\\\"\xc3\xbc\"}}");
}

static void an_executing_carries_the_node_whatever_value_it_is(void **state)
{
    (void)state;
    struct codec *codec = codec_msgpack();
    expect_text(codec->make_executing(codec, BYTES("\24457:8")),
                "{\"type\":\"executing\",\"data\":{\"node\":\"57:8\"}}");
    expect_text(codec->make_executing(codec, BYTES("\x07")),
                "{\"type\":\"executing\",\"data\":{\"node\":7}}");
    expect_text(codec->make_executing(codec, SPAN_NONE), "{\"type\":\"executing\",\"data\":{\"node\":null}}");
    expect_text(codec->make_executing(codec, BYTES("\x92\x01")),
                "{\"type\":\"executing\",\"data\":{\"node\":null}}");
}

static enum drop_reason read_sender(struct span data, struct sender *sender)
{
    struct codec *codec = codec_msgpack();
    struct span copy = exact_copy(data);
    enum drop_reason why = codec->read_sender(codec, copy, sender);
    if (why == DROP_NOTHING)
        sender->name = span_of(data.bytes + (sender->name.bytes - copy.bytes), sender->name.len);
    free_copy(copy);
    return why;
}

static void a_relay_says_its_name_and_when_its_socket_was_opened(void **state)
{
    (void)state;
    struct sender sender;
    expect_reason(read_sender(BYTES("\x83\246opened\xcd\x12\x34\242by\2440a1b\241x\x90"), &sender),
                  DROP_NOTHING);
    expect_span(sender.name, BYTES("0a1b"));
    assert_int_equal(sender.opened_ms, 0x1234);
}

static void a_relay_that_says_no_time_says_the_first(void **state)
{
    static const char *const times[] = {"\xff", "\xa1x", "\xc0", "\xcf\xff\xff\xff\xff\xff\xff\xff\xff"};
    (void)state;
    struct sender sender;
    expect_reason(read_sender(BYTES("\x82\242by\2440a1b\241x\x90"), &sender), DROP_NOTHING);
    assert_int_equal(sender.opened_ms, 0);
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char data[64];
        int len = snprintf(data, sizeof data, "\x82\242by\2440a1b\246opened%s", times[i]);
        expect_reason(read_sender(span_of(data, (size_t)len), &sender), DROP_NOTHING);
        assert_int_equal(sender.opened_ms, 0);
    }
}

static void a_relay_without_a_name_is_none(void **state)
{
    (void)state;
    struct sender sender;
    expect_reason(read_sender(BYTES("\x80"), &sender), DROP_BAD_DATA);
    expect_reason(read_sender(BYTES("\x81\242by\x07"), &sender), DROP_BAD_DATA);
    expect_reason(read_sender(BYTES("\x81\242by\xa0"), &sender), DROP_BAD_DATA);
    expect_reason(read_sender(BYTES("\x90"), &sender), DROP_BAD_DATA);
    expect_reason(read_sender(SPAN_NONE, &sender), DROP_BAD_DATA);
    expect_reason(read_sender(BYTES("\x81\242by\2440a1"), &sender), DROP_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_is_the_queue_remaining_of_a_status),
        cmocka_unit_test(a_status_without_that_number_is_dropped),
        cmocka_unit_test(a_status_is_checked_whole),
        cmocka_unit_test(a_heartbeat_says_what_its_worker_does),
        cmocka_unit_test(a_heartbeats_clock_is_any_number_and_0_without_one),
        cmocka_unit_test(an_idle_worker_names_no_session),
        cmocka_unit_test(a_sid_that_is_none_counts_as_absent),
        cmocka_unit_test(a_worker_that_leaves_says_only_that),
        cmocka_unit_test(a_heartbeat_without_boot_or_queue_is_dropped),
        cmocka_unit_test(a_heartbeat_is_checked_whole),
        cmocka_unit_test(a_relay_says_its_name_and_when_its_socket_was_opened),
        cmocka_unit_test(a_relay_that_says_no_time_says_the_first),
        cmocka_unit_test(a_relay_without_a_name_is_none),
        cmocka_unit_test(the_text_of_a_string_is_empty_when_it_is_none),
        cmocka_unit_test(a_status_carries_the_number_and_for_its_first_time_the_sid),
        cmocka_unit_test(an_executing_carries_the_node_whatever_value_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
