/* What Redis keeps of sessions, for the core: questions about them, and the places of their clients.
 *
 * A question is kept until it is answered: without a connection, or when that is lost, it is asked when there is one.
 * What is stored or told without a connection is lost. */
#ifndef REDIS_ARCHIVE_H
#define REDIS_ARCHIVE_H

#include "adapters/msgpack/compose.h"
#include "adapters/redis/owner.h"
#include "adapters/redis/question.h"
#include "adapters/redis/scripts.h"
#include "config/options.h"

/* The core asks no more than RELAY_READINGS_MAX at a time; one more is being answered while it asks the next. So there
 * is always room for a question, and none waits for memory. */
#define ARCHIVE_QUESTIONS (RELAY_READINGS_MAX + 1)

#define ARCHIVE_NAME_LEN OWNER_NAME_LEN

TAILQ_HEAD(question_list, question);

struct session_archive {
    struct archive port; /* of the core */
    const struct options *options;
    struct commands *commands;
    struct question_context context;
    struct scripts scripts;
    struct clock clock;
    struct command stored, stored_again, told; /* shared by all that are under way */
    char name[ARCHIVE_NAME_LEN];
    char ttl_ms[24];
    uint64_t unsure_until_ms;   /* a place that is not stored may never have been */
    struct question_list asked; /* oldest first */
    struct question_list unused;
    struct question questions[ARCHIVE_QUESTIONS];
};

/* All pointers are borrowed for its life; the commands may be initialized later, and so may the marker. Without one (NULL)
 * no answer waits for messages. 0; or -ENOMEM or what getrandom(2) says: then there is nothing to deinit. */
int archive_init(struct session_archive *a, struct commands *commands, struct marker *marker,
                 const struct link_config *config, const struct options *options)
    __attribute__((warn_unused_result));
void archive_open(struct session_archive *a, struct relay *relay);
/* After commands_close(). Questions without an answer stay without. */
void archive_deinit(struct session_archive *a);

/* The connection is up: gives Redis the scripts, asks it the time, and then what was not answered. */
void archive_go_on(struct session_archive *a);
/* A mark among the messages is back, and all before it. */
void archive_marked(struct session_archive *a, uint64_t mark);

#endif
