/* Catching up: brings a session's log here to where it is in Redis, and then goes live without a gap or a duplicate.
 *
 *     a session that is new here        read its newest entries ─┐
 *                                                                ├▶ subscribed ─▶ read on from there ─▶ (read further
 *     one that was cut off from Redis   it knows where it was ───┘                back, as far as needed) ─▶ complete
 *
 * What comes live meanwhile is put aside, and follows what was read, but for what both brought. History, up to the newest
 * entry before the subscription, is replayed by the rules of resume.h; what is newer is live, and sent in any case.
 *
 * It is read back as far as the client's place and as the beginning of the prompt that executes, whichever is older.
 * Questions wait in a queue, so that a return of thousands of sessions has a pace. */
#ifndef RELAY_CATCHUP_H
#define RELAY_CATCHUP_H

#include <sys/queue.h>

#include "relay/aside.h"
#include "relay/metrics.h"
#include "relay/reading.h"

struct relay;
struct session;
struct frame;
struct event;

TAILQ_HEAD(catchup_list, catchup);

struct catchup {
    TAILQ_ENTRY(catchup) in_queue; /* while is_queued: has a question to ask */
    struct session *session;
    uint64_t ticket;          /* of the question it waits for; 0: none */
    struct stream_id from;    /* the newest that is known: read on from here */
    struct stream_id read_to; /* the newest that was read; what comes live and is not newer is here already */
    struct stream_id first;   /* the oldest that was read back */
    struct stream_id ack;     /* while has_ack */
    struct aside back;        /* oldest first, as are the others */
    struct aside on;
    struct aside latest; /* conflated events, in no order */
    struct aside live;   /* came meanwhile */
    bool is_queued;
    bool is_gap;        /* the log here is whole, up to where the connection was lost */
    bool has_newest;    /* `from` is known */
    bool has_joined;    /* was asked whose it is, or need not be */
    bool is_first;      /* nothing was read on yet */
    bool has_read_on;   /* up to the end */
    bool has_read_back; /* as far as is needed */
    bool has_marker;    /* what was read back holds the beginning or the end of a prompt */
    bool is_whole;      /* nothing older is in Redis */
    bool has_ack;
    bool is_short;  /* something that came live was not put aside: read on again */
    bool is_broken; /* the log does not go on where it was left */
    bool has_lost;  /* because Redis lost its data */
};

/* Begins, for a session that has none under way. 0 or -ENOMEM. */
int catchup_begin(struct relay *r, struct session *s, bool is_gap) __attribute__((warn_unused_result));
/* Gives it up, if there is one. What came live is lost. */
void catchup_abandon(struct relay *r, struct session *s);

/* Asks the next question when it may: the link is up, or the session's channel is subscribed now. May free sessions that
 * nobody wants any more, this one too. */
void catchup_go_on(struct relay *r, struct session *s);
/* The connection is lost: begins anew when it is back. What came live stays. */
void catchup_restart(struct relay *r, struct session *s);
/* Asks what waits in the queue, as much as may be under way. */
void catchup_pump(struct relay *r);

/* Puts the message of a live event aside. DROP_NOTHING, or DROP_NO_MEMORY: there are too many. */
enum drop_reason catchup_put_aside(struct relay *r, struct session *s, struct span message,
                                   const struct event *e);
/* The same for a broadcast. Takes the frame. */
void catchup_put_frame_aside(struct relay *r, struct session *s, struct frame *take_frame, uint64_t key);

#endif
