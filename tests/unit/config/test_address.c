/* Addresses, and lists of them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "config/address.h"
#include "config/list.h"

static void check_tcp(const char *text, const char *name, unsigned port)
{
    struct address a;
    if (address_parse(&a, span_str(text)) != 0)
        fail_msg("%s was refused", text);
    assert_int_equal(a.kind, ADDRESS_TCP);
    assert_string_equal(a.name, name);
    assert_int_equal(a.port, port);
    assert_string_equal(a.text, text);
}

static void hosts_and_ports_are_told_apart(void **state)
{
    (void)state;
    check_tcp("127.0.0.1:8190", "127.0.0.1", 8190);
    check_tcp("0.0.0.0:0", "0.0.0.0", 0);
    check_tcp("relay-1.example_net.org:65535", "relay-1.example_net.org", 65535);
    check_tcp("[::1]:8190", "::1", 8190);
    check_tcp("[::ffff:10.0.0.1]:80", "::ffff:10.0.0.1", 80);
    check_tcp("[fe80::1%eth0]:80", "fe80::1%eth0", 80);
}

static void what_is_no_address_is_refused(void **state)
{
    static const char *const texts[] = {"",          "8190",          ":8190",    "localhost",   "localhost:",
                                        "a:65536",   "a:-1",          "a:1x",     "a:000001",    "a b:1",
                                        "127.1:80",  "999.0.0.1:1",   "::1:8190", "[::1]",       "[::1]8190",
                                        "[::1]:",    "[]:1",          "[::g]:1",  "[1.2.3.4]:1", "[::1%]:1",
                                        "[::1:8190", "http://a:8190", "unix:",    "*:8190",      "a/b:1"};
    struct address a;
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int error = address_parse(&a, span_str(texts[i]));
        if (error != -EINVAL)
            fail_msg("\"%s\": expected %d, got %d", texts[i], -EINVAL, error);
    }
}

static void a_path_fits_a_socket_address_or_is_refused(void **state)
{
    char text[200] = "unix:";
    struct address a;
    (void)state;
    memset(text + 5, 'p', 107);
    assert_int_equal(address_parse(&a, span_of(text, 5 + 107)), 0);
    assert_int_equal(a.kind, ADDRESS_UNIX);
    assert_int_equal(strlen(a.name), 107);
    text[5 + 107] = 'p';
    assert_int_equal(address_parse(&a, span_of(text, 5 + 108)), -EINVAL);
}

static void overlong_hosts_are_refused(void **state)
{
    char text[600];
    struct address a;
    (void)state;
    memset(text, 'h', sizeof(text));
    memcpy(text + sizeof(text) - 3, ":80", 3);
    assert_int_equal(address_parse(&a, span_of(text, sizeof(text))), -EINVAL);
    text[0] = '[';
    text[sizeof(text) - 4] = ']';
    assert_int_equal(address_parse(&a, span_of(text, sizeof(text))), -EINVAL);
    memcpy(text + 257, ":80", 3); /* a host of one byte more than fits, in a text that fits */
    assert_int_equal(address_parse(&a, span_of(text + 1, 259)), -EINVAL);
}

static void a_list_is_read_whole_or_refused(void **state)
{
    struct address a[2];
    (void)state;
    assert_int_equal(address_parse_list(a, 2, span_str("a:1 , unix:/run/b")), 2);
    assert_string_equal(a[0].text, "a:1");
    assert_string_equal(a[1].name, "/run/b");
    assert_int_equal(address_parse_list(a, 2, span_str(" ")), 0);
    assert_int_equal(address_parse_list(a, 2, span_str("a:1,")), -EINVAL);
    assert_int_equal(address_parse_list(a, 2, span_str("a:1,b:2,c:3")), -E2BIG);
}

static void list_items_lose_the_blanks_around_them(void **state)
{
    struct span list = span_str(" a b ,,\tc"), item;
    (void)state;
    assert_true(list_next(&list, &item));
    assert_true(span_is(item, "a b"));
    assert_true(list_next(&list, &item));
    assert_int_equal(item.len, 0);
    assert_true(list_next(&list, &item));
    assert_true(span_is(item, "c"));
    assert_false(list_next(&list, &item));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_and_ports_are_told_apart),
        cmocka_unit_test(what_is_no_address_is_refused),
        cmocka_unit_test(a_path_fits_a_socket_address_or_is_refused),
        cmocka_unit_test(overlong_hosts_are_refused),
        cmocka_unit_test(a_list_is_read_whole_or_refused),
        cmocka_unit_test(list_items_lose_the_blanks_around_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
