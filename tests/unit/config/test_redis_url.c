/* redis.url: what is understood, and that a password is never shown. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/redis_url.h"

struct understood {
    const char *text;
    const char *host, *user, *password;
    unsigned port, database;
    bool is_unix;
};

static void check_text(const char *url, const char *got, const char *expected)
{
    if (got == expected)
        return;
    if (got == NULL || expected == NULL || strcmp(got, expected) != 0)
        fail_msg("%s: expected %s, got %s", url, expected == NULL ? "nothing" : expected,
                 got == NULL ? "nothing" : got);
}

static void every_part_of_a_url_is_read(void **state)
{
    static const struct understood urls[] = {
        {"redis://h", "h", NULL, NULL, 6379, 0, false},
        {"REDIS://h/", "h", NULL, NULL, 6379, 0, false},
        {"redis://127.0.0.1:7000/15", "127.0.0.1", NULL, NULL, 7000, 15, false},
        {"redis://[::1]/2", "::1", NULL, NULL, 6379, 2, false},
        {"redis://[::1]:6380", "::1", NULL, NULL, 6380, 0, false},
        {"redis://u:p@h:1/3", "h", "u", "p", 1, 3, false},
        {"redis://:p@h", "h", NULL, "p", 6379, 0, false},
        {"redis://u@h", "h", "u", NULL, 6379, 0, false},
        {"redis://u:@h", "h", "u", NULL, 6379, 0, false},
        {"redis://us%3Aer:p%40s%2fs%25@h", "h", "us:er", "p@s/s%", 6379, 0, false},
        {"redis://u:p@ss@h", "h", "u", "p@ss", 6379, 0, false},
        {"redis+unix:///run/redis.sock", "/run/redis.sock", NULL, NULL, 0, 0, true},
        {"redis+unix:///run/a%20b?db=4", "/run/a b", NULL, NULL, 0, 4, true},
        {"redis+unix://u:p@/run/r", "/run/r", "u", "p", 0, 0, true},
        {"redis+unix:///run/a@b", "/run/a@b", NULL, NULL, 0, 0, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        struct redis_url u;
        int error = redis_url_parse(&u, urls[i].text);
        if (error != 0)
            fail_msg("%s: refused with %d", urls[i].text, error);
        check_text(urls[i].text, u.host, urls[i].host);
        check_text(urls[i].text, u.user, urls[i].user);
        check_text(urls[i].text, u.password, urls[i].password);
        assert_int_equal(u.port, urls[i].port);
        assert_int_equal(u.database, urls[i].database);
        assert_int_equal(u.is_unix, urls[i].is_unix);
        redis_url_deinit(&u);
    }
}

static void what_is_no_url_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "localhost:6379",
                                        "http://h",
                                        "redis:",
                                        "redis:/h",
                                        "redis://",
                                        "redis:///0",
                                        "redis://:6379",
                                        "redis://h:",
                                        "redis://h:0",
                                        "redis://h:65536",
                                        "redis://h:6379x",
                                        "redis://h/x",
                                        "redis://h/-1",
                                        "redis://h/1/2",
                                        "redis://h/1000000x",
                                        "redis://h?db=1",
                                        "redis://h/1?a=b",
                                        "redis://::1",
                                        "redis://[::1",
                                        "redis://[::1]x",
                                        "redis://[host]",
                                        "redis://a b",
                                        "redis://u:%4@h",
                                        "redis://u:%zz@h",
                                        "redis://u:a%00b@h",
                                        "redis+unix://",
                                        "redis+unix://run/r",
                                        "redis+unix:///r?db=",
                                        "redis+unix:///r?db=x",
                                        "redis+unix:///r?x=1",
                                        "redis+unix:///r%00"};
    struct redis_url u;
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        int error = redis_url_parse(&u, texts[i]);
        if (error != -EINVAL)
            fail_msg("\"%s\": expected %d, got %d", texts[i], -EINVAL, error);
    }
}

/* libuv would cut it short, and connect to another one. */
static void a_path_fits_a_socket_address_or_is_refused(void **state)
{
    char text[200] = "redis+unix:///%41";
    size_t head = strlen(text);
    struct redis_url u;
    (void)state;
    memset(text + head, 'p', 105); /* after "/A" */
    assert_int_equal(redis_url_parse(&u, text), 0);
    assert_int_equal(strlen(u.host), 107);
    redis_url_deinit(&u);
    text[head + 105] = 'p';
    assert_int_equal(redis_url_parse(&u, text), -EINVAL);
    strcpy(text + head + 106, "?db=1");
    assert_int_equal(redis_url_parse(&u, text), -EINVAL);
}

static void tls_and_sentinel_are_known_but_not_supported(void **state)
{
    struct redis_url u;
    (void)state;
    assert_int_equal(redis_url_parse(&u, "rediss://h:6380/0"), -ENOTSUP);
    assert_int_equal(redis_url_parse(&u, "redis+sentinel://a:1,b:2/0?master=m"), -ENOTSUP);
}

static void a_password_is_never_shown(void **state)
{
    static const char *const texts[][2] = {
        {"redis://h:6379/0", "redis://h:6379/0"},
        {"redis://[::1]:6379/0", "redis://[::1]:6379/0"},
        {"redis://u:SECRET@h/1", "redis://u:***@h/1"},
        {"redis://:SECRET@h", "redis://:***@h"},
        {"redis://u:@h", "redis://u:@h"},
        {"redis://u:SEC@RET@h", "redis://u:***@h"},
        {"redis://u:SEC/RET@h", "redis://u:***@h"},
        {"redis+unix://u:SECRET@/r?db=1", "redis+unix://u:***@/r?db=1"},
        {"redis+unix:///r?password=SECRET", "redis+unix:///r?***"},
        {"redis://u:SECRET@h?password=SECRET", "redis://u:***@h?***"},
        {"redis://:SECRET", "redis://:***"},
        {"rediss://u:SECRET@h", "rediss://u:***@h"},
        {"u:SECRET@h", "u:***@h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        char *shown;
        size_t len;
        FILE *to = open_memstream(&shown, &len);
        redis_url_write_masked(texts[i][0], to);
        fclose(to);
        assert_string_equal(shown, texts[i][1]);
        free(shown);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_part_of_a_url_is_read),
        cmocka_unit_test(what_is_no_url_is_refused),
        cmocka_unit_test(a_path_fits_a_socket_address_or_is_refused),
        cmocka_unit_test(tls_and_sentinel_are_known_but_not_supported),
        cmocka_unit_test(a_password_is_never_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
