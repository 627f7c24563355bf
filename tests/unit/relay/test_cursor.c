/* A cursor over a session's log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "relay/session.h"

static const uint64_t seed[2] = {1, 2};
static const struct log_limits roomy = {.events = 1000, .bytes = SIZE_MAX};

struct fixture {
    struct session_table table;
    struct session *session;
    struct cursor cursor;
    struct metrics metrics;
    uint64_t now_ms;
    bool is_kept; /* of what was peeked at last */
};

static void setup(struct fixture *f)
{
    *f = (struct fixture){0};
    assert_int_equal(session_table_init(&f->table, seed), 0);
    f->session = session_add(&f->table, span_str("a"));
    assert_non_null(f->session);
    f->cursor = (struct cursor){.session = f->session, .seq = 1, .state = CURSOR_LIVE};
}

static void teardown(struct fixture *f)
{
    cursor_drop_own(&f->cursor);
    session_table_deinit(&f->table);
}

static void take(struct fixture *f, int n)
{
    cursor_take(&f->cursor, n, &f->metrics, f->now_ms);
}

static struct frame *frame_of(const char *metadata, const char *text)
{
    struct frame_builder b;
    frame_builder_init(&b, 0);
    frame_builder_add_str(&b, metadata);
    if (metadata[0])
        frame_builder_mark_picture(&b, 2);
    frame_builder_add_str(&b, text);
    struct frame *frame = frame_builder_finish(&b, FRAME_TEXT);
    assert_non_null(frame);
    return frame;
}

static void append(struct fixture *f, const char *metadata, const char *text, uint64_t key)
{
    bool replaced;
    assert_int_equal(
        log_append(&f->session->log, frame_of(metadata, text), (struct place){.key = key}, &roomy, &replaced),
        0);
}

/* What peek would give at most max of: "a b". */
static const char *peek(struct fixture *f, int max)
{
    static char all[512];
    struct frame *frames[8];
    int n = cursor_peek(&f->cursor, frames, max, &f->is_kept);
    all[0] = '\0';
    if (n < 0)
        snprintf(all, sizeof all, "error %d", n);
    for (int i = 0; i < n; i++) {
        struct span p = frame_payload(frames[i]);
        bool is_old_form = p.len >= 8 && p.bytes[0] == 0;
        snprintf(all + strlen(all), sizeof all - strlen(all), "%s%s%.*s", i > 0 ? " " : "",
                 is_old_form ? "old:" : "", (int)(p.len - (is_old_form ? 8 : 0)),
                 (const char *)p.bytes + (is_old_form ? 8 : 0));
    }
    return all;
}

static void frames_come_in_order_and_at_most_as_many_as_asked_for(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    assert_string_equal(peek(&f, 8), "");
    append(&f, "", "a", 0);
    append(&f, "", "b", 0);
    append(&f, "", "c", 0);
    assert_string_equal(peek(&f, 2), "a b");
    assert_string_equal(peek(&f, 8), "a b c");
    assert_string_equal(peek(&f, 0), "");
    teardown(&f);
}

static void peeking_moves_nothing_and_taking_moves(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "a", 0);
    append(&f, "", "b", 0);
    assert_string_equal(peek(&f, 8), "a b");
    take(&f, 0);
    assert_string_equal(peek(&f, 8), "a b");
    take(&f, 1);
    assert_string_equal(peek(&f, 8), "b");
    take(&f, 1);
    assert_string_equal(peek(&f, 8), "");
    append(&f, "", "c", 0);
    assert_string_equal(peek(&f, 8), "c");
    teardown(&f);
}

static void what_is_taken_is_counted_by_class_and_replays_apart(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.cursor.live_from = 2;
    append(&f, "", "replayed", 0);
    append(&f, "", "kept", 0);
    append(&f, "", "latest", 7);
    assert_int_equal(cursor_push(&f.cursor, frame_of("", "status")), 0);
    take(&f, 4);
    assert_int_equal(f.metrics.replayed, 1);
    assert_int_equal(f.metrics.sent[CLASS_OWN], 1);
    assert_int_equal(f.metrics.sent[CLASS_KEEP], 2);
    assert_int_equal(f.metrics.sent[CLASS_LATEST], 1);
    teardown(&f);
}

static void append_published(struct fixture *f, uint32_t published_ms)
{
    bool replaced;
    assert_int_equal(log_append(&f->session->log, frame_of("", "x"),
                                (struct place){.published_ms = published_ms}, &roomy, &replaced),
                     0);
}

static void lag_is_counted_for_each_entry_that_is_live_and_has_a_time(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    f.cursor.live_from = 2;
    f.now_ms = (UINT64_C(1) << 32) + 10; /* times are compared by their low 32 bits */
    append_published(&f, UINT32_MAX);    /* a replay */
    append_published(&f, UINT32_MAX);
    append_published(&f, 5);
    append_published(&f, 5);
    append_published(&f, 0);
    append_published(&f, 11); /* never before the relay had it */
    take(&f, 6);
    assert_int_equal(f.metrics.delivery_lag.sum_ms, 11 + 5 + 5);
    assert_int_equal(f.metrics.delivery_lag.counts[0], 1);
    assert_int_equal(f.metrics.delivery_lag.counts[3], 2);
    assert_int_equal(f.metrics.delivery_lag.counts[4], 1);
    teardown(&f);
}

static void replaced_entries_are_stepped_over(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "kept", 0);
    append(&f, "", "old", 7);
    append(&f, "", "kept2", 0);
    append(&f, "", "new", 7);
    assert_string_equal(peek(&f, 8), "kept kept2 new");
    take(&f, 2);
    assert_string_equal(peek(&f, 8), "new");
    take(&f, 1);
    assert_int_equal(f.cursor.seq, 5);
    teardown(&f);
}

static void its_own_frames_come_before_those_of_the_log(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "a", 0);
    append(&f, "", "b", 0);
    assert_int_equal(cursor_push(&f.cursor, frame_of("", "status")), 0);
    assert_int_equal(cursor_push(&f.cursor, frame_of("", "executing")), 0);
    assert_string_equal(peek(&f, 1), "status");
    assert_string_equal(peek(&f, 8), "status executing a b");
    take(&f, 1);
    assert_string_equal(peek(&f, 8), "executing a b");
    take(&f, 2);
    assert_string_equal(peek(&f, 8), "b");
    teardown(&f);
}

static void it_has_room_for_three_frames_of_its_own(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    for (int i = 0; i < CURSOR_OWN_MAX; i++)
        assert_int_equal(cursor_push(&f.cursor, frame_of("", "own")), 0);
    assert_int_equal(cursor_push(&f.cursor, frame_of("", "more")), -ENOBUFS);
    assert_string_equal(peek(&f, 8), "own own own");
    cursor_drop_own(&f.cursor);
    assert_string_equal(peek(&f, 8), "");
    teardown(&f);
}

static void only_a_live_one_is_given_frames(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "a", 0);
    assert_int_equal(cursor_push(&f.cursor, frame_of("", "status")), 0);
    enum cursor_state others[] = {CURSOR_NONE, CURSOR_WAITING, CURSOR_SILENT};
    for (int i = 0; i < 3; i++) {
        f.cursor.state = others[i];
        assert_string_equal(peek(&f, 8), "");
    }
    f.cursor.state = CURSOR_LIVE;
    assert_string_equal(peek(&f, 8), "status a");
    teardown(&f);
}

static void flags_choose_the_form_of_a_preview(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "a", 0);
    append(&f, "metadata+", "picture", 0);
    assert_string_equal(peek(&f, 8), "a old:picture");
    f.cursor.wants_metadata = true;
    assert_string_equal(peek(&f, 8), "a metadata+picture");
    teardown(&f);
}

static void each_form_is_made_once_for_all_cursors(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "metadata+", "picture", 0);
    struct cursor second = {.session = f.session, .seq = 1, .state = CURSOR_LIVE};
    struct frame *first_gets[1], *second_gets[1];
    assert_int_equal(cursor_peek(&f.cursor, first_gets, 1, &f.is_kept), 1);
    assert_int_equal(cursor_peek(&second, second_gets, 1, &f.is_kept), 1);
    assert_ptr_equal(first_gets[0], second_gets[0]);
    f.cursor.wants_metadata = second.wants_metadata = true;
    assert_int_equal(cursor_peek(&f.cursor, first_gets, 1, &f.is_kept), 1);
    assert_int_equal(cursor_peek(&second, second_gets, 1, &f.is_kept), 1);
    assert_ptr_equal(first_gets[0], second_gets[0]);
    assert_ptr_equal(first_gets[0], log_at(&f.session->log, 1)->frame);
    teardown(&f);
}

static void peeking_tells_whether_something_asks_to_be_acknowledged(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f);
    append(&f, "", "latest", 7);
    append(&f, "", "kept", 0);
    assert_string_equal(peek(&f, 1), "latest");
    assert_false(f.is_kept);
    assert_string_equal(peek(&f, 2), "latest kept");
    assert_true(f.is_kept);
    take(&f, 2);
    assert_string_equal(peek(&f, 2), "");
    assert_false(f.is_kept);
    teardown(&f);
}

/* Where a held one may begin is where a live one's acknowledgements are: a ping before its place is found, as when the
 * keep-alive is short, must leave that alone. */
static void a_ping_before_its_place_is_found_notes_nothing(void **state)
{
    (void)state;
    struct cursor c = {.state = CURSOR_HELD,
                       .seq = 5,
                       .wait_until_ms = 1,
                       .resume_from = 2,
                       .start_from = 3,
                       .is_timed = true};
    cursor_ask(&c);
    assert_int_equal(c.wait_until_ms, 1);
    assert_int_equal(c.resume_from, 2);
    assert_int_equal(c.start_from, 3);
    c.state = CURSOR_LIVE;
    cursor_ask(&c);
    assert_int_equal(c.asked.seq, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_come_in_order_and_at_most_as_many_as_asked_for),
        cmocka_unit_test(peeking_moves_nothing_and_taking_moves),
        cmocka_unit_test(what_is_taken_is_counted_by_class_and_replays_apart),
        cmocka_unit_test(lag_is_counted_for_each_entry_that_is_live_and_has_a_time),
        cmocka_unit_test(replaced_entries_are_stepped_over),
        cmocka_unit_test(its_own_frames_come_before_those_of_the_log),
        cmocka_unit_test(it_has_room_for_three_frames_of_its_own),
        cmocka_unit_test(only_a_live_one_is_given_frames),
        cmocka_unit_test(flags_choose_the_form_of_a_preview),
        cmocka_unit_test(each_form_is_made_once_for_all_cursors),
        cmocka_unit_test(peeking_tells_whether_something_asks_to_be_acknowledged),
        cmocka_unit_test(a_ping_before_its_place_is_found_notes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
