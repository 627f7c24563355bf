/* Catching up with Redis: a session that is new here, one that was cut off, one that another relay takes over. */
#include <stdio.h>

#include "tests/support/core_story.h"

/* As another relay, or this one before, has left it. */
static void has_got_to(const char *sid, uint64_t ms)
{
    struct memory_session *s = core_stored(&core, sid);
    s->has_ack = true;
    s->ack = (struct stream_id){ms, 0};
}

static void publish_half_a_prompt(void)
{
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core_script_unheard(&core, "a", "executing prompt=p node=1");
    core_script_unheard(&core, "a", "executed prompt=p node=1");
}

/* A session that is new here */

static void a_new_session_is_read_back_then_subscribed_and_claimed_then_read_on(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=1");
    connect_to(&a, "a");
    expect_calls("subscribe a\n");
    expect_archived("back a before max\non a from 1-0 claim\n");
    assert_string_equal(core_stored(&core, "a")->owner, CORE_NAME);
}

static void under_share_nothing_is_claimed(void **state)
{
    (void)state;
    connect_to(&a, "a");
    expect_archived("back a before max\non a from 0-0 none\n");
}

static void a_client_known_to_another_relay_gets_what_it_missed(void **state)
{
    (void)state;
    publish_half_a_prompt();
    core_script_unheard(&core, "a", "executing prompt=p node=2");
    has_got_to("a", 2);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuted prompt=p node=1\nexecuting prompt=p node=2\n");
    assert_int_equal(relay_measure(&core.relay)->read_back, 4);
}

static void executing_goes_first_when_another_relay_has_sent_it(void **state)
{
    (void)state;
    publish_half_a_prompt();
    has_got_to("a", 2);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=1\nexecuted prompt=p node=1\n");
}

static void a_client_that_was_never_seen_gets_the_prompt_that_executes(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=0");
    publish_half_a_prompt();
    connect_to(&a, "a");
    expect_got(
        &a,
        "status 0 sid=a\nexecution_start prompt=p\nexecuting prompt=p node=1\nexecuted prompt=p node=1\n");
}

static void a_client_that_was_never_seen_gets_nothing_when_nothing_executes(void **state)
{
    (void)state;
    publish_half_a_prompt();
    core_script_unheard(&core, "a", "execution_success prompt=p");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\n");
}

static void a_client_that_has_had_nothing_gets_all(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=1");
    core_script_unheard(&core, "a", "executed node=2");
    has_got_to("a", 0);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuted node=1\nexecuted node=2\n");
}

static void it_is_read_back_as_far_as_the_prompts_beginning(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    publish_half_a_prompt();
    has_got_to("a", 13);
    core.page = 2;
    connect_to(&a, "a");
    expect_archived("back a before max\non a from 13-0 claim\nback a before 12-0\n");
    expect_got(&a, "status 0 sid=a\nexecuting node=1\n");
}

static void it_is_read_back_as_far_as_the_clients_place(void **state)
{
    (void)state;
    for (int i = 1; i <= 9; i++)
        core_script_unheard(&core, "a", "execution_success prompt=%d", i);
    has_got_to("a", 4);
    core.page = 2;
    connect_to(&a, "a");
    expect_archived("back a before max\non a from 9-0 claim\nback a before 8-0\nback a before 6-0\n");
    expect_got(
        &a,
        "status 0 sid=a\nexecution_success prompt=5\nexecution_success prompt=6\nexecution_success prompt=7\n"
        "execution_success prompt=8\nexecution_success prompt=9\n");
}

static void a_log_longer_than_its_bounds_is_replayed_from_the_oldest_and_that_is_told(void **state)
{
    (void)state;
    for (int i = 1; i <= 9; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    has_got_to("a", 2);
    core.page = 2;
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuted node=6\nexecuted node=7\nexecuted node=8\nexecuted node=9\n");
    expect_notes("gap a\n");
}

static void a_log_that_was_trimmed_in_redis_past_the_place_is_told_too(void **state)
{
    (void)state;
    for (int i = 1; i <= 9; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    memory_redis_trim(core_stored(&core, "a"), 2);
    has_got_to("a", 2);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuted node=8\nexecuted node=9\n");
    expect_notes("gap a\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
}

static void what_is_in_the_log_and_comes_live_too_is_sent_once(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=1");
    has_got_to("a", 0);
    core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core);
    core_script(&core, "a", "executed node=2");
    core_script(&core, "a", "executed node=3");
    core_stored(&core, "a")->count--; /* the reading comes before the third is added */
    core_answer(&core);
    expect_got(&a, "status 0 sid=a\nexecuted node=1\nexecuted node=2\nexecuted node=3\n");
}

static void what_came_between_the_newest_that_was_read_and_the_subscription_is_not_missed(void **state)
{
    (void)state;
    core.holds_confirmations = core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core);
    core_script_unheard(&core, "a", "executed node=1");
    core_confirm(&core, "a");
    core_answer(&core);
    expect_got(&a, "status 0 sid=a\nexecuted node=1\n");
}

static void the_first_status_waits_until_the_newest_entry_is_known(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_advance(&core, RELAY_FIRST_STATUS_MS - 1);
    expect_got(&a, "");
    core_answer(&core);
    expect_got(&a, "status 0 sid=a\n");
}

static void the_first_status_waits_no_longer_than_a_second(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_advance(&core, RELAY_FIRST_STATUS_MS);
    expect_got(&a, "status 0 sid=a\n");
}

static void conflated_events_of_redis_follow_those_that_are_kept(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core_script_unheard(&core, "a", "progress prompt=p node=1 v=1");
    core_script_unheard(&core, "a", "executed prompt=p node=1");
    connect_to(&a, "a");
    expect_got(
        &a,
        "status 0 sid=a\nexecution_start prompt=p\nexecuted prompt=p node=1\nprogress prompt=p node=1 v=1\n");
}

static void conflated_events_of_another_prompt_are_left_out(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core_script_unheard(&core, "a", "progress prompt=q node=1 v=1");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecution_start prompt=p\n");
}

static void conflated_events_of_redis_give_way_to_live_ones(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core_script_unheard(&core, "a", "progress prompt=p node=1 v=1");
    core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core);
    core_script(&core, "a", "progress prompt=p node=1 v=2");
    while (core_answer(&core))
        ;
    expect_got(&a, "status 0 sid=a\nexecution_start prompt=p\nprogress prompt=p node=1 v=2\n");
}

static void no_progress_that_came_before_the_end_that_was_read_is_seen_after_it(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core);
    core_script(&core, "a", "progress prompt=p node=1 v=1");
    core_script(&core, "a", "execution_success prompt=p");
    while (core_answer(&core))
        ;
    expect_got(&a, "status 0 sid=a\nexecution_start prompt=p\nexecution_success prompt=p\n");
}

static void a_broadcast_meanwhile_follows_what_was_read(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=1");
    has_got_to("a", 0);
    core.holds_answers = true;
    connect_to(&a, "a");
    core_publish(&core, "notification v=hello");
    while (core_answer(&core))
        ;
    expect_got(&a, "status 0 sid=a\nexecuted node=1\nnotification v=hello\n");
}

static void what_is_put_aside_is_counted_as_routed_and_what_finds_no_place_there_as_dropped(void **state)
{
    const struct metrics *m = &core.relay.metrics;
    uint64_t most = core.relay.config.log.events;
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    for (uint64_t i = 1; i < most; i++)
        core_publish(&core, "executed sid=a node=1");
    assert_int_equal(core_receive(&core, "executed sid=a node=1"), DROP_NO_MEMORY);
    assert_int_equal(m->routed[CLASS_LATEST], 1);
    assert_int_equal(m->routed[CLASS_KEEP], most - 1);
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_NO_MEMORY], 1);
}

static void a_broadcast_of_before_is_not_for_a_socket_that_joins_meanwhile(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_publish(&core, "notification v=hello");
    connect_to(&a2, "a");
    while (core_answer(&core))
        ;
    expect_got(&a2, "status 0 sid=a\n");
}

static void what_is_broken_in_the_log_is_stepped_over_and_counted(void **state)
{
    (void)state;
    core_script_unheard(&core, "a", "executed node=1");
    core_script_unheard(&core, "a", "executed node=2");
    core_script_unheard(&core, "a", "executed node=3");
    core_stored(&core, "a")->log[0].event = span_str("malformed");
    core_stored(&core, "a")->log[1].event = span_str("executed bad=yes");
    has_got_to("a", 0);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuted node=3\n");
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->dropped[DROP_MALFORMED], 1);
    assert_int_equal(m->dropped[DROP_BAD_DATA], 1);
}

static void a_late_answer_to_a_session_that_is_gone_means_nothing(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_close(&a);
    core_advance(&core, 20000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
    while (core_answer(&core))
        ;
    assert_int_equal(core.relay.asked, 0);
}

static void at_most_128_questions_are_asked_at_a_time(void **state)
{
    (void)state;
    static struct core_socket sockets[200];
    char sid[16];
    core.holds_answers = true;
    for (int i = 0; i < 200; i++) {
        snprintf(sid, sizeof sid, "s%d", i);
        connect_to(&sockets[i], sid);
    }
    assert_int_equal(core.asked, RELAY_READINGS_MAX);
    assert_int_equal(relay_measure(&core.relay)->reading, 200);
    for (int i = 0; i < 200; i++)
        core_close(&sockets[i]);
}

/* Another relay */

static void a_session_that_another_relay_takes_over_falls_silent_here(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_got(&a);
    core_calls(&core);
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_script(&core, "a", "executed node=2");
    core_publish(&core, "executed sid=a node=3");
    core_publish(&core, "notification v=hello");
    core_publish(&core, "status worker=w share=3");
    core_advance(&core, 5000);
    expect_got(&a, "");
    expect_calls("unsubscribe a\n");
    expect_notes("taken over a\n");
    assert_non_null(a.cursor.session);
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->takeovers, 1);
    assert_int_equal(m->log_bytes, 0);
}

static void a_session_that_was_taken_over_does_not_come_back_to_its_old_socket(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_link_down(&core);
    core_link_up(&core);
    connect_to(&a2, "a");
    core_close(&a2);
    core_script(&core, "a", "executed node=1");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "");
}

static void a_session_that_was_taken_over_stores_no_place(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_archived(&core);
    core_advance(&core, 60000);
    expect_archived("");
}

static void a_client_that_returns_from_another_relay_claims_its_session_again(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_script_unheard(&core, "a", "executed node=1");
    core_archived(&core);
    has_got_to("a", 0);
    connect_to(&a2, "a");
    core_advance(&core, RELAY_PLACING_MS);
    expect_got(&a2, "status 0 sid=a\nexecuted node=1\n");
    assert_string_equal(core_stored(&core, "a")->owner, CORE_NAME);
}

static void a_claim_of_another_relay_that_is_older_than_ours_is_ignored(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core); /* the claim is on its way now */
    core_receive_on(&core, "a", "relay.takeover by=them opened=1");
    while (core_answer(&core))
        ;
    core_receive_on(&core, "a", "relay.takeover by=them opened=1");
    while (core_answer(&core)) /* it is claimed again: Redis may have forgotten it */
        ;
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "status 0 sid=a\nexecuted node=1\n");
}

static void a_claim_that_counts_as_newer_has_the_session_by_a_millisecond(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=%llu", (unsigned long long)core.now_ms);
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "executed node=1\n");
    core_receive_on(&core, "a", "relay.takeover by=them opened=%llu", (unsigned long long)core.now_ms + 1);
    core_script(&core, "a", "executed node=2");
    expect_got(&a, "");
}

static void a_claim_that_follows_ours_before_that_is_answered_has_the_session(void **state)
{
    (void)state;
    core.holds_answers = true;
    connect_to(&a, "a");
    core_answer(&core); /* the claim is on its way now */
    core_receive_on(&core, "a", "relay.takeover by=them opened=%llu", (unsigned long long)core.now_ms + 1);
    while (core_answer(&core))
        ;
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "status 0 sid=a\n");
    expect_notes("taken over a\n");
}

static void an_idle_session_is_given_up_to_any_claim(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_receive_on(&core, "a", "relay.takeover by=them opened=1");
    expect_notes("taken over a\n");
}

static void our_own_messages_mean_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=" CORE_NAME);
    core_receive_on(&core, "a", "relay.left by=" CORE_NAME);
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "executed node=1\n");
}

static void what_relays_tell_each_other_never_reaches_a_client(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.left by=them");
    core_receive_on(&core, "a", "relay.something by=them");
    core_receive(&core, "relay.takeover by=them opened=99999999");
    core_flush(&core);
    expect_got(&a, "");
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "executed node=1\n");
}

static void under_share_nobody_takes_over(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "executed node=1\n");
}

static void a_page_that_leaves_another_relay_makes_the_socket_here_a_new_one(void **state)
{
    (void)state;
    publish_half_a_prompt();
    has_got_to("a", 3);
    core.others_listen = true;
    connect_to(&a, "a");
    core_advance(&core, 50);
    expect_got(&a, "status 0 sid=a\n");
    core_receive_on(&core, "a", "relay.left by=them");
    core_advance(&core, 100);
    expect_got(&a, "execution_start prompt=p\nexecuting prompt=p node=1\nexecuted prompt=p node=1\n");
}

static void a_silent_socket_whose_page_leaves_tells_the_others_and_forgets_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_archived(&core);
    core_leave(&a);
    expect_archived("leave a\n");
}

/* The connection is lost */

static void what_was_missed_without_a_connection_is_read_when_it_is_back(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_link_down(&core);
    assert_false(relay_is_caught_up(&core.relay));
    core_script_unheard(&core, "a", "executed node=2");
    core_script_unheard(&core, "a", "executed node=3");
    core_archived(&core);
    core_link_up(&core);
    expect_archived("on a from 1-0 claim\n");
    core_script(&core, "a", "executed node=4");
    expect_got(&a, "executed node=1\nexecuted node=2\nexecuted node=3\nexecuted node=4\n");
    assert_true(relay_is_caught_up(&core.relay));
}

static void a_gap_is_read_in_pages(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_link_down(&core);
    for (int i = 2; i <= 6; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    core.page = 3;
    core_link_up(&core);
    expect_got(&a, "executed node=1\nexecuted node=2\nexecuted node=3\nexecuted node=4\nexecuted "
                   "node=5\nexecuted node=6\n");
}

static void it_is_ready_only_when_every_gap_is_closed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_link_down(&core);
    core.holds_answers = true;
    core_link_up(&core);
    assert_false(relay_is_caught_up(&core.relay));
    core_answer(&core);
    assert_false(relay_is_caught_up(&core.relay));
    while (core_answer(&core))
        ;
    assert_true(relay_is_caught_up(&core.relay));
}

static void a_connection_that_is_lost_again_begins_anew(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_link_down(&core);
    core_script_unheard(&core, "a", "executed node=2");
    core.holds_answers = true;
    core_link_up(&core);
    core_script(&core, "a", "executed node=3");
    core_link_down(&core);
    core_link_up(&core);
    while (core_answer(&core))
        ;
    expect_got(&a, "executed node=1\nexecuted node=2\nexecuted node=3\n");
    assert_int_equal(core.relay.asked, 0);
}

static void a_session_that_another_relay_took_meanwhile_is_given_up(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_link_down(&core);
    strcpy(core_stored(&core, "a")->owner, "them");
    core_stored(&core, "a")->opened_ms = core.now_ms + RELAY_SKEW_MS + 1;
    core_script_unheard(&core, "a", "executed node=1");
    core_link_up(&core);
    core_script(&core, "a", "executed node=2");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "");
    expect_notes("taken over a\n");
    assert_true(relay_is_caught_up(&core.relay));
}

static void an_older_claim_of_another_relay_is_no_takeover(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_link_down(&core);
    strcpy(core_stored(&core, "a")->owner, "them");
    core_stored(&core, "a")->opened_ms = core.now_ms - 1;
    core_link_up(&core);
    core_script(&core, "a", "executed node=2");
    expect_got(&a, "executed node=2\n");
    expect_notes("");
}

static void a_socket_that_joins_without_a_connection_claims_its_session(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_link_down(&core);
    strcpy(core_stored(&core, "a")->owner, "them");
    connect_to(&a2, "a");
    core_archived(&core);
    core_link_up(&core);
    expect_archived("on a from 0-0 claim\n");
    core_script(&core, "a", "executed node=1");
    core_advance(&core, RELAY_PLACING_MS);
    expect_got(&a2, "status 0 sid=a\nexecuted node=1\n");
}

static void an_idle_session_claims_nothing_until_it_has_a_socket(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_link_down(&core);
    memory_redis_flush(core.redis);
    core_archived(&core);
    core_link_up(&core);
    expect_archived("on a from 0-0 check\n");
    connect_to(&a, "a");
    assert_string_equal(core_stored(&core, "a")->owner, CORE_NAME);
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "status 0 sid=a\nexecuted node=1\n");
}

static void a_redis_that_lost_its_data_is_told_and_live_goes_on(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_script(&core, "a", "executed node=2");
    core_acknowledge(&a);
    core_got(&a);
    core_link_down(&core);
    memory_redis_flush(core.redis);
    core.redis->next_ms = 1;
    core_link_up(&core);
    assert_int_equal(relay_measure(&core.relay)->data_lost, 1);
    expect_notes("data lost \n");
    core_script(&core, "a", "executed node=3");
    core_script(&core, "a", "executed node=4");
    expect_got(&a, "executed node=3\nexecuted node=4\n");
    core_acknowledge(&a);
    core_link_down(&core);
    core_script_unheard(&core, "a", "executed node=5");
    core_link_up(&core);
    expect_got(&a, "executed node=5\n");
    assert_int_equal(relay_measure(&core.relay)->data_lost, 1);
}

static void a_place_that_was_stored_and_is_gone_tells_that_redis_lost_its_data(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_advance(&core, RELAY_STORE_MS);
    memory_redis_flush(core.redis);
    core_advance(&core, 4000);
    assert_int_equal(relay_measure(&core.relay)->data_lost, 1);
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "executed node=1\n");
}

static void what_redis_trimmed_meanwhile_is_told(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_link_down(&core);
    for (int i = 2; i <= 6; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    memory_redis_trim(core_stored(&core, "a"), 2);
    core_link_up(&core);
    expect_got(&a, "executed node=1\nexecuted node=5\nexecuted node=6\n");
    expect_notes("gap a\n");
}

static void what_is_held_before_a_gap_is_not_lost_to_it(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_script(&core, "a", "executed node=1");
    core_script(&core, "a", "executed node=2");
    core_link_down(&core);
    for (int i = 3; i <= 6; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    memory_redis_trim(core_stored(&core, "a"), 1);
    core_link_up(&core);
    expect_notes("");
    core_drain(&a);
    expect_got(&a, "executed node=1\nexecuted node=2\nexecuted node=6\n");
    expect_notes("gap a\n");
}

static void without_a_connection_a_known_client_is_served_from_what_is_here(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_close(&a);
    core_link_down(&core);
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\nexecuted node=1\n");
}

#define STORY(name)             cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STORY_WITH(name, begin) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_new_session_is_read_back_then_subscribed_and_claimed_then_read_on),
        STORY_WITH(under_share_nothing_is_claimed, setup_share),
        STORY(a_client_known_to_another_relay_gets_what_it_missed),
        STORY(executing_goes_first_when_another_relay_has_sent_it),
        STORY(a_client_that_was_never_seen_gets_the_prompt_that_executes),
        STORY(a_client_that_was_never_seen_gets_nothing_when_nothing_executes),
        STORY(a_client_that_has_had_nothing_gets_all),
        STORY(it_is_read_back_as_far_as_the_prompts_beginning),
        STORY(it_is_read_back_as_far_as_the_clients_place),
        STORY_WITH(a_log_longer_than_its_bounds_is_replayed_from_the_oldest_and_that_is_told,
                   setup_small_log),
        STORY(a_log_that_was_trimmed_in_redis_past_the_place_is_told_too),
        STORY(what_is_in_the_log_and_comes_live_too_is_sent_once),
        STORY(what_came_between_the_newest_that_was_read_and_the_subscription_is_not_missed),
        STORY(the_first_status_waits_until_the_newest_entry_is_known),
        STORY(the_first_status_waits_no_longer_than_a_second),
        STORY(conflated_events_of_redis_follow_those_that_are_kept),
        STORY(conflated_events_of_another_prompt_are_left_out),
        STORY(conflated_events_of_redis_give_way_to_live_ones),
        STORY(no_progress_that_came_before_the_end_that_was_read_is_seen_after_it),
        STORY(a_broadcast_meanwhile_follows_what_was_read),
        STORY(what_is_put_aside_is_counted_as_routed_and_what_finds_no_place_there_as_dropped),
        STORY(a_broadcast_of_before_is_not_for_a_socket_that_joins_meanwhile),
        STORY(what_is_broken_in_the_log_is_stepped_over_and_counted),
        STORY(a_late_answer_to_a_session_that_is_gone_means_nothing),
        STORY(at_most_128_questions_are_asked_at_a_time),
        STORY(a_session_that_another_relay_takes_over_falls_silent_here),
        STORY(a_session_that_was_taken_over_does_not_come_back_to_its_old_socket),
        STORY(a_session_that_was_taken_over_stores_no_place),
        STORY(a_client_that_returns_from_another_relay_claims_its_session_again),
        STORY(a_claim_of_another_relay_that_is_older_than_ours_is_ignored),
        STORY(a_claim_that_counts_as_newer_has_the_session_by_a_millisecond),
        STORY(a_claim_that_follows_ours_before_that_is_answered_has_the_session),
        STORY(an_idle_session_is_given_up_to_any_claim),
        STORY(our_own_messages_mean_nothing),
        STORY(what_relays_tell_each_other_never_reaches_a_client),
        STORY_WITH(under_share_nobody_takes_over, setup_share),
        STORY(a_page_that_leaves_another_relay_makes_the_socket_here_a_new_one),
        STORY(a_silent_socket_whose_page_leaves_tells_the_others_and_forgets_nothing),
        STORY(what_was_missed_without_a_connection_is_read_when_it_is_back),
        STORY(a_gap_is_read_in_pages),
        STORY(it_is_ready_only_when_every_gap_is_closed),
        STORY(a_connection_that_is_lost_again_begins_anew),
        STORY(a_session_that_another_relay_took_meanwhile_is_given_up),
        STORY(an_older_claim_of_another_relay_is_no_takeover),
        STORY(a_socket_that_joins_without_a_connection_claims_its_session),
        STORY(an_idle_session_claims_nothing_until_it_has_a_socket),
        STORY(a_redis_that_lost_its_data_is_told_and_live_goes_on),
        STORY(a_place_that_was_stored_and_is_gone_tells_that_redis_lost_its_data),
        STORY(what_redis_trimmed_meanwhile_is_told),
        STORY(what_is_held_before_a_gap_is_not_lost_to_it),
        STORY(without_a_connection_a_known_client_is_served_from_what_is_here),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
