/* The relay driven in memory: two sockets of one sid, slow sockets, previews. */
#include "tests/support/core_story.h"

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

static void a_waiting_socket_that_is_taken_over_gets_its_first_status_only(void **state)
{
    (void)state;
    core.holds_confirmations = true;
    connect_to(&a, "a");
    connect_to(&a2, "a");
    assert_int_equal(a.cursor.own_count, 0);
    core_confirm(&core, "a");
    core_advance(&core, 5000);
    core_publish(&core, "executed sid=a node=1");
    expect_got(&a, "status 0 sid=a\n");
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

static void an_older_socket_holds_nothing_that_the_newer_has(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    core_open(&core, &a2, "a");
    core_advance(&core, RELAY_PLACING_MS);
    for (int i = 0; i < 10; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    core_acknowledge(&a2);
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
    core_acknowledge(&a2);
    assert_int_equal(relay_measure(&core.relay)->log_events, 2);
    core_take_frames(&a, 1);
    core_acknowledge(&a);
    assert_int_equal(relay_measure(&core.relay)->log_events, 1);
    core_drain(&a);
    expect_got(&a, "executed sid=a node=1\nexecuted sid=a node=2\n");
    core_acknowledge(&a);
    assert_int_equal(relay_measure(&core.relay)->log_events, 0);
}

static void share_mode_a_new_socket_goes_on_where_the_least_advanced_has_got_to(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "executed sid=a node=0");
    core_acknowledge(&a);
    core_stall(&a);
    core_publish(&core, "executed sid=a node=1");
    connect_to(&a2, "a");
    core_publish(&core, "executed sid=a node=2");
    core_advance(&core, RELAY_PLACING_MS);
    expect_got(&a2, "status 0 sid=a\nexecuted sid=a node=1\nexecuted sid=a node=2\n");
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

static void what_is_acknowledged_is_not_held(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 0; i < 100; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    assert_int_equal(relay_measure(&core.relay)->log_events, 100);
    core_acknowledge(&a);
    const struct metrics *m = relay_measure(&core.relay);
    assert_int_equal(m->log_events, 0);
    assert_int_equal(m->log_bytes, 0);
}

static void memory_is_bounded_with_a_socket_that_never_reads(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    a.keeps_no_text = b.keeps_no_text = true;
    b.frames = 0;
    core_stall(&a);
    for (int i = 0; i < 10000; i++) {
        core_publish(&core, "executed sid=a v=%0500d", i);
        core_publish(&core, "progress sid=a prompt=p node=%d v=%0500d", i, i);
        core_publish(&core, "executed sid=b node=%d", i);
        core_acknowledge(&b);
    }
    const struct metrics *m = relay_measure(&core.relay);
    assert_in_range(m->log_events, 1, 1000);
    assert_in_range(m->log_bytes, 1, 1000000);
    struct session *s = session_find(&core.relay.sessions, span_str("a"));
    assert_in_range(s->log.cap, 1, 4096);
    assert_in_range(s->log.keys.cap, 1, 4096);
    assert_int_equal(b.frames, 10000);
    core_drain(&a);
    core_acknowledge(&a);
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
    assert_int_equal(core.codec.encoded, 1);
    expect_got(&a, "#4 sid=a node=1 format=JPEG v=picture\n");
    expect_got(&a2, "#1 picture\n");
    const struct session *s = session_find(&core.relay.sessions, span_str("a"));
    const struct frame *old_form = log_at(&s->log, 0)->without_metadata;
    assert_non_null(old_form);
    core_drain(&a3);
    expect_got(&a3, "#1 picture\n");
    assert_int_equal(core.codec.encoded, 1);
}

static void the_form_without_metadata_is_not_made_when_nobody_needs_it(void **state)
{
    (void)state;
    a.cursor.wants_metadata = true;
    core_open(&core, &a, "a");
    core_stall(&a);
    core_publish(&core, "#4 sid=a node=1 format=JPEG v=picture");
    const struct session *s = session_find(&core.relay.sessions, span_str("a"));
    assert_null(log_at(&s->log, 0)->without_metadata);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(newer_socket_takes_over_and_the_older_gets_nothing_more, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closing_the_older_socket_never_touches_the_newer, setup, teardown),
        cmocka_unit_test_setup_teardown(older_socket_does_not_come_back_when_the_newer_closes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_third_socket_takes_over_from_the_second, setup, teardown),
        cmocka_unit_test_setup_teardown(a_waiting_socket_that_is_taken_over_gets_its_first_status_only, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(an_older_socket_that_was_blocked_gets_nothing_when_it_reads_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(an_older_socket_holds_nothing_that_the_newer_has, setup, teardown),
        cmocka_unit_test_setup_teardown(share_mode_all_sockets_receive, setup_share, teardown),
        cmocka_unit_test_setup_teardown(share_mode_the_least_advanced_socket_decides_what_is_kept,
                                        setup_share, teardown),
        cmocka_unit_test_setup_teardown(share_mode_a_new_socket_goes_on_where_the_least_advanced_has_got_to,
                                        setup_share, teardown),
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
        cmocka_unit_test_setup_teardown(what_is_acknowledged_is_not_held, setup, teardown),
        cmocka_unit_test_setup_teardown(memory_is_bounded_with_a_socket_that_never_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(preview_is_made_once_and_shared_in_both_forms, setup_share, teardown),
        cmocka_unit_test_setup_teardown(the_form_without_metadata_is_not_made_when_nobody_needs_it, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(flags_belong_to_the_socket_not_to_the_session, setup, teardown),
        cmocka_unit_test_setup_teardown(flags_that_come_late_hold_from_the_next_frame, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
