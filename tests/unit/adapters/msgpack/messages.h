/* MessagePack written out by hand, and what the tests expect of it. Bytes are hexadecimal, or octal where the text
 * behind them would be taken for more of a hexadecimal number. */
#ifndef TESTS_MSGPACK_MESSAGES_H
#define TESTS_MSGPACK_MESSAGES_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "adapters/msgpack/codec.h"

#define BYTES(literal) span_of((literal), sizeof(literal) - 1)

#define TYPE   "\xa4type"
#define SID    "\xa3sid"
#define WORKER "\xa6worker"
#define KEEP   "\xa4keep"
#define TS     "\xa2ts"
#define DATA   "\244data"
#define T      TYPE "\xa1t" /* the shortest text event there is */

#define NIL   "\xc0"
#define FALSE "\xc2"
#define TRUE  "\xc3"

/* A copy in memory of its exact size, so that a sanitizer sees a step beyond the end. */
static inline struct span exact_copy(struct span s)
{
    uint8_t *copy = malloc(s.len > 0 ? s.len : 1);
    assert_non_null(copy);
    if (s.len > 0)
        memcpy(copy, s.bytes, s.len);
    return span_of(copy, s.len);
}

static inline void free_copy(struct span s)
{
    free((void *)(uintptr_t)s.bytes);
}

static inline void expect_reason(enum drop_reason got, enum drop_reason expected)
{
    const char *got_label = got == DROP_NOTHING ? "nothing" : drop_reason_label(got);
    assert_string_equal(got_label, expected == DROP_NOTHING ? "nothing" : drop_reason_label(expected));
}

static inline void expect_span(struct span got, struct span expected)
{
    char *a = calloc(1, got.len + 1), *b = calloc(1, expected.len + 1);
    if (got.len > 0)
        memcpy(a, got.bytes, got.len);
    if (expected.len > 0)
        memcpy(b, expected.bytes, expected.len);
    assert_string_equal(a, b); /* says both; what follows tells of bytes after a NUL */
    assert_int_equal(got.len, expected.len);
    assert_memory_equal(a, b, got.len);
    free(a);
    free(b);
}

/* Decodes and encodes: the reason of either. With DROP_NOTHING *frame, which may be NULL, is made. */
static inline enum drop_reason receive(struct span message, struct span channel_sid, struct event *event,
                                       struct frame **frame)
{
    struct codec *codec = codec_msgpack();
    enum drop_reason why = codec->decode(codec, message, channel_sid, event);
    return why ? why : codec->encode(codec, event, frame);
}

/* A message of the events channel is dropped for this reason, with a frame and without. */
static inline void expect_drop(struct span message, enum drop_reason reason)
{
    struct span copy = exact_copy(message);
    struct event event;
    struct frame *frame = NULL;
    expect_reason(receive(copy, SPAN_NONE, &event, &frame), reason);
    assert_null(frame);
    expect_reason(receive(copy, SPAN_NONE, &event, NULL), reason);
    free_copy(copy);
}

/* A message of the events channel makes a frame with this payload. */
static inline void expect_payload(struct span message, struct span payload)
{
    struct span copy = exact_copy(message);
    struct event event;
    struct frame *frame = NULL;
    expect_reason(receive(copy, SPAN_NONE, &event, &frame), DROP_NOTHING);
    expect_span(frame_payload(frame), payload);
    assert_int_equal(frame_wire(frame).bytes[0], event.is_binary ? 0x82 : 0x81);
    frame_unref(frame);
    expect_reason(receive(copy, SPAN_NONE, &event, NULL), DROP_NOTHING);
    free_copy(copy);
}

#endif
