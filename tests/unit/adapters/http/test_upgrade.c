#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <cmocka.h>

#include "adapters/http/upgrade.h"

#define KEY   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define RIGHT "Host: relay:8190\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"

static struct request parse(const char *text)
{
    struct request r;
    if (request_parse(&r, text, strlen(text)) != REQUEST_COMPLETE)
        fail_msg("not a complete request: %s", text);
    return r;
}

static enum reject_reason decide(struct upgrade *u, const char *line, const char *fields, const char *origins)
{
    char text[4096];
    snprintf(text, sizeof text, "%s\r\n%s\r\n", line, fields);
    struct request r = parse(text);
    return upgrade_decide(u, &r, origins);
}

static const char *label(enum reject_reason reason)
{
    return reason == REJECT_NOTHING ? "accepted" : reject_reason_label(reason);
}

static void each_request_gets_the_answer_of_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *line, *fields, *answer;
    } cases[] = {
        {"GET /ws HTTP/1.1", RIGHT KEY, "accepted"},
        {"GET /api/ws HTTP/1.1", RIGHT KEY, "accepted"},
        {"GET /some/where/ws?x=1 HTTP/1.1", RIGHT KEY, "accepted"},
        {"GET http://relay/ws HTTP/1.1", RIGHT KEY, "accepted"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Sec-WebSocket-Extensions: permessage-deflate\r\n", "accepted"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Sec-WebSocket-Protocol: chat\r\n", "accepted"},
        {"GET /ws HTTP/1.1",
         "Host: a\r\nupgrade: h2c, WebSocket\r\nConnection: keep-alive, upgrade\r\nSec-WebSocket-Version: "
         "13\r\n" KEY,
         "accepted"},
        {"GET /ws HTTP/1.0", RIGHT KEY, "malformed"},
        {"POST /ws HTTP/1.0", RIGHT KEY, "malformed"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Content-Length: 2\r\n", "malformed"},
        {"POST /ws HTTP/1.1", RIGHT KEY "Content-Length: 2\r\n", "method"},
        {"HEAD /ws HTTP/1.1", RIGHT KEY, "method"},
        {"OPTIONS * HTTP/1.1", RIGHT KEY, "method"},
        {"DELETE /elsewhere HTTP/1.1", RIGHT, "method"},
        {"get /ws HTTP/1.1", RIGHT KEY, "method"},
        {"GET /elsewhere HTTP/1.1", RIGHT KEY, "path"},
        {"GET /ws/ HTTP/1.1", RIGHT KEY, "path"},
        {"GET /aws HTTP/1.1", RIGHT KEY, "path"},
        {"GET /?/ws HTTP/1.1", RIGHT KEY, "path"},
        {"GET / HTTP/1.1", RIGHT KEY, "path"},
        {"GET /ws HTTP/1.1", "Host: a\r\n", "not_upgrade"},
        {"GET /ws HTTP/1.1", "Host: a\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" KEY,
         "not_upgrade"},
        {"GET /ws HTTP/1.1", "Host: a\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY,
         "not_upgrade"},
        {"GET /ws HTTP/1.1", "Host: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n" KEY, "not_upgrade"},
        {"GET /ws HTTP/1.1", "Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n" KEY, "version"},
        {"GET /ws HTTP/1.1",
         "Host: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n" KEY,
         "version"},
        {"GET /ws HTTP/1.1", RIGHT "Sec-WebSocket-Version: 13\r\n" KEY, "version"},
        {"GET /ws HTTP/1.1", RIGHT, "key"},
        {"GET /ws HTTP/1.1", RIGHT KEY KEY, "key"},
        {"GET /ws HTTP/1.1", RIGHT "Sec-WebSocket-Key: c2hvcnQ=\r\n", "key"},
        {"GET /ws HTTP/1.1", RIGHT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=\r\n", "key"},
        {"GET /ws HTTP/1.1", RIGHT "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ-==\r\n", "key"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Origin: http://relay:1\r\n", "accepted"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Origin: http://example.com\r\n", "origin"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Origin: null\r\n", "origin"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Origin:\r\n", "origin"},
        {"GET /ws HTTP/1.1", RIGHT KEY "Origin: http://relay\r\nOrigin: http://relay\r\n", "origin"},
        {"GET http://example.com/ws HTTP/1.1", RIGHT KEY "Origin: http://example.com\r\n", "accepted"},
        {"GET /ws?clientId=%7B HTTP/1.1", RIGHT KEY, "sid"},
        {"GET /ws?clientId=a%00 HTTP/1.1", RIGHT KEY, "sid"},
        {"GET /ws?clientId=%C3 HTTP/1.1", RIGHT KEY, "sid"},
        {"GET /ws?clientId=%C2%80 HTTP/1.1", RIGHT KEY, "sid"},
        {"GET /ws?clientId=%7F HTTP/1.1", RIGHT KEY "Origin: null\r\n", "origin"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct upgrade u;
        const char *answer = label(decide(&u, cases[i].line, cases[i].fields, "same-host"));
        if (strcmp(answer, cases[i].answer) != 0)
            fail_msg("%s instead of %s: %s\n%s", answer, cases[i].answer, cases[i].line, cases[i].fields);
    }
}

static void expect_sid(const char *query, const char *expected)
{
    struct upgrade u;
    char line[1024], sid[SID_MAX_BYTES + 1];
    snprintf(line, sizeof line, "GET /ws?%s HTTP/1.1", query);
    assert_string_equal(label(decide(&u, line, RIGHT KEY, "same-host")), "accepted");
    snprintf(sid, sizeof sid, "%.*s", (int)u.sid_len, (const char *)u.sid);
    assert_string_equal(sid, expected);
}

static void the_sid_is_the_first_client_id_percent_decoded(void **state)
{
    (void)state;
    expect_sid("clientId=abc", "abc");
    expect_sid("x=1&clientId=a%2Fb%20c%C3%BC&clientId=d", "a/b c\xc3\xbc");
    expect_sid("clientId=a+b", "a+b");
    expect_sid("clientId=a%2", "a%2");
    expect_sid("clientId=a%zz%", "a%zz%");
    expect_sid("client%49d=a=b", "a=b");
    expect_sid("xclientId=1&clientIdx=2&clientId=3", "3");
    expect_sid("clientId=\xc3\xbc", "\xc3\xbc");
}

static void the_longest_sid_has_128_bytes(void **state)
{
    (void)state;
    struct upgrade u;
    char line[1024], sid[130] = {0};
    memset(sid, 'x', 129);
    snprintf(line, sizeof line, "GET /ws?clientId=%s HTTP/1.1", sid);
    assert_string_equal(label(decide(&u, line, RIGHT KEY, "*")), "sid");
    sid[128] = '\0';
    snprintf(line, sizeof line, "GET /ws?clientId=%s HTTP/1.1", sid);
    assert_string_equal(label(decide(&u, line, RIGHT KEY, "*")), "accepted");
}

static void expect_minted(const char *line)
{
    struct upgrade a, b;
    assert_string_equal(label(decide(&a, line, RIGHT KEY, "same-host")), "accepted");
    assert_string_equal(label(decide(&b, line, RIGHT KEY, "same-host")), "accepted");
    assert_int_equal(a.sid_len, 32);
    for (int i = 0; i < 32; i++)
        assert_non_null(strchr("0123456789abcdef", a.sid[i]));
    assert_int_equal(a.sid[12], '4');
    assert_non_null(strchr("89ab", a.sid[16]));
    assert_memory_not_equal(a.sid, b.sid, 32);
}

static void without_a_client_id_a_uuid4_is_minted(void **state)
{
    (void)state;
    expect_minted("GET /ws HTTP/1.1");
    expect_minted("GET /ws?clientId HTTP/1.1");
    expect_minted("GET /ws?clientId= HTTP/1.1");
    expect_minted("GET /ws?clientId=&clientId=b HTTP/1.1");
    expect_minted("GET /ws?clientid=a HTTP/1.1");
}

static void origins_are_let_in_as_the_option_says(void **state)
{
    (void)state;
    static const struct {
        const char *option, *origin, *host;
        bool is_allowed;
    } cases[] = {
        {"same-host", "http://Relay.example:1", "relay.EXAMPLE:8190", true},
        {"same-host", "https://relay", "relay", true},
        {"same-host", "http://[::1]:5", "[::1]:8190", true},
        {"same-host", "http://[::1]", "[::2]", false},
        {"same-host", "http://relay.evil", "relay", false},
        {"same-host", "http://relay", "relay.evil", false},
        {"same-host", "http://relay@evil", "relay", false},
        {"same-host", "null", "null", false},
        {"same-host", "relay", "relay", false},
        {"same-host", "http://", "", false},
        {"*", "null", "relay", true},
        {"*", "http://any", "relay", true},
        {"https://a.example, https://b.example:444", "https://a.example", "relay", true},
        {"https://a.example, https://b.example:444", "https://B.example:444", "relay", true},
        {"https://a.example, https://b.example:444", "https://b.example", "relay", false},
        {"https://a.example, https://b.example:444", "http://a.example", "relay", false},
        {"https://a.example", "http://relay", "relay", false},
        {"https://a.example,same-host", "http://relay", "relay", true},
        {"", "", "relay", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool allowed =
            upgrade_allows_origin(cases[i].option, span_str(cases[i].origin), span_str(cases[i].host));
        if (allowed != cases[i].is_allowed)
            fail_msg("%d instead of %d: %s, %s, %s", allowed, cases[i].is_allowed, cases[i].option,
                     cases[i].origin, cases[i].host);
    }
}

static void the_key_of_the_rfc_is_accepted_as_the_rfc_says(void **state)
{
    (void)state;
    char out[UPGRADE_RESPONSE_MAX];
    struct request r = parse("GET /ws HTTP/1.1\r\n" RIGHT KEY "\r\n");
    size_t len = upgrade_accepted(out, &r);
    assert_string_equal(out,
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    assert_int_equal(len, strlen(out));
}

static void every_refusal_fits_and_says_what_the_interface_asks(void **state)
{
    (void)state;
    static const struct {
        enum reject_reason reason;
        int status;
        const char *header;
    } cases[] = {
        {REJECT_MALFORMED, 400, "Connection: close\r\n"},
        {REJECT_METHOD, 405, "Allow: GET\r\n"},
        {REJECT_PATH, 404, "Connection: close\r\n"},
        {REJECT_NOT_UPGRADE, 426, "Upgrade: websocket\r\n"},
        {REJECT_VERSION, 426, "Sec-WebSocket-Version: 13\r\n"},
        {REJECT_KEY, 400, "Connection: close\r\n"},
        {REJECT_SID, 400, "Connection: close\r\n"},
        {REJECT_ORIGIN, 403, "Connection: close\r\n"},
        {REJECT_HEADER_BYTES, 431, "Connection: close\r\n"},
        {REJECT_TIMEOUT, 408, "Connection: close\r\n"},
        {REJECT_CONNECTIONS, 503, "Retry-After: 5\r\n"},
        {REJECT_DRAINING, 503, "Retry-After: 5\r\n"},
        {REJECT_DESCRIPTORS, 503, "Retry-After: 5\r\n"},
        {REJECT_NO_MEMORY, 503, "Retry-After: 5\r\n"},
    };
    assert_int_equal(sizeof cases / sizeof *cases, REJECT_REASONS_COUNT - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char out[UPGRADE_RESPONSE_MAX], line[32], length[64];
        size_t len = upgrade_refused(out, cases[i].reason, NULL, 784111777);
        assert_int_equal(len, strlen(out));
        assert_in_range(len, 1, sizeof out - 1);
        snprintf(line, sizeof line, "HTTP/1.1 %d ", cases[i].status);
        assert_memory_equal(out, line, strlen(line));
        assert_int_equal(upgrade_status(cases[i].reason), cases[i].status);
        assert_non_null(strstr(out, cases[i].header));
        assert_non_null(strstr(out, "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"));
        const char *body = strstr(out, "\r\n\r\n") + 4;
        snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
        assert_non_null(strstr(out, length));
    }
}

static void a_refusal_of_head_has_the_length_but_no_body(void **state)
{
    const char *text = "HEAD /ws HTTP/1.1\r\nHost: a\r\n\r\n";
    char with[UPGRADE_RESPONSE_MAX], without[UPGRADE_RESPONSE_MAX];
    struct request r;
    (void)state;
    assert_int_equal(request_parse(&r, text, strlen(text)), REQUEST_COMPLETE);
    upgrade_refused(with, REJECT_METHOD, NULL, 784111777);
    size_t len = upgrade_refused(without, REJECT_METHOD, &r, 784111777);
    char *body = strstr(with, "\r\n\r\n") + 4;
    assert_string_equal(body, "only GET is allowed\n");
    *body = '\0';
    assert_string_equal(without, with);
    assert_int_equal(len, strlen(with));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_gets_the_answer_of_the_table),
        cmocka_unit_test(the_sid_is_the_first_client_id_percent_decoded),
        cmocka_unit_test(the_longest_sid_has_128_bytes),
        cmocka_unit_test(without_a_client_id_a_uuid4_is_minted),
        cmocka_unit_test(origins_are_let_in_as_the_option_says),
        cmocka_unit_test(the_key_of_the_rfc_is_accepted_as_the_rfc_says),
        cmocka_unit_test(a_refusal_of_head_has_the_length_but_no_body),
        cmocka_unit_test(every_refusal_fits_and_says_what_the_interface_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
