/* The relay as a whole, driven in memory: who gets what, in which order. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "tests/support/core_fixture.h"

static struct core core;
static struct core_socket a, a2, a3, b;

static int with_config(struct relay_config config)
{
    a.cursor.wants_metadata = a2.cursor.wants_metadata = b.cursor.wants_metadata = false;
    a.keeps_no_text = a2.keeps_no_text = b.keeps_no_text = false;
    return core_init(&core, &config);
}

static int setup(void **state)
{
    (void)state;
    return with_config(core_config());
}

static int setup_share(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.share = true;
    return with_config(config);
}

/* Small logs: of four events, or of 40 bytes. */
static int setup_small_log(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.events = 4;
    return with_config(config);
}

static int setup_small_share(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.events = 4;
    config.share = true;
    return with_config(config);
}

static int setup_small_bytes(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    config.log.bytes = 40;
    return with_config(config);
}

static int teardown(void **state)
{
    (void)state;
    core_close(&a);
    core_close(&a2);
    core_close(&a3);
    core_close(&b);
    core_deinit(&core);
    return 0;
}

#define expect_got(socket, text)     assert_string_equal(core_got(socket), text)
#define expect_calls(text)           assert_string_equal(core_calls(&core), text)
#define expect_dropped(reason, call) assert_int_equal(call, reason)

static void connect_to(struct core_socket *socket, const char *sid)
{
    assert_int_equal(core_connect(&core, socket, sid), 0);
}

/* Routing */

static void an_event_reaches_the_sockets_of_its_session_only(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
    expect_got(&b, "");
}

static void a_broadcast_reaches_every_session(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "notification v=hello\n");
    expect_got(&b, "notification v=hello\n");
    assert_int_equal(relay_measure(&core.relay)->broadcasts, 1);
}

static void a_broadcast_is_encoded_once_and_not_at_all_for_nobody(void **state)
{
    (void)state;
    core_publish(&core, "notification v=hello");
    assert_int_equal(core.encoded, 0);
    assert_int_equal(core.looked_at, 1);
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "notification v=hello");
    assert_int_equal(core.encoded, 1);
}

static void a_broadcast_is_not_replayed_to_later_sockets(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "notification v=hello");
    connect_to(&b, "b");
    expect_got(&b, "status 0 sid=b\n");
    core_close(&a);
    core_publish(&core, "notification v=again");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
}

static void broadcasts_keep_their_place_among_a_sessions_own_events(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_receive(&core, "executed sid=a node=1");
    core_receive(&core, "notification v=hello");
    core_receive(&core, "executed sid=a node=2");
    core_flush(&core);
    core_drain(&a);
    expect_got(&a, "executed sid=a node=1\nnotification v=hello\nexecuted sid=a node=2\n");
}

static void an_event_on_a_sessions_channel_is_for_that_session_whatever_sid_it_carries(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_receive_on(&core, "a", "executed node=1");
    core_receive_on(&core, "a", "executed sid=b node=2");
    core_receive_on(&core, "a", "executed sid= node=3");
    core_flush(&core);
    expect_got(&a, "executed node=1\nexecuted sid=b node=2\nexecuted sid= node=3\n");
    expect_got(&b, "");
}

static void an_event_for_nobody_is_dropped_and_counted(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    expect_dropped(DROP_NOBODY, core_receive(&core, "executed sid= node=1"));
    core_flush(&core);
    expect_got(&a, "");
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_NOBODY], 1);
}

static void a_broken_event_reaches_nobody_and_is_counted_by_reason(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    expect_dropped(DROP_MALFORMED, core_receive(&core, "malformed sid=a"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "executed sid=a bad=yes"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "notification bad=yes"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "executed sid=unknown bad=yes"));
    core_flush(&core);
    expect_got(&a, "");
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->events, 4);
    assert_int_equal(m->dropped[DROP_MALFORMED], 1);
    assert_int_equal(m->dropped[DROP_BAD_DATA], 3);
    assert_int_equal(m->broadcasts, 0);
    assert_int_equal(m->unrouted, 0);
}

static void a_broken_end_ends_nothing(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=1");
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "execution_success sid=a prompt=p bad=yes"));
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=1\n");
}

static void a_message_over_the_limit_is_dropped_whole(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    a.keeps_no_text = true;
    a.frames = 0;
    expect_dropped(DROP_TOO_LARGE, core_receive(&core, "x sid=a v=%065530d", 0));
    expect_dropped(DROP_NOTHING, core_receive(&core, "x sid=a v=%065526d", 0));
    core_flush(&core);
    assert_int_equal(a.frames, 1);
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_TOO_LARGE], 1);
}

static void what_belongs_to_the_contract_never_reaches_a_client(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "relay.taken sid=a");
    core_publish(&core, "relay.whatever");
    core_receive_on(&core, "a", "relay.left");
    core_publish(&core, "relay.worker worker=w boot=b share=0");
    core_flush(&core);
    expect_got(&a, "");
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "relay.taken bad=yes"));
    expect_dropped(DROP_BAD_ENVELOPE, core_receive(&core, "relay.worker boot=b share=0"));
}

static void an_event_for_a_session_without_a_log_is_counted_as_unrouted(void **state)
{
    (void)state;
    core_publish(&core, "executed sid=a node=1");
    assert_int_equal(relay_measure(&core.relay)->unrouted, 1);
    assert_int_equal(core.encoded, 0);
    core_open(&core, &a, "a");
    core_publish(&core, "executed sid=a node=1");
    assert_int_equal(relay_measure(&core.relay)->unrouted, 1);
}

/* The first frames of a socket */

static void first_frame_is_the_status_with_sid(void **state)
{
    (void)state;
    core_publish(&core, "status worker=w share=3");
    connect_to(&a, "a");
    expect_got(&a, "status 3 sid=a\n");
}

static void first_frame_comes_before_anything_live_that_came_while_waiting(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "");
    core_confirm(&core, "a");
    expect_got(&a, "status 0 sid=a\nexecuted sid=a node=1\nnotification v=hello\n");
}

static void a_frame_of_its_own_waits_behind_the_first_status(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    core_publish(&core, "executing sid=a prompt=p node=1");
    connect_to(&a, "a");
    core_reply(&a, "feature_flags");
    expect_got(&a, "");
    core_confirm(&core, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=1\nfeature_flags\n");
    core_reply(&a, "another");
    expect_got(&a, "another\n");
}

static void no_broadcast_carries_a_sid(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=3");
    core_publish(&core, "executing sid=a prompt=p node=");
    core_advance(&core, 1000);
    core_publish(&core, "status sid=a worker=w share=4");
    expect_got(&a, "status 3\nstatus 3\nexecuting sid=a prompt=p node=\nstatus 4\n");
}

static void sockets_wait_for_their_subscription(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    expect_calls("subscribe a\n");
    core_advance(&core, 999);
    expect_got(&a, "");
    core_confirm(&core, "a");
    expect_got(&a, "status 0 sid=a\n");
}

static void sockets_wait_for_their_subscription_at_most_a_second(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    core_advance(&core, 500);
    connect_to(&b, "b");
    core_advance(&core, 499);
    expect_got(&a, "");
    core_advance(&core, 1);
    expect_got(&a, "status 0 sid=a\n");
    expect_got(&b, "");
    core_advance(&core, 500);
    expect_got(&b, "status 0 sid=b\n");
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
    core_confirm(&core, "a");
    expect_got(&a, "");
}

static void a_second_socket_of_a_subscribed_session_does_not_wait(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core.holds_confirmations = true;
    core_calls(&core);
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\n");
    expect_calls("");
}

static void the_confirmation_of_another_session_releases_nobody(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    core_confirm(&core, "b");
    core_confirm(&core, "unknown");
    expect_got(&a, "");
}

static void link_down_releases_waiting_sockets_at_once(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    relay_link_down(&core.relay);
    expect_got(&a, "status 0 sid=a\n");
}

static void without_a_link_sockets_are_greeted_at_once(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    relay_link_down(&core.relay);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
    expect_calls("");
}

static void a_late_confirmation_after_the_link_went_down_means_nothing(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    relay_link_down(&core.relay);
    core_confirm(&core, "a");
    relay_link_up(&core.relay);
    core_got(&a);
    connect_to(&a2, "a");
    expect_got(&a2, "");
    core_confirm(&core, "a");
    expect_got(&a2, "status 0 sid=a\n");
}

static void link_up_asks_again_for_every_session_that_has_a_log(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_close(&b);
    core_publish(&core, "executing sid=remembered prompt=p node=1");
    relay_link_down(&core.relay);
    core_calls(&core);
    relay_link_up(&core.relay);
    const char *calls = core_calls(&core);
    assert_non_null(strstr(calls, "subscribe a\n"));
    assert_non_null(strstr(calls, "subscribe b\n"));
    assert_int_equal(strlen(calls), strlen("subscribe a\nsubscribe b\n"));
}

static void an_outage_loses_no_socket_and_events_go_on_afterwards(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    relay_link_down(&core.relay);
    core_advance(&core, 60000);
    relay_link_up(&core.relay);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
}

/* Two sockets, one sid */

static void newer_socket_takes_over_and_the_older_gets_nothing_more(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "notification v=hello");
    core_publish(&core, "status worker=w share=3");
    expect_got(&a, "");
    expect_got(&a2, "executed sid=a node=1\nnotification v=hello\nstatus 3\n");
}

static void closing_the_older_socket_never_touches_the_newer(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_calls(&core);
    core_close(&a);
    core_advance(&core, 60000);
    expect_calls("");
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a2, "executed sid=a node=1\n");
}

static void older_socket_does_not_come_back_when_the_newer_closes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_close(&a2);
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "notification v=hello");
    core_advance(&core, 60000);
    expect_got(&a, "");
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void a_third_socket_takes_over_from_the_second(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_open(&core, &a3, "a");
    core_close(&a2);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "");
    expect_got(&a3, "executed sid=a node=1\n");
}

static void a_waiting_socket_that_is_taken_over_gets_nothing_at_all(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    connect_to(&a2, "a");
    assert_int_equal(a.cursor.own_count, 0);
    core_confirm(&core, "a");
    core_advance(&core, 5000);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "");
    expect_got(&a2, "status 0 sid=a\nexecuted sid=a node=1\n");
}

static void an_older_socket_that_was_blocked_gets_nothing_when_it_reads_again(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_open(&core, &a2, "a");
    core_drain(&a);
    expect_got(&a, "");
}

static void an_older_socket_holds_no_log(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_open(&core, &a2, "a");
    for (int i = 0; i < 10; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void share_mode_all_sockets_receive(void **state)
{
    (void)state;
    connect_to(&a, "a");
    connect_to(&a2, "a");
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "status 0 sid=a\nexecuted sid=a node=1\nnotification v=hello\n");
    expect_got(&a2, "status 0 sid=a\nexecuted sid=a node=1\nnotification v=hello\n");
    core_close(&a2);
    core_publish(&core, "executed sid=a node=2");
    expect_got(&a, "executed sid=a node=2\n");
}

static void share_mode_the_least_advanced_socket_decides_what_is_kept(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "executed sid=a node=2");
    expect_got(&a2, "executed sid=a node=1\nexecuted sid=a node=2\n");
    assert_int_equal(relay_measure(&core.relay)->log_events, 2);
    core_take_frames(&a, 1);
    assert_int_equal(relay_measure(&core.relay)->log_events, 1);
    core_drain(&a);
    expect_got(&a, "executed sid=a node=1\nexecuted sid=a node=2\n");
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void share_mode_a_new_socket_gets_nothing_of_before(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    connect_to(&a2, "a");
    core_publish(&core, "executed sid=a node=2");
    expect_got(&a2, "status 0 sid=a\nexecuted sid=a node=2\n");
}

static void share_mode_a_slow_socket_does_not_slow_the_other(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_stall(&a);
    for (int i = 1; i <= 3; i++)
        core_receive(&core, "progress sid=a prompt=p node=1 v=%d", i);
    core_flush(&core);
    expect_got(&a2, "progress sid=a prompt=p node=1 v=1\nprogress sid=a prompt=p node=1 v=2\n"
                    "progress sid=a prompt=p node=1 v=3\n");
    core_drain(&a);
    expect_got(&a, "progress sid=a prompt=p node=1 v=3\n");
}

/* Slow sockets */

static void slow_socket_gets_only_the_newest_preview(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 1; i <= 9; i++)
        core_publish(&core, "#1 sid=a format=JPEG v=%d", i);
    core_drain(&a);
    expect_got(&a, "#1 sid=a format=JPEG v=9\n");
    assert_int_equal(relay_measure(&core.relay)->conflated, 8);
}

static void slow_socket_gets_every_kept_event_in_order(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "execution_start sid=a prompt=p");
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    core_publish(&core, "#1 sid=a format=PNG v=1");
    core_publish(&core, "progress sid=a prompt=p node=1 v=2");
    core_publish(&core, "#1 sid=a format=PNG v=2");
    core_publish(&core, "executed sid=a prompt=p node=1");
    core_drain(&a);
    expect_got(&a, "execution_start sid=a prompt=p\n"
                   "executing sid=a prompt=p node=1\n"
                   "#1 sid=a format=PNG v=1\n"
                   "progress sid=a prompt=p node=1 v=2\n"
                   "#1 sid=a format=PNG v=2\n"
                   "executed sid=a prompt=p node=1\n");
}

static void what_is_replaced_takes_the_newest_position(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    core_publish(&core, "executing sid=a prompt=p node=2");
    core_publish(&core, "progress sid=a prompt=p node=2 v=1");
    core_publish(&core, "progress sid=a prompt=p node=1 v=2");
    core_drain(&a);
    expect_got(&a, "executing sid=a prompt=p node=2\nprogress sid=a prompt=p node=2 v=1\n"
                   "progress sid=a prompt=p node=1 v=2\n");
}

static void keep_true_is_never_conflated(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "progress sid=a prompt=p node=1 keep=yes v=1");
    core_publish(&core, "progress sid=a prompt=p node=1 keep=yes v=2");
    core_drain(&a);
    expect_got(&a,
               "progress sid=a prompt=p node=1 keep=yes v=1\nprogress sid=a prompt=p node=1 keep=yes v=2\n");
}

static void keep_false_is_conflated_whatever_the_type(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "my.gauge keep=no v=1");
    core_publish(&core, "my.gauge keep=no v=2");
    core_drain(&a);
    expect_got(&a, "my.gauge keep=no v=2\n");
}

static void reading_socket_gets_every_event_of_a_burst(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 1; i <= 4; i++)
        core_receive(&core, "progress sid=a prompt=p node=1 v=%d", i);
    core_flush(&core);
    expect_got(&a, "progress sid=a prompt=p node=1 v=1\nprogress sid=a prompt=p node=1 v=2\n"
                   "progress sid=a prompt=p node=1 v=3\nprogress sid=a prompt=p node=1 v=4\n");
}

static void what_was_read_from_redis_at_once_is_written_at_once(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive(&core, "executed sid=a node=1");
    core_receive(&core, "progress sid=a prompt=p node=1 v=1");
    core_receive(&core, "progress sid=a prompt=p node=2 v=1");
    core_receive(&core, "notification v=hello");
    core_receive(&core, "status share=1");
    core_receive(&core, "execution_success sid=a prompt=q");
    expect_got(&a, "");
    core_flush(&core);
    expect_got(&a, "executed sid=a node=1\nprogress sid=a prompt=p node=1 v=1\n"
                   "progress sid=a prompt=p node=2 v=1\nnotification v=hello\nstatus 1\n"
                   "execution_success sid=a prompt=q\n");
}

static void reading_socket_gets_every_broadcast_of_a_burst(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_receive(&core, "crystools.monitor worker=w v=1");
    core_receive(&core, "crystools.monitor worker=w v=2");
    core_flush(&core);
    expect_got(&a, "crystools.monitor worker=w v=1\ncrystools.monitor worker=w v=2\n");
    expect_got(&b, "crystools.monitor worker=w v=1\ncrystools.monitor worker=w v=2\n");
}

static void reading_socket_gets_a_burst_that_ends_its_prompt(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive(&core, "executing sid=a prompt=p node=1");
    core_receive(&core, "progress sid=a prompt=p node=1 v=1");
    core_receive(&core, "execution_success sid=a prompt=p");
    core_flush(&core);
    expect_got(&a, "executing sid=a prompt=p node=1\nprogress sid=a prompt=p node=1 v=1\n"
                   "execution_success sid=a prompt=p\n");
}

static void reading_socket_gets_a_burst_longer_than_its_log(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 1; i <= 7; i++)
        core_receive(&core, "executed sid=a node=%d", i);
    core_flush(&core);
    expect_got(&a,
               "executed sid=a node=1\nexecuted sid=a node=2\nexecuted sid=a node=3\nexecuted sid=a node=4\n"
               "executed sid=a node=5\nexecuted sid=a node=6\nexecuted sid=a node=7\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
}

static void reading_socket_gets_a_burst_of_more_bytes_than_its_log(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 1; i <= 4; i++)
        core_receive(&core, "executed sid=a node=%d", i);
    core_flush(&core);
    expect_got(
        &a, "executed sid=a node=1\nexecuted sid=a node=2\nexecuted sid=a node=3\nexecuted sid=a node=4\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
}

static void a_status_pushes_nothing_out_of_the_log_of_a_reading_socket(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 1; i <= 4; i++)
        core_receive(&core, "executed sid=a node=%d", i);
    core_receive(&core, "status worker=w share=3");
    core_flush(&core);
    expect_got(&a,
               "executed sid=a node=1\nexecuted sid=a node=2\nexecuted sid=a node=3\nexecuted sid=a node=4\n"
               "status 3\n");
    for (int i = 1; i <= 4; i++)
        core_receive(&core, "executed sid=a node=%d", i);
    core_receive(&core, "executing sid=a prompt=p node=");
    core_flush(&core);
    expect_got(&a,
               "executed sid=a node=1\nexecuted sid=a node=2\nexecuted sid=a node=3\nexecuted sid=a node=4\n"
               "status 3\nexecuting sid=a prompt=p node=\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
}

static void slow_socket_goes_on_from_the_oldest_that_is_held_and_stays_open(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 1; i <= 7; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_drain(&a);
    expect_got(
        &a, "executed sid=a node=4\nexecuted sid=a node=5\nexecuted sid=a node=6\nexecuted sid=a node=7\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
    core_publish(&core, "executed sid=a node=8");
    expect_got(&a, "executed sid=a node=8\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
}

static void a_gap_is_counted_once_however_often_the_socket_is_tried(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 1; i <= 7; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_take_frames(&a, 0);
    core_take_frames(&a, 0);
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
}

static void share_mode_only_the_socket_that_lacks_what_was_trimmed_has_a_gap(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_stall(&a2);
    for (int i = 2; i <= 5; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_drain(&a2);
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
    core_drain(&a);
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
    expect_got(
        &a, "executed sid=a node=2\nexecuted sid=a node=3\nexecuted sid=a node=4\nexecuted sid=a node=5\n");
}

static void slow_socket_gets_the_newest_event_whatever_its_size(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "executed sid=a v=an_event_that_is_larger_than_the_log_may_be");
    core_drain(&a);
    expect_got(&a, "executed sid=a v=an_event_that_is_larger_than_the_log_may_be\n");
}

static void conflation_alone_makes_no_gap(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 0; i < 100; i++)
        core_publish(&core, "progress sid=a prompt=p node=1 v=%d", i);
    core_drain(&a);
    expect_got(&a, "progress sid=a prompt=p node=1 v=99\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
}

static void no_progress_is_seen_after_the_end_of_its_prompt(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    core_publish(&core, "progress_state sid=a prompt=p v=1");
    core_publish(&core, "progress sid=a prompt=q node=1 v=1");
    core_publish(&core, "#4 sid=a prompt=p node=1 format=JPEG v=picture");
    core_publish(&core, "executed sid=a prompt=p node=1");
    core_publish(&core, "execution_success sid=a prompt=p");
    core_drain(&a);
    expect_got(&a, "progress sid=a prompt=q node=1 v=1\nexecuted sid=a prompt=p node=1\n"
                   "execution_success sid=a prompt=p\n");
}

static void execution_blocked_does_not_drop_progress(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    core_publish(&core, "execution_error sid=a prompt=p blocked=yes");
    core_drain(&a);
    expect_got(&a, "progress sid=a prompt=p node=1 v=1\nexecution_error sid=a prompt=p blocked=yes\n");
}

static void slow_socket_takes_what_it_has_room_for(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 1; i <= 5; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_take_frames(&a, 2);
    expect_got(&a, "executed sid=a node=1\nexecuted sid=a node=2\n");
    core_take_frames(&a, 1);
    expect_got(&a, "executed sid=a node=3\n");
    core_drain(&a);
    expect_got(&a, "executed sid=a node=4\nexecuted sid=a node=5\n");
}

static void what_is_read_is_not_held(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 0; i < 100; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->log_events, 0);
    assert_int_equal(m->log_bytes, 0);
}

static void memory_is_bounded_with_a_socket_that_never_reads(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    b.keeps_no_text = true;
    b.frames = 0;
    core_stall(&a);
    for (int i = 0; i < 10000; i++) {
        core_publish(&core, "executed sid=a v=%0500d", i);
        core_publish(&core, "progress sid=a prompt=p node=%d v=%0500d", i, i);
        core_publish(&core, "executed sid=b node=%d", i);
    }
    const struct metrics *m = relay_measure(&core.relay);
    assert_in_range(m->log_events, 1, 1000);
    assert_in_range(m->log_bytes, 1, 1000000);
    struct session *s = session_find(&core.relay.sessions, span_str("a"));
    assert_in_range(s->log.cap, 1, 4096);
    assert_in_range(s->log.keys.cap, 1, 4096);
    assert_int_equal(b.frames, 10000);
    core_close(&a);
    m = relay_measure(&core.relay);
    assert_int_equal(m->log_events, 0);
    assert_in_range(s->log.cap, 0, 16);
}

/* Previews */

static void preview_is_made_once_and_shared_in_both_forms(void **state)
{
    (void)state;
    a.cursor.wants_metadata = true;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    a3.cursor.wants_metadata = false;
    core_open(&core, &a3, "a");
    core_stall(&a3);
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=picture");
    assert_int_equal(core.encoded, 1);
    expect_got(&a, "#4 sid=a node=1 format=JPEG v=picture\n");
    expect_got(&a2, "#1 picture\n");
    const struct session *s = session_find(&core.relay.sessions, span_str("a"));
    const struct frame *old_form = log_at(&s->log, 0)->no_flags;
    assert_non_null(old_form);
    core_drain(&a3);
    expect_got(&a3, "#1 picture\n");
    assert_int_equal(core.encoded, 1);
}

static void the_form_without_metadata_is_not_made_when_nobody_needs_it(void **state)
{
    (void)state;
    a.cursor.wants_metadata = true;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=picture");
    const struct session *s = session_find(&core.relay.sessions, span_str("a"));
    assert_null(log_at(&s->log, 0)->no_flags);
}

static void flags_belong_to_the_socket_not_to_the_session(void **state)
{
    (void)state;
    a.cursor.wants_metadata = true;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=picture");
    expect_got(&a2, "#1 picture\n");
}

static void flags_that_come_late_hold_from_the_next_frame(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=one");
    a.cursor.wants_metadata = true;
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=two");
    expect_got(&a, "#1 one\n#4 sid=a node=1 format=JPEG v=two\n");
}

/* Status */

static void status_is_summed_and_sent_only_when_it_changes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=3");
    expect_got(&a, "status 3\n");
    core_advance(&core, 1000);
    core_publish(&core, "status worker=w share=3");
    core_advance(&core, 1000);
    expect_got(&a, "");
    core_publish(&core, "status worker=v share=4");
    expect_got(&a, "status 7\n");
    core_advance(&core, 1000);
    core_publish(&core, "status share=2");
    expect_got(&a, "status 9\n");
}

static void status_at_most_once_per_interval(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    expect_got(&a, "status 1\n");
    core_publish(&core, "status worker=w share=2");
    core_publish(&core, "status worker=w share=3");
    core_advance(&core, 249);
    expect_got(&a, "");
    core_advance(&core, 1);
    expect_got(&a, "status 3\n");
    core_advance(&core, 5000);
    expect_got(&a, "");
}

static void a_number_that_changes_back_in_time_is_not_sent(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    core_publish(&core, "status worker=w share=1");
    core_advance(&core, 5000);
    expect_got(&a, "status 1\n");
}

static void status_is_the_same_on_whatever_channel(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_receive_on(&core, "a", "status worker=w share=3");
    core_flush(&core);
    expect_got(&a, "status 3\n");
    expect_got(&b, "status 3\n");
}

static void status_without_a_number_is_dropped(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "status worker=w"));
    core_advance(&core, 1000);
    expect_got(&a, "");
}

static void a_socket_that_was_greeted_with_a_number_is_not_told_it_again(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    connect_to(&b, "b");
    core_advance(&core, 1000);
    expect_got(&a, "status 1\nstatus 2\n");
    expect_got(&b, "status 2 sid=b\n");
}

static void a_socket_that_took_over_is_not_told_again_what_it_was_greeted_with(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    connect_to(&a2, "a");
    core_advance(&core, 1000);
    expect_got(&a2, "status 2 sid=a\n");
}

static void a_socket_greeted_between_broadcasts_is_told_when_the_number_changes_back(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    connect_to(&b, "b");
    core_publish(&core, "status worker=w share=1");
    core_advance(&core, 1000);
    expect_got(&b, "status 2 sid=b\nstatus 1\n");
    expect_got(&a, "status 1\n");
}

static void share_mode_a_second_socket_is_told_when_the_number_changes_back(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    connect_to(&a2, "a");
    core_publish(&core, "status worker=w share=1");
    core_advance(&core, 1000);
    expect_got(&a2, "status 2 sid=a\nstatus 1\n");
}

static void share_mode_the_first_socket_is_told_what_the_second_was_greeted_with(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=2");
    connect_to(&a2, "a");
    core_advance(&core, 1000);
    expect_got(&a, "status 1\nstatus 2\n");
}

static void prompts_end_gets_a_status_of_its_own_before_executing_null(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "execution_start sid=a prompt=p");
    core_publish(&core, "execution_success sid=a prompt=p");
    core_publish(&core, "executing sid=a prompt=p node=");
    expect_got(&a, "execution_start sid=a prompt=p\nexecution_success sid=a prompt=p\nstatus 0\n"
                   "executing sid=a prompt=p node=\n");
    expect_got(&b, "");
}

static void the_status_of_a_prompts_end_is_not_doubled_when_the_broadcast_came_in_between(void **state)
{
    (void)state;
    core_publish(&core, "status worker=w share=1");
    core_open(&core, &a, "a");
    core_advance(&core, 1000);
    core_publish(&core, "execution_success sid=a prompt=p");
    core_publish(&core, "status worker=w share=0");
    core_publish(&core, "executing sid=a prompt=p node=");
    core_advance(&core, 1000);
    expect_got(&a, "execution_success sid=a prompt=p\nstatus 0\nexecuting sid=a prompt=p node=\n");
    core_publish(&core, "executing sid=a prompt=q node=");
    expect_got(&a, "status 0\nexecuting sid=a prompt=q node=\n");
}

static void a_broadcast_before_the_prompts_end_does_not_stand_for_its_status(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "execution_success sid=a prompt=p");
    core_publish(&core, "executing sid=a prompt=p node=");
    expect_got(&a, "executing sid=a prompt=p node=1\nstatus 1\nexecution_success sid=a prompt=p\nstatus 1\n"
                   "executing sid=a prompt=p node=\n");
}

static void a_prompt_that_ends_with_executing_null_alone_gets_its_status(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "executing sid=a prompt=p node=");
    core_publish(&core, "executing sid=a prompt=q node=");
    expect_got(&a, "executing sid=a prompt=p node=1\nstatus 1\nstatus 1\nexecuting sid=a prompt=p node=\n"
                   "status 1\nexecuting sid=a prompt=q node=\n");
}

static void a_session_told_at_its_prompts_end_is_not_told_again(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "execution_success sid=a prompt=p");
    core_publish(&core, "status worker=w share=0");
    core_publish(&core, "executing sid=a prompt=p node=");
    expect_got(&a, "status 1\nexecution_success sid=a prompt=p\nstatus 0\nexecuting sid=a prompt=p node=\n");
    expect_got(&b, "status 1\n");
    core_advance(&core, 1000);
    expect_got(&a, "");
    expect_got(&b, "status 0\n");
}

static void a_session_told_at_its_prompts_end_gets_later_changes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "status worker=w share=1");
    core_publish(&core, "status worker=w share=0");
    core_publish(&core, "executing sid=a prompt=p node=");
    core_publish(&core, "status worker=w share=1");
    core_got(&a);
    core_got(&b);
    core_advance(&core, 1000);
    expect_got(&a, "status 1\n");
    expect_got(&b, "");
    core_publish(&core, "status worker=w share=5");
    expect_got(&a, "status 5\n");
    expect_got(&b, "status 5\n");
}

static void a_prompts_end_arrives_also_when_its_status_cannot_be_made(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core.status_fails = true;
    core_publish(&core, "executing sid=a prompt=p node=");
    expect_got(&a, "executing sid=a prompt=p node=\n");
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 1);
}

static void a_status_that_cannot_be_made_is_tried_again_an_interval_later(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core.status_fails = true;
    core_publish(&core, "status worker=w share=1");
    assert_int_equal(relay_next_ms(&core.relay), core.now_ms + 250);
    core_advance(&core, 1000);
    expect_got(&a, "");
    core.status_fails = false;
    core_advance(&core, 250);
    expect_got(&a, "status 1\n");
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 5);
}

/* The last executing node */

static void returning_client_is_told_the_last_executing_node(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_close(&a);
    core_publish(&core, "executing sid=a prompt=p node=2");
    core_publish(&core, "progress sid=a prompt=p node=2 v=1");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=2\n");
}

static void the_node_for_display_is_the_one_that_is_told(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=7:1 display=7");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=7\n");
}

static void a_client_that_was_never_here_is_told_the_node_too(void **state)
{
    (void)state;
    core_publish(&core, "execution_start sid=a prompt=p");
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "executed sid=a prompt=p node=3");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=3\n");
}

static void before_the_first_node_nothing_is_told(void **state)
{
    (void)state;
    core_publish(&core, "execution_start sid=a prompt=p");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
}

static void expect_end_forgets_the_node(const char *end)
{
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "%s", end);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "%s", end);
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\n");
    core_close(&a);
    core_close(&a2);
    core_advance(&core, 20000);
}

static void end_of_prompt_forgets_the_node(void **state)
{
    (void)state;
    expect_end_forgets_the_node("execution_success sid=a prompt=p");
    expect_end_forgets_the_node("execution_interrupted sid=a prompt=p");
    expect_end_forgets_the_node("execution_error sid=a prompt=p");
    expect_end_forgets_the_node("executing sid=a prompt=p node=");
}

static void another_prompts_end_forgets_nothing(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "execution_success sid=a prompt=q");
    core_publish(&core, "executing sid=a prompt=q node=");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=3\n");
}

static void execution_blocked_does_not_end_the_prompt(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "execution_error sid=a prompt=p blocked=yes");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=3\n");
}

static void a_new_prompt_forgets_the_node_of_the_last(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "execution_start sid=a prompt=q");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
}

static void unknown_sids_are_remembered_only_while_executing(void **state)
{
    (void)state;
    core_publish(&core, "executed sid=a node=1");
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    core_publish(&core, "executing sid=a prompt=p node=");
    core_publish(&core, "execution_success sid=a prompt=p");
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    core_publish(&core, "execution_start sid=a prompt=p");
    core_publish(&core, "executing sid=b prompt=p node=1");
    assert_int_equal(relay_measure(&core.relay)->sessions, 2);
    core_publish(&core, "execution_success sid=a prompt=p");
    core_publish(&core, "executing sid=b prompt=p node=");
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    expect_calls("");
}

static void an_unknown_sid_is_forgotten_when_it_is_silent_for_long(void **state)
{
    (void)state;
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_advance(&core, 9000);
    core_publish(&core, "executed sid=a prompt=p node=1");
    core_advance(&core, 9999);
    assert_int_equal(relay_measure(&core.relay)->sessions, 1);
    core_advance(&core, 1);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
}

/* Sessions come and go */

static void session_expires_and_unsubscribes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_advance(&core, 60000);
    core_close(&a);
    expect_calls("subscribe a\n");
    core_advance(&core, 9999);
    assert_int_equal(relay_measure(&core.relay)->sessions, 1);
    expect_calls("");
    core_advance(&core, 1);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    expect_calls("unsubscribe a\n");
}

static void a_client_that_returns_in_time_keeps_its_subscription(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_advance(&core, 9000);
    core_open(&core, &a, "a");
    core_advance(&core, 60000);
    expect_calls("subscribe a\n");
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
}

static void sessions_expire_each_at_its_time(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_close(&b);
    core_advance(&core, 1000);
    core_close(&a);
    core_calls(&core);
    core_advance(&core, 9000);
    expect_calls("unsubscribe b\n");
    core_advance(&core, 1000);
    expect_calls("unsubscribe a\n");
}

static void an_expired_session_is_subscribed_anew(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_advance(&core, 20000);
    core_open(&core, &a, "a");
    expect_calls("subscribe a\nunsubscribe a\nsubscribe a\n");
}

static void a_session_is_not_forgotten_while_redis_owes_an_answer(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    core_close(&a);
    core_advance(&core, 15000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 1);
    expect_calls("subscribe a\n");
    core_confirm(&core, "a");
    core_advance(&core, 10000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    expect_calls("unsubscribe a\n");
}

static void a_session_that_expires_during_an_outage_is_not_unsubscribed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    relay_link_down(&core.relay);
    core_calls(&core);
    core_advance(&core, 20000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    relay_link_up(&core.relay);
    expect_calls("");
}

static void a_session_may_expire_with_something_unwritten(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_receive(&core, "executed sid=a node=1");
    core.now_ms += 10000;
    relay_tick(&core.relay, core.now_ms);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    core_flush(&core);
}

static void a_closed_socket_gets_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive(&core, "executed sid=a node=1");
    core_close(&a);
    core_publish(&core, "executed sid=a node=2");
    expect_got(&a, "");
    assert_int_equal(a.cursor.state, CURSOR_NONE);
    relay_detach(&core.relay, &a.cursor, core.now_ms);
    relay_writable(&core.relay, &a.cursor);
    expect_got(&a, "");
}

static void a_session_without_a_socket_holds_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    for (int i = 0; i < 100; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void limits_that_change_hold_from_the_next_event(void **state)
{
    (void)state;
    struct relay_config config = core_config();
    core_open(&core, &a, "a");
    core_stall(&a);
    for (int i = 0; i < 10; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    config.log.events = 3;
    config.message_bytes = 30;
    relay_configure(&core.relay, &config);
    core_publish(&core, "executed sid=a node=10");
    assert_int_equal(relay_measure(&core.relay)->log_events, 3);
    expect_dropped(DROP_TOO_LARGE, core_receive(&core, "executed sid=a v=something_longer"));
}

/* Workers */

static void a_silent_workers_share_is_dropped_and_its_prompt_reported_with_the_last_node(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_got(&a);
    core_advance(&core, 999);
    expect_calls("");
    assert_int_equal(relay_measure(&core.relay)->workers, 1);
    assert_int_equal(relay_measure(&core.relay)->queue_remaining, 2);
    core_advance(&core, 1);
    expect_calls("lost w boot=b busy=a prompt=p node=3\n");
    expect_got(&a, "status 0\n");
    assert_int_equal(relay_measure(&core.relay)->workers, 0);
    assert_int_equal(relay_measure(&core.relay)->lost_workers, 1);
}

static void the_node_of_another_prompt_is_not_reported(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_publish(&core, "executing sid=a prompt=q node=3");
    core_advance(&core, 1000);
    expect_calls("lost w boot=b busy=a prompt=p node=\n");
}

static void a_lost_worker_whose_prompt_was_seen_to_end_reports_none(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_publish(&core, "execution_success sid=a prompt=p");
    core_advance(&core, 1000);
    expect_calls("lost w boot=b busy=a prompt= node=\n");
}

static void execution_blocked_is_no_end_of_a_lost_workers_prompt(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_publish(&core, "execution_error sid=a prompt=p blocked=yes");
    core_advance(&core, 1000);
    expect_calls("lost w boot=b busy=a prompt=p node=\n");
}

static void any_event_with_a_worker_is_a_sign_of_life(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    core_advance(&core, 900);
    core_publish(&core, "progress sid=unknown worker=w prompt=p node=1 v=1");
    core_advance(&core, 900);
    core_publish(&core, "notification worker=w");
    core_advance(&core, 999);
    expect_calls("");
    core_advance(&core, 1);
    expect_calls("lost w boot=b busy= prompt= node=\n");
}

static void a_restarted_worker_is_reported_and_its_share_replaced(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_advance(&core, 500);
    core_publish(&core, "relay.worker worker=w boot=b2 share=0 at=2");
    expect_calls("lost w boot=b busy=a prompt=p node= restart\n");
    expect_got(&a, "status 2\nstatus 0\n");
}

static void a_worker_that_leaves_is_not_reported(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    core_advance(&core, 500);
    core_publish(&core, "relay.worker worker=w gone");
    core_advance(&core, 60000);
    expect_calls("");
    expect_got(&a, "status 2\nstatus 0\n");
}

static void workers_are_not_lost_while_nobody_could_be_heard(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    relay_link_down(&core.relay);
    core_advance(&core, 60000);
    expect_calls("");
    relay_link_up(&core.relay);
    core_advance(&core, 999);
    expect_calls("");
    core_advance(&core, 1);
    expect_calls("lost w boot=b busy= prompt= node=\n");
}

static void an_entry_that_was_read_counts_and_has_the_whole_time(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_entry(&core, "w", "- boot=b share=4 busy=a prompt=p at=1");
    expect_got(&a, "status 4\n");
    core_advance(&core, 999);
    expect_calls("");
    core_advance(&core, 1);
    expect_calls("lost w boot=b busy=a prompt=p node=\n");
}

static void an_entry_older_than_a_heartbeat_changes_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=10");
    core_entry(&core, "w", "- boot=a share=4 at=9");
    core_advance(&core, 500);
    expect_got(&a, "status 2\n");
    expect_calls("");
}

static void a_broken_entry_is_counted_and_stepped_over(void **state)
{
    (void)state;
    core_entry(&core, "w", "- share=4");
    assert_int_equal(relay_measure(&core.relay)->workers, 0);
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_BAD_DATA], 1);
}

/* Memory and time */

static void one_sockets_lack_of_memory_costs_only_itself(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core.status_fails = true;
    assert_int_equal(core_connect(&core, &a2, "a"), -12);
    assert_null(a2.cursor.session);
    assert_int_equal(a2.cursor.own_count, 0);
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 1);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
    core.status_fails = false;
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\n");
}

static void an_idle_relay_never_asks_to_be_woken(void **state)
{
    (void)state;
    assert_int_equal(relay_next_ms(&core.relay), UINT64_MAX);
    core_open(&core, &a, "a");
    core_publish(&core, "status share=1");
    assert_int_equal(relay_next_ms(&core.relay), UINT64_MAX);
}

static void events_that_were_not_flushed_are_written_by_the_next_tick(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive(&core, "executed sid=a node=1");
    assert_int_equal(relay_next_ms(&core.relay), 0);
    core_advance(&core, 0);
    expect_got(&a, "executed sid=a node=1\n");
}

static void the_clock_may_jump_far(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    core_close(&a);
    core.now_ms += UINT64_C(1) << 40;
    relay_tick(&core.relay, core.now_ms);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    assert_int_equal(relay_measure(&core.relay)->workers, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_event_reaches_the_sockets_of_its_session_only, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broadcast_reaches_every_session, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broadcast_is_encoded_once_and_not_at_all_for_nobody, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_broadcast_is_not_replayed_to_later_sockets, setup, teardown),
        cmocka_unit_test_setup_teardown(broadcasts_keep_their_place_among_a_sessions_own_events, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            an_event_on_a_sessions_channel_is_for_that_session_whatever_sid_it_carries, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_for_nobody_is_dropped_and_counted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_event_reaches_nobody_and_is_counted_by_reason, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_broken_end_ends_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_over_the_limit_is_dropped_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(what_belongs_to_the_contract_never_reaches_a_client, setup, teardown),
        cmocka_unit_test_setup_teardown(an_event_for_a_session_without_a_log_is_counted_as_unrouted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(first_frame_is_the_status_with_sid, setup, teardown),
        cmocka_unit_test_setup_teardown(first_frame_comes_before_anything_live_that_came_while_waiting, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_frame_of_its_own_waits_behind_the_first_status, setup, teardown),
        cmocka_unit_test_setup_teardown(no_broadcast_carries_a_sid, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets_wait_for_their_subscription, setup, teardown),
        cmocka_unit_test_setup_teardown(sockets_wait_for_their_subscription_at_most_a_second, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_second_socket_of_a_subscribed_session_does_not_wait, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_confirmation_of_another_session_releases_nobody, setup, teardown),
        cmocka_unit_test_setup_teardown(link_down_releases_waiting_sockets_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(without_a_link_sockets_are_greeted_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(a_late_confirmation_after_the_link_went_down_means_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(link_up_asks_again_for_every_session_that_has_a_log, setup, teardown),
        cmocka_unit_test_setup_teardown(an_outage_loses_no_socket_and_events_go_on_afterwards, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(newer_socket_takes_over_and_the_older_gets_nothing_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_the_older_socket_never_touches_the_newer, setup, teardown),
        cmocka_unit_test_setup_teardown(older_socket_does_not_come_back_when_the_newer_closes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_third_socket_takes_over_from_the_second, setup, teardown),
        cmocka_unit_test_setup_teardown(a_waiting_socket_that_is_taken_over_gets_nothing_at_all, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_older_socket_that_was_blocked_gets_nothing_when_it_reads_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_socket_holds_no_log, setup, teardown),
        cmocka_unit_test_setup_teardown(share_mode_all_sockets_receive, setup_share, teardown),
        cmocka_unit_test_setup_teardown(share_mode_the_least_advanced_socket_decides_what_is_kept,
                                        setup_share, teardown),
        cmocka_unit_test_setup_teardown(share_mode_a_new_socket_gets_nothing_of_before, setup_share,
                                        teardown),
        cmocka_unit_test_setup_teardown(share_mode_a_slow_socket_does_not_slow_the_other, setup_share,
                                        teardown),
        cmocka_unit_test_setup_teardown(slow_socket_gets_only_the_newest_preview, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_socket_gets_every_kept_event_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_replaced_takes_the_newest_position, setup, teardown),
        cmocka_unit_test_setup_teardown(keep_true_is_never_conflated, setup, teardown),
        cmocka_unit_test_setup_teardown(keep_false_is_conflated_whatever_the_type, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_socket_gets_every_event_of_a_burst, setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_read_from_redis_at_once_is_written_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_socket_gets_every_broadcast_of_a_burst, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_socket_gets_a_burst_that_ends_its_prompt, setup, teardown),
        cmocka_unit_test_setup_teardown(reading_socket_gets_a_burst_longer_than_its_log, setup_small_log,
                                        teardown),
        cmocka_unit_test_setup_teardown(reading_socket_gets_a_burst_of_more_bytes_than_its_log,
                                        setup_small_bytes, teardown),
        cmocka_unit_test_setup_teardown(a_status_pushes_nothing_out_of_the_log_of_a_reading_socket,
                                        setup_small_log, teardown),
        cmocka_unit_test_setup_teardown(slow_socket_goes_on_from_the_oldest_that_is_held_and_stays_open,
                                        setup_small_log, teardown),
        cmocka_unit_test_setup_teardown(a_gap_is_counted_once_however_often_the_socket_is_tried,
                                        setup_small_log, teardown),
        cmocka_unit_test_setup_teardown(share_mode_only_the_socket_that_lacks_what_was_trimmed_has_a_gap,
                                        setup_small_share, teardown),
        cmocka_unit_test_setup_teardown(slow_socket_gets_the_newest_event_whatever_its_size,
                                        setup_small_bytes, teardown),
        cmocka_unit_test_setup_teardown(conflation_alone_makes_no_gap, setup, teardown),
        cmocka_unit_test_setup_teardown(no_progress_is_seen_after_the_end_of_its_prompt, setup, teardown),
        cmocka_unit_test_setup_teardown(execution_blocked_does_not_drop_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(slow_socket_takes_what_it_has_room_for, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_read_is_not_held, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_bounded_with_a_socket_that_never_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(preview_is_made_once_and_shared_in_both_forms, setup_share, teardown),
        cmocka_unit_test_setup_teardown(the_form_without_metadata_is_not_made_when_nobody_needs_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(flags_belong_to_the_socket_not_to_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_that_come_late_hold_from_the_next_frame, setup, teardown),
        cmocka_unit_test_setup_teardown(status_is_summed_and_sent_only_when_it_changes, setup, teardown),
        cmocka_unit_test_setup_teardown(status_at_most_once_per_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(a_number_that_changes_back_in_time_is_not_sent, setup, teardown),
        cmocka_unit_test_setup_teardown(status_is_the_same_on_whatever_channel, setup, teardown),
        cmocka_unit_test_setup_teardown(status_without_a_number_is_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_socket_that_was_greeted_with_a_number_is_not_told_it_again, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_socket_that_took_over_is_not_told_again_what_it_was_greeted_with,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_socket_greeted_between_broadcasts_is_told_when_the_number_changes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(share_mode_a_second_socket_is_told_when_the_number_changes_back,
                                        setup_share, teardown),
        cmocka_unit_test_setup_teardown(share_mode_the_first_socket_is_told_what_the_second_was_greeted_with,
                                        setup_share, teardown),
        cmocka_unit_test_setup_teardown(prompts_end_gets_a_status_of_its_own_before_executing_null, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            the_status_of_a_prompts_end_is_not_doubled_when_the_broadcast_came_in_between, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broadcast_before_the_prompts_end_does_not_stand_for_its_status,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_prompt_that_ends_with_executing_null_alone_gets_its_status, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_told_at_its_prompts_end_is_not_told_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_told_at_its_prompts_end_gets_later_changes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_prompts_end_arrives_also_when_its_status_cannot_be_made, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_status_that_cannot_be_made_is_tried_again_an_interval_later, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(returning_client_is_told_the_last_executing_node, setup, teardown),
        cmocka_unit_test_setup_teardown(the_node_for_display_is_the_one_that_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_was_never_here_is_told_the_node_too, setup, teardown),
        cmocka_unit_test_setup_teardown(before_the_first_node_nothing_is_told, setup, teardown),
        cmocka_unit_test_setup_teardown(end_of_prompt_forgets_the_node, setup, teardown),
        cmocka_unit_test_setup_teardown(another_prompts_end_forgets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(execution_blocked_does_not_end_the_prompt, setup, teardown),
        cmocka_unit_test_setup_teardown(a_new_prompt_forgets_the_node_of_the_last, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_sids_are_remembered_only_while_executing, setup, teardown),
        cmocka_unit_test_setup_teardown(an_unknown_sid_is_forgotten_when_it_is_silent_for_long, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(session_expires_and_unsubscribes, setup, teardown),
        cmocka_unit_test_setup_teardown(a_client_that_returns_in_time_keeps_its_subscription, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(sessions_expire_each_at_its_time, setup, teardown),
        cmocka_unit_test_setup_teardown(an_expired_session_is_subscribed_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_is_not_forgotten_while_redis_owes_an_answer, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_that_expires_during_an_outage_is_not_unsubscribed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_session_may_expire_with_something_unwritten, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_socket_gets_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_session_without_a_socket_holds_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_that_change_hold_from_the_next_event, setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_silent_workers_share_is_dropped_and_its_prompt_reported_with_the_last_node, setup, teardown),
        cmocka_unit_test_setup_teardown(the_node_of_another_prompt_is_not_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(a_lost_worker_whose_prompt_was_seen_to_end_reports_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(execution_blocked_is_no_end_of_a_lost_workers_prompt, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(any_event_with_a_worker_is_a_sign_of_life, setup, teardown),
        cmocka_unit_test_setup_teardown(a_restarted_worker_is_reported_and_its_share_replaced, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_leaves_is_not_reported, setup, teardown),
        cmocka_unit_test_setup_teardown(workers_are_not_lost_while_nobody_could_be_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_that_was_read_counts_and_has_the_whole_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_entry_older_than_a_heartbeat_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_entry_is_counted_and_stepped_over, setup, teardown),
        cmocka_unit_test_setup_teardown(one_sockets_lack_of_memory_costs_only_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(an_idle_relay_never_asks_to_be_woken, setup, teardown),
        cmocka_unit_test_setup_teardown(events_that_were_not_flushed_are_written_by_the_next_tick, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_clock_may_jump_far, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
