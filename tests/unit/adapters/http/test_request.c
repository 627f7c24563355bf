#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "adapters/http/request.h"

static const char *const result_names[] = {"complete", "incomplete", "malformed"};

static void expect_result(const char *text, size_t len, enum request_result expected)
{
    struct request r;
    enum request_result result = request_parse(&r, text, len);
    if (result != expected)
        fail_msg("%s instead of %s: %.*s", result_names[result], result_names[expected], (int)len, text);
}

static struct request parse(const char *text)
{
    struct request r;
    if (request_parse(&r, text, strlen(text)) != REQUEST_COMPLETE)
        fail_msg("not a complete request: %s", text);
    return r;
}

static void expect_span(struct span s, const char *expected)
{
    char text[256];
    snprintf(text, sizeof text, "%.*s", (int)s.len, (const char *)s.bytes);
    assert_string_equal(text, expected);
}

static void a_request_is_cut_into_its_parts(void **state)
{
    (void)state;
    const char *text = "GET /base/ws?clientId=a?b&c HTTP/1.1\r\nHost:relay:8190 \r\nX-Empty:\r\n\r\n\x81\x80";
    struct request r = parse(text);
    expect_span(r.method, "GET");
    expect_span(r.target, "/base/ws?clientId=a?b&c");
    expect_span(r.path, "/base/ws");
    expect_span(r.query, "clientId=a?b&c");
    expect_span(r.host, "relay:8190");
    assert_int_equal(r.minor_version, 1);
    assert_int_equal(r.head_bytes, strlen(text) - 2);
    assert_false(r.has_body);
}

static void fields_are_found_whatever_their_case_and_listed_in_order(void **state)
{
    (void)state;
    struct request r = parse("GET / HTTP/1.1\r\nhOsT: a\r\nX: 1\r\nx:\t 2 \t\r\nX-Empty: \r\n\r\n");
    struct request_field field;
    size_t at = 0;
    expect_span(request_header(&r, "HOST"), "a");
    expect_span(request_header(&r, "X"), "1");
    assert_int_equal(request_header_count(&r, "x"), 2);
    assert_null(request_header(&r, "absent").bytes);
    assert_non_null(request_header(&r, "x-empty").bytes);
    assert_int_equal(request_header(&r, "x-empty").len, 0);
    const char *expected[] = {"hOsT", "a", "X", "1", "x", "2", "X-Empty", ""};
    for (int i = 0; i < 8; i += 2) {
        assert_true(request_next_field(&r, &at, &field));
        expect_span(field.name, expected[i]);
        expect_span(field.value, expected[i + 1]);
    }
    assert_false(request_next_field(&r, &at, &field));
}

static void tokens_are_found_in_lists_of_all_fields_of_a_name(void **state)
{
    (void)state;
    struct request r =
        parse("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive , close\r\nConnection:,uPgRaDe\r\n\r\n");
    assert_true(request_header_has_token(&r, "connection", "Upgrade"));
    assert_true(request_header_has_token(&r, "connection", "keep-alive"));
    assert_true(request_header_has_token(&r, "connection", "close"));
    assert_false(request_header_has_token(&r, "connection", "keep"));
    assert_false(request_header_has_token(&r, "connection", "alive , close"));
    assert_false(request_header_has_token(&r, "upgrade", "websocket"));
}

static void an_absolute_target_gives_the_host(void **state)
{
    (void)state;
    struct request r = parse("GET HTTP://[::1]:81/ws?a HTTP/1.1\r\nHost: other\r\n\r\n");
    expect_span(r.host, "[::1]:81");
    expect_span(r.path, "/ws");
    expect_span(r.query, "a");
    r = parse("GET https://relay HTTP/1.1\r\nHost: other\r\n\r\n");
    expect_span(r.host, "relay");
    expect_span(r.path, "/");
    r = parse("GET http://relay?q HTTP/1.1\r\nHost: other\r\n\r\n");
    expect_span(r.path, "/");
    expect_span(r.query, "q");
}

static void a_body_that_is_announced_is_told(void **state)
{
    (void)state;
    assert_true(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n").has_body);
    assert_true(parse("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").has_body);
    assert_false(parse("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").has_body);
}

static void the_version_is_told(void **state)
{
    (void)state;
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n").minor_version, 0);
    assert_int_equal(parse("GET / HTTP/1.2\r\nHost: a\r\n\r\n").minor_version, 1);
    expect_span(parse("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").path, "");
}

static void what_is_right_is_incomplete_up_to_its_last_byte(void **state)
{
    (void)state;
    const char *text = "\r\nGET /ws?clientId=\xc3\xbc HTTP/1.1\r\nHost: a\r\nX: \x80\t!\r\n\r\n";
    for (size_t n = 0; n < strlen(text); n++)
        expect_result(text, n, REQUEST_INCOMPLETE);
    expect_result(text, strlen(text), REQUEST_COMPLETE);
}

static void what_breaks_the_rules_is_malformed(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "GET /ws HTTP/1.1\nHost: a\n\n",
        "GET /ws HTTP/1.1\r\nHost: a\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\n\n",
        "GET /ws HTTP/1.1\r\nHost: a\rb\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost : a\r\n\r\n",
        "GET /ws HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\n\tfolded\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        "GET /ws HTTP/1.1\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a, b\r\n\r\n",
        "GET /ws HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "GET /ws HTTP/2.0\r\nHost: a\r\n\r\n",
        "GET /ws HTTP/1.1.1\r\nHost: a\r\n\r\n",
        "GET /ws http/1.1\r\nHost: a\r\n\r\n",
        "GET /ws\r\nHost: a\r\n\r\n",
        "GET  /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ws HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET\t/ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /w\ts HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /ws#x HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http:///ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "G@T /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        " GET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n\r\nGET /ws HTTP/1.1\r\nHost: a\r\n\r\n",
        "\n",
        "\x16\x03\x01",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        expect_result(texts[i], strlen(texts[i]), REQUEST_MALFORMED);
    expect_result("GET /ws HTTP/1.1\r\nHost: a\0\r\n\r\n", 30, REQUEST_MALFORMED);
    expect_result("GET /\0", 6, REQUEST_MALFORMED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_is_cut_into_its_parts),
        cmocka_unit_test(fields_are_found_whatever_their_case_and_listed_in_order),
        cmocka_unit_test(tokens_are_found_in_lists_of_all_fields_of_a_name),
        cmocka_unit_test(an_absolute_target_gives_the_host),
        cmocka_unit_test(a_body_that_is_announced_is_told),
        cmocka_unit_test(the_version_is_told),
        cmocka_unit_test(what_is_right_is_incomplete_up_to_its_last_byte),
        cmocka_unit_test(what_breaks_the_rules_is_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
