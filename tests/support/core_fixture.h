/* The core driven in memory: a relay, an explicit clock, sockets that say what they received.
 *
 * Messages are lines of text, "<type> key=value …", and a client receives the line as it stands:
 *
 *     progress sid=a prompt=p node=1 v=3    for session a; without sid: for all; "sid=": for nobody
 *     executing sid=a prompt=p node=        a key with nothing after it is nil
 *     #4 sid=a node=1 format=JPEG v=bytes   a binary event; its picture is what follows " v=". A client
 * without metadata receives it as "#1 bytes" status worker=w share=3 relay.worker worker=w boot=b share=3
 * busy=a prompt=p at=5    "gone": the worker leaves
 *
 * keep=yes or keep=no is the envelope's `keep`; blocked=yes an ExecutionBlocked. "malformed" as a type is
 * dropped by decode, bad=yes by encode. Nothing here allocates but frames, so that a test may let any
 * allocation fail. */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "relay/relay.h"

#define CORE_TEXT_MAX 16384

struct core;

/* A socket. It takes room_frames and room_bytes more; SIZE_MAX: any number. */
struct core_socket {
    struct cursor cursor;
    struct core *core;
    size_t room_frames;
    size_t room_bytes;
    size_t frames;      /* taken so far */
    bool has_failed;    /* a frame could not be made for it: it closes */
    bool keeps_no_text; /* only counts */
    size_t text_len;
    char text[CORE_TEXT_MAX]; /* what it received since core_got(), a line for each frame */
};

struct core {
    struct relay relay;
    struct codec codec;
    struct channels channels;
    struct registry registry;
    struct sockets sockets;
    uint64_t now_ms;
    bool holds_confirmations; /* subscriptions are confirmed by core_confirm() only */
    bool status_fails;        /* as without memory */
    size_t encoded;           /* frames that the codec made of events */
    size_t looked_at;         /* events that it only checked */
    size_t calls_len;
    char calls[CORE_TEXT_MAX]; /* "subscribe a", "lost w …": a line for each, since core_calls() */
};

/* ttl 10 s, status interval 250 ms, worker timeout 1 s, log of 1000 events and 1 MB, messages of 64 KB. */
struct relay_config core_config(void);

/* Linked, at 10000 ms. -ENOMEM or 0. */
int core_init(struct core *core, const struct relay_config *config) __attribute__((warn_unused_result));
void core_deinit(struct core *core);

/* A message on the events channel, or on a session's; without the flush that follows a read from Redis. */
enum drop_reason core_receive(struct core *core, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
enum drop_reason core_receive_on(struct core *core, const char *sid, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with the flush; it must not be dropped. */
void core_publish(struct core *core, const char *format, ...) __attribute__((format(printf, 2, 3)));
void core_flush(struct core *core);

/* A socket that reads everything, without metadata, opens. Its subscription is confirmed at once. */
int core_connect(struct core *core, struct core_socket *socket, const char *sid)
    __attribute__((warn_unused_result));
/* The same; it must succeed, and what it received up to now is forgotten. */
void core_open(struct core *core, struct core_socket *socket, const char *sid);
void core_close(struct core_socket *socket);
/* It takes no more; it takes so many frames more; it takes all. */
void core_stall(struct core_socket *socket);
void core_take_frames(struct core_socket *socket, size_t frames);
void core_drain(struct core_socket *socket);
/* A frame of its own, as the reply to its feature flags is. */
void core_reply(struct core_socket *socket, const char *text);

void core_confirm(struct core *core, const char *sid);
void core_entry(struct core *core, const char *worker, const char *entry);

/* Lets time pass, waking the relay only when relay_next_ms() says so. Fails when it asks to be woken again
 * and again for nothing. */
void core_advance(struct core *core, uint64_t ms);

/* What was received, or called, since the last time. Valid until the next. */
const char *core_got(struct core_socket *socket);
const char *core_calls(struct core *core);

#endif
