/* Where Redis is: redis:// and redis+unix:// URLs. */
#include "config/redis_url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "relay/hex.h"

#define MASK "***"

/* Percent-decodes in place. */
static int decode(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        int high = hex_value((uint8_t)from[1]);
        int low = high < 0 ? -1 : hex_value((uint8_t)from[2]);
        if (low < 0 || (high | low) == 0)
            return -EINVAL;
        *to++ = (char)(high << 4 | low);
        from += 2;
    }
    *to = '\0';
    return 0;
}

/* At most six digits, nothing else. */
static int parse_number(const char *digits, unsigned *value)
{
    size_t len = strlen(digits);
    if (len == 0 || len > 6 || digits[strspn(digits, "0123456789")] != '\0')
        return -EINVAL;
    *value = (unsigned)strtoul(digits, NULL, 10);
    return 0;
}

/* Cuts the text at the first of this character. What follows it, or NULL. */
static char *cut(char *text, char at)
{
    char *found = strchr(text, at);
    if (found == NULL)
        return NULL;
    *found = '\0';
    return found + 1;
}

static int read_user(struct redis_url *u, char *user)
{
    char *password = cut(user, ':');
    if (decode(user) < 0 || (password != NULL && decode(password) < 0))
        return -EINVAL;
    u->user = *user == '\0' ? NULL : user;
    u->password = password == NULL || *password == '\0' ? NULL : password;
    return 0;
}

/* Reads what stands before the last @ of the authority. What follows it, or NULL when that is wrong. */
static char *skip_user(struct redis_url *u, char *authority)
{
    char *at = memrchr(authority, '@', strcspn(authority, "/?"));
    if (at == NULL)
        return authority;
    *at = '\0';
    return read_user(u, authority) < 0 ? NULL : at + 1;
}

static int read_port(struct redis_url *u, const char *digits)
{
    unsigned port = REDIS_URL_PORT;
    if (digits != NULL && (parse_number(digits, &port) < 0 || port == 0 || port > UINT16_MAX))
        return -EINVAL;
    u->port = (uint16_t)port;
    return 0;
}

static int read_ipv6(struct redis_url *u, char *host)
{
    struct in6_addr ignored;
    char *rest = cut(host, ']');
    u->host = host + 1;
    if (rest == NULL || inet_pton(AF_INET6, u->host, &ignored) != 1 || (*rest != '\0' && *rest != ':'))
        return -EINVAL;
    return read_port(u, *rest == '\0' ? NULL : rest + 1);
}

static int read_host(struct redis_url *u, char *host)
{
    if (*host == '[')
        return read_ipv6(u, host);
    char *port = cut(host, ':');
    u->host = host;
    if (*host == '\0' || host[strcspn(host, " \t?#%\\\"<>")] != '\0')
        return -EINVAL;
    return read_port(u, port);
}

static int read_tcp(struct redis_url *u, char *rest)
{
    char *host = skip_user(u, rest);
    if (host == NULL)
        return -EINVAL;
    char *database = cut(host, '/');
    if (database != NULL && *database != '\0' && parse_number(database, &u->database) < 0)
        return -EINVAL;
    return read_host(u, host);
}

static int read_unix(struct redis_url *u, char *rest)
{
    char *path = skip_user(u, rest);
    if (path == NULL || *path != '/')
        return -EINVAL;
    char *query = cut(path, '?');
    u->is_unix = true;
    u->host = path;
    if (query != NULL && (strncmp(query, "db=", 3) != 0 || parse_number(query + 3, &u->database) < 0))
        return -EINVAL;
    return decode(path) < 0 || strlen(path) > ADDRESS_PATH_MAX ? -EINVAL : 0;
}

static int refuse(struct redis_url *u, char *rest)
{
    (void)u, (void)rest;
    return -ENOTSUP;
}

static const struct scheme {
    const char *prefix;
    int (*read)(struct redis_url *u, char *rest);
} schemes[] = {
    {"redis://", read_tcp},
    {"redis+unix://", read_unix},
    {"rediss://", refuse},
    {"redis+sentinel://", refuse},
};

static int read_scheme(struct redis_url *u)
{
    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = strlen(schemes[i].prefix);
        if (strncasecmp(u->storage, schemes[i].prefix, len) == 0)
            return schemes[i].read(u, u->storage + len);
    }
    return -EINVAL;
}

int redis_url_parse(struct redis_url *u, const char *text)
{
    *u = (struct redis_url){.storage = strdup(text)};
    if (u->storage == NULL)
        return -ENOMEM;
    int error = read_scheme(u);
    if (error < 0)
        redis_url_deinit(u);
    return error;
}

void redis_url_deinit(struct redis_url *u)
{
    free(u->storage);
    *u = (struct redis_url){.storage = NULL};
}

/* Without a user part: what follows a colon and is no port, or NULL. */
static const char *find_odd_port(const char *host)
{
    const char *colon = strchr(*host == '[' ? host + strcspn(host, "]") : host, ':');
    if (colon == NULL)
        return NULL;
    size_t digits = strspn(colon + 1, "0123456789");
    return colon[1 + digits] == '\0' || colon[1 + digits] == '/' ? NULL : colon + 1;
}

static const char *find_password(const char *begin, const char *at)
{
    const char *colon = memchr(begin, ':', (size_t)(at - begin));
    return colon == NULL || colon + 1 == at ? NULL : colon + 1;
}

static void write_query_masked(const char *text, FILE *to)
{
    const char *query = strchr(text, '?');
    if (query == NULL || strncmp(query, "?db=", 4) == 0)
        fputs(text, to);
    else
        fprintf(to, "%.*s" MASK, (int)(query + 1 - text), text);
}

void redis_url_write_masked(const char *text, FILE *to)
{
    const char *slashes = strstr(text, "://");
    const char *begin = slashes == NULL ? text : slashes + 3;
    const char *at = strrchr(begin, '@');
    const char *secret = at == NULL ? find_odd_port(begin) : find_password(begin, at);
    if (secret == NULL) {
        write_query_masked(text, to);
        return;
    }
    fprintf(to, "%.*s" MASK, (int)(secret - text), text);
    write_query_masked(at == NULL ? "" : at, to);
}
