/* An address to listen on, as `listen` and `ops.listen` spell it:
 *
 *     host:port   [::1]:port   unix:/path
 *
 * The host is a numeric address or a name, which is not resolved here. Port 0 lets the system choose. */
#ifndef CONFIG_ADDRESS_H
#define CONFIG_ADDRESS_H

#include "relay/span.h"

#define ADDRESS_ALLOWED "host:port, [IPv6]:port or unix:/path"
#define ADDRESS_ANY     "all interfaces are 0.0.0.0:PORT or [::]:PORT"

#define ADDRESS_LIST_MAX 16  /* in one option */
#define ADDRESS_PATH_MAX 107 /* bytes of a Unix socket's path: the system has room for no more (unix(7)) */

enum address_kind { ADDRESS_TCP, ADDRESS_UNIX };

struct address {
    enum address_kind kind;
    uint16_t port;
    char name[256]; /* the host, without brackets; or the path, at most ADDRESS_PATH_MAX bytes */
    char text[272]; /* as it was written */
};

/* Reads one address. 0 or -EINVAL: it is none of ADDRESS_ALLOWED. */
int address_parse(struct address *a, struct span text) __attribute__((warn_unused_result));

/* Reads a comma-separated list into at most `cap` addresses. How many there are (0 for an empty list),
 * -EINVAL when one is none, -E2BIG when there are more. */
int address_parse_list(struct address *addresses, size_t cap, struct span list)
    __attribute__((warn_unused_result));

#endif
