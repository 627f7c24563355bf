/* An outbox over a socket that takes as many bytes as the test says: what is taken, what waits, and in which order it goes.
 * The two functions of libuv that write stand in this program, so that each possible end of a write can be had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "adapters/websocket/outbox.h"

#define COUNT 3
#define TAIL  "<ping>"

static struct {
    size_t room;   /* what the socket takes at once */
    char got[512]; /* what it has taken, in order */
    size_t len;
    uv_write_t *write; /* waits; or NULL */
    struct span rest;
    int drained;
} wire;

static void take(const char *bytes, size_t len)
{
    memcpy(wire.got + wire.len, bytes, len);
    wire.len += len;
}

int uv_try_write(uv_stream_t *stream, const uv_buf_t bufs[], unsigned count)
{
    size_t before = wire.len;
    (void)stream;
    for (unsigned i = 0; i < count; i++) {
        size_t n = bufs[i].len < wire.room ? bufs[i].len : wire.room;
        take(bufs[i].base, n);
        wire.room -= n;
    }
    return wire.len > before ? (int)(wire.len - before) : UV_EAGAIN;
}

int uv_write(uv_write_t *write, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count, uv_write_cb done)
{
    (void)stream;
    assert_int_equal(count, 1);
    assert_null(wire.write);
    write->cb = done;
    wire.write = write;
    wire.rest = span_of(bufs[0].base, bufs[0].len);
    return 0;
}

/* The socket takes what waits, and what waits behind that. */
static void drain(void)
{
    while (wire.write) {
        uv_write_t *write = wire.write;
        wire.write = NULL;
        take((const char *)wire.rest.bytes, wire.rest.len);
        write->cb(write, 0);
    }
}

static void on_drained(struct outbox *o, int status)
{
    assert_int_equal(status, 0);
    assert_false(outbox_is_blocked(o));
    wire.drained++;
}

struct fixture {
    uv_stream_t stream; /* only its address counts */
    struct outbox outbox;
    struct frame *frames[COUNT];
    size_t len; /* of all */
};

static void set_up(struct fixture *f, size_t room)
{
    static const char *const texts[COUNT] = {"first", "second", "third one"};
    memset(&wire, 0, sizeof wire);
    wire.room = room;
    *f = (struct fixture){.outbox = {.stream = &f->stream, .on_drained = on_drained}};
    for (int i = 0; i < COUNT; i++) {
        struct frame_builder b;
        frame_builder_init(&b, 0);
        frame_builder_add_str(&b, texts[i]);
        f->frames[i] = frame_builder_finish(&b, FRAME_TEXT);
        assert_non_null(f->frames[i]);
        f->len += f->frames[i]->len;
    }
}

static void tear_down(struct fixture *f)
{
    for (int i = 0; i < COUNT; i++)
        frame_unref(f->frames[i]);
}

/* The socket has got the first n frames, then these bytes, and nothing else. */
static void expect_wire(const struct fixture *f, int n, const char *behind)
{
    char expected[512];
    size_t len = 0;
    for (int i = 0; i < n; i++) {
        struct span s = frame_wire(f->frames[i]);
        memcpy(expected + len, s.bytes, s.len);
        len += s.len;
    }
    memcpy(expected + len, behind, strlen(behind));
    len += strlen(behind);
    assert_int_equal(wire.len, len);
    assert_memory_equal(wire.got, expected, len);
}

/* How many are taken: those that have gone whole, and the next one, which is finished first. */
static int taken_of(const struct fixture *f, size_t room)
{
    int n = 0;
    for (size_t end = f->frames[0]->len; n < COUNT - 1 && room >= end; n++)
        end += f->frames[n + 1]->len;
    return n + 1;
}

static void wherever_a_write_ends_whole_frames_go_and_the_tail_only_behind_the_last(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 0);
    size_t all = f.len + strlen(TAIL);
    tear_down(&f);
    for (size_t room = 0; room <= all; room++) {
        set_up(&f, room);
        int n = outbox_write(&f.outbox, f.frames, COUNT, span_str(TAIL));
        assert_int_equal(n, taken_of(&f, room));
        assert_int_equal(outbox_is_blocked(&f.outbox), room < all);
        drain();
        expect_wire(&f, n, n == COUNT ? TAIL : "");
        assert_int_equal(wire.drained, room < all);
        tear_down(&f);
    }
}

static void without_a_tail_nothing_is_added(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 9);
    int n = outbox_write(&f.outbox, f.frames, COUNT, SPAN_NONE);
    assert_int_equal(n, 2);
    drain();
    expect_wire(&f, 2, "");
    tear_down(&f);
}

static void control_frames_go_behind_what_has_begun_in_the_order_they_came(void **state)
{
    (void)state;
    struct fixture f;
    set_up(&f, 20); /* within the third */
    assert_int_equal(outbox_write(&f.outbox, f.frames, COUNT, span_str(TAIL)), COUNT);
    assert_int_equal(outbox_send(&f.outbox, "<pong>", 6), 0);
    assert_int_equal(outbox_waiting(&f.outbox), strlen(TAIL) + 6);
    assert_true(outbox_bytes(&f.outbox) > strlen(TAIL) + 6);
    drain();
    expect_wire(&f, COUNT, TAIL "<pong>");
    assert_int_equal(outbox_bytes(&f.outbox), 0);
    tear_down(&f);
}

static void what_the_socket_does_not_take_of_control_frames_waits(void **state)
{
    (void)state;
    struct fixture f;
    for (size_t room = 0; room <= 6; room++) {
        set_up(&f, room);
        assert_int_equal(outbox_send(&f.outbox, "<pong>", 6), 0);
        assert_int_equal(outbox_is_blocked(&f.outbox), room < 6);
        drain();
        expect_wire(&f, 0, "<pong>");
        tear_down(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wherever_a_write_ends_whole_frames_go_and_the_tail_only_behind_the_last),
        cmocka_unit_test(without_a_tail_nothing_is_added),
        cmocka_unit_test(control_frames_go_behind_what_has_begun_in_the_order_they_came),
        cmocka_unit_test(what_the_socket_does_not_take_of_control_frames_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
