/* The relay driven in memory: who gets what, when, and what is forgotten again. */
#include "tests/support/core_story.h"

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
    assert_int_equal(core.codec.encoded, 0);
    assert_int_equal(core.codec.looked_at, 1);
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "notification v=hello");
    assert_int_equal(core.codec.encoded, 1);
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
    uint64_t before = relay_measure(&core.relay)->events;
    expect_dropped(DROP_MALFORMED, core_receive(&core, "malformed sid=a"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "executed sid=a bad=yes"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "notification bad=yes"));
    expect_dropped(DROP_BAD_DATA, core_receive(&core, "executed sid=unknown bad=yes"));
    core_flush(&core);
    expect_got(&a, "");
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->events, before + 4);
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
    assert_int_equal(core.codec.encoded, 0);
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
    expect_got(&a, "status 0 sid=a\nfeature_flags\nexecuting node=1\n");
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
    core_publish(&core, "executed sid=a node=1"); /* but the rest waits: the log may hold something older */
    expect_got(&a, "");
    core_confirm(&core, "a");
    expect_got(&a, "executed sid=a node=1\n");
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
    core_link_down(&core);
    expect_got(&a, "status 0 sid=a\n");
}

static void without_a_link_sockets_are_greeted_at_once(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    core_link_down(&core);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
    expect_calls("");
}

static void a_late_confirmation_after_the_link_went_down_means_nothing(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    core_link_down(&core);
    core_confirm(&core, "a");
    core_link_up(&core);
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
    core_link_down(&core);
    core_calls(&core);
    core_link_up(&core);
    const char *calls = core_calls(&core);
    assert_non_null(strstr(calls, "subscribe a\n"));
    assert_non_null(strstr(calls, "subscribe b\n"));
    assert_int_equal(strlen(calls), strlen("subscribe a\nsubscribe b\n"));
}

static void an_outage_loses_no_socket_and_events_go_on_afterwards(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_link_down(&core);
    core_advance(&core, 60000);
    core_link_up(&core);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
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
    core_link_down(&core);
    core_calls(&core);
    core_advance(&core, 20000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    core_link_up(&core);
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

static void a_session_without_a_socket_holds_what_its_client_has_not_got_and_no_broadcast(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    for (int i = 0; i < 100; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_publish(&core, "notification v=hello");
    assert_int_equal(relay_measure(&core.relay)->log_events, 100);
    core_advance(&core, 10000);
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

/* Memory and time */

static void one_sockets_lack_of_memory_costs_only_itself(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core.codec.status_fails = true;
    assert_int_equal(core_connect(&core, &a2, "a"), -12);
    assert_null(a2.cursor.session);
    assert_int_equal(a2.cursor.own_count, 0);
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 1);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "executed sid=a node=1\n");
    core.codec.status_fails = false;
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\n");
}

static void an_idle_relay_asks_to_be_woken_only_to_keep_its_clients_places_from_expiring(void **state)
{
    (void)state;
    assert_int_equal(relay_next_ms(&core.relay), UINT64_MAX);
    core_open(&core, &a, "a");
    core_publish(&core, "status share=1");
    assert_int_equal(relay_next_ms(&core.relay), core.now_ms); /* where its client begins is stored at once */
    core_advance(&core, 0);
    assert_int_equal(relay_next_ms(&core.relay), core.now_ms + core.relay.config.session_ttl_ms / 3);
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
        cmocka_unit_test_setup_teardown(
            a_session_without_a_socket_holds_what_its_client_has_not_got_and_no_broadcast, setup, teardown),
        cmocka_unit_test_setup_teardown(limits_that_change_hold_from_the_next_event, setup, teardown),
        cmocka_unit_test_setup_teardown(one_sockets_lack_of_memory_costs_only_itself, setup, teardown),
        cmocka_unit_test_setup_teardown(
            an_idle_relay_asks_to_be_woken_only_to_keep_its_clients_places_from_expiring, setup, teardown),
        cmocka_unit_test_setup_teardown(events_that_were_not_flushed_are_written_by_the_next_tick, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(the_clock_may_jump_far, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
