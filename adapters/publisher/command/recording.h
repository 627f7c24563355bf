/* A recording: a file of events, envelopes as WORKERS.md has them, one after the other. */
#ifndef COMMAND_RECORDING_H
#define COMMAND_RECORDING_H

#include "adapters/publisher/packing.h"
#include "relay/event.h"

#define RECORDING_WHY_BYTES 256
#define PROMPT_BYTES        37 /* a UUID and its NUL */

struct recorded {
    struct event event; /* into the file's bytes */
    double at_ms;       /* since the first one that has a time */
};

struct recording {
    uint8_t *bytes; /* owned */
    size_t len;
    struct recorded *events; /* owned */
    size_t count;
    struct span *prompts; /* owned; the ids of its prompts, texts */
    size_t prompt_count;
    double first_ms; /* the time of that one; not a number: none has one */
};

/* The ids that stand for those of the recording, in one run; prompt_count of them. */
struct run_ids {
    char (*ids)[PROMPT_BYTES]; /* owned */
};

/* 0; or -1 with nothing to deinit, and `why` with the name of the file, and which event it is that breaks the contract. */
int recording_read(struct recording *r, const char *file, char why[RECORDING_WHY_BYTES]);
void recording_deinit(struct recording *r);

/* The place of a prompt's id (a MessagePack value) among r->prompts; -1 when it is none of them. */
long recording_prompt(const struct recording *r, struct span id);

/* Writes the data of an event with these ids in place of the recorded ones, and `now` in place of every `timestamp`. */
void recording_rewrite(const struct recording *r, struct span data, const struct run_ids *ids, uint64_t now,
                       struct packing *to);

#endif
