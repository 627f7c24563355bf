/* One row of the table of options at run time: how its value is checked, stored and shown. */
#ifndef CONFIG_OPTION_H
#define CONFIG_OPTION_H

#include "config/options.h"
#include "relay/span.h"

#define OPTION_INDEX(field, name, type, fallback, lowest, highest, when, help) OPTION_##field,

enum option_index { OPTIONS(OPTION_INDEX) OPTION_COUNT };

#define OPTION_ENV_PREFIX "COMFY_RELAY_"
#define OPTION_ENV_SIZE   64

struct option {
    const char *name;
    const char *fallback; /* the default, as text */
    const char *help;
    const struct option_type *type;
    uint64_t lowest, highest; /* of numeric types */
    size_t offset;            /* of its field in struct options */
    bool reloads;
};

extern const struct option option_table[OPTION_COUNT];

/* By `redis` and `url`, or by an empty section and `redis.url`. NULL: there is none. */
const struct option *option_find(struct span section, struct span name);
const struct option *option_find_env(struct span name);
size_t option_index(const struct option *o);

/* COMFY_RELAY_REDIS_URL */
void option_env_name(const struct option *o, char name[OPTION_ENV_SIZE]);
/* Its value is the name of a file, or "". */
bool option_is_filename(const struct option *o);
/* What stands for a value in --help: TIME, FILE, replace|share. */
void option_write_word(const struct option *o, FILE *to);

/* 0, -EINVAL when the value is not allowed, -ENOTSUP when it may be in a later version, -ENOMEM. */
int option_check(const struct option *o, const char *text) __attribute__((warn_unused_result));
/* What is allowed, in words. */
void option_write_allowed(const struct option *o, FILE *to);
/* The value as it may be shown, on one line: *** for a secret, \xNN for a control character, and of more than
 * `most` bytes the first. */
void option_write_value(const struct option *o, const char *text, size_t most, FILE *to);

/* Stores a value that has been checked. 0, or -ENOMEM: then the old one is still there. */
int option_store(const struct option *o, const char *text, struct options *options)
    __attribute__((warn_unused_result));
/* Exchanges the values of one option. */
void option_swap(const struct option *o, struct options *a, struct options *b);
/* Frees the texts. The options may be all zero. */
void option_free_all(struct options *options);

#endif
