/* What a client says to the server, and what the core is told of it: flags, and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/peer.h"

#define FLAGS "{\"type\":\"feature_flags\",\"data\":{\"supports_preview_metadata\":true}}"
#define REPLY "{\"type\":\"feature_flags\",\"data\":{\"x\":1}}"

/* A client that has had one event, id 1-0 or higher, and has not acknowledged it. */
static struct peer *open_with_event(struct fixture *f, const char *sid)
{
    struct peer *c = peer_open(f, sid);
    c->mode = PEER_SEES_PINGS;
    core_script(&f->core, sid, "executed sid=%s node=1", sid);
    char expected[64];
    snprintf(expected, sizeof expected, "executed sid=%s node=1", sid);
    peer_expect_frame(c, 0x81, expected);
    return c;
}

static void acknowledge(struct peer *c)
{
    uint8_t ping[PEER_PING_BYTES];
    peer_ping(c, ping);
    peer_pong(c, ping);
    peer_expect_nothing(c);
}

static bool has_reached(struct fixture *f, const char *sid, uint64_t ms)
{
    const struct memory_session *s = core_stored(&f->core, sid);
    return s->has_ack && s->ack.ms >= ms;
}

/* All sockets are closed, and detached. */
static void wait_detached(struct fixture *f, const char *sid)
{
    while (!TAILQ_EMPTY(&session_find(&f->core.relay.sessions, span_str(sid))->cursors))
        wait_turn(f);
}

/* Flags */

/* Two events are to be replayed to who comes back. The core's clock stands: without being told it waits for ever. */
static void leave_something_to_replay(struct fixture *f)
{
    struct peer *c = peer_open(f, "a");
    peer_disconnect(c);
    wait_detached(f, "a");
    core_publish(&f->core, "executed sid=a node=1");
    core_publish(&f->core, "#4 sid=a node=1 format=PNG v=picture");
    f->clock_stands = true;
}

static struct peer *come_back(struct fixture *f)
{
    struct peer *c = peer_connect(f);
    c->mode = PEER_IGNORES_PINGS;
    peer_request(c, "a");
    peer_expect_response(c, "HTTP/1.1 101 Switching Protocols");
    peer_expect_frame(c, 0x81, "status 0 sid=a");
    peer_expect_nothing(c);
    return c;
}

static void flags_release_a_replay_in_the_form_that_they_ask_for(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    leave_something_to_replay(&f);
    struct peer *c = come_back(&f);
    peer_send_text(c, "no JSON");
    peer_send_frame(c, 0x82, FLAGS, strlen(FLAGS));
    peer_expect_nothing(c);
    peer_send_text(c, FLAGS);
    peer_expect_frame(c, 0x81, REPLY);
    peer_expect_frame(c, 0x81, "executed sid=a node=1");
    peer_expect_frame(c, 0x82, "#4 sid=a node=1 format=PNG v=picture");
    peer_expect_nothing(c);
    peer_disconnect(c);
    tear_down(&f);
}

static void another_first_message_releases_a_replay_too(void **state)
{
    (void)state;
    struct fixture f;
    size_t at;
    set_up(&f);
    leave_something_to_replay(&f);
    struct peer *c = come_back(&f);
    peer_send_text(c, "{\"type\":\"other\"}");
    peer_expect_frame(c, 0x81, "executed sid=a node=1");
    peer_await_frame(c, sizeof c->in);
    size_t len = peer_whole_frame(c, &at);
    assert_int_equal(len - at, 8 + strlen("picture"));
    assert_memory_equal(c->in + at + 8, "picture", strlen("picture"));
    peer_take(c, len);
    peer_send_text(c, FLAGS);
    peer_expect_nothing(c);
    peer_disconnect(c);
    tear_down(&f);
}

/* Ends */

static void a_page_that_leaves_is_forgotten_and_no_other_is(void **state)
{
    (void)state;
    static const struct {
        const char *sid;
        const char *payload;
        bool forgets;
    } cases[] = {
        {"left", "\x03\xe9", true}, {"left-why", "\x03\xe9why", true}, {"normal", "\x03\xe8", false},
        {"no-code", "", false},     {"app", "\x0f\xa0", false},        {"restart", "\x03\xf4", false},
    };
    struct fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct peer *c = open_with_event(&f, cases[i].sid);
        acknowledge(c);
        while (!has_reached(&f, cases[i].sid, 1))
            wait_turn(&f);
        peer_send_frame(c, 0x88, cases[i].payload, strlen(cases[i].payload));
        peer_expect_close(c, 1000);
        peer_expect_end(c);
        peer_disconnect(c);
        wait_detached(&f, cases[i].sid);
        assert_int_equal(core_stored(&f.core, cases[i].sid)->has_ack, !cases[i].forgets);
    }
    tear_down(&f);
}

static void a_cut_connection_is_not_forgotten(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = open_with_event(&f, "a");
    acknowledge(c);
    peer_disconnect(c);
    wait_detached(&f, "a");
    while (!has_reached(&f, "a", 1))
        wait_turn(&f);
    tear_down(&f);
}

/* How often the archive was told that a page has left. */
static size_t count_left(struct fixture *f, const char *call)
{
    size_t count = 0;
    for (const char *at = core_archived(&f->core); (at = strstr(at, call)); at++)
        count++;
    return count;
}

static void the_page_of_a_silent_socket_leaves_without_forgetting_the_newer_one(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *older = open_with_event(&f, "a"), *newer = peer_open(&f, "a");
    peer_send_text(newer, FLAGS);
    acknowledge(older); /* its own ping, which says nothing now */
    peer_send_frame(older, 0x88, "\x03\xe9", 2);
    peer_expect_close(older, 1000);
    peer_expect_end(older);
    peer_disconnect(older);
    assert_int_equal(count_left(&f, "leave a\n"), 1);
    peer_disconnect(newer);
    tear_down(&f);
}

/* Draining */

static void on_drained(void *arg)
{
    (void)arg;
}

/* A client that is told 1012 with an event that it has had and not acknowledged. */
static struct peer *open_and_drain(struct fixture *f)
{
    struct peer *c = open_with_event(f, "a");
    c->mode = PEER_IGNORES_PINGS;
    core_script(&f->core, "a", "executed sid=a node=2");
    f->options.drain_time_ms = 0;
    server_drain(f->server, on_drained, NULL);
    peer_expect_frame(c, 0x81, "executed sid=a node=2");
    peer_expect_close(c, 1012);
    assert_false(has_reached(f, "a", 1));
    return c;
}

static void the_answer_to_a_drain_acknowledges_all_that_was_written(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = open_and_drain(&f);
    core_script(&f.core, "a", "executed sid=a node=3"); /* it is not written any more */
    peer_send_frame(c, 0x88, "\x03\xf4", 2);
    peer_expect_end(c);
    while (!has_reached(&f, "a", 2))
        wait_turn(&f);
    assert_int_equal(core_stored(&f.core, "a")->ack.ms, 2);
    peer_disconnect(c);
    tear_down(&f);
}

/* It was on its way when the drain began, for all that is known. */
static void a_close_of_its_own_does_not_acknowledge_in_a_drain(void **state)
{
    (void)state;
    static const char *const payloads[] = {"", "\x03\xe8", "\x0f\xa0"};
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        struct fixture f;
        set_up(&f);
        struct peer *c = open_and_drain(&f);
        peer_send_frame(c, 0x88, payloads[i], strlen(payloads[i]));
        peer_expect_end(c);
        peer_disconnect(c);
        wait_detached(&f, "a");
        wait_ms(&f, 2 * RELAY_STORE_MS);
        assert_false(has_reached(&f, "a", 1));
        tear_down(&f);
    }
}

static void a_page_may_leave_while_it_is_drained(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    struct peer *c = open_and_drain(&f);
    assert_int_equal(count_left(&f, "leave a forgets\n"), 0);
    peer_send_frame(c, 0x88, "\x03\xe9", 2);
    peer_expect_end(c);
    peer_disconnect(c);
    wait_detached(&f, "a");
    assert_int_equal(count_left(&f, "leave a forgets\n"), 1);
    tear_down(&f);
}

/* Its ping was sent before the second event, and is not waited for any more. */
static void a_pong_in_a_drain_says_nothing_of_what_came_after_its_ping(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *c = open_with_event(&f, "a");
    peer_ping(c, ping);
    core_script(&f.core, "a", "executed sid=a node=2");
    f.options.drain_time_ms = 0;
    server_drain(f.server, on_drained, NULL);
    peer_pong(c, ping);
    peer_expect_frame(c, 0x81, "executed sid=a node=2");
    peer_expect_close(c, 1012);
    peer_disconnect(c);
    wait_detached(&f, "a");
    wait_ms(&f, 2 * RELAY_STORE_MS);
    assert_false(has_reached(&f, "a", 2));
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flags_release_a_replay_in_the_form_that_they_ask_for),
        cmocka_unit_test(another_first_message_releases_a_replay_too),
        cmocka_unit_test(a_page_that_leaves_is_forgotten_and_no_other_is),
        cmocka_unit_test(a_cut_connection_is_not_forgotten),
        cmocka_unit_test(the_page_of_a_silent_socket_leaves_without_forgetting_the_newer_one),
        cmocka_unit_test(the_answer_to_a_drain_acknowledges_all_that_was_written),
        cmocka_unit_test(a_close_of_its_own_does_not_acknowledge_in_a_drain),
        cmocka_unit_test(a_page_may_leave_while_it_is_drained),
        cmocka_unit_test(a_pong_in_a_drain_says_nothing_of_what_came_after_its_ping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
