#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "adapters/websocket/flags.h"

static const char *const verdicts[] = {"not yet", "none", "negotiated"};

/* Read from memory of its exact size, so that a sanitizer sees a byte too far. */
static const char *read_flags(const char *text, bool *wants_metadata)
{
    size_t len = strlen(text);
    uint8_t *copy = malloc(len > 0 ? len : 1);
    memcpy(copy, text, len);
    *wants_metadata = false;
    enum flags_verdict verdict = flags_read(span_of(copy, len), wants_metadata);
    free(copy);
    return verdicts[verdict];
}

static void the_first_object_decides_and_a_flag_counts_only_when_true(void **state)
{
    (void)state;
    static const struct {
        const char *text, *verdict;
        bool wants_metadata;
    } cases[] = {
        {"{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}", "negotiated", true},
        {" { \"data\" : {\"supports_preview_metadata\" : true} , \"type\" : \"feature_flags\" } \n",
         "negotiated", true},
        {"{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":1}}", "negotiated", false},
        {"{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":\"true\"}}", "negotiated",
         false},
        {"{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":false}}", "negotiated", false},
        {"{\"type\":\"feature_flags\",\"data\":{}}", "negotiated", false},
        {"{\"type\":\"feature_flags\"}", "negotiated", false},
        {"{\"type\":\"feature_flags\",\"data\":null}", "negotiated", false},
        {"{\"type\":\"feature_flags\",\"data\":5}", "negotiated", false},
        {"{\"type\":\"feature_flags\",\"data\":[true]}", "negotiated", false},
        {"{\"type\":\"feature\\u005fflags\",\"data\":{}}", "negotiated", false},
        {"{\"type\":\"feature_flags\\u0000\"}", "none", false},
        {"{\"type\":\"x\"}", "none", false},
        {"{\"type\":5}", "none", false},
        {"{}", "none", false},
        {"", "not yet", false},
        {"hello", "not yet", false},
        {"null", "not yet", false},
        {"[{\"type\":\"feature_flags\"}]", "not yet", false},
        {"\"feature_flags\"", "not yet", false},
        {"{\"type\":\"feature_flags\"}x", "not yet", false},
        {"{\"type\":\"feature_flags\"", "not yet", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool wants;
        const char *verdict = read_flags(cases[i].text, &wants);
        if (strcmp(verdict, cases[i].verdict) != 0 || wants != cases[i].wants_metadata)
            fail_msg("%s, %d instead of %s, %d: %s", verdict, wants, cases[i].verdict,
                     cases[i].wants_metadata, cases[i].text);
    }
}

/* What Python's json takes and the standard does not, and what neither takes. */
static void json_is_read_as_leniently_as_a_stock_server_does(void **state)
{
    (void)state;
    static const struct {
        const char *value, *verdict;
    } cases[] = {
        {"NaN", "negotiated"},
        {"[Infinity,-Infinity , NaN]", "negotiated"},
        {"\"NaN \\\" Infinity\"", "negotiated"},
        {"\"\\ud800\"", "negotiated"},
        {"\"\\uDFFF \\\\ud800\"", "negotiated"},
        {"[\"\\ud83d\\ude00\", NaN]", "negotiated"},
        {"18446744073709551616", "negotiated"},
        {"123456789012345678901234567890", "negotiated"},
        {"1e308", "negotiated"},
        {"1e999", "not yet"}, /* unlike there */
        {"\"\\u0000\"", "negotiated"},
        {"nan", "not yet"},
        {"NaN1", "not yet"},
        {"1NaN", "not yet"},
        {"--Infinity", "not yet"},
        {"Infinit", "not yet"},
        {"\"\\ud80\"", "not yet"},
        {"\"\\x\"", "not yet"},
        {"\"\\", "not yet"},
        {"\"\t\"", "not yet"},
        {"{NaN:1}", "not yet"},
        {"01", "not yet"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[256];
        bool wants;
        snprintf(text, sizeof text,
                 "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true,\"x\":%s}}",
                 cases[i].value);
        const char *verdict = read_flags(text, &wants);
        if (strcmp(verdict, cases[i].verdict) != 0 || wants != (strcmp(verdict, "negotiated") == 0))
            fail_msg("%s instead of %s: %s", verdict, cases[i].verdict, text);
    }
}

static void the_reply_is_the_option_without_white_space_digit_for_digit(void **state)
{
    (void)state;
    struct frame *f = flags_reply(" { \"a b\\\" c\" : 18446744073709551615,\n\"d\": [ 0.1, true ] } ");
    assert_non_null(f);
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)frame_payload(f).len, (const char *)frame_payload(f).bytes);
    assert_string_equal(text, "{\"type\":\"feature_flags\",\"data\":"
                              "{\"a b\\\" c\":18446744073709551615,\"d\":[0.1,true]}}");
    frame_unref(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_object_decides_and_a_flag_counts_only_when_true),
        cmocka_unit_test(json_is_read_as_leniently_as_a_stock_server_does),
        cmocka_unit_test(the_reply_is_the_option_without_white_space_digit_for_digit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
