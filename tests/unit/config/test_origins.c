/* ws.origins: what may be named. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>

#include "config/origins.h"

static void check_all(const char *const *texts, int expected)
{
    for (; *texts != NULL; texts++) {
        int error = origins_check(*texts);
        if (error != expected)
            fail_msg("\"%s\": expected %d, got %d", *texts, expected, error);
    }
}

static void origins_as_browsers_send_them_are_allowed(void **state)
{
    static const char *const texts[] = {"same-host",
                                        "*",
                                        "https://comfy.example",
                                        "http://127.0.0.1:8188",
                                        "http://[::1]:8188",
                                        "https://a.example, https://b.example:8443",
                                        "chrome-extension://abcdef",
                                        NULL};
    (void)state;
    check_all(texts, 0);
}

static void anything_else_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "null",
                                        "comfy.example",
                                        "https://",
                                        "https://a/",
                                        "https://a/path",
                                        "https://a:",
                                        "https://a:123456",
                                        "https://a:x",
                                        "https://u@a",
                                        "https://[::1",
                                        "https://[]",
                                        "https://a,",
                                        "https://a,*",
                                        "https://a same-host",
                                        "://a",
                                        "*.example",
                                        "https://*.example",
                                        NULL};
    (void)state;
    check_all(texts, -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_as_browsers_send_them_are_allowed),
        cmocka_unit_test(anything_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
