/* Where Redis is, as `redis.url` spells it:
 *
 *     redis://[user[:password]@]host[:port][/db]        redis+unix://[user[:password]@]/path[?db=N]
 *
 * User, password and path are percent-decoded; the path then has at most ADDRESS_PATH_MAX bytes. */
#ifndef CONFIG_REDIS_URL_H
#define CONFIG_REDIS_URL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define REDIS_URL_ALLOWED \
    "redis://[user:password@]host[:port][/db] or redis+unix://[user:password@]/path[?db=N]"
#define REDIS_URL_PORT 6379

struct redis_url {
    bool is_unix;
    uint16_t port;        /* not with is_unix */
    unsigned database;    /* 0 to 999999 */
    const char *host;     /* a name or a numeric address, without brackets; with is_unix, the path */
    const char *user;     /* NULL: none */
    const char *password; /* NULL: none */
    char *storage;        /* owned; what the texts point into */
};

/* 0, or with nothing to deinit: -EINVAL (none of REDIS_URL_ALLOWED), -ENOTSUP (rediss:// and
 * redis+sentinel://) or -ENOMEM. */
int redis_url_parse(struct redis_url *u, const char *text) __attribute__((warn_unused_result));
void redis_url_deinit(struct redis_url *u);

/* Writes a URL, valid or not, for people to see: *** stands for the password, and all that might be one. */
void redis_url_write_masked(const char *text, FILE *to);

#endif
