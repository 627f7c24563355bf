/* Several relays on one Redis, all in memory: what is on its way between them waits in queues until a test lets it
 * arrive, so that any order that can be, can be tried.
 *
 *     relay ──commands──▶ redis ──replies──▶ relay      questions and stores, in order
 *           ──asked─────▶       ──heard────▶            subscriptions and marks, then messages, in order
 *
 * What is read on is answered when a mark has come back over the other connection, as the archive promises (ports.h).
 * Each relay has these two connections; each can be cut. The clock is the world's. */
#ifndef TESTS_CORE_WORLD_H
#define TESTS_CORE_WORLD_H

#include <stdio.h>

#include "relay/relay.h"
#include "tests/support/memory_redis.h"

#define WORLD_RELAYS_MAX 3
#define WORLD_QUEUE_MAX  512
#define WORLD_PAGE_MAX   16
#define WORLD_SID        "a" /* the one session that there is */
#define WORLD_TEXT_MAX   (1 << 16)

enum world_kind {
    WORLD_SUBSCRIBE, /* also its confirmation */
    WORLD_UNSUBSCRIBE,
    WORLD_ON_CHANNEL,
    WORLD_ON_EVENTS,
    WORLD_READ_BACK,
    WORLD_READ_ON,
    WORLD_STORE,
    WORLD_LEAVE,
    WORLD_DATA_LOST,
    WORLD_MARK,
};

/* A command, its reply, or a message. */
struct world_item {
    enum world_kind kind;
    int stage; /* of a read_on: what of it Redis has done */
    uint64_t ticket;
    struct stream_id id;
    enum join join;
    uint64_t opened_ms;
    bool flag; /* is_again, forgets */
    struct span text;
    struct reading reading;
    struct archived entries[WORLD_PAGE_MAX];
    struct span latest[MEMORY_LATEST_MAX];
};

struct world_queue {
    size_t first, count;
    struct world_item items[WORLD_QUEUE_MAX];
};

struct world;

struct world_relay {
    struct relay relay;
    struct line_codec codec;
    struct channels channels;
    struct archive archive;
    struct registry registry;
    struct journal journal;
    struct world *world;
    char name[8];
    int number;
    bool is_connected;   /* Redis knows its subscriber's connection */
    bool is_up;          /* it believes that it is connected */
    bool is_subscribed;  /* to the session's channel, as Redis knows it */
    uint64_t known_k;    /* the newest kept event that has arrived here */
    uint64_t broadcasts; /* the newest broadcast that has arrived */
    uint64_t lefts;      /* how often it heard that a page left */
    struct world_queue commands, replies, asked, heard;
    struct world_queue marked; /* answers that wait for their marks */
};

struct world {
    struct memory_redis redis;
    struct world_relay relays[WORLD_RELAYS_MAX];
    int count; /* of relays */
    int born;  /* and of those that ever were */
    struct relay_config config;
    struct sockets *sockets; /* of the clients */
    uint64_t now_ms;
    uint64_t random;
    size_t page;         /* entries in an answer */
    int claimer;         /* number of the relay whose claim came last; -1: none */
    bool has_lost_data;  /* Redis did */
    bool has_lost_claim; /* a question was asked twice, or its answer got lost */
    uint64_t gaps;       /* that relays have counted which are no more */
    FILE *trace;         /* NULL: none */
    size_t used;
    char text[WORLD_TEXT_MAX];
};

/* Relays begin connected. The world is large: let it be static. */
void world_init(struct world *w, uint64_t seed, int relays, const struct relay_config *config, FILE *trace);
/* All sockets must have been detached. */
void world_deinit(struct world *w);

uint64_t world_below(struct world *w, uint64_t n);
__attribute__((format(printf, 2, 3))) void world_say(struct world *w, const char *format, ...);

/* By the publish script to the session; to all. `k`: the number that the line has as k=, or 0. */
void world_script(struct world *w, const char *line);
void world_broadcast(struct world *w, const char *line);

/* One thing that is on its way arrives, anywhere. False: nothing is. */
bool world_deliver(struct world *w);
/* All of it does, in a random order. */
void world_settle(struct world *w);
/* Lets time pass, waking relays when they have asked for it. */
void world_advance(struct world *w, uint64_t ms);

/* Redis' end of the subscriber's connection is gone; the relay notices; it comes back. */
void world_cut(struct world *w, struct world_relay *r);
void world_notice(struct world *w, struct world_relay *r);
void world_connect(struct world *w, struct world_relay *r);
/* The connection for commands is lost and comes back: what was under way may have been done or not, and questions are
 * asked again. */
void world_cut_commands(struct world *w, struct world_relay *r);
/* It dies, and another takes its place. Its sockets must have been detached. */
void world_replace(struct world *w, struct world_relay *r);
/* Redis loses all it has; with `anew` it was started again, empty: all are cut off, and ids begin anew. */
void world_lose_data(struct world *w, bool anew);

uint64_t world_gaps(const struct world *w);

#endif
