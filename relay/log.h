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

struct log_entry {
    uint64_t seq;
    uint64_t key;        /* conflation key, 0: kept in order */
    uint64_t prompt;     /* hash of its prompt, 0: none. Counts only with a key */
    struct frame *frame; /* owned; NULL: replaced or dropped, stepped over by readers */
    struct frame
        *without_metadata; /* owned; the form without preview metadata, made on first need; or NULL */
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
    } * slots;   /* owned; NULL while there is no key */
    size_t cap;  /* a power of two, or 0 */
    size_t used; /* at most half of cap */
};

struct log {
    struct log_entry *ring; /* owned; entries in order of seq, dead ones among them */
    size_t cap;             /* a power of two, or 0 */
    size_t head;            /* index of the oldest */
    size_t count;           /* entries in the ring, dead ones included */
    size_t live;            /* entries with a frame */
    size_t bytes;           /* of all frames held */
    uint64_t next_seq;      /* of the entry that will be appended next; the first is 1 */
    uint64_t trimmed_to; /* everything before this seq was trimmed for the limits, not because all had it */
    struct log_keys keys;
};

void log_init(struct log *log);
void log_deinit(struct log *log);

/* Takes the frame, on every path. With a key, the entry that has this key is dropped and *replaced says so.
 * Then the oldest entries go until the limits are met; the newest stays whatever its size.
 * 0, or -ENOMEM: then the log is as it was. */
int log_append(struct log *log, struct frame *take_frame, uint64_t key, uint64_t prompt,
               const struct log_limits *limits, bool *replaced) __attribute__((warn_unused_result));

/* The seq of the entry that an append with this key would replace; 0: none. */
uint64_t log_find_key(const struct log *log, uint64_t key);

/* The oldest entry at or beyond seq that has a frame, or NULL. Valid until the log is next changed. */
struct log_entry *log_at(const struct log *log, uint64_t seq);

/* An entry's frame without preview metadata, made now if it was not yet. Borrowed; NULL: no memory. */
struct frame *log_without_metadata(struct log *log, struct log_entry *e);

/* The seq of the newest entry that log_drop_prompt() would drop; 0: none. */
uint64_t log_find_prompt(const struct log *log, uint64_t prompt);
/* Drops the conflated entries of a prompt: it has ended. */
void log_drop_prompt(struct log *log, uint64_t prompt);

/* Drops every entry before seq: nobody needs them any more. */
void log_trim(struct log *log, uint64_t seq);

#endif
