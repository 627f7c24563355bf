/* Every single allocation of a whole scenario fails once. Nothing crashes or leaks (the sanitizers tell), and
 * whoever is not hit goes on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "tests/support/core_fixture.h"
#include "tests/support/failing_malloc.h"

static struct core core;
static struct core_socket a, a2, b, c;

static void run_prompt(const char *sid, const char *prompt)
{
    core_receive(&core, "execution_start sid=%s prompt=%s", sid, prompt);
    for (int node = 1; node <= 3; node++) {
        core_receive(&core, "executing sid=%s prompt=%s node=%d", sid, prompt, node);
        for (int step = 0; step < 3; step++) {
            core_receive(&core, "progress sid=%s prompt=%s node=%d v=%d", sid, prompt, node, step);
            core_receive(&core, "#4 sid=%s prompt=%s node=%d format=JPEG v=%d", sid, prompt, node, step);
            core_receive(&core, "my.%d sid=%s prompt=%s keep=no v=%d", step, sid, prompt, node);
        }
        core_receive(&core, "executed sid=%s prompt=%s node=%d", sid, prompt, node);
    }
    core_flush(&core);
    core_receive(&core, "execution_success sid=%s prompt=%s", sid, prompt);
    core_receive(&core, "status worker=w share=%zu", strlen(prompt));
    core_receive(&core, "executing sid=%s prompt=%s node=", sid, prompt);
    core_flush(&core);
}

/* Workers, two sockets of one session of which one is slow, one of another, a late one, a loss, an expiry. */
static void play(void)
{
    core_receive(&core, "executing sid=c prompt=r node=1");
    core_receive(&core, "relay.worker worker=w boot=b share=2 busy=a prompt=p at=1");
    core_entry(&core, "v", "- boot=b share=1 at=1");
    (void)!core_connect(&core, &a, "a");
    a2.cursor.wants_metadata = true;
    (void)!core_connect(&core, &a2, "a");
    (void)!core_connect(&core, &c, "c");
    core_stall(&a2);
    run_prompt("a", "p");
    core_receive(&core, "notification v=hello");
    core_receive(&core, "relay.worker worker=w boot=b2 share=0 at=2");
    core_flush(&core);
    core_drain(&a2);
    core_close(&a);
    run_prompt("a", "qq");
    core_link_down(&core);
    core_link_up(&core);
    core_advance(&core, 30000);
}

static void reset(struct core_socket *socket)
{
    socket->keeps_no_text = true;
    socket->frames = 0;
    socket->cursor.wants_metadata = false;
}

static int open_core(bool share)
{
    struct relay_config config = core_config();
    config.share = share;
    reset(&a);
    reset(&a2);
    reset(&b);
    reset(&c);
    return core_init(&core, &config);
}

/* Closed as its owner would who found that a frame could not be made, or at the end. */
static void close_all(void)
{
    core_close(&a);
    core_close(&a2);
    core_close(&b);
    core_close(&c);
    core_deinit(&core);
}

/* The whole scenario with these failures. False when none came to pass: there are fewer allocations. */
static bool survives(size_t n, size_t more)
{
    fail_at(n, more);
    if (open_core(true) < 0)
        return true;
    play();
    bool failed = has_failed();
    fail_nothing();
    core_open(&core, &b, "b");
    core_publish(&core, "executed sid=b node=1");
    core_publish(&core, "notification v=hello");
    assert_int_equal(b.frames, 3);
    close_all();
    return failed;
}

static void any_allocation_may_fail_once(void **state)
{
    (void)state;
    size_t n = 1;
    while (survives(n, 0))
        n++;
    assert_in_range(n, 100, 10000);
}

static void memory_may_be_gone_for_a_while(void **state)
{
    (void)state;
    size_t n = 1;
    while (survives(n, 10))
        n++;
    assert_in_range(n, 100, 10000);
}

/* What is read back in pages, what comes live meanwhile, a cut, a takeover, a return. */
static void play_catching_up(void)
{
    for (int i = 0; i < 5; i++)
        core_script_unheard(&core, "a", "executed node=%d", i);
    core_script_unheard(&core, "a", "execution_start prompt=p");
    core_script_unheard(&core, "a", "executing prompt=p node=1");
    core_script_unheard(&core, "a", "progress prompt=p node=1 v=1");
    core_stored(&core, "a")->has_ack = true;
    core.page = 2;
    core.holds_answers = true;
    (void)!core_connect(&core, &a, "a");
    for (int i = 0; i < 4; i++) {
        core_script(&core, "a", "executed prompt=p node=%d", i);
        core_script(&core, "a", "progress prompt=p node=1 v=%d", i);
        core_receive(&core, "notification");
        core_answer(&core);
    }
    core.holds_answers = false;
    core_flush(&core);
    core_acknowledge(&a);
    core_link_down(&core);
    core_script_unheard(&core, "a", "executed prompt=p node=5");
    core_link_up(&core);
    (void)!core_connect(&core, &a2, "a");
    core_advance(&core, 1000);
    core_receive_on(&core, "a", "relay.takeover by=them opened=99999999");
    core_script(&core, "a", "executed prompt=p node=6");
    (void)!core_connect(&core, &c, "a");
    core_leave(&c);
}

/* The whole of it with these failures: another session, and this one afterwards, go on. */
static bool catching_up_survives(size_t n, size_t more)
{
    fail_at(n, more);
    if (open_core(false) < 0)
        return true;
    play_catching_up();
    bool failed = has_failed();
    fail_nothing();
    core_open(&core, &b, "b");
    b.frames = 0;
    core_script(&core, "b", "executed node=1");
    core_publish(&core, "notification v=hello");
    assert_int_equal(b.frames, 2);
    core_open(&core, &c, "a");
    core_advance(&core, 2000);
    size_t before = c.frames;
    core_script(&core, "a", "executed node=7");
    assert_int_equal(c.frames, before + 1);
    assert_int_equal(core.relay.asked, 0);
    close_all();
    return failed;
}

static void any_allocation_of_a_catching_up_may_fail_once(void **state)
{
    (void)state;
    size_t n = 1;
    while (catching_up_survives(n, 0))
        n++;
    assert_in_range(n, 50, 10000);
}

static void memory_may_be_gone_for_a_while_of_a_catching_up(void **state)
{
    (void)state;
    size_t n = 1;
    while (catching_up_survives(n, 10))
        n++;
    assert_in_range(n, 50, 10000);
}

/* How many of the session's frames the socket got, when the n-th allocation from here on fails. */
static bool hit_one_session(size_t n)
{
    fail_nothing();
    assert_int_equal(open_core(false), 0);
    core_open(&core, &a, "a");
    core_open(&core, &b, "b");
    size_t before = b.frames;
    fail_at(n, 0);
    run_prompt("a", "p");
    bool failed = has_failed();
    fail_nothing();
    for (int i = 0; i < 10; i++)
        core_publish(&core, "executed sid=b node=%d", i);
    assert_in_range(b.frames - before, 10, 11); /* and at most one status */
    size_t of_a = a.frames;
    core_publish(&core, "executed sid=a node=1");
    assert_int_equal(a.frames, of_a + !a.has_failed);
    close_all();
    return failed;
}

static void a_failure_in_one_session_costs_another_nothing(void **state)
{
    (void)state;
    size_t n = 1;
    while (hit_one_session(n))
        n++;
    assert_in_range(n, 40, 10000);
}

static void a_failed_allocation_costs_one_event(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    core_open(&core, &a, "a");
    core_publish(&core, "executed sid=a node=0");
    size_t before = a.frames;
    fail_at(1, 0);
    assert_int_equal(core_receive(&core, "executed sid=a node=1"), DROP_NO_MEMORY);
    fail_nothing();
    core_publish(&core, "executed sid=a node=2");
    assert_int_equal(a.frames, before + 1);
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_NO_MEMORY], 1);
    close_all();
}

static void a_socket_that_cannot_be_greeted_is_not_attached_and_the_older_one_goes_on(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    core_open(&core, &a, "a");
    core_publish(&core, "executing sid=a prompt=p node=1");
    fail_at(1, 0);
    assert_int_equal(core_connect(&core, &a2, "a"), -ENOMEM);
    fail_nothing();
    assert_null(a2.cursor.session);
    assert_int_equal(a2.cursor.own_count, 0);
    size_t before = a.frames;
    core_publish(&core, "executed sid=a prompt=p node=1");
    assert_int_equal(a.frames, before + 1);
    close_all();
}

static void a_preview_that_cannot_be_made_closes_one_socket_and_no_other(void **state)
{
    (void)state;
    assert_int_equal(open_core(true), 0);
    a.cursor.wants_metadata = true;
    core_open(&core, &a, "a");
    core_open(&core, &a2, "a");
    core_publish(&core, "executed sid=a node=0");
    size_t before = a.frames;
    assert_int_equal(core_receive(&core, "#4 sid=a node=1 format=JPEG v=picture"), DROP_NOTHING);
    fail_at(1, 0);
    core_flush(&core);
    fail_nothing();
    assert_int_equal(a.frames, before + 1);
    assert_true(a2.has_failed);
    assert_false(a.has_failed);
    core_close(&a2);
    core_publish(&core, "executed sid=a node=2");
    assert_int_equal(a.frames, before + 2);
    close_all();
}

static void a_log_that_cannot_grow_stays_as_it_was(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    core_open(&core, &a, "a");
    core_stall(&a);
    size_t before = a.frames;
    for (int i = 0; i < 4; i++)
        core_publish(&core, "executed sid=a node=%d", i);
    fail_at(2, 0); /* the first is the frame, the second the ring */
    core_publish(&core, "executed sid=a node=lost");
    assert_true(has_failed());
    fail_nothing();
    assert_int_equal(relay_measure(&core.relay)->log_events, 4);
    assert_int_equal(relay_measure(&core.relay)->out_of_memory, 1);
    core_publish(&core, "executed sid=a node=5");
    core_drain(&a);
    assert_int_equal(a.frames, before + 5);
    close_all();
}

static void a_node_that_cannot_be_remembered_is_not_told_wrong(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    core_publish(&core, "executing sid=a prompt=p node=1");
    fail_at(1, 0);
    core_publish(&core, "executing sid=a prompt=p node=2");
    assert_true(has_failed());
    fail_nothing();
    a.keeps_no_text = false;
    assert_int_equal(core_connect(&core, &a, "a"), 0);
    assert_string_equal(core_got(&a), "status 0 sid=a\n");
    close_all();
}

static void a_worker_that_cannot_be_remembered_is_counted(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    fail_at(1, 0);
    core_entry(&core, "w", "- boot=b share=4 at=1");
    fail_at(1, 0);
    assert_int_equal(core_receive(&core, "relay.worker worker=w boot=b share=4 at=1"), DROP_NO_MEMORY);
    fail_at(1, 0);
    assert_int_equal(core_receive(&core, "status worker=w share=4"), DROP_NO_MEMORY);
    fail_nothing();
    assert_int_equal(relay_measure(&core.relay)->dropped[DROP_NO_MEMORY], 3);
    assert_int_equal(relay_measure(&core.relay)->workers, 0);
    core_publish(&core, "relay.worker worker=w boot=b share=4 at=1");
    assert_int_equal(relay_measure(&core.relay)->queue_remaining, 4);
    close_all();
}

static void a_table_that_cannot_grow_holds_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    for (int i = 0; i < 200; i++) {
        bool is_growing = core.relay.sessions.count == core.relay.sessions.cap;
        fail_at(is_growing ? 2 : 0, 0);
        core_publish(&core, "executing sid=s%d prompt=p node=1", i);
    }
    fail_nothing();
    char sid[16];
    for (int i = 0; i < 200; i++) {
        snprintf(sid, sizeof sid, "s%d", i);
        assert_non_null(session_find(&core.relay.sessions, span_str(sid)));
    }
    close_all();
}

static void frames_that_cannot_be_built_are_none(void **state)
{
    (void)state;
    struct frame_builder builder;
    for (size_t n = 1; n <= 2; n++) {
        fail_at(n, 0);
        frame_builder_init(&builder, 0);
        for (int i = 0; i < 10; i++)
            frame_builder_add_str(&builder, "0123456789");
        frame_builder_add_u32(&builder, 1);
        frame_builder_mark_picture(&builder, 1);
        assert_null(frame_builder_finish(&builder, FRAME_TEXT));
    }
    fail_nothing();
}

static void a_frame_that_cannot_be_shrunk_stays_large(void **state)
{
    (void)state;
    struct frame_builder builder;
    frame_builder_init(&builder, 10000);
    frame_builder_add_str(&builder, "abc");
    fail_at(1, 0);
    struct frame *f = frame_builder_finish(&builder, FRAME_TEXT);
    fail_nothing();
    assert_non_null(f);
    assert_memory_equal(frame_payload(f).bytes, "abc", 3);
    frame_unref(f);
}

/* One step of a sampler, and what a node that ends publishes; all of it has arrived. */
static void publish_and_acknowledge(int step)
{
    core_receive(&core, "progress sid=a prompt=p node=3 v=%d", step);
    core_receive(&core, "#4 sid=a prompt=p node=3 format=JPEG v=%d", step);
    core_receive(&core, "executed sid=a prompt=p node=%d", step);
    core_flush(&core);
    core_acknowledge(&a);
}

static void an_event_allocates_its_frame_once_and_nothing_else(void **state)
{
    (void)state;
    assert_int_equal(open_core(false), 0);
    a.cursor.wants_metadata = true;
    assert_int_equal(core_connect(&core, &a, "a"), 0);
    for (int step = 0; step < 100;
         step++) /* until its log and the table of its keys are as large as they get */
        publish_and_acknowledge(step);
    size_t frames = a.frames;
    fail_nothing(); /* counts from here on */
    for (int step = 100; step < 1000; step++)
        publish_and_acknowledge(step);
    assert_int_equal(a.frames - frames, 900 * 3);
    assert_int_equal(allocations_asked_for(), 900 * 3);
    close_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_allocation_may_fail_once),
        cmocka_unit_test(memory_may_be_gone_for_a_while),
        cmocka_unit_test(any_allocation_of_a_catching_up_may_fail_once),
        cmocka_unit_test(memory_may_be_gone_for_a_while_of_a_catching_up),
        cmocka_unit_test(a_failure_in_one_session_costs_another_nothing),
        cmocka_unit_test(a_failed_allocation_costs_one_event),
        cmocka_unit_test(a_socket_that_cannot_be_greeted_is_not_attached_and_the_older_one_goes_on),
        cmocka_unit_test(a_preview_that_cannot_be_made_closes_one_socket_and_no_other),
        cmocka_unit_test(a_log_that_cannot_grow_stays_as_it_was),
        cmocka_unit_test(a_node_that_cannot_be_remembered_is_not_told_wrong),
        cmocka_unit_test(a_worker_that_cannot_be_remembered_is_counted),
        cmocka_unit_test(a_table_that_cannot_grow_holds_all_the_same),
        cmocka_unit_test(frames_that_cannot_be_built_are_none),
        cmocka_unit_test(a_frame_that_cannot_be_shrunk_stays_large),
        cmocka_unit_test(an_event_allocates_its_frame_once_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
