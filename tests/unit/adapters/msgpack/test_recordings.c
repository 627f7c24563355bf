/* Recorded traffic, whole and cut at every byte. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <stdio.h>

#include "adapters/msgpack/unpack.h"

#define LONGEST_CUT 1200 /* of events longer than that only the first so many cuts, and the last, are tried */

static struct span read_recording(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "tests/golden/%s.events.msgpack", name);
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("%s: cannot be read", path);
    uint8_t *bytes = malloc(1 << 20);
    size_t n = fread(bytes, 1, 1 << 20, f);
    assert_true(n > 0 && n < 1 << 20);
    fclose(f);
    return span_of(bytes, n);
}

/* Cuts the first event off. */
static struct span take_event(struct span *recording)
{
    struct unpack u = unpack_of(*recording);
    expect_reason(unpack_skip(&u, 1), DROP_NOTHING);
    struct span event = span_of(recording->bytes, (size_t)(u.at - recording->bytes));
    *recording = span_of(u.at, unpack_left(&u));
    return event;
}

static size_t for_each_event(const char *name, void (*fn)(struct span event))
{
    struct span recording = read_recording(name), rest = recording;
    size_t count = 0;
    for (; rest.len > 0; count++)
        fn(take_event(&rest));
    free_copy(recording);
    return count;
}

static void expect_cut(struct span event, size_t len)
{
    struct span cut = exact_copy(span_of(event.bytes, len));
    struct event decoded;
    struct frame *frame = NULL;
    expect_reason(receive(cut, SPAN_NONE, &decoded, &frame), DROP_TRUNCATED);
    assert_null(frame);
    free_copy(cut);
}

static void expect_every_cut(struct span event)
{
    for (size_t len = 0; len < event.len && len < LONGEST_CUT; len++)
        expect_cut(event, len);
    expect_cut(event, event.len - 1);
}

static void an_event_cut_at_any_byte_is_truncated(void **state)
{
    (void)state;
    assert_int_equal(for_each_event("b_success_flags", expect_every_cut), 36);
    assert_int_equal(for_each_event("i_progress_text", expect_every_cut), 37);
    assert_int_equal(for_each_event("d_error", expect_every_cut), 18);
}

static void expect_frame(struct span event)
{
    struct span copy = exact_copy(event);
    struct event decoded;
    struct frame *frame = NULL;
    expect_reason(receive(copy, SPAN_NONE, &decoded, &frame), DROP_NOTHING);
    if (!decoded.is_binary)
        assert_true(span_starts_with(frame_payload(frame), "{\"type\":\""));
    frame_unref(frame);
    free_copy(copy);
}

static void every_recorded_event_makes_a_frame(void **state)
{
    (void)state;
    assert_int_equal(for_each_event("n_custom", expect_frame), 49);
    assert_int_equal(for_each_event("o_raw_binary", expect_frame), 39);
    assert_int_equal(for_each_event("l_two_clients", expect_frame), 143);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_cut_at_any_byte_is_truncated),
        cmocka_unit_test(every_recorded_event_makes_a_frame),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
