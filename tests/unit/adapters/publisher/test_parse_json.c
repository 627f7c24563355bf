/* JSON in, MessagePack out: what the relay makes of that is the same JSON again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <locale.h>
#include <cmocka.h>

#include "adapters/msgpack/payload.h"
#include "adapters/publisher/parse_json.h"

#define EMPTY_FRAME "{\"type\":\"t\",\"data\":"

/* Its value as the relay writes it for clients, for free(); NULL when it is no JSON, and *why and *at say more. */
static char *through(struct span json, const char **why, size_t *at)
{
    struct packing packed;
    packing_init(&packed);
    char *text = NULL;
    if (parse_json(&packed, json, 2, why, at) == 0) {
        struct event e = {.type = span_str("t"), .data = packing_span(&packed)};
        struct frame_builder b;
        frame_builder_init(&b, 64);
        assert_int_equal(payload_text(&e, &b), DROP_NOTHING);
        struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
        struct span s = frame_payload(f);
        text = strndup((const char *)s.bytes + strlen(EMPTY_FRAME), s.len - strlen(EMPTY_FRAME) - 1);
        frame_unref(f);
    }
    packing_deinit(&packed);
    return text;
}

static void expect(const char *json, const char *wanted)
{
    const char *why = "";
    size_t at;
    char *got = through(span_str(json), &why, &at);
    if (!got)
        fail_msg("%s: %s", json, why);
    assert_string_equal(got, wanted);
    free(got);
}

static void expect_same(const char *json)
{
    expect(json, json);
}

static void expect_error(struct span json, size_t wanted_at, const char *wanted)
{
    const char *why = "nothing";
    size_t at = 0;
    uint8_t *exact = malloc(json.len + !json.len); /* so that a sanitizer sees a step beyond the end */
    memcpy(exact, json.bytes, json.len);
    char *got = through(span_of(exact, json.len), &why, &at);
    free(exact);
    assert_null(got);
    assert_string_equal(why, wanted);
    if (at != wanted_at)
        fail_msg("%.*s: byte %zu, not %zu", (int)json.len, (const char *)json.bytes, at, wanted_at);
}

static void integers_pass_digit_for_digit(void **state)
{
    (void)state;
    expect_same("[0,1,-1,127,128,255,256,65535,65536,4294967296]");
    expect_same("[9223372036854775807,18446744073709551615,-9223372036854775808]");
    expect("-0", "0");
}

static void integers_beyond_64_bits_become_floats(void **state)
{
    (void)state;
    expect("18446744073709551616", "1.8446744073709552e+19");
    expect("-9223372036854775809", "-9.223372036854776e+18");
}

static void floats_stay_floats(void **state)
{
    (void)state;
    expect_same("[1.0,-0.0,0.1,9.470509434538348,5e-324,1e+22]");
    expect("[1E2,1e-2,12.50]", "[100.0,0.01,12.5]");
}

static int make_locale(void **state)
{
    static char folder[] = "/tmp/locale-XXXXXX";
    char command[200];
    *state = folder;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 >%s/log 2>&1",
             mkdtemp(folder), folder);
    return system(command) >= 0 && setenv("LOCPATH", folder, 1) == 0 ? 0 : -1;
}

static int remove_locale(void **state)
{
    char command[200];
    setlocale(LC_NUMERIC, "C");
    unsetenv("LOCPATH");
    snprintf(command, sizeof command, "rm -r %s", (char *)*state);
    return system(command);
}

static void floats_do_not_follow_the_locale(void **state)
{
    (void)state;
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8")) {
        print_message("there is no locale but C: localedef has no de_DE\n");
        skip();
    }
    assert_string_equal(localeconv()->decimal_point, ",");
    expect_same("1.5");
}

static void texts_pass_with_all_their_escapes(void **state)
{
    (void)state;
    expect("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"",
           "\"\\\"\\\\/\\b\\f\\n\\r\\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"");
    expect_same("\"\xc3\xa9\xf0\x9f\x98\x80\"");
    expect("\"\\u0000\"", "\"\\u0000\"");
    expect_same("[\"\",\"0123456789012345678901234567890\",\"01234567890123456789012345678901\"]");
}

static void lone_surrogates_are_their_bytes(void **state)
{
    (void)state;
    expect("\"a\\ud800b\"", "\"a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x62\"");
    expect("\"\\ud800\\u0041\"", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\x41\"");
}

static void containers_pass_whatever_their_size(void **state)
{
    (void)state;
    expect_same("{}");
    expect_same("[[],{},null,true,false]");
    expect_same("{\"a\":{\"b\":[1,{\"c\":\"d\"}]},\"e\":[]}");
    expect_same("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15]");
    expect_same("[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,[16]]");
    expect(" { \"a\" : [ 1 , 2 ] ,\r\n\t\"b\" : null } ", "{\"a\":[1,2],\"b\":null}");
}

static void nesting_goes_as_deep_as_the_contract_allows(void **state)
{
    (void)state;
    char text[200] = "";
    memset(text, '[', 63);
    memset(text + 63, ']', 63);
    expect_same(text);
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    expect_error(span_str(text), 63, "nested too deep");
}

static void what_is_no_json_is_refused_at_its_place(void **state)
{
    (void)state;
    expect_error(span_str(""), 0, "not a value");
    expect_error(span_str("nan"), 0, "not a value");
    expect_error(span_str("[1,]"), 3, "not a value");
    expect_error(span_str("[1 2]"), 3, "a comma or ] is wanted");
    expect_error(span_str("[1"), 2, "a comma or ] is wanted");
    expect_error(span_str("{1:2}"), 1, "a key is a string");
    expect_error(span_str("{\"a\" 2}"), 5, "a colon is wanted");
    expect_error(span_str("{\"a\":2 \"b\":3}"), 7, "a comma or } is wanted");
    expect_error(span_str("{\"a\":2,}"), 7, "a key is a string");
    expect_error(span_str("1 2"), 2, "something follows the value");
    expect_error(span_str("01"), 2, "not a value");
    expect_error(span_str("1."), 2, "a digit must follow the point");
    expect_error(span_str("1e"), 2, "an exponent has a digit");
    expect_error(span_str("-"), 1, "not a value");
    expect_error(span_str("\"a"), 2, "a string has no end");
    expect_error(span_str("\"\\"), 2, "an unknown escape");
    expect_error(span_str("\"\\x\""), 2, "an unknown escape");
    expect_error(span_str("\"\\u12g4\""), 3, "\\u needs four hexadecimal digits");
    expect_error(span_str("\"\\u12"), 3, "\\u needs four hexadecimal digits");
    expect_error(span_str("\"a\nb\""), 2, "a control character in a string must be escaped");
    expect_error(span_str("\"a\xff\""), 2, "not UTF-8");
    expect_error(span_of("tru", 3), 0, "not a value");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_pass_digit_for_digit),
        cmocka_unit_test(integers_beyond_64_bits_become_floats),
        cmocka_unit_test(floats_stay_floats),
        cmocka_unit_test_setup_teardown(floats_do_not_follow_the_locale, make_locale, remove_locale),
        cmocka_unit_test(texts_pass_with_all_their_escapes),
        cmocka_unit_test(lone_surrogates_are_their_bytes),
        cmocka_unit_test(containers_pass_whatever_their_size),
        cmocka_unit_test(nesting_goes_as_deep_as_the_contract_allows),
        cmocka_unit_test(what_is_no_json_is_refused_at_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
