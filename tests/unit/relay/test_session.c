/* The table of sessions, and what a session remembers of its prompt. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "relay/session.h"

static const uint64_t seed[2] = {1, 2};

static struct session *add(struct session_table *t, const char *sid)
{
    struct session *s = session_add(t, span_str(sid));
    assert_non_null(s);
    return s;
}

static struct session_table new_table(void)
{
    struct session_table t;
    assert_int_equal(session_table_init(&t, seed), 0);
    return t;
}

static void what_was_added_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct session_table t = new_table();
    assert_null(session_find(&t, span_str("a")));
    struct session *a = add(&t, "a"), *b = add(&t, "b");
    assert_ptr_equal(session_find(&t, span_str("a")), a);
    assert_ptr_equal(session_find(&t, span_str("b")), b);
    assert_null(session_find(&t, span_str("ab")));
    assert_null(session_find(&t, SPAN_NONE));
    session_remove(&t, a);
    assert_null(session_find(&t, span_str("a")));
    assert_ptr_equal(session_find(&t, span_str("b")), b);
    assert_int_equal(t.count, 1);
    session_table_deinit(&t);
}

static void a_new_session_knows_nothing(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    assert_true(span_is(session_sid(s), "a"));
    assert_int_equal(session_prompt(s).len, 0);
    assert_int_equal(session_node(s).len, 0);
    assert_int_equal(s->told, -1);
    assert_false(s->has_log);
    assert_false(s->is_executing);
    assert_int_equal(s->subscription, SUBSCRIPTION_NONE);
    assert_int_equal(session_needed_from(s), s->log.next_seq);
    session_table_deinit(&t);
}

static void the_longest_sid_fits(void **state)
{
    (void)state;
    struct session_table t = new_table();
    char sid[129];
    memset(sid, 'x', 128);
    sid[128] = '\0';
    struct session *s = add(&t, sid);
    assert_int_equal(session_sid(s).len, 128);
    assert_ptr_equal(session_find(&t, span_str(sid)), s);
    session_table_deinit(&t);
}

static void ten_thousand_sessions_are_each_found(void **state)
{
    (void)state;
    struct session_table t = new_table();
    char sid[16];
    for (int i = 0; i < 10000; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        add(&t, sid);
    }
    for (int i = 0; i < 10000; i += 2) {
        snprintf(sid, sizeof sid, "%d", i);
        session_remove(&t, session_find(&t, span_str(sid)));
    }
    for (int i = 0; i < 10000; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        struct session *s = session_find(&t, span_str(sid));
        assert_int_equal(s != NULL, i % 2);
        if (s)
            assert_true(span_is(session_sid(s), sid));
    }
    assert_int_equal(t.count, 5000);
    assert_in_range(t.cap, 8192, 32768);
    session_table_deinit(&t);
}

static void count_one(struct session *s, void *arg)
{
    s->told++;
    ++*(int *)arg;
}

static void each_visits_every_session_once(void **state)
{
    (void)state;
    struct session_table t = new_table();
    char sid[16];
    for (int i = 0; i < 1000; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        add(&t, sid);
    }
    int visits = 0;
    session_each(&t, count_one, &visits);
    assert_int_equal(visits, 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(sid, sizeof sid, "%d", i);
        assert_int_equal(session_find(&t, span_str(sid))->told, 0);
    }
    session_table_deinit(&t);
}

static void expect_knows(struct session *s, bool is_executing, const char *prompt, const char *node)
{
    char text[256], expected[256];
    snprintf(text, sizeof text, "%d %.*s %.*s", s->is_executing, (int)s->prompt_len, (const char *)s->prompt,
             (int)s->node_len, (const char *)s->node);
    snprintf(expected, sizeof expected, "%d %s %s", is_executing, prompt, node);
    assert_string_equal(text, expected);
}

static void the_last_executing_node_is_remembered(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_start(s, span_str("p"));
    expect_knows(s, true, "p", "");
    session_note_executing(s, span_str("p"), span_str("1"));
    session_note_executing(s, span_str("p"), span_str("22"));
    expect_knows(s, true, "p", "22");
    session_table_deinit(&t);
}

static void a_prompt_may_begin_with_its_first_node(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_executing(s, span_str("p"), span_str("1"));
    expect_knows(s, true, "p", "1");
    session_table_deinit(&t);
}

static void the_next_prompt_begins_without_a_node(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_executing(s, span_str("p"), span_str("1"));
    session_note_start(s, span_str("q"));
    expect_knows(s, true, "q", "");
    session_table_deinit(&t);
}

static void the_end_of_the_prompt_forgets_it(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_executing(s, span_str("p"), span_str("1"));
    session_note_end(s, span_str("p"));
    expect_knows(s, false, "", "");
    session_note_end(s, span_str("p"));
    expect_knows(s, false, "", "");
    session_table_deinit(&t);
}

static void the_end_of_another_prompt_forgets_nothing(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_executing(s, span_str("q"), span_str("1"));
    session_note_end(s, span_str("p"));
    expect_knows(s, true, "q", "1");
    session_table_deinit(&t);
}

static void an_end_that_names_no_prompt_ends_what_executes(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    session_note_executing(s, span_str("p"), span_str("1"));
    session_note_end(s, SPAN_NONE);
    expect_knows(s, false, "", "");
    session_note_executing(s, SPAN_NONE, span_str("1"));
    session_note_end(s, span_str("p"));
    expect_knows(s, false, "", "");
    session_table_deinit(&t);
}

static void what_is_no_id_but_a_heap_of_data_is_not_remembered(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    static uint8_t data[SESSION_VALUE_MAX + 1];
    session_note_executing(s, span_of(data, SESSION_VALUE_MAX), span_of(data, SESSION_VALUE_MAX));
    assert_int_equal(s->prompt_len, SESSION_VALUE_MAX);
    assert_int_equal(s->node_len, SESSION_VALUE_MAX);
    session_note_executing(s, span_of(data, sizeof data), span_of(data, sizeof data));
    assert_int_equal(s->prompt_len, 0);
    assert_int_equal(s->node_len, 0);
    assert_true(s->is_executing);
    session_table_deinit(&t);
}

static void a_prompts_start_makes_the_last_status_an_old_one(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    s->is_ending = s->status_is_fresh = true;
    session_note_start(s, span_str("p"));
    assert_false(s->is_ending);
    assert_false(s->status_is_fresh);
    s->is_ending = s->status_is_fresh = true;
    session_note_executing(s, span_str("p"), span_str("1"));
    assert_false(s->is_ending);
    assert_false(s->status_is_fresh);
    session_table_deinit(&t);
}

static void expect_place(const struct session *s, uint64_t seq)
{
    struct reached place = {0, STREAM_ID_NONE};
    assert_int_equal(session_place(s, &place), seq > 0);
    assert_int_equal(place.seq, seq);
}

static void a_clients_place_is_that_of_the_least_advanced_socket_open_or_left(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    struct cursor live = {.acked = {.seq = 8}, .state = CURSOR_LIVE},
                  behind = {.acked = {.seq = 6}, .state = CURSOR_LIVE},
                  held = {.acked = {.seq = 1}, .state = CURSOR_HELD},
                  silent = {.acked = {.seq = 2}, .state = CURSOR_SILENT};
    expect_place(s, 0);
    TAILQ_INSERT_HEAD(&s->cursors, &silent, in_session);
    TAILQ_INSERT_HEAD(&s->cursors, &held, in_session);
    expect_place(s, 0);
    TAILQ_INSERT_HEAD(&s->cursors, &live, in_session);
    expect_place(s, 8);
    TAILQ_INSERT_HEAD(&s->cursors, &behind, in_session);
    expect_place(s, 6);
    s->has_left = true;
    s->left.seq = 7;
    expect_place(s, 6);
    s->left.seq = 3;
    expect_place(s, 3);
    session_table_deinit(&t);
}

static void a_prompt_that_executes_is_needed_from_its_beginning(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    s->log.next_seq = 10;
    s->start_seq = 4;
    assert_int_equal(session_needed_from(s), 10);
    s->is_executing = true;
    assert_int_equal(session_needed_from(s), 4);
    s->has_left = true;
    s->left.seq = 2;
    assert_int_equal(session_needed_from(s), 2);
    session_table_deinit(&t);
}

static void the_least_advanced_socket_that_receives_decides_what_is_needed(void **state)
{
    (void)state;
    struct session_table t = new_table();
    struct session *s = add(&t, "a");
    s->log.next_seq = 10;
    struct cursor live = {.seq = 9, .acked = {.seq = 8}, .state = CURSOR_LIVE},
                  waiting = {.seq = 6, .state = CURSOR_WAITING}, silent = {.seq = 2, .state = CURSOR_SILENT};
    TAILQ_INSERT_HEAD(&s->cursors, &silent, in_session);
    assert_int_equal(session_needed_from(s), 10);
    TAILQ_INSERT_HEAD(&s->cursors, &live, in_session);
    assert_int_equal(session_needed_from(s), 8);
    TAILQ_INSERT_HEAD(&s->cursors, &waiting, in_session);
    assert_int_equal(session_needed_from(s), 6);
    session_table_deinit(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_added_is_found_until_it_is_removed),
        cmocka_unit_test(a_new_session_knows_nothing),
        cmocka_unit_test(the_longest_sid_fits),
        cmocka_unit_test(ten_thousand_sessions_are_each_found),
        cmocka_unit_test(each_visits_every_session_once),
        cmocka_unit_test(the_last_executing_node_is_remembered),
        cmocka_unit_test(a_prompt_may_begin_with_its_first_node),
        cmocka_unit_test(the_next_prompt_begins_without_a_node),
        cmocka_unit_test(the_end_of_the_prompt_forgets_it),
        cmocka_unit_test(the_end_of_another_prompt_forgets_nothing),
        cmocka_unit_test(an_end_that_names_no_prompt_ends_what_executes),
        cmocka_unit_test(what_is_no_id_but_a_heap_of_data_is_not_remembered),
        cmocka_unit_test(a_prompts_start_makes_the_last_status_an_old_one),
        cmocka_unit_test(a_clients_place_is_that_of_the_least_advanced_socket_open_or_left),
        cmocka_unit_test(a_prompt_that_executes_is_needed_from_its_beginning),
        cmocka_unit_test(the_least_advanced_socket_that_receives_decides_what_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
