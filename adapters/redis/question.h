/* A question about a session, from its asking to its answer: commands in one pipeline, whose replies are the parts of
 * the answer.
 *
 *     read back   XREVRANGE log
 *     read on     PUBSUB NUMSUB channel
 *                 claim: EVALSHA claim.lua     check: GET owner
 *                 GET ack
 *                 XRANGE log
 *                 HGETALL latest
 *
 * What was published before the log was read may still be on its way over the subscriber's connection. So the answer to
 * one that reads on waits for a mark there: then the core has put aside all that the answer may hold too.
 *
 * The order counts: the session is this relay's before it is read, and `latest` is no older than the log. When the
 * connection is lost before the last reply, all of it is asked again; and when Redis does not know the script (any more). */
#ifndef REDIS_QUESTION_H
#define REDIS_QUESTION_H

#include <sys/queue.h>

#include "adapters/redis/clock.h"
#include "adapters/redis/commands.h"
#include "adapters/redis/oddities.h"
#include "relay/sid.h"

/* Entries of a log that are read at a time: a page of typical events, of some hundred bytes, fits in one read of the
 * connection, and most prompts in two pages; but each entry may be a picture of megabytes, a page of which is in
 * memory at once. */
#define QUESTION_PAGE 64

#define QUESTION_PARTS 5 /* at most */

struct question;

/* Marks among the messages that are received (the subscriber's connection). */
struct marker {
    /* Everything that was published before now is received before this mark is back: question_marked(). 0: there is
     * no connection. */
    uint64_t (*set)(struct marker *self);
};

/* What all of them need. */
struct question_context {
    struct commands *commands;
    const char *prefix;        /* of keys */
    struct span ttl_ms;        /* session.ttl, in digits */
    struct span name;          /* this relay's */
    const struct clock *clock; /* of Redis; nothing is asked before it is current */
    struct oddities oddities;
    struct command told;   /* of a message whose reply is of no interest */
    struct marker *marker; /* NULL: no messages are received, and no answer waits */
    /* The question is done, and the core has its answer. */
    void (*on_answered)(struct question_context *self, struct question *q);
    /* Redis does not know the script: it must be given it, and is then asked again. */
    void (*on_script_missing)(struct question_context *self);
};

/* One reply that is due. */
enum question_part {
    PART_LISTENERS,
    PART_CLAIM,
    PART_OWNER,
    PART_ACK,
    PART_LOG,
    PART_LATEST,
};

struct question {
    TAILQ_ENTRY(question) next; /* of the owner's lists */
    struct question_context *context;
    struct command command;
    bool is_back;
    enum join join;      /* of one that reads on */
    struct stream_id at; /* before it, or from it */
    uint64_t opened_ms;  /* of a claim: the session's newest socket here, by the loop's clock */
    uint64_t ticket;
    uint64_t mark;                            /* it waits for, with its answer; 0: none */
    enum question_part parts[QUESTION_PARTS]; /* in the order they were sent */
    size_t sent, taken;                       /* of them; 0 sent: it is not under way */
    bool is_unclaimed;                        /* Redis did not know the script */
    bool is_second;                           /* it was asked before on this connection, and Redis did not */
    redisReply *log, *latest;                 /* owned; NULL: none, or not yet */
    struct reading reading;                   /* what else is known so far */
    size_t sid_len;
    uint8_t sid[SID_MAX_BYTES];
};

/* Begins one: the newest entries before `before`, newest first. */
void question_back(struct question *q, struct question_context *context, struct span sid,
                   struct stream_id before, uint64_t ticket);
/* Or: the oldest from `from` on, oldest first. */
void question_on(struct question *q, struct question_context *context, struct span sid, struct stream_id from,
                 enum join join, uint64_t opened_ms, uint64_t ticket);

/* Asks, unless it is under way or there is no connection. The answer comes later; at once, and empty, when nobody awaits it
 * any more. */
void question_ask(struct question *q);
/* This mark is back, and all before it: answers, if it waited for that. */
void question_marked(struct question *q, uint64_t mark);
/* Frees what it has been answered so far. */
void question_drop(struct question *q);

#endif
