/* A model of a client and its page in a core_world: it connects to any relay, reads as much as it likes, answers pings,
 * is cut, leaves, comes back; and knows which promises were broken to it.
 *
 * Events are numbered: k=1, 2, 3 … those that are kept, l= the conflated ones, b= the broadcasts. */
#ifndef TESTS_CORE_CLIENT_H
#define TESTS_CORE_CLIENT_H

#include "tests/support/core_world.h"

#define CLIENT_SOCKETS_MAX 64
#define CLIENT_FLIGHT_MAX  600
#define CLIENT_EVENTS_MAX  256
#define CLIENT_KEYS_MAX    16 /* of conflated events */

enum arrival {
    ARRIVED_GREETING,
    ARRIVED_STATUS,
    ARRIVED_NODE,
    ARRIVED_KEPT,
    ARRIVED_LATEST,
    ARRIVED_BROADCAST,
    ARRIVED_PING
};

/* A frame, or a ping, on its way from a relay to the client. */
struct flight {
    enum arrival what;
    bool is_old_form, has_metadata;
    uint64_t number;
};

struct client;

struct client_socket {
    struct cursor cursor;
    struct client *client;
    struct world_relay *relay;
    int number; /* of its relay, among all that ever were */
    int page;
    bool is_attached;    /* the relay has it */
    bool is_cut;         /* the client's end is gone */
    bool says_away;      /* it ends with 1001, when that arrives */
    bool has_ended;      /* a close frame or a FIN is on its way to the relay */
    bool must_be_silent; /* a newer one has joined at the same relay */
    bool was_live;
    bool was_cut_off; /* its relay, from Redis */
    bool has_greeting;
    size_t room; /* in flight, at most */
    size_t first, count;
    struct flight flights[CLIENT_FLIGHT_MAX];
    uint64_t pings, pong; /* sent; the newest that is on its way back, or 0 */
    uint64_t last_k;      /* the newest that was read; 0: none */
    uint64_t limit;       /* the first that is read must not be after this; UINT64_MAX: nothing is promised */
    uint64_t after_status; /* the first that was published when its first status was written */
    uint64_t published;    /* kept events when it joined */
    uint64_t broadcasts;   /* that its relay had heard when it joined */
    uint64_t lefts;        /* likewise */
    bool leaves_pending;   /* likewise: a page's leaving was on its way */
    uint64_t flags_at_ms;  /* when they came; UINT64_MAX: they have not */
    uint64_t joined_at_ms, greeted_at_ms;
};

/* What has been published. */
struct client_events {
    uint64_t k, l, b;
    uint64_t
        start[CLIENT_EVENTS_MAX]; /* by k: where the prompt begins that executes after it; 0: none does */
    uint64_t ended[CLIENT_EVENTS_MAX];  /* by k: the prompt that it ends; 0: none */
    uint64_t prompt[CLIENT_EVENTS_MAX]; /* by l */
    unsigned key[CLIENT_EVENTS_MAX];    /* by l */
};

struct client {
    struct sockets port;
    struct world *world;
    struct client_events events;
    struct client_socket sockets[CLIENT_SOCKETS_MAX];
    int count;   /* of sockets that ever were */
    int current; /* -1: none */
    int page;
    bool wants_metadata;
    uint64_t next_k;                  /* of the page: all before it was read; 0: nothing was */
    uint64_t seen_l[CLIENT_KEYS_MAX]; /* by key, by this page */
    uint64_t ended_prompt;            /* the newest that the page saw end */
    bool is_astray;                   /* relays may disagree on the place of the page */
    bool is_strict;                   /* no connection to Redis was cut, no relay died */
    char fault[256];                  /* the first broken promise; "": none */
};

void client_init(struct client *c, struct world *w);
/* Detaches what is left. */
void client_deinit(struct client *c);

/* Opens a socket at a relay, which is the current one then. */
void client_connect(struct client *c, struct world_relay *r);
/* The current one: its end is gone without a word; it closes in good order; with the code of a page that leaves. */
void client_cut(struct client *c);
void client_close(struct client *c);
void client_leave(struct client *c);
/* The page goes, and another one takes its place. The old one's last word comes after the new one's socket has opened,
 * or before. */
void client_reload(struct client *c, struct world_relay *r, bool old_first);
/* Reads so many frames. */
void client_read(struct client *c, size_t frames);
void client_tell_flags(struct client *c);
void client_set_room(struct client *c, size_t room);

/* The relay pings the current socket; the pong arrives, or is lost. */
void client_ping(struct client *c);
void client_pong(struct client *c, bool arrives);
/* A relay learns of one socket's end, or finds it dead. False: there is none to learn of. */
bool client_end(struct client *c);
/* All sockets of a relay go, as it is about to die. */
void client_lose_relay(struct client *c, struct world_relay *r);

/* To be called after every step: sees who became live. */
void client_watch(struct client *c);
/* When all is quiet: who is live, and whether it is who should be. */
void client_check_live(struct client *c);
__attribute__((format(printf, 2, 3))) void client_blame(struct client *c, const char *format, ...);

#endif
