/* A session's log: its events as frames, oldest first, compacted.
 *
 *     seq    7      8      9     10     11   <- next_seq
 *         [ keep | old* | keep | latest | ]
 *                   ^ dropped when 10, with the same key, was appended: only the newest is held
 *
 * A reader holds a seq and asks for what is at or beyond it. Reading removes nothing; trimming does. */
#ifndef RELAY_LOG_H
#define RELAY_LOG_H

#include "relay/frame.h"
#include "relay/stream_id.h"

/* What decides on an entry's place in a log, and how long it stays. */
struct place {
    uint64_t key;    /* conflation key, 0: kept in order */
    uint64_t prompt; /* hash of its prompt, 0: none. Counts only with a key */
    struct stream_id id;
    bool is_transient;
    uint32_t
        published_ms; /* when its event was, by the clock of relay.h, its low 32 bits; 0: its lag is not counted */
};

struct log_entry {
    uint64_t seq;
    struct place place;
    struct frame *frame; /* owned; NULL: replaced or dropped, stepped over by readers */
    struct frame
        *without_metadata; /* owned; the form without preview metadata, made on first need; or NULL */
};

/* Of all logs together. A frame in several logs (a broadcast that waits for slow sockets) counts in each. */
struct log_totals {
    size_t bytes; /* of all frames held */
    size_t held;  /* the memory that they take */
};

struct log_limits {
    size_t events;
    size_t bytes;
};

/* Open addressing from conflation key to seq. */
struct log_keys {
    struct log_key {
        uint64_t key; /* 0: empty */
        uint64_t seq;
    } * slots;     /* owned; NULL while there is no key */
    uint32_t cap;  /* a power of two, or 0 */
    uint32_t used; /* at most half of cap */
};

/* Entries are counted in 32 bits: session.log_events is 2^20 at most, and the ring less than four times that. */
struct log {
    struct log_entry *ring; /* owned; entries in order of seq, dead ones among them */
    struct log_keys keys;
    uint32_t cap;        /* of the ring: a power of two, or 0 */
    uint32_t head;       /* index of the oldest */
    uint32_t count;      /* entries in the ring, dead ones included */
    uint32_t live;       /* entries with a frame */
    size_t bytes;        /* of all frames held */
    uint64_t next_seq;   /* of the entry that will be appended next; the first is 1 */
    uint64_t trimmed_to; /* everything before this seq was trimmed for the limits, not because all had it */
    struct stream_id
        before; /* the id of the newest entry that was dropped at the old end, or is known to be before it */
    uint64_t
        gap_seq; /* nothing was ever held at this seq: events that never came here would be there. 0: none */
    uint64_t swept_to;         /* no entry before it is transient */
    struct log_totals *totals; /* kept up to date; borrowed */
    uint32_t transient;        /* entries held that are transient */
};

void log_init(struct log *log, struct log_totals *totals);
void log_deinit(struct log *log);

/* The memory of its ring and its keys, without the frames. */
static inline size_t log_room_bytes(const struct log *log)
{
    return block_bytes(log->cap * sizeof *log->ring) + block_bytes(log->keys.cap * sizeof *log->keys.slots);
}

/* Takes the frame, on every path. With a key, the entry that has this key is dropped and *replaced says so.
 * Then the oldest entries go until the limits are met; the newest stays whatever its size.
 * 0, or -ENOMEM: then the log is as it was. */
int log_append(struct log *log, struct frame *take_frame, struct place place, const struct log_limits *limits,
               bool *replaced) __attribute__((warn_unused_result));

/* The seq after the newest entry with an id up to this one; where there is none, the oldest seq that may be held. */
uint64_t log_after_id(const struct log *log, struct stream_id id);
/* The id of the newest entry before seq that has one, or had. */
struct stream_id log_id_before(const struct log *log, uint64_t seq);

/* The seq of the entry that an append with this key would replace; 0: none. */
uint64_t log_find_key(const struct log *log, uint64_t key);

/* The oldest entry at or beyond seq that has a frame, or NULL. Valid until the log is next changed. */
struct log_entry *log_at(const struct log *log, uint64_t seq);
/* The next after this one that has a frame, or NULL. Likewise. */
struct log_entry *log_after(const struct log *log, const struct log_entry *e);

/* An entry's frame without preview metadata, made now if it was not yet. Borrowed; NULL: no memory. */
struct frame *log_without_metadata(struct log *log, struct log_entry *e);

/* The seq of the newest entry that log_drop_prompt() would drop; 0: none. */
uint64_t log_find_prompt(const struct log *log, uint64_t prompt);
/* Drops the conflated entries of a prompt: it has ended. */
void log_drop_prompt(struct log *log, uint64_t prompt);

/* Makes a place for what is missing. Its seq. */
uint64_t log_leave_gap(struct log *log);

/* Drops every entry before seq: nobody needs them any more. */
void log_trim(struct log *log, uint64_t seq);
/* Drops the transient entries before seq: whoever was there has them. */
void log_sweep(struct log *log, uint64_t seq);
/* Drops the oldest entry, though somebody may need it, unless it is the only one. False when it is. */
bool log_give_up_oldest(struct log *log);

#endif
