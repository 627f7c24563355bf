/* What is published, when, and what each client must get of it.
 *
 * Events are made from steps: MessagePack as it will be published, in which two places are overwritten, if they
 * are there: "@sid________" by the session's id, and "@~00000000" by the event's number. The frame that a client
 * gets holds that number again: so it is known which event it is, when it was due, and what came before it. */
#ifndef LOAD_SCHEDULE_H
#define LOAD_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARK        "@~"
#define MARK_BYTES  10
#define SID_BYTES   12
#define ALL_CLIENTS UINT32_MAX

struct step {
    uint32_t at_us; /* since the recording began */
    bool is_kept;   /* it must arrive; else a newer one may have replaced it */
    uint32_t len;
    uint8_t *bytes;      /* owned */
    uint8_t *sid, *mark; /* places in bytes, or NULL */
};

struct planned {
    int64_t due_ns;   /* since the start */
    uint32_t session; /* or ALL_CLIENTS */
    uint32_t step;
    uint32_t kept_before; /* the kept event before it for the same clients: its number + 1, or 0 */
};

struct schedule {
    char name[6]; /* five bytes of every session's id */
    struct step *steps;
    uint32_t step_count;
    uint32_t sessions;
    struct planned *events;
    uint32_t event_count;
    uint32_t *kept_last; /* of each session, or of all, while events are added: number + 1 */
    uint32_t *last;      /* of each session, or of all: the number + 1 of its last event, or 0 */
};

/* A client's place in it. */
struct progress {
    uint32_t last, kept_last; /* numbers + 1 */
};

/* Reads the steps: u32 at_us, u32 is_kept, u32 len, len bytes, again and again, in this machine's byte order. */
void schedule_open(struct schedule *s, const char *file, uint32_t sessions, const char *name);

/* Adds events at a steady rate (0: all at once), each for the next session, or all for everybody. */
void schedule_add_rate(struct schedule *s, uint32_t events, double rate, bool is_broadcast);

/* Adds all steps for each session, at their pace; the sessions begin one after the other over this time. */
void schedule_add_play(struct schedule *s, int64_t spread_ns);

/* The event as it is published, valid until the next call; and its session's id. */
struct step *schedule_make(struct schedule *s, uint32_t number);
void schedule_sid(const struct schedule *s, uint32_t session, char sid[SID_BYTES + 1]);

/* The number of the event that a payload comes from; -1 when it has none. */
int64_t schedule_number(const uint8_t *payload, size_t len);

/* Notes that a client of this session has got it. Ends the program when it is not its, or out of order, or
 * when one that had to come before it has not come. */
void schedule_check(const struct schedule *s, uint32_t number, uint32_t session, struct progress *p);

/* True when a client of this session has had all. */
bool schedule_is_done(const struct schedule *s, uint32_t session, const struct progress *p);

#endif
