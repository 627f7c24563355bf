/* The log: lines that no value can forge. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdlib.h>

#include "adapters/process/logger.h"

#define TIME_LENGTH strlen("time=2024-01-31T23:59:59.999Z ")

/* One logger that writes to memory. */
struct recorder {
    struct logger logger;
    char *text;
    size_t len;
};

static void begin(struct recorder *r, enum log_format format)
{
    *r = (struct recorder){.logger = {.level = LOG_INFO, .format = format}};
    r->logger.stream = open_memstream(&r->text, &r->len);
    assert_non_null(r->logger.stream);
}

static void end(struct recorder *r)
{
    fclose(r->logger.stream);
    free(r->text);
}

static void check_text_field(struct span value, const char *expected)
{
    struct recorder r;
    begin(&r, LOG_TEXT);
    logger_info(&r.logger, "m", LOG_SPAN("k", value));
    assert_true(r.len > TIME_LENGTH);
    assert_memory_equal(r.text, "time=2", 6);
    assert_string_equal(r.text + TIME_LENGTH, expected);
    end(&r);
}

static void a_text_line_has_time_level_message_and_fields(void **state)
{
    struct recorder r;
    unsigned year, month, day, hour, minute, second, ms;
    char zone;
    (void)state;
    begin(&r, LOG_TEXT);
    logger_warn(&r.logger, "redis connection lost", LOG_STR("error", "reset"), LOG_INT("retry_ms", -5));
    assert_int_equal(sscanf(r.text, "time=%4u-%2u-%2uT%2u:%2u:%2u.%3u%c", &year, &month, &day, &hour, &minute,
                            &second, &ms, &zone),
                     8);
    assert_int_equal(zone, 'Z');
    assert_string_equal(r.text + TIME_LENGTH,
                        "level=warn msg=\"redis connection lost\" error=reset retry_ms=-5\n");
    end(&r);
}

static void a_value_cannot_forge_a_text_line(void **state)
{
    (void)state;
    check_text_field(span_str("plain/value:1"), "level=info msg=m k=plain/value:1\n");
    check_text_field(span_str(""), "level=info msg=m k=\"\"\n");
    check_text_field(SPAN_NONE, "level=info msg=m k=\"\"\n");
    check_text_field(span_str("a\ntime=0 level=error"), "level=info msg=m k=\"a\\ntime=0 level=error\"\n");
    check_text_field(span_str("a\" k2=\"b"), "level=info msg=m k=\"a\\\" k2=\\\"b\"\n");
    check_text_field(span_str("a=b"), "level=info msg=m k=\"a=b\"\n");
    check_text_field(span_str("a\\"), "level=info msg=m k=\"a\\\\\"\n");
    check_text_field(span_str("\x1b[31m\r\x7f"), "level=info msg=m k=\"\\x1b[31m\\x0d\\x7f\"\n");
    check_text_field(span_str("\xc2\x9b"), "level=info msg=m k=\"\\xc2\\x9b\"\n");
    check_text_field(span_of("a\0b", 3), "level=info msg=m k=\"a\\x00b\"\n");
    check_text_field(span_str("\xff\xe2\x82"), "level=info msg=m k=\"\\xff\\xe2\\x82\"\n");
    check_text_field(span_str("größe"), "level=info msg=m k=\"größe\"\n");
}

static json_t *parse_line(const char *text, size_t len)
{
    json_error_t why;
    assert_int_equal(text[len - 1], '\n');
    assert_ptr_equal(memchr(text, '\n', len), text + len - 1);
    json_t *line = json_loadb(text, len - 1, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (line == NULL)
        fail_msg("no JSON: %s in %s", why.text, text);
    return line;
}

static void check_json_field(struct span value, const char *expected, size_t expected_len)
{
    struct recorder r;
    begin(&r, LOG_JSON);
    logger_info(&r.logger, "m", LOG_SPAN("k", value));
    json_t *line = parse_line(r.text, r.len);
    assert_int_equal(json_string_length(json_object_get(line, "k")), expected_len);
    assert_memory_equal(json_string_value(json_object_get(line, "k")), expected, expected_len);
    json_decref(line);
    end(&r);
}

static void a_json_line_is_one_object(void **state)
{
    struct recorder r;
    (void)state;
    begin(&r, LOG_JSON);
    logger_error(&r.logger, "a \"b\"", LOG_STR("s", "x"), LOG_INT("n", INT64_MIN), LOG_STR("none", NULL));
    json_t *line = parse_line(r.text, r.len);
    assert_string_equal(json_string_value(json_object_get(line, "level")), "error");
    assert_string_equal(json_string_value(json_object_get(line, "msg")), "a \"b\"");
    assert_string_equal(json_string_value(json_object_get(line, "s")), "x");
    assert_string_equal(json_string_value(json_object_get(line, "none")), "");
    assert_true(json_integer_value(json_object_get(line, "n")) == INT64_MIN);
    assert_int_equal(json_string_length(json_object_get(line, "time")), 24);
    json_decref(line);
    end(&r);
}

static void a_json_value_is_what_was_given(void **state)
{
    static const char odd[] = "\"},{\n\r\t\x01\x1f\x7f\\ \xc2\x85 größe \0 end";
    (void)state;
    check_json_field(span_of(odd, sizeof(odd) - 1), odd, sizeof(odd) - 1);
    check_json_field(span_str("a\xff"), "a\xEF\xBF\xBD", 4);
}

static void a_line_is_bounded_and_still_whole(void **state)
{
    static const char fills[] = {'a', '\x01', '"', '\n', '\xff', ' '};
    char value[10000];
    (void)state;
    for (size_t i = 0; i < sizeof(fills); i++) {
        struct recorder r;
        memset(value, fills[i], sizeof(value));
        begin(&r, LOG_JSON);
        logger_info(&r.logger, "m", LOG_SPAN("k", span_of(value, sizeof(value))), LOG_INT("left_out", 1));
        assert_in_range(r.len, 4000, 4096);
        json_decref(parse_line(r.text, r.len));
        end(&r);
        begin(&r, LOG_TEXT);
        logger_info(&r.logger, "m", LOG_SPAN("k", span_of(value, sizeof(value))), LOG_INT("left_out", 1));
        assert_in_range(r.len, 4000, 4096);
        assert_memory_equal(r.text + r.len - 2, "\"\n", 2);
        end(&r);
    }
}

static void many_fields_leave_a_whole_line(void **state)
{
    struct log_field fields[601] = {0};
    struct recorder r;
    char keys[600][8];
    (void)state;
    for (size_t i = 0; i < 600; i++) {
        snprintf(keys[i], sizeof(keys[i]), "k%zu", i);
        fields[i] = (struct log_field)LOG_INT(keys[i], INT64_MIN);
    }
    begin(&r, LOG_JSON);
    logger_write(&r.logger, LOG_INFO, "m", fields);
    json_decref(parse_line(r.text, r.len));
    end(&r);
}

static void what_is_below_the_level_is_not_written(void **state)
{
    struct recorder r;
    (void)state;
    begin(&r, LOG_TEXT);
    logger_debug(&r.logger, "m");
    fflush(r.logger.stream);
    assert_int_equal(r.len, 0);
    r.logger.level = LOG_DEBUG;
    logger_debug(&r.logger, "m");
    assert_string_equal(r.text + TIME_LENGTH, "level=debug msg=m\n");
    end(&r);
}

static void a_limit_holds_back_and_tells_how_many(void **state)
{
    struct log_limit limit = {.interval_ms = 1000, .burst = 2};
    uint64_t suppressed = 99;
    (void)state;
    assert_true(log_limit_pass(&limit, 5000, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_true(log_limit_pass(&limit, 5001, &suppressed));
    assert_false(log_limit_pass(&limit, 5002, &suppressed));
    assert_false(log_limit_pass(&limit, 5999, &suppressed));
    assert_true(log_limit_pass(&limit, 6000, &suppressed));
    assert_int_equal(suppressed, 2);
    assert_true(log_limit_pass(&limit, 6001, &suppressed));
    assert_int_equal(suppressed, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_message_and_fields),
        cmocka_unit_test(a_value_cannot_forge_a_text_line),
        cmocka_unit_test(a_json_line_is_one_object),
        cmocka_unit_test(a_json_value_is_what_was_given),
        cmocka_unit_test(a_line_is_bounded_and_still_whole),
        cmocka_unit_test(many_fields_leave_a_whole_line),
        cmocka_unit_test(what_is_below_the_level_is_not_written),
        cmocka_unit_test(a_limit_holds_back_and_tells_how_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
