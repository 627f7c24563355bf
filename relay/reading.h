/* What is read of a session in Redis, as the archive (ports.h) brings it. */
#ifndef RELAY_READING_H
#define RELAY_READING_H

#include "relay/stream_id.h"

/* One entry of a session's log. */
struct archived {
    struct stream_id id;
    struct span event; /* a MessagePack map, not yet checked */
};

/* What a message of a relay says of it. */
struct sender {
    struct span name;
    int64_t opened_ms; /* its newest socket, by Redis' clock */
};

/* What a reading does besides: to whom the session belongs (session.duplicate = replace). */
enum join {
    JOIN_CLAIM, /* the session is this relay's from now on: stores that, and tells all who listen. Unless another relay has
                   a socket of it that was opened later */
    JOIN_CHECK, /* it was this relay's before the connection was lost: says whose it is */
    JOIN_NONE,  /* asks nothing */
};

enum owner { OWNER_UNKNOWN, OWNER_NOBODY, OWNER_US, OWNER_ANOTHER };

struct reading {
    const struct archived *entries; /* borrowed for the call, as is all else */
    size_t count;
    bool is_last;     /* the log had no more, then */
    enum owner owner; /* before this; unknown with JOIN_NONE */
    int64_t
        opened_ms; /* of a claim that is in force: when its socket counts as opened, by Redis' clock; 0: not known */
    bool is_refused;    /* the claim: another relay has a newer socket */
    bool has_listeners; /* another relay listened to the session's channel */
    bool has_ack;
    struct stream_id ack;      /* how far the client had got; STREAM_ID_NONE: it has had nothing */
    const struct span *latest; /* its conflated events, in no order */
    size_t latest_count;
};

#endif
