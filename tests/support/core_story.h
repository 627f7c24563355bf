/* A core and the sockets that its tests speak of: what setup, teardown and expectations are to each of them. */
#ifndef TESTS_CORE_STORY_H
#define TESTS_CORE_STORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/support/core_fixture.h"

extern struct core core;
extern struct core_socket a, a2, a3, b; /* a, a2 and a3 are meant for one session, b for another */

/* For cmocka_unit_test_setup_teardown(): the core as core_config() has it, or with that changed. */
int setup(void **state);
int setup_share(void **state);       /* session.duplicate is share */
int setup_small_log(void **state);   /* logs of four events */
int setup_small_share(void **state); /* both */
int setup_small_bytes(void **state); /* logs of 40 bytes */
int teardown(void **state);

/* It connects, and what it then receives is not forgotten (as core_open() does). */
void connect_to(struct core_socket *socket, const char *sid);

#define expect_got(socket, text)     assert_string_equal(core_got(socket), text)
#define expect_calls(text)           assert_string_equal(core_calls(&core), text)
#define expect_archived(text)        assert_string_equal(core_archived(&core), text)
#define expect_notes(text)           assert_string_equal(core_notes(&core), text)
#define expect_dropped(reason, call) assert_int_equal(call, reason)

#endif
