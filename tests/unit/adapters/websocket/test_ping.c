/* Pings on a real loop: when they are sent, and what their pongs say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#include "adapters/websocket/conn.h"
#include "tests/support/peer.h"

/* A client that answers no ping by itself. */
static struct peer *open_watching(struct fixture *f, const char *sid)
{
    struct peer *c = peer_open(f, sid);
    c->mode = PEER_SEES_PINGS;
    return c;
}

static struct cursor *newest_cursor(struct fixture *f, const char *sid)
{
    return TAILQ_FIRST(&session_find(&f->core.relay.sessions, span_str(sid))->cursors);
}

/* Waits until a session's place is stored, and returns its milliseconds: events have the ids 1-0, 2-0 and so on. */
static uint64_t wait_stored(struct fixture *f, const char *sid, uint64_t ms)
{
    while (!core_stored(&f->core, sid)->has_ack || core_stored(&f->core, sid)->ack.ms < ms)
        wait_turn(f);
    return core_stored(&f->core, sid)->ack.ms;
}

/* Waits until its client has acknowledged an event, and returns the id's milliseconds. */
static uint64_t wait_acked(struct fixture *f, const char *sid, uint64_t ms)
{
    while (newest_cursor(f, sid)->acked.id.ms < ms)
        wait_turn(f);
    return newest_cursor(f, sid)->acked.id.ms;
}

/* Acknowledging */

/* Without a further read: what came has a ping next. */
static bool is_ping_next(const struct peer *c)
{
    size_t at;
    return peer_whole_frame(c, &at) > 0 && c->in[0] == 0x89;
}

static void a_ping_goes_along_with_an_event_and_its_pong_acknowledges(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *c = open_watching(&f, "a");
    core_script(&f.core, "a", "executed sid=a node=1");
    peer_expect_frame(c, 0x81, "executed sid=a node=1");
    assert_true(is_ping_next(c));
    peer_ping(c, ping);
    const struct cursor *cursor = newest_cursor(&f, "a");
    assert_int_equal(cursor->acked.id.ms, 0);
    peer_pong(c, ping);
    peer_expect_nothing(c);
    assert_int_equal(cursor->acked.seq, cursor->seq);
    assert_int_equal(cursor->acked.id.ms, 1);
    assert_int_equal(wait_stored(&f, "a", 1), 1);
    peer_disconnect(c);
    tear_down(&f);
}

/* After a pong there is a rest; then the next event takes the ping along that one before it is waiting for. */
static void a_ping_that_is_due_waits_for_an_event_to_go_along_with(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *c = open_watching(&f, "a");
    core_script(&f.core, "a", "executed sid=a node=1");
    peer_ping(c, ping);
    peer_pong(c, ping);
    assert_int_equal(wait_acked(&f, "a", 1), 1);
    core_script(&f.core, "a", "executed sid=a node=2");
    peer_expect_frame(c, 0x81, "executed sid=a node=2");
    assert_false(is_ping_next(c));
    while (conn_of_cursor(newest_cursor(&f, "a"))->phase != PHASE_WRITTEN)
        wait_turn(&f);
    core_publish(&f.core, "progress sid=a node=3 v=1");
    peer_expect_frame(c, 0x81, "progress sid=a node=3 v=1");
    assert_true(is_ping_next(c));
    peer_ping(c, ping);
    peer_pong(c, ping);
    assert_int_equal(wait_acked(&f, "a", 2), 2);
    peer_disconnect(c);
    tear_down(&f);
}

static void a_pong_acknowledges_only_what_was_written_before_its_ping(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *c = open_watching(&f, "a");
    core_script(&f.core, "a", "executed sid=a node=1");
    peer_ping(c, ping);
    core_script(&f.core, "a", "executed sid=a node=2");
    peer_expect_frame(c, 0x81, "executed sid=a node=2");
    peer_pong(c, ping);
    assert_int_equal(wait_acked(&f, "a", 1), 1);
    peer_ping(c, ping); /* the second one asks for the rest, without a further event */
    peer_pong(c, ping);
    assert_int_equal(wait_acked(&f, "a", 2), 2);
    peer_disconnect(c);
    tear_down(&f);
}

/* Of one socket or of two. */
static void no_two_pings_are_the_same(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[3][PEER_PING_BYTES];
    set_up(&f);
    f.options.ws_ping_interval_ms = 50;
    struct peer *c[2] = {open_watching(&f, "a"), open_watching(&f, "b")};
    peer_ping(c[0], ping[0]);
    peer_ping(c[1], ping[1]);
    peer_pong(c[0], ping[0]);
    peer_ping(c[0], ping[2]);
    assert_memory_not_equal(ping[0], ping[1], PEER_PING_BYTES);
    assert_memory_not_equal(ping[0], ping[2], PEER_PING_BYTES);
    assert_memory_not_equal(ping[1], ping[2], PEER_PING_BYTES);
    peer_disconnect(c[0]);
    peer_disconnect(c[1]);
    tear_down(&f);
}

/* Without waiting any more: a ping is among what has come. */
static bool has_ping(struct peer *c)
{
    size_t at, len;
    peer_receive(c, sizeof c->in);
    while ((len = peer_whole_frame(c, &at)) > 0 && c->in[0] != 0x89)
        peer_take(c, len);
    return len > 0;
}

/* What a client may send instead of the echo of its last ping. */
static void send_other_pongs(struct peer *c, const uint8_t ping[PEER_PING_BYTES])
{
    uint8_t other[PEER_PING_BYTES + 1] = {0};
    peer_send_frame(c, 0x8a, "", 0);
    peer_send_frame(c, 0x8a, "unsolicited pong", 16);
    peer_send_frame(c, 0x8a, ping, PEER_PING_BYTES - 1);
    memcpy(other, ping, PEER_PING_BYTES);
    peer_send_frame(c, 0x8a, other, sizeof other);
    for (size_t i = 0; i < PEER_PING_BYTES; i++) {
        other[i] ^= 1;
        peer_pong(c, other);
        other[i] ^= 1;
    }
}

static void only_the_echo_of_the_last_ping_acknowledges_and_only_once(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t first[PEER_PING_BYTES], second[PEER_PING_BYTES];
    set_up(&f);
    struct peer *c = open_watching(&f, "a");
    const struct cursor *cursor = newest_cursor(&f, "a");
    core_script(&f.core, "a", "executed sid=a node=1");
    peer_ping(c, first);
    send_other_pongs(c, first);
    peer_expect_nothing(c);
    assert_int_equal(cursor->acked.id.ms, 0);
    peer_pong(c, first);
    core_script(&f.core, "a", "executed sid=a node=2");
    peer_ping(c, second);
    peer_pong(c, first);
    send_other_pongs(c, second);
    peer_send_frame(c, 0x89, second, PEER_PING_BYTES); /* a ping of its own */
    peer_await_frame(c, sizeof c->in);
    assert_int_equal(c->in[0], 0x8a);
    peer_take(c, PEER_PING_BYTES + 2);
    peer_expect_nothing(c);
    assert_int_equal(cursor->acked.id.ms, 1);
    peer_pong(c, second);
    assert_int_equal(wait_acked(&f, "a", 2), 2);
    core_script(&f.core, "a", "executed sid=a node=3");
    peer_expect_frame(c, 0x81, "executed sid=a node=3");
    bool is_pinged = false;
    for (int i = 0; i < 2 * CONN_RESTING_MS / 100 && !is_pinged;
         i++) { /* nobody waits for these, and they put nothing off */
        peer_pong(c, second);
        assert_int_equal(cursor->acked.id.ms, 2);
        wait_ms(&f, 100);
        is_pinged = has_ping(c);
    }
    assert_true(is_pinged);
    peer_disconnect(c);
    tear_down(&f);
}

/* When */

/* The keep-alive is a minute away in these. */
static void only_what_must_be_kept_brings_a_ping_soon(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *kept = open_watching(&f, "a"), *others = open_watching(&f, "b");
    core_publish(&f.core, "#1 sid=b node=1 format=JPEG v=picture");
    core_publish(&f.core, "progress sid=b prompt=p node=1 v=1");
    core_publish(&f.core, "executed node=1");
    core_script(&f.core, "a", "executed sid=a node=1");
    peer_expect_frame(others, 0x82, "#1 sid=b node=1 format=JPEG v=picture");
    peer_expect_frame(others, 0x81, "progress sid=b prompt=p node=1 v=1");
    peer_expect_frame(others, 0x81, "executed node=1");
    for (int i = 0; i < 3; i++) { /* far longer than a ping that came of those would take */
        peer_ping(kept, ping);
        peer_pong(kept, ping);
        core_script(&f.core, "a", "executed sid=a node=1");
    }
    peer_expect_nothing(others);
    peer_disconnect(kept);
    peer_disconnect(others);
    tear_down(&f);
}

/* All pings after the first follow a pong, CONN_RESTING_MS later at the earliest. */
static void a_busy_socket_is_pinged_only_after_a_rest(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    struct peer *busy = peer_open(&f, "a"), *once = open_watching(&f, "b");
    uint64_t started = uv_now(&f.loop), events = 0;
    core_script(&f.core, "b", "executed sid=b node=1");
    while (busy->pings < 3) {
        core_publish(&f.core, "executed sid=a node=1");
        peer_expect_frame(busy, 0x81, "executed sid=a node=1");
        events++;
        wait_ms(&f, 5);
    }
    assert_true(uv_now(&f.loop) - started >= 2 * CONN_RESTING_MS);
    assert_true(events > busy->pings);
    peer_ping(once, ping);
    peer_pong(once, ping);
    wait_ms(&f, CONN_RESTING_MS + CONN_WRITTEN_MS + 100);
    peer_expect_nothing(once); /* all is acknowledged: no second ping */
    peer_disconnect(busy);
    peer_disconnect(once);
    tear_down(&f);
}

static void there_is_one_ping_at_a_time(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    f.options.ws_ping_interval_ms = 200;
    struct peer *c = open_watching(&f, "a");
    peer_ping(c, ping);
    for (int i = 0; i < 4; i++) {
        core_publish(&f.core, "executed sid=a node=1");
        peer_expect_frame(c, 0x81, "executed sid=a node=1");
        wait_ms(&f, 200);
    }
    peer_expect_nothing(c);
    peer_disconnect(c);
    tear_down(&f);
}

/* A ping after 100 ms would be later than the keep-alive. A timer of the test that is due later than one of the server
 * fires after it, however late they are. */
static void what_is_written_does_not_put_the_keep_alive_off(void **state)
{
    (void)state;
    static const uint64_t intervals[] = {1, 70, 150, 1100};
    struct fixture f;
    set_up(&f);
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        f.options.ws_ping_interval_ms = intervals[i];
        struct peer *c = open_watching(&f, "a");
        core_publish(&f.core, "executed sid=a node=1");
        wait_ms(&f, intervals[i] + 1);
        assert_true(has_ping(c));
        peer_disconnect(c);
    }
    tear_down(&f);
}

static void a_quiet_socket_is_pinged_no_sooner_than_every_interval(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    f.options.ws_ping_interval_ms = 700;
    struct peer *c = open_watching(&f, "a");
    peer_ping(c, ping);
    uint64_t echoed = uv_now(&f.loop);
    peer_pong(c, ping);
    peer_ping(c, ping);
    assert_in_range(uv_now(&f.loop) - echoed, 700, UINT64_MAX);
    peer_disconnect(c);
    tear_down(&f);
}

/* The dead */

static void only_an_echo_of_its_ping_keeps_a_socket_alive(void **state)
{
    (void)state;
    struct fixture f;
    uint8_t ping[PEER_PING_BYTES];
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 1000;
    struct peer *echoes = open_watching(&f, "a"), *lies = open_watching(&f, "b");
    peer_ping(lies, ping);
    while (f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT] == 0) {
        peer_receive(lies, sizeof lies->in);
        if (!lies->is_at_end)
            send_other_pongs(lies, ping);
        peer_ping(echoes, ping);
        peer_pong(echoes, ping);
    }
    for (int i = 0; i < 5; i++) {
        peer_ping(echoes, ping);
        peer_pong(echoes, ping);
    }
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT], 1);
    assert_int_equal(f.core.relay.metrics.connections, 1);
    peer_disconnect(echoes);
    peer_disconnect(lies);
    tear_down(&f);
}

static void shrink_buffer(uv_handle_t *handle, void *arg)
{
    int bytes = 1; /* the system has a least of its own, some KB */
    (void)arg;
    if (handle->type == UV_NAMED_PIPE)
        assert_int_equal(uv_send_buffer_size(handle, &bytes), 0);
}

/* A frame that no socket of the server takes at once. */
static void publish_giant(struct fixture *f, const char *head)
{
    uv_walk(&f->loop, shrink_buffer, NULL);
    publish_big(f, head, 1);
}

/* Its ping stands behind the frame, and the frame takes far longer than interval and timeout. */
static void a_steady_reader_of_a_giant_frame_is_not_taken_for_dead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 300;
    struct peer *c = peer_open(&f, "a");
    uint64_t started = uv_now(&f.loop);
    uint8_t ping[PEER_PING_BYTES];
    c->mode = PEER_SEES_PINGS;
    publish_giant(&f, "executed sid=a node=1");
    size_t at;
    while (peer_whole_frame(c, &at) == 0) {
        peer_receive(c, 2048);
        assert_false(c->is_at_end);
        wait_ms(&f, 50);
    }
    assert_in_range(uv_now(&f.loop) - started, 2 * (100 + 300), 20000);
    assert_int_equal(peer_expect_number(c), 1);
    peer_ping(c, ping);
    const struct cursor *cursor = newest_cursor(&f, "a");
    assert_int_equal(cursor->asked.seq, cursor->seq); /* though the frame had only begun */
    peer_pong(c, ping);
    peer_ping(c, ping); /* the next one: the pong has come */
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT], 0);
    peer_disconnect(c);
    tear_down(&f);
}

static void who_reads_no_more_is_dead_within_interval_and_timeout(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 1000;
    struct peer *c = peer_open(&f, "a");
    uint64_t started = uv_now(&f.loop);
    publish_giant(&f, "executed sid=a node=1");
    assert_int_equal(wait_closed(&f, CLOSE_PING_TIMEOUT), 1);
    assert_in_range(uv_now(&f.loop) - started, 1000, 100 + 2 * 1000 - 5);
    peer_disconnect(c);
    tear_down(&f);
}

static void who_reads_a_giant_frame_but_answers_no_ping_is_dead(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f);
    f.options.ws_ping_interval_ms = 100;
    f.options.ws_ping_timeout_ms = 300;
    struct peer *c = peer_open(&f, "a");
    publish_giant(&f, "executed sid=a node=1");
    while (!c->is_at_end) {
        c->len = 0;
        peer_receive(c, sizeof c->in);
        if (!c->is_at_end)
            wait_turn(&f);
    }
    assert_int_equal(f.core.relay.metrics.closed[CLOSE_PING_TIMEOUT], 1);
    peer_disconnect(c);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ping_goes_along_with_an_event_and_its_pong_acknowledges),
        cmocka_unit_test(a_ping_that_is_due_waits_for_an_event_to_go_along_with),
        cmocka_unit_test(a_pong_acknowledges_only_what_was_written_before_its_ping),
        cmocka_unit_test(no_two_pings_are_the_same),
        cmocka_unit_test(only_the_echo_of_the_last_ping_acknowledges_and_only_once),
        cmocka_unit_test(only_what_must_be_kept_brings_a_ping_soon),
        cmocka_unit_test(a_busy_socket_is_pinged_only_after_a_rest),
        cmocka_unit_test(there_is_one_ping_at_a_time),
        cmocka_unit_test(what_is_written_does_not_put_the_keep_alive_off),
        cmocka_unit_test(a_quiet_socket_is_pinged_no_sooner_than_every_interval),
        cmocka_unit_test(only_an_echo_of_its_ping_keeps_a_socket_alive),
        cmocka_unit_test(a_steady_reader_of_a_giant_frame_is_not_taken_for_dead),
        cmocka_unit_test(who_reads_no_more_is_dead_within_interval_and_timeout),
        cmocka_unit_test(who_reads_a_giant_frame_but_answers_no_ping_is_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
