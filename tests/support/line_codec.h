/* A codec for tests: messages are lines of text, "<type> key=value …", and a client receives the line as it stands.
 *
 *     progress sid=a prompt=p node=1 v=3    for session a; without sid: for all; "sid=": for nobody
 *     id=5-0 executed node=1                on a session's channel: with its entry's id, which clients don't see
 *     executing sid=a prompt=p node=        a key with nothing after it is nil
 *     #4 sid=a node=1 format=JPEG v=bytes   a binary event; its picture is what follows " v=". A client without
 *                                           metadata receives it as 00000001 00000001 and the picture
 *     status worker=w share=3
 *     relay.worker worker=w boot=b share=3 busy=a prompt=p at=5    "gone": the worker leaves
 *     relay.takeover by=x opened=5          what relays tell each other
 *
 * keep=yes or keep=no is the envelope's `keep`; blocked=yes an ExecutionBlocked. "malformed" as a type is dropped by
 * decode, bad=yes by encode. Nothing here allocates but frames, so that a test may let any allocation fail. */
#ifndef TESTS_LINE_CODEC_H
#define TESTS_LINE_CODEC_H

#include "relay/ports.h"

struct line_codec {
    struct codec codec;
    bool status_fails; /* as without memory */
    size_t encoded;    /* frames that it made of events */
    size_t looked_at;  /* events that it only checked */
};

void line_codec_init(struct line_codec *c);

/* What is between " key=" and the next blank of a line; empty when there is none. */
struct span line_value(struct span line, const char *key);
/* The same as a number; 0 when there is none. */
long long line_number(struct span line, const char *key);

/* A text frame. NULL: no memory. */
struct frame *line_frame(const char *text);
/* The line that a frame was made of; of a preview's form without metadata: its picture alone, and *is_old_form. */
struct span line_of_frame(const struct frame *f, bool *is_old_form);

#endif
