/* The relay driven in memory: the status that clients see, the last executing node, lost workers. */
#include "tests/support/core_story.h"

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
    core.codec.status_fails = true;
    core_publish(&core, "executing sid=a prompt=p node=");
    expect_got(&a, "executing sid=a prompt=p node=\n");
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 1);
}

static void a_status_that_cannot_be_made_is_tried_again_an_interval_later(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core.codec.status_fails = true;
    core_advance(&core, RELAY_STORE_MS);
    core_publish(&core, "status worker=w share=1");
    assert_int_equal(relay_next_ms(&core.relay), core.now_ms + 250);
    core_advance(&core, 1000);
    expect_got(&a, "");
    core.codec.status_fails = false;
    core_advance(&core, 250);
    expect_got(&a, "status 1\n");
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 5);
}

/* The last executing node */

static void returning_client_is_told_the_last_executing_node_when_it_is_not_replayed(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executing sid=a prompt=p node=1");
    core_acknowledge(&a);
    core_close(&a);
    core_publish(&core, "progress sid=a prompt=p node=1 v=1");
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nexecuting node=1\nprogress sid=a prompt=p node=1 v=1\n");
    core_publish(&core, "executing sid=a prompt=p node=2");
    core_close(&a);
    connect_to(&a, "a");
    expect_got(&a, "status 0 sid=a\nprogress sid=a prompt=p node=1 v=1\nexecuting sid=a prompt=p node=2\n");
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

static void a_worker_that_leaves_in_mid_prompt_is_reported_and_not_counted_as_lost(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_calls(&core);
    core_publish(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_publish(&core, "executing sid=a prompt=p node=3");
    core_publish(&core, "relay.worker worker=w gone");
    expect_calls("lost w boot=b busy=a prompt=p node=3 left\n");
    assert_int_equal(relay_measure(&core.relay)->lost_workers, 0);
    assert_int_equal(relay_measure(&core.relay)->queue_remaining, 0);
}

static void a_second_process_with_a_workers_id_is_noted_and_counted(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    core_publish(&core, "relay.worker worker=w boot=c share=1 busy=a prompt=p at=2");
    expect_calls("lost w boot=b busy= prompt= node= restart\n");
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=3");
    core_publish(&core, "relay.worker worker=w boot=c share=1 busy=a prompt=p at=4");
    expect_calls("");
    assert_string_equal(core_notes(&core), "doubled w\ndoubled w\n");
    assert_int_equal(relay_measure(&core.relay)->doubled_workers, 2);
    assert_int_equal(relay_measure(&core.relay)->lost_workers, 1);
}

static void workers_are_not_lost_while_nobody_could_be_heard(void **state)
{
    (void)state;
    core_publish(&core, "relay.worker worker=w boot=b share=2 at=1");
    core_link_down(&core);
    core_advance(&core, 60000);
    expect_calls("");
    core_link_up(&core);
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
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_NO_MEMORY], 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
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
        cmocka_unit_test_setup_teardown(
            returning_client_is_told_the_last_executing_node_when_it_is_not_replayed, setup, teardown),
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
        cmocka_unit_test_setup_teardown(
            a_worker_that_leaves_in_mid_prompt_is_reported_and_not_counted_as_lost, setup, teardown),
        cmocka_unit_test_setup_teardown(a_second_process_with_a_workers_id_is_noted_and_counted, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(workers_are_not_lost_while_nobody_could_be_heard, setup, teardown),
        cmocka_unit_test_setup_teardown(an_entry_that_was_read_counts_and_has_the_whole_time, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_entry_older_than_a_heartbeat_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(a_broken_entry_is_counted_and_stepped_over, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
