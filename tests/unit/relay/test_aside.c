/* What is put aside until its turn comes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "relay/aside.h"

static struct stream_id id_of(uint64_t ms)
{
    return (struct stream_id){ms, 0};
}

static void append(struct aside *a, uint64_t ms, const char *text)
{
    assert_int_equal(aside_append(a, id_of(ms), span_str(text)), 0);
}

static void append_frame(struct aside *a, const char *text, uint64_t key)
{
    struct frame_builder b;
    frame_builder_init(&b, 0);
    frame_builder_add_str(&b, text);
    struct frame *f = frame_builder_finish(&b, FRAME_TEXT);
    assert_non_null(f);
    assert_int_equal(aside_append_frame(a, f, key), 0);
}

/* Takes all: "5:text 0:text", of a frame "frame/key". */
static const char *take_all(struct aside *a)
{
    static char all[512];
    struct aside_item *item;
    all[0] = '\0';
    while ((item = aside_take(a))) {
        size_t n = strlen(all);
        struct span text = item->frame ? frame_payload(item->frame) : aside_message(item);
        snprintf(all + n, sizeof all - n, "%s%llu:%.*s", n > 0 ? " " : "",
                 (unsigned long long)(item->frame ? item->key : item->id.ms), (int)text.len,
                 (const char *)text.bytes);
        aside_free(item);
    }
    return all;
}

static void what_was_put_aside_comes_in_the_same_order(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    assert_null(aside_take(&a));
    append(&a, 5, "five");
    append(&a, 0, "none");
    append(&a, 6, "six");
    assert_string_equal(take_all(&a), "5:five 0:none 6:six");
    assert_string_equal(take_all(&a), "");
    append(&a, 7, "seven");
    assert_string_equal(take_all(&a), "7:seven");
    aside_clear(&a);
}

static void what_is_read_backwards_is_put_before_the_rest(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    for (uint64_t ms = 3; ms > 0; ms--)
        assert_int_equal(aside_prepend(&a, id_of(ms), span_str("x")), 0);
    append(&a, 4, "y");
    assert_string_equal(take_all(&a), "1:x 2:x 3:x 4:y");
    aside_clear(&a);
}

static void a_message_is_copied(void **state)
{
    (void)state;
    struct aside a;
    char text[] = "before";
    aside_init(&a);
    append(&a, 1, text);
    memcpy(text, "after!", 6);
    append(&a, 2, "");
    assert_string_equal(take_all(&a), "1:before 2:");
    aside_clear(&a);
}

static void frames_wait_among_messages(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append(&a, 1, "one");
    append_frame(&a, "status", 0);
    append_frame(&a, "monitor", 9);
    append(&a, 2, "two");
    assert_string_equal(take_all(&a), "1:one 0:status 9:monitor 2:two");
    aside_clear(&a);
}

static void append_latest(struct aside *a, uint64_t key, const char *text)
{
    assert_int_equal(aside_append_latest(a, key, span_str(text)), 0);
}

static void what_was_read_is_dropped_and_what_is_newer_stays(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append(&a, 1, "one");
    append(&a, 0, "no id");
    append(&a, 2, "two");
    append(&a, 3, "three");
    append_frame(&a, "status", 9);
    aside_drop_until(&a, id_of(2));
    assert_string_equal(take_all(&a), "0:no id 3:three 9:status");
}

/* They are older than what was read: of a prompt, perhaps, of which the end was read. */
static void conflated_ones_before_the_last_that_was_read_are_dropped(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append_latest(&a, 7, "older");
    append_frame(&a, "status", 9);
    append(&a, 2, "two");
    append_latest(&a, 7, "newer");
    append(&a, 3, "three");
    aside_drop_until(&a, id_of(2));
    assert_true(aside_has_latest(&a, 7));
    assert_false(aside_has_latest(&a, 9)); /* a frame is for all, not of the session */
    assert_string_equal(take_all(&a), "9:status 0:newer 3:three");
    assert_false(aside_has_latest(&a, 7));
}

static void what_it_holds_is_counted(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    assert_int_equal(a.count, 0);
    append(&a, 1, "12345");
    assert_int_equal(aside_prepend(&a, id_of(1), span_str("678")), 0);
    assert_int_equal(a.count, 2);
    assert_true(a.bytes >= 8);
    size_t before = a.bytes;
    append_frame(&a, "0123456789", 0);
    assert_int_equal(a.count, 3);
    assert_true(a.bytes >= before + 10);
    take_all(&a);
    assert_int_equal(a.count, 0);
    assert_int_equal(a.bytes, 0);
    aside_clear(&a);
}

static void frames_can_be_dropped_alone(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append_frame(&a, "status", 0);
    append(&a, 1, "one");
    append_frame(&a, "monitor", 9);
    append(&a, 2, "two");
    aside_drop_frames(&a);
    assert_int_equal(a.count, 2);
    assert_string_equal(take_all(&a), "1:one 2:two");
    assert_int_equal(a.bytes, 0);
    aside_clear(&a);
}

static void what_redis_keeps_too_can_be_dropped_alone(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append(&a, 1, "one");
    append(&a, 0, "plain");
    append_frame(&a, "status", 0);
    assert_int_equal(aside_append_latest(&a, 7, span_str("progress")), 0);
    aside_drop_kept(&a);
    assert_string_equal(take_all(&a), "0:plain 0:status");
    aside_clear(&a);
}

static void what_is_left_is_freed(void **state)
{
    (void)state;
    struct aside a;
    aside_init(&a);
    append(&a, 1, "one");
    append_frame(&a, "status", 0);
    aside_clear(&a);
    assert_int_equal(a.count, 0);
    assert_int_equal(a.bytes, 0);
    assert_null(aside_take(&a));
    append(&a, 2, "two");
    assert_string_equal(take_all(&a), "2:two");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_aside_comes_in_the_same_order),
        cmocka_unit_test(what_is_read_backwards_is_put_before_the_rest),
        cmocka_unit_test(a_message_is_copied),
        cmocka_unit_test(frames_wait_among_messages),
        cmocka_unit_test(what_was_read_is_dropped_and_what_is_newer_stays),
        cmocka_unit_test(conflated_ones_before_the_last_that_was_read_are_dropped),
        cmocka_unit_test(what_it_holds_is_counted),
        cmocka_unit_test(frames_can_be_dropped_alone),
        cmocka_unit_test(what_redis_keeps_too_can_be_dropped_alone),
        cmocka_unit_test(what_is_left_is_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
