/* A session that is catching up with its log in Redis: how far it has got with that, what was read, and what has come live
 * meanwhile. readback.h is what it does. */
#ifndef RELAY_CATCHUP_H
#define RELAY_CATCHUP_H

#include "relay/aside.h"
#include "relay/core.h"

enum catchup_why {
    CATCHUP_NEW,    /* the log here is not known to be whole */
    CATCHUP_OUTAGE, /* it is, up to where the connection was lost */
    CATCHUP_CLAIM,  /* it is, and has a new socket */
};

struct catchup {
    TAILQ_ENTRY(catchup) in_queue; /* while is_queued: has a question to ask */
    struct session *session;
    uint64_t ticket;          /* of the question it waits for; 0: none */
    struct stream_id from;    /* the newest that is known: read on from here */
    struct stream_id read_to; /* the newest that was read; what comes live and is not newer is here already */
    struct stream_id newest;  /* while has_newest: what was there when it began is history */
    uint64_t opened_ms;       /* of the socket that was claimed for; 0: none */
    struct stream_id first;   /* the oldest that was read back */
    struct stream_id ack;     /* while has_ack */
    struct aside back;        /* oldest first, as are the others */
    struct aside on;
    struct aside latest; /* conflated events, in no order */
    struct aside live;   /* came meanwhile */
    bool is_queued;
    enum catchup_why why;
    bool has_newest;    /* and `from` */
    bool has_joined;    /* was asked whose it is, or need not be */
    bool is_first;      /* nothing was read on yet */
    bool has_read_on;   /* up to the end */
    bool has_read_back; /* as far as is needed */
    bool has_marker;    /* what was read back holds the beginning or the end of a prompt */
    bool is_whole;      /* nothing older is in Redis */
    bool has_ack;
    bool is_short;  /* something that came live was not put aside: read on again */
    bool is_broken; /* the log does not go on where it was left */
    bool is_gone;   /* nothing of what was known of the log is there */
    bool has_lost;  /* because Redis lost its data */
};

/* Begins, for a session that has none under way. 0 or -ENOMEM. */
int catchup_begin(struct relay *r, struct session *s, enum catchup_why why)
    __attribute__((warn_unused_result));
/* The newest entry that there is: what it reads on from, and back from. */
void catchup_know_newest(struct catchup *c, struct stream_id id);
/* The newest entry is gone: begins anew. */
void catchup_forget_newest(struct catchup *c);
/* The connection is lost: begins anew. Of what came live only that stays which Redis does not keep. */
void catchup_restart(struct relay *r, struct session *s);
/* Out of the session, which has caught up. The caller's then: catchup_free(). */
struct catchup *catchup_end(struct relay *r, struct session *s) __attribute__((warn_unused_result));
void catchup_free(struct catchup *c);
/* The memory that it takes, with all that was put aside. */
size_t catchup_bytes(const struct catchup *c);
/* Gives it up, if there is one. What came live is lost. */
void catchup_abandon(struct relay *r, struct session *s);

/* Waiting to ask a question. */
void catchup_join_queue(struct relay *r, struct catchup *c);
void catchup_leave_queue(struct relay *r, struct catchup *c); /* if it does wait */

/* Puts the message of a live event aside. DROP_NOTHING, or DROP_NO_MEMORY: there are too many. */
enum drop_reason catchup_put_aside(struct relay *r, struct session *s, struct span message,
                                   const struct event *e);
/* The same for a broadcast. Takes the frame. */
void catchup_put_frame_aside(struct relay *r, struct session *s, struct frame *take_frame, uint64_t key);
/* As much as a log may hold. */
bool catchup_is_full(const struct relay *r, const struct aside *a);

#endif
