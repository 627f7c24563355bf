/* Datagrams to a supervisor. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "adapters/process/notify.h"

/* A socket that is told, with room for a single datagram in its queue at least. */
static int listen_at(const char *address)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t len = strlen(address);
    memcpy(un.sun_path, address, len);
    if (address[0] == '@')
        un.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(
        bind(fd, (struct sockaddr *)&un, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)), 0);
    return fd;
}

static void check_arrives(const char *address)
{
    char got[64] = "";
    struct notify n;
    int fd = listen_at(address);
    assert_int_equal(notify_init(&n, address), 0);
    assert_int_equal(notify_send(&n, "READY=1\nSTATUS=well"), 0);
    assert_int_equal(recv(fd, got, sizeof(got) - 1, 0), strlen("READY=1\nSTATUS=well"));
    assert_string_equal(got, "READY=1\nSTATUS=well");
    notify_deinit(&n);
    close(fd);
}

static void reaches_a_path_and_an_abstract_name(void **state)
{
    char dir[] = "/tmp/notify-XXXXXX", path[64], name[64];
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/socket", dir);
    snprintf(name, sizeof(name), "@%s/abstract", dir);
    check_arrives(path);
    check_arrives(name);
    unlink(path);
    rmdir(dir);
}

static void an_address_of_another_kind_is_refused(void **state)
{
    char long_one[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 2];
    struct notify n;
    (void)state;
    memset(long_one, 'x', sizeof(long_one));
    long_one[0] = '/';
    long_one[sizeof(long_one) - 1] = '\0';
    assert_int_equal(notify_init(&n, ""), -EINVAL);
    assert_int_equal(notify_init(&n, "@"), -EINVAL);
    assert_int_equal(notify_init(&n, "relative"), -EINVAL);
    assert_int_equal(notify_init(&n, "vsock:2:1"), -EINVAL);
    assert_int_equal(notify_init(&n, long_one), -EINVAL);
}

static void nobody_there_and_nobody_who_reads_are_errors_at_once(void **state)
{
    struct notify n;
    char name[64];
    int error = 0;
    (void)state;
    snprintf(name, sizeof(name), "@comfy-relay-test-%d", (int)getpid());
    assert_int_equal(notify_init(&n, name), 0);
    assert_int_equal(notify_send(&n, "READY=1"), -ECONNREFUSED);
    int fd = listen_at(name);
    for (int i = 0; i < 100000 && error == 0; i++)
        error = notify_send(&n, "READY=1");
    assert_int_equal(error, -EAGAIN);
    notify_deinit(&n);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reaches_a_path_and_an_abstract_name),
        cmocka_unit_test(an_address_of_another_kind_is_refused),
        cmocka_unit_test(nobody_there_and_nobody_who_reads_are_errors_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
