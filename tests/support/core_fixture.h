/* The core driven in memory: a relay, an explicit clock, sockets that say what they received, and a Redis (messages
 * are the lines of line_codec.h) that answers right after the call from which it was asked.
 *
 * A client without metadata receives a preview as "#1 bytes". Nothing here allocates but frames, so that a test may
 * let any allocation fail. */
#ifndef TESTS_CORE_FIXTURE_H
#define TESTS_CORE_FIXTURE_H

#include "relay/relay.h"
#include "tests/support/memory_redis.h"

#define CORE_TEXT_MAX      16384
#define CORE_QUESTIONS_MAX 1024
#define CORE_NAME          "us" /* of this relay, among relays */

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
    bool holds_flags;   /* it has not told its flags; else it does so as soon as it has opened */
    size_t text_len;
    char text[CORE_TEXT_MAX]; /* what it received since core_got(), a line for each frame */
};

/* What was recorded since it was asked for, a line for each. */
struct core_record {
    size_t len;
    char text[CORE_TEXT_MAX];
};

/* Something that Redis has yet to do. */
struct core_question {
    enum { CORE_READ_BACK, CORE_READ_ON, CORE_MESSAGE, CORE_DATA_LOST } kind;
    char sid[16];
    struct stream_id id;
    enum join join;
    uint64_t opened_ms;
    uint64_t ticket;
    char message[48];
};

struct core {
    struct relay relay;
    struct line_codec codec;
    struct channels channels;
    struct archive archive;
    struct registry registry;
    struct sockets sockets;
    struct journal journal;
    uint64_t now_ms;
    bool holds_confirmations; /* subscriptions are confirmed by core_confirm() only */
    bool holds_answers;       /* questions are answered by core_answer() only */
    bool others_listen;       /* another relay listens to every session's channel */
    size_t page;              /* entries in an answer */
    struct memory_redis *redis;
    size_t asked;                                       /* questions under way */
    struct core_question questions[CORE_QUESTIONS_MAX]; /* oldest first */
    struct core_record calls;                           /* "subscribe a", "lost w …" */
    struct core_record archived;                        /* "back a", "store a 5-0 again" … */
    struct core_record notes;                           /* "gap a" … */
};

/* ttl 10 s, status interval 250 ms, worker timeout 1 s, log of 1000 events and 1 MB, messages of 64 KB. */
struct relay_config core_config(void);

/* Linked, at 10000 ms. -ENOMEM or 0. There is one Redis for all cores: it begins empty. */
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

/* An event goes by the publish script: kept in Redis, and received by those that are subscribed. Ids are 1-0, 2-0 … */
void core_script(struct core *core, const char *sid, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, and the relay does not hear of it. */
void core_script_unheard(struct core *core, const char *sid, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* What Redis has of a session. */
struct memory_session *core_stored(struct core *core, const char *sid);

/* A socket that reads everything, without metadata, opens. Its subscription is confirmed at once, and it has told its
 * flags, unless these are held. */
int core_connect(struct core *core, struct core_socket *socket, const char *sid)
    __attribute__((warn_unused_result));
/* The same; it must succeed, and what it received up to now is forgotten. */
void core_open(struct core *core, struct core_socket *socket, const char *sid);
/* It tells its flags. */
void core_tell_flags(struct core_socket *socket, bool wants_metadata);
/* A ping is sent and its pong comes: all that was written has arrived. */
void core_acknowledge(struct core_socket *socket);
/* It closes; with the code that a page sends that goes away. */
void core_close(struct core_socket *socket);
void core_leave(struct core_socket *socket);
/* It takes no more; it takes so many frames more; it takes all. */
void core_stall(struct core_socket *socket);
void core_take_frames(struct core_socket *socket, size_t frames);
void core_drain(struct core_socket *socket);
/* A frame of its own, as the reply to its feature flags is. */
void core_reply(struct core_socket *socket, const char *text);

/* The connection to Redis is lost; it is back, and all sessions are subscribed again unless confirmations are held. */
void core_link_down(struct core *core);
void core_link_up(struct core *core);
void core_confirm(struct core *core, const char *sid);
/* Redis answers the oldest question. False: there is none. */
bool core_answer(struct core *core);
void core_entry(struct core *core, const char *worker, const char *entry);

/* Lets time pass, waking the relay only when relay_next_ms() says so. Fails when it asks to be woken again
 * and again for nothing. */
void core_advance(struct core *core, uint64_t ms);

/* What was received, called, asked of the archive or noted since the last time. Valid until the next. */
const char *core_got(struct core_socket *socket);
const char *core_calls(struct core *core);
const char *core_archived(struct core *core);
const char *core_notes(struct core *core);

#endif
