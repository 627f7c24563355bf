/* What is done in Redis for one lost worker (redis-contract.md, Workers), a step for each round trip:
 *
 *     read its entry ──▶ delete it ──▶ claim its prompt ──▶ search the log for the end ──▶ publish the end
 *
 * A worker whose entry is newer than what was heard of it lives, and only this relay was deaf: then nothing is
 * done. A restarted worker has a new entry, which stays; one that left has deleted its own. A step whose reply was
 * lost is taken again when the connection is back, so that a prompt that was claimed here is not forgotten. */
#ifndef REDIS_LOSS_H
#define REDIS_LOSS_H

#include "adapters/redis/commands.h"
#include "adapters/redis/keys.h"
#include "relay/ports.h"

enum loss_step { LOSS_READ_ENTRY, LOSS_DELETE_ENTRY, LOSS_CLAIM, LOSS_SEARCH, LOSS_PUBLISH, LOSS_DONE };

struct loss;

#define LOSS_LOG_INTERVAL_MS 10000
#define LOSS_LOG_BURST       20

/* What all of them need. */
struct loss_context {
    struct commands *commands;
    struct codec *codec;
    struct logger *logger;
    const struct options *options;
    struct log_limit log_limit; /* of what becomes of them */
};

struct loss_user {
    /* It is done, and may be freed from within. */
    void (*on_done)(struct loss_user *self, struct loss *l);
    /* The worker is not lost: this entry, borrowed for the call, came after all that was heard of it. on_done
     * follows. */
    void (*on_alive)(struct loss_user *self, const struct loss *l, struct span entry);
};

#define LOSS_BEFORE 3 /* commands of a transaction before its EXEC */

struct loss {
    struct loss *next; /* of the owner's list */
    struct loss_context *context;
    struct loss_user *user;
    enum loss_step step;
    bool is_under_way; /* a command was sent */
    bool may_be_ours;  /* the reply to a claim was lost */
    struct command command;
    struct command before[LOSS_BEFORE];
    struct key page_end; /* where the next page of the log begins, going back */
    int64_t at_ms;       /* of the last heartbeat that was heard; the worker's own clock */
    struct span worker, boot, sid, prompt, node, entry;
    uint8_t *entry_bytes; /* owned */
    uint8_t bytes[];
};

/* Copies what it needs. NULL: no memory. */
struct loss *loss_new(struct loss_context *context, struct loss_user *user, const struct worker *w,
                      enum worker_end how, struct span node);
/* Not while a command is under way. */
void loss_free(struct loss *l);

/* It is about to end this prompt of this worker, and nothing can keep it from that any more. */
bool loss_ends(const struct loss *l, struct span worker, struct span prompt);

/* A worker's id or a prompt's, as it may stand in a log: publishers choose how long they are. */
struct span loss_shortened(struct span id);

/* Takes the next step, unless one is under way or there is no connection. */
void loss_go_on(struct loss *l);

#endif
