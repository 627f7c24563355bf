/* Whose a session is: the value of its key :owner, a relay's name, a space, and when the newest of its sockets there was
 * opened, in milliseconds of Redis' clock. Only claim.lua writes it, and the scripts compare the times. */
#ifndef REDIS_OWNER_H
#define REDIS_OWNER_H

#include "relay/span.h"

#define OWNER_NAME_LEN 16 /* hexadecimal digits, in lower case */

/* The name, a span of the value; empty: it is none. */
struct span owner_name(struct span value);

#endif
