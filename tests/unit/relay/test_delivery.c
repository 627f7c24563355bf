/* The relay driven in memory: what waits for company, and what does not (ws.coalesce). */
#include "relay/delivery.h"
#include "tests/support/core_story.h"

#define COALESCE_MS 4

static int setup_waiting(void **state)
{
    struct relay_config config = core_config();
    (void)state;
    config.coalesce_ms = COALESCE_MS;
    return core_init(&core, &config);
}

static void latest_events_wait_for_company_and_go_together(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress_state sid=a prompt=p v=1");
    core_advance(&core, COALESCE_MS - 1);
    core_publish(&core, "#4 sid=a node=3 format=JPEG v=picture");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    expect_got(&a, "");
    core_advance(&core, 1); /* the first one's time is over */
    expect_got(&a, "progress_state sid=a prompt=p v=1\n#1 picture\nprogress sid=a prompt=p node=3 v=1\n");
}

static void a_large_picture_does_not_wait(void **state)
{
    (void)state;
    char picture[DELIVERY_SMALL_BYTES + 1];
    memset(picture, 'x', sizeof picture - 1);
    picture[sizeof picture - 1] = '\0';
    a.keeps_no_text = true;
    core_open(&core, &a, "a");
    size_t before = a.frames;
    core_publish(&core, "progress_state sid=a prompt=p v=1");
    assert_int_equal(a.frames, before);
    core_publish(&core, "#4 sid=a node=3 format=JPEG v=%s", picture);
    assert_int_equal(a.frames, before + 2); /* and takes the other along */
    a.keeps_no_text = false;
}

static void the_next_latest_event_waits_anew(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    core_advance(&core, COALESCE_MS);
    core_got(&a);
    core_publish(&core, "progress sid=a prompt=p node=3 v=2");
    core_advance(&core, COALESCE_MS - 1);
    expect_got(&a, "");
    core_advance(&core, 1);
    expect_got(&a, "progress sid=a prompt=p node=3 v=2\n");
}

static void an_event_that_must_not_be_lost_never_waits_and_takes_the_others_along(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    core_publish(&core, "executed sid=a node=3");
    expect_got(&a, "progress sid=a prompt=p node=3 v=1\nexecuted sid=a node=3\n");
    core_publish(&core, "notification v=hello");
    expect_got(&a, "notification v=hello\n");
}

static void what_one_read_brings_of_both_kinds_goes_at_once(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_receive(&core, "executed sid=a node=3");
    core_receive(&core, "progress sid=a prompt=p node=4 v=1");
    core_flush(&core);
    expect_got(&a, "executed sid=a node=3\nprogress sid=a prompt=p node=4 v=1\n");
}

static void waiting_loses_nothing_to_a_newer_event(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    for (int i = 1; i <= 3; i++)
        core_publish(&core, "progress sid=a prompt=p node=3 v=%d", i);
    core_advance(&core, COALESCE_MS);
    expect_got(&a, "progress sid=a prompt=p node=3 v=1\nprogress sid=a prompt=p node=3 v=2\n"
                   "progress sid=a prompt=p node=3 v=3\n");
}

static void no_session_waits_for_another(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    core_advance(&core, 2);
    core_publish(&core, "progress sid=b prompt=q node=3 v=1");
    core_advance(&core, COALESCE_MS - 2);
    expect_got(&a, "progress sid=a prompt=p node=3 v=1\n");
    expect_got(&b, "");
    core_advance(&core, 2);
    expect_got(&b, "progress sid=b prompt=q node=3 v=1\n");
}

static void a_newcomers_first_status_does_not_wait(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    connect_to(&a2, "a");
    expect_got(&a2, "status 0 sid=a\n");
}

static void the_end_of_a_prompt_is_told_after_all_its_progress(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "execution_start sid=a prompt=p");
    core_got(&a);
    core_publish(&core, "progress sid=a prompt=p node=3 v=20");
    core_publish(&core, "execution_success sid=a prompt=p");
    expect_got(&a, "progress sid=a prompt=p node=3 v=20\nexecution_success sid=a prompt=p\n");
}

static void a_session_that_is_forgotten_while_it_waits_is_written_to_by_nobody(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    core_close(&a);
    core_receive_on(&core, "a", "relay.takeover by=x opened=99999999");
    core_flush(&core);
    core_advance(&core, 60000);
    assert_int_equal(relay_measure(&core.relay)->sessions, 0);
}

/* Over the limit a log loses its oldest, but nothing that a socket has yet to be written. */
static void a_limit_of_memory_takes_nothing_that_waits(void **state)
{
    (void)state;
    struct relay_config config = core.relay.config;
    config.memory_bytes = 60;
    relay_configure(&core.relay, &config);
    core_open(&core, &a, "a");
    core_publish(&core, "execution_start sid=a prompt=p");
    core_got(&a);
    core_receive(&core, "progress_state sid=a prompt=p v=1");
    core_receive(&core, "progress sid=a prompt=p node=3 v=1");
    core_flush(&core);
    core_advance(&core, COALESCE_MS);
    expect_got(&a, "progress_state sid=a prompt=p v=1\nprogress sid=a prompt=p node=3 v=1\n");
    assert_int_equal(relay_measure(&core.relay)->replay_gaps, 0);
    assert_in_range(relay_measure(&core.relay)->log_bytes, 1, 60); /* and then the limit holds */
}

static void what_waits_goes_when_the_time_is_changed(void **state)
{
    (void)state;
    struct relay_config config = core.relay.config;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    config.coalesce_ms = 0;
    relay_configure(&core.relay, &config);
    core_advance(&core, 0);
    expect_got(&a, "progress sid=a prompt=p node=3 v=1\n");
}

static void without_a_time_nothing_waits(void **state)
{
    (void)state;
    core_open(&core, &a, "a");
    core_publish(&core, "progress sid=a prompt=p node=3 v=1");
    expect_got(&a, "progress sid=a prompt=p node=3 v=1\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WAITING(test) cmocka_unit_test_setup_teardown(test, setup_waiting, teardown)
        WAITING(latest_events_wait_for_company_and_go_together),
        WAITING(a_large_picture_does_not_wait),
        WAITING(the_next_latest_event_waits_anew),
        WAITING(an_event_that_must_not_be_lost_never_waits_and_takes_the_others_along),
        WAITING(what_one_read_brings_of_both_kinds_goes_at_once),
        WAITING(waiting_loses_nothing_to_a_newer_event),
        WAITING(no_session_waits_for_another),
        WAITING(a_newcomers_first_status_does_not_wait),
        WAITING(the_end_of_a_prompt_is_told_after_all_its_progress),
        WAITING(a_limit_of_memory_takes_nothing_that_waits),
        WAITING(what_waits_goes_when_the_time_is_changed),
        WAITING(a_session_that_is_forgotten_while_it_waits_is_written_to_by_nobody),
        cmocka_unit_test_setup_teardown(without_a_time_nothing_waits, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
