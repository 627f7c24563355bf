/* A session's log. Its behaviour without memory is in test_out_of_memory.c. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "relay/log.h"

static const struct log_limits roomy = {.events = 1000000, .bytes = SIZE_MAX};
static struct log_totals totals;

static struct frame *frame_of(const char *text)
{
    struct frame_builder b;
    frame_builder_init(&b, strlen(text));
    frame_builder_add_str(&b, text);
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_non_null(f);
    return f;
}

static bool append_at(struct log *log, const char *text, struct place place, struct log_limits limits)
{
    bool replaced = false;
    assert_int_equal(log_append(log, frame_of(text), place, &limits, &replaced), 0);
    return replaced;
}

static bool append(struct log *log, const char *text, uint64_t key, uint64_t prompt, struct log_limits limits)
{
    return append_at(log, text, (struct place){.key = key, .prompt = prompt}, limits);
}

static struct stream_id id_of(uint64_t ms)
{
    return (struct stream_id){ms, 0};
}

static void put_id(struct log *log, const char *text, uint64_t ms)
{
    assert_false(append_at(log, text, (struct place){.id = id_of(ms)}, roomy));
}

static void put(struct log *log, const char *text)
{
    assert_false(append(log, text, 0, 0, roomy));
}

static const char *text_of(const struct frame *f)
{
    static char text[64];
    struct span payload = frame_payload(f);
    snprintf(text, sizeof text, "%.*s", (int)payload.len, (const char *)payload.bytes);
    return text;
}

/* What a reader at seq would get: "a b c". */
static const char *from(const struct log *log, uint64_t seq)
{
    static char all[4096];
    all[0] = '\0';
    for (struct log_entry *e = log_at(log, seq); e; e = log_at(log, e->seq + 1)) {
        strcat(all, all[0] ? " " : "");
        strcat(all, text_of(e->frame));
    }
    return all;
}

static void entries_are_read_in_the_order_of_appending(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    assert_null(log_at(&log, 0));
    for (int i = 0; i < 20; i++)
        put(&log, i % 2 ? "b" : "a");
    assert_string_equal(from(&log, 0), "a b a b a b a b a b a b a b a b a b a b");
    assert_string_equal(from(&log, 18), "b a b");
    assert_string_equal(from(&log, log.next_seq), "");
    assert_int_equal(log.next_seq, 21);
    log_deinit(&log);
}

static void a_newer_entry_with_the_same_key_takes_the_newest_position(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    assert_false(append(&log, "old", 7, 0, roomy));
    put(&log, "kept");
    assert_true(append(&log, "new", 7, 0, roomy));
    assert_string_equal(from(&log, 0), "kept new");
    assert_int_equal(log.live, 2);
    log_deinit(&log);
}

static void entries_with_other_keys_are_not_touched(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    append(&log, "a", 1, 0, roomy);
    append(&log, "b", 9, 0, roomy); /* keys whose slots collide in a small table */
    append(&log, "c", 17, 0, roomy);
    assert_true(append(&log, "B", 9, 0, roomy));
    assert_string_equal(from(&log, 0), "a c B");
    assert_true(append(&log, "A", 1, 0, roomy));
    assert_true(append(&log, "C", 17, 0, roomy));
    assert_string_equal(from(&log, 0), "B A C");
    log_deinit(&log);
}

static void find_key_tells_what_an_append_would_replace(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    assert_int_equal(log_find_key(&log, 7), 0);
    put(&log, "kept");
    append(&log, "x", 7, 0, roomy);
    assert_int_equal(log_find_key(&log, 7), 2);
    assert_int_equal(log_find_key(&log, 0), 0);
    append(&log, "y", 7, 0, roomy);
    assert_int_equal(log_find_key(&log, 7), 3);
    log_trim(&log, 4);
    assert_int_equal(log_find_key(&log, 7), 0);
    log_deinit(&log);
}

static void the_oldest_go_when_there_are_too_many(void **state)
{
    (void)state;
    struct log log;
    struct log_limits three = {.events = 3, .bytes = SIZE_MAX};
    log_init(&log, &totals);
    append(&log, "a", 0, 0, three);
    append(&log, "b", 0, 0, three);
    append(&log, "c", 0, 0, three);
    assert_int_equal(log.trimmed_to, 0);
    append(&log, "d", 0, 0, three);
    assert_string_equal(from(&log, 0), "b c d");
    assert_int_equal(log.trimmed_to, 2);
    log_deinit(&log);
}

static void the_oldest_go_when_they_are_too_many_bytes(void **state)
{
    (void)state;
    struct log log;
    struct log_limits bytes = {.events = 100, .bytes = 3 * 12};
    log_init(&log, &totals);
    append(&log, "0123456789", 0, 0, bytes);
    append(&log, "1123456789", 0, 0, bytes);
    append(&log, "2123456789", 0, 0, bytes);
    assert_int_equal(log.bytes, 36);
    append(&log, "x", 0, 0, bytes);
    assert_string_equal(from(&log, 0), "1123456789 2123456789 x");
    assert_int_equal(log.bytes, 27);
    log_deinit(&log);
}

static void the_newest_is_held_whatever_its_size(void **state)
{
    (void)state;
    struct log log;
    struct log_limits none = {.events = 0, .bytes = 1};
    log_init(&log, &totals);
    append(&log, "a", 0, 0, none);
    append(&log, "a long one", 0, 0, none);
    assert_string_equal(from(&log, 0), "a long one");
    append(&log, "another long one", 5, 0, none);
    assert_string_equal(from(&log, 0), "another long one");
    log_deinit(&log);
}

static void replaced_entries_do_not_count_towards_the_limits(void **state)
{
    (void)state;
    struct log log;
    struct log_limits two = {.events = 2, .bytes = SIZE_MAX};
    log_init(&log, &totals);
    append(&log, "kept", 0, 0, two);
    for (int i = 0; i < 50; i++)
        append(&log, "latest", 7, 0, two);
    assert_string_equal(from(&log, 0), "kept latest");
    assert_int_equal(log.trimmed_to, 0);
    log_deinit(&log);
}

static void trimming_drops_what_everybody_has(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    put(&log, "a");
    append(&log, "b", 7, 0, roomy);
    put(&log, "c");
    log_trim(&log, 3);
    assert_string_equal(from(&log, 0), "c");
    assert_int_equal(log.trimmed_to, 0);
    assert_false(append(&log, "b2", 7, 0, roomy));
    log_trim(&log, log.next_seq);
    assert_string_equal(from(&log, 0), "");
    assert_int_equal(log.bytes, 0);
    assert_int_equal(log.live, 0);
    put(&log, "d");
    assert_string_equal(from(&log, 0), "d");
    log_deinit(&log);
}

static void the_end_of_a_prompt_drops_its_conflated_entries_only(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    append(&log, "keep-p", 0, 100, roomy);
    append(&log, "latest-p", 1, 100, roomy);
    append(&log, "latest-q", 2, 200, roomy);
    append(&log, "latest-none", 3, 0, roomy);
    append(&log, "latest2-p", 4, 100, roomy);
    assert_int_equal(log_find_prompt(&log, 100), 5);
    log_drop_prompt(&log, 100);
    assert_string_equal(from(&log, 0), "keep-p latest-q latest-none");
    assert_int_equal(log_find_prompt(&log, 100), 0);
    assert_int_equal(log_find_prompt(&log, 200), 3);
    assert_int_equal(log_find_key(&log, 1), 0);
    log_drop_prompt(&log, 100);
    assert_string_equal(from(&log, 0), "keep-p latest-q latest-none");
    log_deinit(&log);
}

static void dropping_the_only_entry_leaves_an_empty_log(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    append(&log, "x", 1, 100, roomy);
    log_drop_prompt(&log, 100);
    assert_null(log_at(&log, 0));
    assert_int_equal(log.count, 0);
    log_deinit(&log);
}

static struct frame *preview(void)
{
    struct frame_builder b;
    frame_builder_init(&b, 0);
    frame_builder_add_str(&b, "metadata");
    frame_builder_mark_picture(&b, 1);
    frame_builder_add_str(&b, "picture");
    return frame_builder_finish(&b, FRAME_BINARY);
}

static void the_form_without_metadata_is_made_once_and_counted(void **state)
{
    (void)state;
    struct log log;
    bool replaced;
    log_init(&log, &totals);
    assert_int_equal(log_append(&log, preview(), (struct place){.key = 7}, &roomy, &replaced), 0);
    assert_int_equal(log.bytes, 17);
    struct frame *old = log_without_metadata(&log, log_at(&log, 1));
    assert_non_null(old);
    assert_int_equal(log.bytes, 17 + 17);
    assert_ptr_equal(log_without_metadata(&log, log_at(&log, 1)), old);
    assert_int_equal(log.bytes, 34);
    append(&log, "x", 7, 0, roomy);
    assert_int_equal(log.bytes, 3);
    log_deinit(&log);
}

static void a_frame_lives_on_with_those_who_hold_it(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    append(&log, "x", 7, 0, roomy);
    struct frame *held = frame_ref(log_at(&log, 0)->frame);
    append(&log, "y", 7, 0, roomy);
    assert_string_equal(text_of(held), "x");
    assert_int_equal(held->refs, 1);
    frame_unref(held);
    log_deinit(&log);
}

static void long_conflation_keeps_memory_bounded(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    put(&log, "kept");
    for (int i = 0; i < 100000; i++)
        append(&log, "latest", 1 + (uint64_t)i % 3, 0, roomy);
    assert_int_equal(log.live, 4);
    assert_in_range(log.cap, 1, 16);
    assert_in_range(log.keys.cap, 1, 16);
    assert_string_equal(from(&log, 0), "kept latest latest latest");
    log_deinit(&log);
}

static void keys_that_come_and_go_keep_memory_bounded(void **state)
{
    (void)state;
    struct log log;
    struct log_limits ten = {.events = 10, .bytes = SIZE_MAX};
    log_init(&log, &totals);
    for (uint64_t i = 1; i <= 100000; i++)
        append(&log, "latest", i * 0x9e3779b97f4a7c15, 0, ten);
    assert_int_equal(log.live, 10);
    assert_in_range(log.cap, 1, 32);
    assert_in_range(log.keys.cap, 1, 64);
    log_deinit(&log);
}

static void an_empty_log_gives_back_what_a_slow_socket_made_it_grow_to(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    for (uint64_t i = 1; i <= 5000; i++)
        append(&log, "x", i % 2 ? i * 0x9e3779b97f4a7c15 : 0, 0, roomy);
    log_trim(&log, log.next_seq);
    assert_int_equal(log.cap, 0);
    assert_int_equal(log.keys.cap, 0);
    put(&log, "y");
    assert_string_equal(from(&log, 0), "y");
    assert_int_equal(log_at(&log, 0)->seq, 5001);
    log_deinit(&log);
}

/* As a status to a session where nothing runs. */
static void one_entry_at_a_time_needs_room_for_one(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    for (int i = 0; i < 10; i++) {
        put(&log, "x");
        log_trim(&log, log.next_seq);
        assert_int_equal(log.cap, 1);
    }
    put(&log, "y");
    put(&log, "z");
    assert_string_equal(from(&log, 0), "y z");
    log_deinit(&log);
}

/* Ids, and what does not last */

static void a_place_is_found_by_the_id_of_what_is_before_it(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    assert_int_equal(log_after_id(&log, id_of(5)), 1);
    put_id(&log, "a", 5);
    put(&log, "no id");
    put_id(&log, "b", 7);
    append(&log, "latest", 1, 0, roomy);
    assert_int_equal(log_after_id(&log, id_of(4)), 1);
    assert_int_equal(log_after_id(&log, id_of(5)), 2);
    assert_int_equal(log_after_id(&log, id_of(6)), 2);
    assert_int_equal(log_after_id(&log, id_of(7)), 4);
    assert_int_equal(log_after_id(&log, STREAM_ID_MAX), 4);
    assert_int_equal(log_after_id(&log, STREAM_ID_NONE), 1);
    log_deinit(&log);
}

static void expect_id_before(const struct log *log, uint64_t seq, uint64_t ms)
{
    struct stream_id id = log_id_before(log, seq);
    assert_int_equal(id.ms, ms);
    assert_int_equal(id.n, 0);
}

static void the_id_before_a_place_is_known_also_when_its_entry_is_gone(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    put_id(&log, "a", 5);
    put(&log, "no id");
    put_id(&log, "b", 7);
    expect_id_before(&log, 1, 0);
    expect_id_before(&log, 2, 5);
    expect_id_before(&log, 3, 5);
    expect_id_before(&log, 4, 7);
    log_trim(&log, 3);
    expect_id_before(&log, 3, 5);
    expect_id_before(&log, 4, 7);
    log_trim(&log, 4);
    expect_id_before(&log, 4, 7);
    log_deinit(&log);
}

static void sweeping_drops_only_what_does_not_last(void **state)
{
    (void)state;
    struct log log;
    struct place transient = {.is_transient = true}, monitor = {.key = 3, .is_transient = true};
    log_init(&log, &totals);
    append_at(&log, "t1", transient, roomy);
    put(&log, "a");
    append_at(&log, "t2", monitor, roomy);
    put(&log, "b");
    append_at(&log, "t3", transient, roomy);
    log_sweep(&log, 4);
    assert_string_equal(from(&log, 0), "a b t3");
    assert_int_equal(log_find_key(&log, 3), 0);
    log_sweep(&log, log.next_seq);
    assert_string_equal(from(&log, 0), "a b");
    assert_int_equal(log.transient, 0);
    append_at(&log, "t4", transient, roomy);
    assert_string_equal(from(&log, 0), "a b t4");
    log_sweep(&log, log.next_seq);
    assert_string_equal(from(&log, 0), "a b");
    log_deinit(&log);
}

static void giving_up_the_oldest_leaves_the_newest(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    assert_false(log_give_up_oldest(&log));
    put_id(&log, "a", 5);
    put_id(&log, "b", 6);
    assert_true(log_give_up_oldest(&log));
    assert_string_equal(from(&log, 0), "b");
    assert_int_equal(log.trimmed_to, 2);
    expect_id_before(&log, 2, 5);
    assert_false(log_give_up_oldest(&log));
    assert_string_equal(from(&log, 0), "b");
    log_deinit(&log);
}

static void a_gap_is_a_place_that_is_never_filled(void **state)
{
    (void)state;
    struct log log;
    log_init(&log, &totals);
    put_id(&log, "a", 5);
    assert_int_equal(log_leave_gap(&log), 2);
    put_id(&log, "b", 9);
    assert_int_equal(log.gap_seq, 2);
    assert_int_equal(log.trimmed_to, 0);
    assert_string_equal(from(&log, 0), "a b");
    assert_string_equal(from(&log, 2), "b");
    log_deinit(&log);
}

static void the_bytes_of_all_logs_are_counted_together(void **state)
{
    (void)state;
    struct log one, two;
    assert_int_equal(totals.bytes, 0);
    log_init(&one, &totals);
    log_init(&two, &totals);
    put(&one, "12345678");
    put(&two, "12345678");
    append(&two, "x", 7, 0, roomy);
    assert_int_equal(totals.bytes, 10 + 10 + 3);
    append(&two, "xx", 7, 0, roomy);
    assert_int_equal(totals.bytes, 10 + 10 + 4);
    log_trim(&two, 2);
    assert_int_equal(totals.bytes, 10 + 4);
    log_deinit(&one);
    assert_int_equal(totals.bytes, 4);
    log_deinit(&two);
    assert_int_equal(totals.bytes, 0);
}

static void the_memory_of_frames_is_counted_with_all_that_belongs_to_it(void **state)
{
    (void)state;
    struct log log;
    char text[2001];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    log_init(&log, &totals);
    put(&log, text);
    assert_in_range(totals.held, 2000 + sizeof(struct frame), 2100);
    assert_int_equal(totals.held, frame_bytes(log_at(&log, 0)->frame));
    for (int i = 0; i < 9; i++)
        append(&log, "x", 7 + (uint64_t)i, 0, roomy);
    assert_in_range(log_room_bytes(&log), 10 * sizeof(struct log_entry), 3000);
    log_trim(&log, log.next_seq);
    assert_int_equal(totals.held, 0);
    assert_in_range(log_room_bytes(&log), 0, 500); /* for the next few events */
    log_deinit(&log);
}

/* A comparison with the plainest model that there is: an array of all that was ever appended. */

enum { OPERATIONS = 100000, KEYS = 12, PROMPTS = 3 };

struct model_entry {
    struct place place;
    size_t bytes;
    bool is_held;
};

struct model {
    struct model_entry *entries; /* by seq */
    uint64_t next_seq, first;
    size_t live, bytes;
};

static void model_drop(struct model *m, uint64_t seq)
{
    m->live -= m->entries[seq].is_held;
    m->bytes -= m->entries[seq].is_held ? m->entries[seq].bytes : 0;
    m->entries[seq].is_held = false;
}

static void model_append(struct model *m, struct place place, size_t bytes, struct log_limits limits)
{
    for (uint64_t seq = m->first; place.key != 0 && seq < m->next_seq; seq++)
        if (m->entries[seq].place.key == place.key)
            model_drop(m, seq);
    m->entries[m->next_seq++] = (struct model_entry){place, bytes, true};
    m->live++;
    m->bytes += bytes;
    while (m->live > 1 && (m->live > limits.events || m->bytes > limits.bytes))
        model_drop(m, m->first++);
}

static uint64_t random_below(uint64_t n)
{
    static uint64_t x = 88172645463325252;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return x % n;
}

static void expect_same(const struct log *log, const struct model *m)
{
    assert_int_equal(log->next_seq, m->next_seq);
    assert_int_equal(log->live, m->live);
    assert_int_equal(log->bytes, m->bytes);
    assert_int_equal(totals.bytes, m->bytes);
    assert_in_range(log->keys.used, 0, log->keys.cap / 2);
    uint64_t seq = m->first;
    for (struct log_entry *e = log_at(log, 0); e; e = log_at(log, e->seq + 1), seq++) {
        while (seq < m->next_seq && !m->entries[seq].is_held)
            seq++;
        assert_int_equal(e->seq, seq);
        assert_int_equal(e->place.key, m->entries[seq].place.key);
        assert_ptr_equal(log_after(log, e), log_at(log, seq + 1));
        if (e->place.key != 0)
            assert_int_equal(log_find_key(log, e->place.key), seq);
    }
    while (seq < m->next_seq)
        assert_false(m->entries[seq++].is_held);
}

static void random_append(struct log *log, struct model *m)
{
    const struct log_limits limits = {.events = 2 + random_below(40), .bytes = 100 + random_below(900)};
    /* neighbouring slots on purpose: gaps that removals leave must be closed */
    uint64_t key = random_below(3) == 0 ? 0 : (1 + random_below(KEYS)) * 4;
    struct place place = {.key = key, .prompt = random_below(PROMPTS + 1)};
    place.is_transient = random_below(5) == 0;
    if (key == 0 && !place.is_transient && random_below(2) == 0)
        place.id = id_of(log->next_seq);
    size_t len = random_below(60);
    char text[64];
    memset(text, 'x', sizeof text);
    text[len] = '\0';
    append_at(log, text, place, limits);
    model_append(m, place, len + 2, limits);
}

static void random_drop(struct log *log, struct model *m)
{
    uint64_t prompt = 1 + random_below(PROMPTS), newest = 0;
    for (uint64_t seq = m->first; seq < m->next_seq; seq++)
        if (m->entries[seq].is_held && m->entries[seq].place.key != 0 &&
            m->entries[seq].place.prompt == prompt)
            newest = seq;
    assert_int_equal(log_find_prompt(log, prompt), newest);
    log_drop_prompt(log, prompt);
    for (uint64_t seq = m->first; seq < m->next_seq; seq++)
        if (m->entries[seq].place.key != 0 && m->entries[seq].place.prompt == prompt)
            model_drop(m, seq);
}

static void random_trim(struct log *log, struct model *m)
{
    uint64_t to = m->first + random_below(m->next_seq - m->first + 1);
    log_trim(log, to);
    while (m->first < to)
        model_drop(m, m->first++);
}

static void random_sweep(struct log *log, struct model *m)
{
    uint64_t to = m->first + random_below(m->next_seq - m->first + 1);
    log_sweep(log, to);
    for (uint64_t seq = m->first; seq < to; seq++)
        if (m->entries[seq].place.is_transient)
            model_drop(m, seq);
}

static void expect_same_places(const struct log *log, const struct model *m)
{
    uint64_t from_id = m->next_seq - random_below(m->next_seq - m->first + 1), held = m->next_seq;
    for (uint64_t seq = m->next_seq; seq-- > m->first;)
        held = m->entries[seq].is_held ? seq : held;
    uint64_t after = held;
    for (uint64_t seq = held; seq < m->next_seq && seq <= from_id; seq++)
        if (m->entries[seq].is_held && m->entries[seq].place.id.ms > 0)
            after = seq + 1;
    uint64_t answer = log_after_id(log, id_of(from_id));
    struct log_entry *a = log_at(log, answer), *b = log_at(log, after);
    assert_ptr_equal(a, b); /* dead entries at either place make no difference */
}

static void it_does_what_a_plain_model_does(void **state)
{
    (void)state;
    struct log log;
    struct model m = {.entries = calloc(OPERATIONS + 2, sizeof *m.entries), .next_seq = 1, .first = 1};
    assert_non_null(m.entries);
    log_init(&log, &totals);
    for (int i = 0; i < OPERATIONS; i++) {
        uint64_t what = random_below(40);
        if (what == 0)
            random_drop(&log, &m);
        else if (what == 1)
            random_trim(&log, &m);
        else if (what == 2)
            random_sweep(&log, &m);
        else
            random_append(&log, &m);
        expect_same(&log, &m);
        expect_same_places(&log, &m);
    }
    log_deinit(&log);
    free(m.entries);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_read_in_the_order_of_appending),
        cmocka_unit_test(a_newer_entry_with_the_same_key_takes_the_newest_position),
        cmocka_unit_test(entries_with_other_keys_are_not_touched),
        cmocka_unit_test(find_key_tells_what_an_append_would_replace),
        cmocka_unit_test(the_oldest_go_when_there_are_too_many),
        cmocka_unit_test(the_oldest_go_when_they_are_too_many_bytes),
        cmocka_unit_test(the_newest_is_held_whatever_its_size),
        cmocka_unit_test(replaced_entries_do_not_count_towards_the_limits),
        cmocka_unit_test(trimming_drops_what_everybody_has),
        cmocka_unit_test(the_end_of_a_prompt_drops_its_conflated_entries_only),
        cmocka_unit_test(dropping_the_only_entry_leaves_an_empty_log),
        cmocka_unit_test(the_form_without_metadata_is_made_once_and_counted),
        cmocka_unit_test(a_frame_lives_on_with_those_who_hold_it),
        cmocka_unit_test(long_conflation_keeps_memory_bounded),
        cmocka_unit_test(keys_that_come_and_go_keep_memory_bounded),
        cmocka_unit_test(an_empty_log_gives_back_what_a_slow_socket_made_it_grow_to),
        cmocka_unit_test(one_entry_at_a_time_needs_room_for_one),
        cmocka_unit_test(a_place_is_found_by_the_id_of_what_is_before_it),
        cmocka_unit_test(the_id_before_a_place_is_known_also_when_its_entry_is_gone),
        cmocka_unit_test(sweeping_drops_only_what_does_not_last),
        cmocka_unit_test(giving_up_the_oldest_leaves_the_newest),
        cmocka_unit_test(a_gap_is_a_place_that_is_never_filled),
        cmocka_unit_test(the_bytes_of_all_logs_are_counted_together),
        cmocka_unit_test(the_memory_of_frames_is_counted_with_all_that_belongs_to_it),
        cmocka_unit_test(it_does_what_a_plain_model_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
