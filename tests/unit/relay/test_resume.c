/* The rules of replay on one relay: where a client goes on that comes back. */
#include "tests/support/core_story.h"

/* Another socket of the same client: what the last one received does not count. */
static void come_back(struct core_socket *socket)
{
    connect_to(socket, "a");
}

static void run_half_a_prompt(void)
{
    core_script(&core, "a", "execution_start prompt=p");
    core_script(&core, "a", "executing prompt=p node=1");
    core_script(&core, "a", "executed prompt=p node=1");
}

/* Known places */

static void a_client_that_comes_back_gets_only_what_it_missed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_acknowledge(&a);
    core_close(&a);
    core_script(&core, "a", "executed node=2");
    core_script(&core, "a", "executed node=3");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuted node=2\nexecuted node=3\n");
    assert_int_equal(relay_measure(&core.relay)->replayed, 2);
}

static void what_was_sent_and_not_acknowledged_is_sent_again(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    core_acknowledge(&a);
    core_script(&core, "a", "executed node=2");
    expect_got(&a, "executed node=1\nexecuted node=2\n");
    core_close(&a);
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuted node=2\n");
}

static void a_pong_acknowledges_what_was_sent_before_its_ping_and_no_more(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    cursor_ask(&a.cursor);
    core_script(&core, "a", "executed node=2");
    relay_acknowledge(&core.relay, &a.cursor, core.now_ms);
    core_close(&a);
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuted node=2\n");
}

static void a_socket_has_something_to_acknowledge_until_its_pong_comes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    assert_false(cursor_is_unacknowledged(&a.cursor));
    core_publish(&core, "notification v=hello");
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    assert_false(cursor_is_unacknowledged(&a.cursor));
    core_script(&core, "a", "executed node=1");
    assert_true(cursor_is_unacknowledged(&a.cursor));
    core_acknowledge(&a);
    assert_false(cursor_is_unacknowledged(&a.cursor));
}

static void a_pong_of_a_silent_socket_means_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    cursor_ask(&a.cursor);
    core_open(&core, &a2, "a");
    relay_acknowledge(&core.relay, &a.cursor, core.now_ms);
    core_advance(&core, RELAY_PLACING_MS);
    expect_got(&a2, "executed node=1\n");
}

static void a_place_is_forgotten_a_time_to_live_after_the_last_socket_closed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "executed node=1");
    core_advance(&core, 10000);
    core_stored(&core, "a")->has_ack = false; /* it has expired in Redis too */
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\n");
}

/* The page that leaves */

static void after_a_page_that_left_the_next_one_gets_the_whole_prompt(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=0");
    run_half_a_prompt();
    core_acknowledge(&a);
    core_leave(&a);
    come_back(&a2);
    expect_got(
        &a2,
        "status 0 sid=a\nexecution_start prompt=p\nexecuting prompt=p node=1\nexecuted prompt=p node=1\n");
}

static void after_a_page_that_left_nothing_is_replayed_when_nothing_executes(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_script(&core, "a", "execution_success prompt=p");
    core_leave(&a);
    core_script(&core, "a", "executed node=2");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\n");
    core_script(&core, "a", "executed node=3");
    expect_got(&a2, "executed node=3\n");
}

static void a_page_may_leave_after_the_next_one_has_opened_its_socket(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_acknowledge(&a);
    come_back(&a2);
    core_script(&core, "a", "executing prompt=p node=2");
    expect_got(&a2, "status 0 sid=a\n");
    core_advance(&core, 10);
    core_leave(&a);
    expect_got(&a2, "execution_start prompt=p\nexecuting prompt=p node=1\nexecuted prompt=p node=1\n"
                    "executing prompt=p node=2\n");
}

static void a_page_that_leaves_too_late_changes_nothing(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_acknowledge(&a);
    core_script(&core, "a", "executing prompt=p node=2");
    come_back(&a2);
    core_advance(&core, RELAY_PLACING_MS);
    core_leave(&a);
    expect_got(&a2, "status 0 sid=a\nexecuting prompt=p node=2\n");
    core_script(&core, "a", "executing prompt=p node=3");
    expect_got(&a2, "executing prompt=p node=3\n");
}

static void any_other_end_keeps_the_place(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_acknowledge(&a);
    core_close(&a);
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuting node=1\n");
}

/* The wait */

static void a_replay_waits_for_the_clients_flags(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "executed node=1");
    a2.holds_flags = true;
    come_back(&a2);
    core_script(&core, "a", "executed node=2");
    expect_got(&a2, "status 0 sid=a\n");
    core_advance(&core, RELAY_PLACING_MS - 1);
    expect_got(&a2, "");
    core_tell_flags(&a2, true);
    expect_got(&a2, "executed node=1\nexecuted node=2\n");
}

static void a_replay_waits_for_flags_that_never_come_150_ms_and_no_longer(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "#4 node=1 format=PNG v=picture");
    a2.holds_flags = true;
    come_back(&a2);
    core_advance(&core, RELAY_PLACING_MS - 1);
    expect_got(&a2, "status 0 sid=a\n");
    core_advance(&core, 1);
    expect_got(&a2, "#1 picture\n");
}

static void flags_that_come_in_time_hold_for_all_that_is_replayed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "#4 node=1 format=PNG v=one");
    a2.holds_flags = true;
    come_back(&a2);
    core_script(&core, "a", "#4 node=1 format=PNG v=two");
    core_advance(&core, 100);
    core_tell_flags(&a2, true);
    expect_got(&a2, "status 0 sid=a\n#4 node=1 format=PNG v=one\n#4 node=1 format=PNG v=two\n");
}

static void a_replay_waits_for_the_end_of_an_older_socket(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_script(&core, "a", "executed node=1");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\n");
    core_advance(&core, 20);
    core_close(&a);
    expect_got(&a2, "executed node=1\n");
}

static void a_replay_waits_when_another_relay_listens(void **state)
{
    (void)state;
    core.others_listen = true;
    core_script_unheard(&core, "a", "execution_start prompt=p");
    come_back(&a);
    expect_got(&a, "status 0 sid=a\n");
    core_advance(&core, RELAY_PLACING_MS);
    expect_got(&a, "execution_start prompt=p\n");
}

static void with_nothing_to_replay_nothing_waits(void **state)
{
    (void)state;
    a.holds_flags = a2.holds_flags = true;
    connect_to(&a, "a");
    core_script(&core, "a", "executed node=1");
    expect_got(&a, "status 0 sid=a\nexecuted node=1\n");
    core_acknowledge(&a);
    come_back(&a2);
    core_script(&core, "a", "executed node=2");
    expect_got(&a2, "status 0 sid=a\nexecuted node=2\n");
}

/* What is replayed */

static void executing_goes_first_when_it_is_not_replayed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_acknowledge(&a);
    core_close(&a);
    core_script(&core, "a", "executed prompt=p node=7");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuting node=1\nexecuted prompt=p node=7\n");
}

static void executing_does_not_go_first_when_it_is_replayed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    run_half_a_prompt();
    core_acknowledge(&a);
    core_close(&a);
    core_script(&core, "a", "executing prompt=p node=2");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuting prompt=p node=2\n");
}

static void conflated_events_are_replayed_at_their_newest_position(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "execution_start prompt=p");
    core_script(&core, "a", "progress prompt=p node=1 v=1");
    core_script(&core, "a", "executed prompt=p node=1");
    core_script(&core, "a", "progress prompt=p node=1 v=2");
    core_script(&core, "a", "executed prompt=p node=2");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecution_start prompt=p\nexecuted prompt=p node=1\n"
                    "progress prompt=p node=1 v=2\nexecuted prompt=p node=2\n");
}

static void no_progress_is_replayed_after_the_end_of_its_prompt(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "execution_start prompt=p");
    core_script(&core, "a", "progress prompt=p node=1 v=1");
    core_script(&core, "a", "#4 prompt=p node=1 format=JPEG v=picture");
    core_script(&core, "a", "execution_success prompt=p");
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecution_start prompt=p\nexecution_success prompt=p\n");
}

static void broadcasts_are_not_replayed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "notification v=unread");
    core_script(&core, "a", "executed node=1");
    core_close(&a);
    core_publish(&core, "notification v=missed");
    come_back(&a2);
    core_publish(&core, "notification v=hello");
    expect_got(&a2, "status 0 sid=a\nexecuted node=1\nnotification v=hello\n");
}

static void broadcasts_while_a_replay_waits_come_after_it(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    core_script(&core, "a", "executed node=1");
    a2.holds_flags = true;
    come_back(&a2);
    core_publish(&core, "notification v=hello");
    core_tell_flags(&a2, false);
    expect_got(&a2, "status 0 sid=a\nexecuted node=1\nnotification v=hello\n");
}

static void broadcasts_fill_no_log(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 0; i < 1000; i++)
        core_publish(&core, "notification");
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void a_log_that_was_trimmed_past_the_place_is_replayed_from_its_oldest_and_that_is_told(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_close(&a);
    for (int i = 1; i <= 6; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    come_back(&a2);
    expect_got(&a2, "status 0 sid=a\nexecuted sid=a node=3\nexecuted sid=a node=4\nexecuted sid=a node=5\n"
                    "executed sid=a node=6\n");
    expect_notes("gap a\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 1);
}

/* Several sockets that all receive */

static void share_mode_the_least_advanced_is_the_clients_place(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_script(&core, "a", "executed node=1");
    core_acknowledge(&a);
    core_close(&a);
    core_close(&a2);
    come_back(&a3);
    expect_got(&a3, "status 0 sid=a\nexecuted node=1\n");
}

static void share_mode_a_page_that_leaves_forgets_no_other_pages_place(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_archived(&core);
    core_leave(&a);
    expect_archived("leave a\n");
    core_script(&core, "a", "executed node=1");
    core_close(&a2);
    come_back(&a3);
    expect_got(&a3, "status 0 sid=a\nexecuted node=1\n");
}

/* What is stored of places */

static void places_are_stored_many_at_once_a_moment_later(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_advance(&core, RELAY_STORE_MS);
    core_archived(&core);
    for (int i = 1; i <= 3; i++) {
        core_script(&core, "a", "executed node=%d", i);
        core_acknowledge(&a);
    }
    core_advance(&core, RELAY_STORE_MS - 1);
    expect_archived("");
    core_advance(&core, 1);
    expect_archived("store a 3-0 again\n");
    core_advance(&core, 1000);
    expect_archived("");
}

static void of_a_client_that_has_had_nothing_0_0_is_stored(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_archived(&core);
    core_advance(&core, RELAY_STORE_MS);
    expect_archived("store a 0-0\n");
}

static void a_place_is_stored_again_before_it_expires_while_a_socket_is_open(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_advance(&core, RELAY_STORE_MS);
    core_archived(&core);
    core_advance(&core, 3333);
    expect_archived("store a 0-0 again\n");
    core_advance(&core, 3333);
    expect_archived("store a 0-0 again\n");
    core_close(&a);
    core_advance(&core, 100);
    core_archived(&core);
    core_advance(&core, 9000);
    expect_archived("");
}

static void all_places_can_be_stored_at_once(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_archived(&core);
    relay_store(&core.relay, core.now_ms);
    const char *stored = core_archived(&core);
    assert_non_null(strstr(stored, "store a 0-0\n"));
    assert_non_null(strstr(stored, "store b 0-0\n"));
    assert_int_equal(strlen(stored), strlen("store a 0-0\nstore b 0-0\n"));
}

static void a_page_that_leaves_is_forgotten_in_redis_too(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_advance(&core, RELAY_STORE_MS);
    assert_true(core_stored(&core, "a")->has_ack);
    core_archived(&core);
    core_leave(&a);
    expect_archived("leave a forgets\n");
    assert_false(core_stored(&core, "a")->has_ack);
    core_advance(&core, 5000);
    assert_false(core_stored(&core, "a")->has_ack);
}

/* Memory */

static int setup_small_memory(void **state)
{
    setup(state);
    struct relay_config config = core_config();
    config.memory_bytes = 250;
    relay_configure(&core.relay, &config);
    return 0;
}

static void when_memory_is_short_idle_logs_are_given_up_the_oldest_first(void **state)
{
    (void)state;
    const char *const sids[] = {"c", "d", "e"};
    for (int i = 0; i < 3; i++) {
        core_open(&core, &b, sids[i]);
        core_close(&b);
        core_advance(&core, 10);
        core_publish(&core, "executed sid=%s v=%050d", sids[i], i);
    }
    core_open(&core, &a, "a");
    core_publish(&core, "executed sid=a v=%050d", 1);
    expect_notes("given up c\n");
    core_publish(&core, "executed sid=a v=%050d", 2);
    expect_notes("given up d\n");
    assert_in_range(relay_measure(&core.relay)->log_bytes, 1, 250);
    assert_int_equal(relay_measure(&core.relay)->given_up, 2);
}

static void when_no_log_is_idle_the_one_that_grows_pays(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "executed sid=b v=%050d", 0);
    core_stall(&a);
    for (int i = 1; i <= 6; i++)
        core_publish(&core, "executed sid=a v=%050d", i);
    assert_in_range(relay_measure(&core.relay)->log_bytes, 1, 250);
    assert_int_equal(session_find(&core.relay.sessions, span_str("b"))->log.live, 1);
    core_drain(&a);
    expect_notes("gap a\n");
}

static void a_fast_socket_loses_nothing_to_a_slow_one_that_holds_the_memory(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_stall(&a);
    for (int i = 1; i <= 6; i++)
        core_publish(&core, "executed sid=a v=%050d", i);
    for (int i = 1; i <= 3; i++)
        core_receive(&core, "executed sid=b v=%d", i);
    core_flush(&core);
    expect_got(&b, "executed sid=b v=1\nexecuted sid=b v=2\nexecuted sid=b v=3\n");
}

#define STORY(name)             cmocka_unit_test_setup_teardown(name, setup, teardown)
#define STORY_WITH(name, begin) cmocka_unit_test_setup_teardown(name, begin, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORY(a_client_that_comes_back_gets_only_what_it_missed),
        STORY(what_was_sent_and_not_acknowledged_is_sent_again),
        STORY(a_pong_acknowledges_what_was_sent_before_its_ping_and_no_more),
        STORY(a_socket_has_something_to_acknowledge_until_its_pong_comes),
        STORY(a_pong_of_a_silent_socket_means_nothing),
        STORY(a_place_is_forgotten_a_time_to_live_after_the_last_socket_closed),
        STORY(after_a_page_that_left_the_next_one_gets_the_whole_prompt),
        STORY(after_a_page_that_left_nothing_is_replayed_when_nothing_executes),
        STORY(a_page_may_leave_after_the_next_one_has_opened_its_socket),
        STORY(a_page_that_leaves_too_late_changes_nothing),
        STORY(any_other_end_keeps_the_place),
        STORY(a_replay_waits_for_the_clients_flags),
        STORY(a_replay_waits_for_flags_that_never_come_150_ms_and_no_longer),
        STORY(flags_that_come_in_time_hold_for_all_that_is_replayed),
        STORY(a_replay_waits_for_the_end_of_an_older_socket),
        STORY(a_replay_waits_when_another_relay_listens),
        STORY(with_nothing_to_replay_nothing_waits),
        STORY(executing_goes_first_when_it_is_not_replayed),
        STORY(executing_does_not_go_first_when_it_is_replayed),
        STORY(conflated_events_are_replayed_at_their_newest_position),
        STORY(no_progress_is_replayed_after_the_end_of_its_prompt),
        STORY(broadcasts_are_not_replayed),
        STORY(broadcasts_while_a_replay_waits_come_after_it),
        STORY(broadcasts_fill_no_log),
        STORY_WITH(a_log_that_was_trimmed_past_the_place_is_replayed_from_its_oldest_and_that_is_told,
                   setup_small_log),
        STORY_WITH(share_mode_the_least_advanced_is_the_clients_place, setup_share),
        STORY_WITH(share_mode_a_page_that_leaves_forgets_no_other_pages_place, setup_share),
        STORY(places_are_stored_many_at_once_a_moment_later),
        STORY(of_a_client_that_has_had_nothing_0_0_is_stored),
        STORY(a_place_is_stored_again_before_it_expires_while_a_socket_is_open),
        STORY(all_places_can_be_stored_at_once),
        STORY(a_page_that_leaves_is_forgotten_in_redis_too),
        STORY_WITH(when_memory_is_short_idle_logs_are_given_up_the_oldest_first, setup_small_memory),
        STORY_WITH(when_no_log_is_idle_the_one_that_grows_pays, setup_small_memory),
        STORY_WITH(a_fast_socket_loses_nothing_to_a_slow_one_that_holds_the_memory, setup_small_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
