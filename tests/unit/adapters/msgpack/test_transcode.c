/* MessagePack to JSON: the rules, each by name. Random values are compared in tests/differential. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <stdio.h>

#define PREFIX "\x82" TYPE "\xa1t" DATA

/* An event with these bytes as its data. */
static struct span event_of(struct span data, uint8_t *room)
{
    memcpy(room, PREFIX, sizeof PREFIX - 1);
    memcpy(room + sizeof PREFIX - 1, data.bytes, data.len);
    return span_of(room, sizeof PREFIX - 1 + data.len);
}

static void expect_json_bytes(struct span data, struct span json)
{
    uint8_t message[4096], payload[8192];
    int head = snprintf((char *)payload, sizeof payload, "{\"type\":\"t\",\"data\":");
    memcpy(payload + head, json.bytes, json.len);
    payload[(size_t)head + json.len] = '}';
    expect_payload(event_of(data, message), span_of(payload, (size_t)head + json.len + 1));
}

#define expect_json(data, json) expect_json_bytes(BYTES(data), BYTES(json))

static void expect_data_drop(struct span data, enum drop_reason reason)
{
    uint8_t message[4096];
    expect_drop(event_of(data, message), reason);
}

static void nil_booleans_arrays_and_maps_stand_for_themselves(void **state)
{
    (void)state;
    expect_json(NIL, "null");
    expect_json(TRUE, "true");
    expect_json(FALSE, "false");
    expect_json("\x90", "[]");
    expect_json("\x80", "{}");
    expect_json("\x93\x01\x92\x02\x90\x03", "[1,[2,[]],3]");
    expect_json("\x82\241a\x81\241b\x80\241c\x91\x80", "{\"a\":{\"b\":{}},\"c\":[{}]}");
    expect_json("\xdc\0\x02\x01\x02", "[1,2]");
    expect_json("\xdd\0\0\0\x01\x01", "[1]");
    expect_json("\xde\0\x01\xa1x\x01", "{\"x\":1}");
    expect_json("\xdf\0\0\0\x01\xa1x\x01", "{\"x\":1}");
}

static void integers_are_exact_over_the_whole_range(void **state)
{
    (void)state;
    expect_json("\x00", "0");
    expect_json("\x7f", "127");
    expect_json("\xff", "-1");
    expect_json("\xe0", "-32");
    expect_json("\xcc\xff", "255");
    expect_json("\xcd\xff\xff", "65535");
    expect_json("\xce\xff\xff\xff\xff", "4294967295");
    expect_json("\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615");
    expect_json("\xcf\x80\0\0\0\0\0\0\0", "9223372036854775808");
    expect_json("\xcf\0\x20\0\0\0\0\0\x01", "9007199254740993");
    expect_json("\xd0\x80", "-128");
    expect_json("\xd1\x80\0", "-32768");
    expect_json("\xd2\x80\0\0\0", "-2147483648");
    expect_json("\xd3\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    expect_json("\xd3\x7f\xff\xff\xff\xff\xff\xff\xff", "9223372036854775807");
}

static void floats_are_written_as_python_writes_them(void **state)
{
    (void)state;
    expect_json("\xcb\x40\x50\xc0\0\0\0\0\0", "67.0");
    expect_json("\xcb\x80\0\0\0\0\0\0\0", "-0.0");
    expect_json("\xcb\0\0\0\0\0\0\0\x01", "5e-324");
    expect_json("\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "0.1");
    expect_json("\xca\x3d\xcc\xcc\xcd", "0.1");
    expect_json("\xca\x42\x86\0\0", "67.0");
}

static void nan_and_infinities_are_null(void **state)
{
    (void)state;
    expect_json("\xcb\x7f\xf8\0\0\0\0\0\0", "null");
    expect_json("\xcb\x7f\xf0\0\0\0\0\0\0", "null");
    expect_json("\xcb\xff\xf0\0\0\0\0\0\0", "null");
    expect_json("\xca\x7f\xc0\0\0", "null");
    expect_json("\xca\x7f\x80\0\0", "null");
    expect_json("\xca\xff\x80\0\0", "null");
}

static void only_quotes_backslashes_and_control_characters_are_escaped(void **state)
{
    (void)state;
    expect_json("\xac\"\\/\b\f\n\r\t\0\x1f\x7f<", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\x7f<\"");
    expect_json("\xa2\xc2\x80", "\"\xc2\x80\"");
    expect_json("\xa6\xe2\x80\xa8\xef\xbb\xbf", "\"\xe2\x80\xa8\xef\xbb\xbf\"");
    expect_json("\xa4\xf0\x9f\x99\x82", "\"\xf0\x9f\x99\x82\"");
}

#define FFFD "\xef\xbf\xbd"

static void bytes_that_are_not_utf8_become_one_replacement_for_each_maximal_subpart(void **state)
{
    (void)state;
    expect_json("\243a\377b", "\"a" FFFD "b\"");
    expect_json("\xa3\xed\xa0\x80", "\"" FFFD FFFD FFFD "\""); /* a lone surrogate */
    expect_json("\xa3\xf0\x9f\x99", "\"" FFFD "\"");           /* one character cut */
    expect_json("\xa4\xe2\x82zz", "\"" FFFD "zz\"");
    expect_json("\xa2\xc0\xaf", "\"" FFFD FFFD "\"");
    expect_json("\250a\xf1\x80\x80\xe1\x80\302b", "\"a" FFFD FFFD FFFD "b\"");
}

static void long_strings_are_escaped_wherever_the_character_stands(void **state)
{
    (void)state;
    for (size_t len = 1; len <= 80; len++) {
        for (size_t at = 0; at < len; at++) {
            uint8_t data[100] = {0xd9, (uint8_t)len};
            uint8_t json[100] = "\"";
            memset(data + 2, 'x', len);
            data[2 + at] = '\n';
            memset(json + 1, 'x', len + 1);
            memcpy(json + 1 + at, "\\n", 2);
            json[len + 2] = '"';
            expect_json_bytes(span_of(data, 2 + len), span_of(json, len + 3));
        }
    }
}

static void bin_is_base64(void **state)
{
    (void)state;
    expect_json("\xc4\x00", "\"\"");
    expect_json("\xc4\001f", "\"Zg==\"");
    expect_json("\xc4\002fo", "\"Zm8=\"");
    expect_json("\xc5\x00\003foo", "\"Zm9v\"");
    expect_json("\xc6\0\0\0\006foobar", "\"Zm9vYmFy\"");
    expect_json("\xc4\x03\xfb\xff\xfe", "\"+//+\"");
}

static void timestamps_are_rfc_3339_in_utc(void **state)
{
    (void)state;
    expect_json("\xd6\xff\0\0\0\0", "\"1970-01-01T00:00:00Z\"");
    expect_json("\xd6\xff\xff\xff\xff\xff", "\"2106-02-07T06:28:15Z\"");
    expect_json("\xc7\x04\xff\x65\xe0\x7a\xa9", "\"2024-02-29T12:38:01Z\"");
    expect_json("\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", "\"1969-12-31T23:59:59Z\"");
}

static void fractions_of_a_second_have_three_six_or_nine_digits(void **state)
{
    (void)state;
    expect_json("\xd7\xff\0\0\0\0\0\0\0\x01", "\"1970-01-01T00:00:01Z\"");
    expect_json("\xd7\xff\x3b\x9a\xca\0\0\0\0\0", "\"1970-01-01T00:00:00.250Z\""); /* 250,000,000 << 34 */
    expect_json("\xd7\xff\0\0\x0f\xa0\0\0\0\x02", "\"1970-01-01T00:00:02.000001Z\"");
    expect_json("\xc7\x0c\xff\x07\x5b\xcd\x15\0\0\0\0\0\0\0\0", "\"1970-01-01T00:00:00.123456789Z\"");
    expect_json("\xc7\x0c\xff\x3b\x9a\xc9\xff\0\0\0\0\0\0\0\0", "\"1970-01-01T00:00:00.999999999Z\"");
    expect_json("\xc7\x0c\xff\x3b\x9a\xca\x00\0\0\0\0\0\0\0\0", "null"); /* a billion */
}

static void years_outside_of_0000_to_9999_are_null(void **state)
{
    (void)state;
    expect_json("\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xf1\x86\x8b\x84\x00", "\"0000-01-01T00:00:00Z\"");
    expect_json("\xc7\x0c\xff\0\0\0\0\xff\xff\xff\xf1\x86\x8b\x83\xff", "null");
    expect_json("\xc7\x0c\xff\0\0\0\0\0\0\0\x3a\xff\xf4\x41\x7f", "\"9999-12-31T23:59:59Z\"");
    expect_json("\xc7\x0c\xff\0\0\0\0\0\0\0\x3a\xff\xf4\x41\x80", "null");
    expect_json("\xc7\x0c\xff\0\0\0\0\x80\0\0\0\0\0\0\0", "null");
    expect_json("\xc7\x0c\xff\0\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", "null");
}

static void timestamps_of_another_length_and_other_ext_are_null(void **state)
{
    (void)state;
    expect_json("\xc7\x00\xff", "null");
    expect_json("\xd4\xff\x01", "null");
    expect_json("\xd5\xff\x01\x02", "null");
    expect_json("\xd8\3770123456789abcdef", "null");
    expect_json("\xd6\x01\0\0\0\0", "null");
    expect_json("\xc8\x00\x03\177abc", "null");
    expect_json("\xc9\0\0\0\x01\200a", "null");
}

static void keys_of_every_kind_become_strings(void **state)
{
    (void)state;
    expect_json("\x81\x01\x02", "{\"1\":2}");
    expect_json("\x81\xf9\x02", "{\"-7\":2}");
    expect_json("\x81\xcf\xff\xff\xff\xff\xff\xff\xff\xff\x02", "{\"18446744073709551615\":2}");
    expect_json("\x81\xcb\x3f\xf8\0\0\0\0\0\0\x02", "{\"1.5\":2}");
    expect_json("\x81\xca\x3d\xcc\xcc\xcd\x02", "{\"0.1\":2}");
    expect_json("\x81\xcb\x7f\xf8\0\0\0\0\0\0\x02", "{\"null\":2}");
    expect_json("\x81" TRUE "\x02", "{\"true\":2}");
    expect_json("\x81" FALSE "\x02", "{\"false\":2}");
    expect_json("\x81" NIL "\x02", "{\"null\":2}");
    expect_json("\x81\xc4\001f\x02", "{\"Zg==\":2}");
    expect_json("\x81\x92\x01\x80\x02", "{\"null\":2}");
    expect_json("\x81\x81\x01\x02\x03", "{\"null\":3}");
    expect_json("\x81\xd6\xff\0\0\0\0\x02", "{\"null\":2}");
    expect_json("\x82\242a\n\x01\xa0\x02", "{\"a\\n\":1,\"\":2}");
    expect_json("\x91\x82\x01\x02\xa1\xff\x03", "[{\"1\":2,\"" FFFD "\":3}]");
}

/* So many containers in each other: arrays, or maps with such a value, or with such a key. */
static struct span nested(uint8_t *room, int levels, const char *open, size_t open_len, const char *inner)
{
    size_t n = 0;
    for (int i = 0; i < levels; i++, n += open_len)
        memcpy(room + n, open, open_len);
    memcpy(room + n, inner, strlen(inner));
    return span_of(room, n + strlen(inner));
}

static void expect_depth(const char *open, size_t open_len, const char *inner)
{
    uint8_t data[1024], message[2048];
    struct event event;
    struct frame *frame = NULL;
    struct span deep =
        nested(data, CODEC_DEPTH_MAX - 1, open, open_len, inner); /* the event's map is level 1 */
    expect_reason(receive(event_of(deep, message), SPAN_NONE, &event, &frame), DROP_NOTHING);
    frame_unref(frame);
    expect_data_drop(nested(data, CODEC_DEPTH_MAX, open, open_len, inner), DROP_TOO_DEEP);
    expect_data_drop(nested(data, 200, open, open_len, inner), DROP_TOO_DEEP);
}

static void nesting_64_passes_and_65_is_dropped(void **state)
{
    (void)state;
    expect_depth("\x91", 1, "\x01");
    expect_depth("\x81\xa1k", 3, "\x01");
    expect_depth("\x81\x01", 2, "\xc0");
    uint8_t data[1024], message[2048];
    expect_data_drop(nested(data, CODEC_DEPTH_MAX - 1, "\x91", 1, "\x90"), DROP_TOO_DEEP);
    struct event event;
    struct span deep = nested(data, CODEC_DEPTH_MAX - 2, "\x91", 1, "\x90");
    expect_reason(receive(event_of(deep, message), SPAN_NONE, &event, NULL), DROP_NOTHING);
}

/* Below the array, 61 maps, of which each is the key of the one around it. */
static void nesting_in_keys_counts_too(void **state)
{
    (void)state;
    uint8_t data[1024], message[2048];
    for (int maps = CODEC_DEPTH_MAX - 3; maps <= CODEC_DEPTH_MAX - 1; maps++) {
        data[0] = 0x91;
        memset(data + 1, 0x81, (size_t)maps);
        memset(data + 1 + maps, 0x01, (size_t)maps + 1);
        struct event event;
        struct span message_bytes = event_of(span_of(data, 2 + 2 * (size_t)maps), message);
        bool is_deep = 2 + maps > CODEC_DEPTH_MAX;
        expect_reason(receive(message_bytes, SPAN_NONE, &event, NULL),
                      is_deep ? DROP_TOO_DEEP : DROP_NOTHING);
    }
}

static void data_before_other_keys_is_as_deep_as_data_at_the_end(void **state)
{
    (void)state;
    uint8_t message[256] = "\x82" DATA;
    for (int levels = CODEC_DEPTH_MAX - 1; levels <= CODEC_DEPTH_MAX; levels++) {
        size_t n = 6;
        memset(message + n, 0x91, (size_t)levels);
        memcpy(message + n + levels, "\x01" TYPE "\xa1t", 8);
        struct event event;
        enum drop_reason reason = levels < CODEC_DEPTH_MAX ? DROP_NOTHING : DROP_TOO_DEEP;
        expect_reason(receive(span_of(message, n + (size_t)levels + 8), SPAN_NONE, &event, NULL), reason);
    }
}

static void the_type_is_written_by_the_rules_for_strings(void **state)
{
    (void)state;
    expect_payload(BYTES("\x81" TYPE "\xa4\"\xff\na"),
                   BYTES("{\"type\":\"\\\"" FFFD "\\na\",\"data\":null}"));
    expect_payload(BYTES("\x82" TYPE "\xa0" DATA NIL), BYTES("{\"type\":\"\",\"data\":null}"));
}

static void a_value_much_longer_as_json_than_as_messagepack_is_written_whole(void **state)
{
    (void)state;
    enum { COUNT = 700 };
    static uint8_t data[3 + COUNT] = {0xda, COUNT >> 8, COUNT & 255};
    static uint8_t json[2 + 6 * COUNT];
    json[0] = '"';
    for (size_t i = 0; i < COUNT; i++)
        memcpy(json + 1 + 6 * i, "\\u0000", 6);
    json[1 + 6 * COUNT] = '"';
    expect_json_bytes(span_of(data, sizeof data), span_of(json, sizeof json));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nil_booleans_arrays_and_maps_stand_for_themselves),
        cmocka_unit_test(integers_are_exact_over_the_whole_range),
        cmocka_unit_test(floats_are_written_as_python_writes_them),
        cmocka_unit_test(nan_and_infinities_are_null),
        cmocka_unit_test(only_quotes_backslashes_and_control_characters_are_escaped),
        cmocka_unit_test(bytes_that_are_not_utf8_become_one_replacement_for_each_maximal_subpart),
        cmocka_unit_test(long_strings_are_escaped_wherever_the_character_stands),
        cmocka_unit_test(bin_is_base64),
        cmocka_unit_test(timestamps_are_rfc_3339_in_utc),
        cmocka_unit_test(fractions_of_a_second_have_three_six_or_nine_digits),
        cmocka_unit_test(years_outside_of_0000_to_9999_are_null),
        cmocka_unit_test(timestamps_of_another_length_and_other_ext_are_null),
        cmocka_unit_test(keys_of_every_kind_become_strings),
        cmocka_unit_test(nesting_64_passes_and_65_is_dropped),
        cmocka_unit_test(nesting_in_keys_counts_too),
        cmocka_unit_test(data_before_other_keys_is_as_deep_as_data_at_the_end),
        cmocka_unit_test(the_type_is_written_by_the_rules_for_strings),
        cmocka_unit_test(a_value_much_longer_as_json_than_as_messagepack_is_written_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
