/* Every allocation of a scenario fails once: the message is dropped for that reason, nothing leaks, nothing is half made. */
#include "tests/unit/adapters/msgpack/messages.h"

#include <errno.h>

#include "adapters/msgpack/compose.h"
#include "tests/support/failing_malloc.h"

/* Makes a frame, or NULL when it could not. */
typedef struct frame *maker(void);

static struct frame *make_failing(maker *make, size_t n, bool *hit)
{
    fail_at(n, 0);
    struct frame *f = make();
    *hit = has_failed();
    fail_nothing();
    return f;
}

/* Each allocation fails once: nothing is made then, or the whole (where less would have done). */
static void expect_whole_or_nothing(maker *make)
{
    struct frame *whole = make();
    assert_non_null(whole);
    bool hit = true;
    size_t failures = 0;
    for (size_t n = 1; hit; n++) {
        struct frame *f = make_failing(make, n, &hit);
        failures += f ? 0 : 1;
        if (f)
            expect_span(frame_payload(f), frame_payload(whole));
        frame_unref(f);
    }
    assert_true(failures > 0);
    frame_unref(whole);
}

static struct frame *encode(struct span message)
{
    struct event event;
    struct frame *frame;
    enum drop_reason why = receive(message, SPAN_NONE, &event, &frame);
    if (!frame && why != DROP_NO_MEMORY)
        fail_msg("%s instead of no_memory", drop_reason_label(why));
    return frame;
}

/* A text that grows by the factor of six, with values of all kinds behind it. */
static struct frame *encode_growing(void)
{
    static uint8_t message[3000] = "\x82" T DATA "\x99\xda\x07\xd0";
    static const char behind[] =
        "\xcb\x3f\xd5\x55\x55\x55\x55\x55\x55\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xc4\x02xy\xd6\xff\0\0\0\0"
        "\x81\xa1k\x01\xa5\xff\xff\xff\xff\xff\xca\x3d\xcc\xcc\xcd\xc0";
    const size_t head = sizeof "\x82" T DATA "\x99\xda\x07\xd0" - 1, text = 2000;
    memset(message + head, 1, text);
    memcpy(message + head + text, behind, sizeof behind - 1);
    return encode(span_of(message, head + text + sizeof behind - 1));
}

static void a_text_that_outgrows_its_frame_is_whole_or_dropped(void **state)
{
    (void)state;
    expect_whole_or_nothing(encode_growing);
}

/* A few long values, each of which must ask for room by itself. */
static struct frame *encode_long_values(void)
{
    static uint8_t message[8192] = "\x82" T DATA "\x93\xc5\x0f\xa0";
    size_t n = sizeof "\x82" T DATA "\x93\xc5\x0f\xa0" - 1 + 4000;
    message[n++] = 0xd9;
    message[n++] = 200;
    memset(message + n, 0xff, 200);
    n += 200;
    message[n++] = 0xda;
    message[n++] = 0x04;
    message[n++] = 0x00;
    memset(message + n, '"', 1024);
    return encode(span_of(message, n + 1024));
}

static void long_values_are_whole_or_dropped(void **state)
{
    (void)state;
    expect_whole_or_nothing(encode_long_values);
}

static struct frame *encode_preview(void)
{
    static uint8_t message[2048] =
        "\x82" TYPE "\x04" DATA "\x92\x93\xa3PNG\xc4\x03img\xc0\x82\xa7node_id\xa1n\xa1k\xda\x04\x00";
    const size_t head = sizeof "\x82" TYPE "\x04" DATA
                               "\x92\x93\xa3PNG\xc4\x03img\xc0\x82\xa7node_id\xa1n\xa1k\xda\x04\x00" -
                        1;
    return encode(span_of(message, head + 1024));
}

static void a_preview_is_whole_or_dropped(void **state)
{
    (void)state;
    expect_whole_or_nothing(encode_preview);
}

static struct frame *make_status(void)
{
    struct codec *codec = codec_msgpack();
    return codec->make_status(codec, 5, BYTES("sid"));
}

static struct frame *make_executing(void)
{
    struct codec *codec = codec_msgpack();
    return codec->make_executing(codec,
                                 BYTES("\x84\x01\x02\xc4\x02xy\x03\xcb\x3f\xd5\x55\x55\x55\x55\x55\x55\x04"
                                       "\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa1z\xd6\xff\0\0\0\0"));
}

static void the_relays_own_frames_are_whole_or_none(void **state)
{
    (void)state;
    expect_whole_or_nothing(make_status);
    expect_whole_or_nothing(make_executing);
}

static void an_event_of_the_relay_is_whole_or_none(void **state)
{
    (void)state;
    static char worker[20000];
    struct composed whole, c;
    memset(worker, 'w', sizeof worker);
    struct span w = span_of(worker, sizeof worker), s = BYTES("s"), p = BYTES("p");
    assert_int_equal(compose_worker_lost(w, s, p, SPAN_NONE, 1, &whole), 0);
    int result = -ENOMEM;
    size_t failures = 0;
    for (size_t n = 1; result != 0; n++) {
        fail_at(n, 0);
        result = compose_worker_lost(w, s, p, SPAN_NONE, 1, &c);
        fail_nothing();
        if (result != 0)
            assert_int_equal(result, -ENOMEM);
        failures += result != 0;
    }
    expect_span(span_of(c.bytes, c.len), span_of(whole.bytes, whole.len));
    assert_true(failures > 1);
    free(c.bytes);
    free(whole.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_that_outgrows_its_frame_is_whole_or_dropped),
        cmocka_unit_test(long_values_are_whole_or_dropped),
        cmocka_unit_test(a_preview_is_whole_or_dropped),
        cmocka_unit_test(the_relays_own_frames_are_whole_or_none),
        cmocka_unit_test(an_event_of_the_relay_is_whole_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
